"""Clients that talk to Parley as the outside does."""
