"""The chat page, as a browser loads it."""
