"""The Socket.IO edge: which sockets are accepted, what their events become, which are closed."""
