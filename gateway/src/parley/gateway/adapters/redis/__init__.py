"""Adapters to Redis."""
