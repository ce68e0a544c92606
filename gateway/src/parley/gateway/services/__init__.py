"""Services: the implementation of each command."""
