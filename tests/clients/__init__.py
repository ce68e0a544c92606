"""Clients and helpers of the tests, which use Parley from outside."""
