"""The replay of a real conversation, and what it proves."""
