"""Node-local state, kept in memory and rebuilt from MongoDB."""
