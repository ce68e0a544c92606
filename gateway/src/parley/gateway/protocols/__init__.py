"""Client protocols: event names, payloads and REST routes of each guide, as tables."""
