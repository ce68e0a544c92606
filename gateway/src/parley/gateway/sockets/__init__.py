"""The Socket.IO edge: accepts sockets, dispatches their events, closes them."""
