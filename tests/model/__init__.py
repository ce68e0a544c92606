"""Parley as a whole in one process, driven at random and compared with a simple model."""
