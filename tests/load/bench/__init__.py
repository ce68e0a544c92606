"""Parley beside the guides' own stack: the same load on both in turn, on the same MongoDB and Redis."""
