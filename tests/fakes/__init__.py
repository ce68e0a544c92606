"""Stateful stand-ins for unit tests; they pass the contract tests that the real ones pass."""
