"""The words of each guide, as tables."""
