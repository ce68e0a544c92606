"""Parley as a whole in one process, played at random against a simple model."""
