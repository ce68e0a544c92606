"""Load on a running Parley: the replay of a real conversation, and what it proves."""
