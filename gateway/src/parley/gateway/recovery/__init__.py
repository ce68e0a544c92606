"""Connection state recovery: what is kept of a socket, and how a client gets it back."""
