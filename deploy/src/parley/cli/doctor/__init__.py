"""`parley doctor`: try each server and service, and say what to do."""
