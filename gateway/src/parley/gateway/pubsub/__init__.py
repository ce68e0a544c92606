"""Redis pub/sub: the bus, and python-socketio's client manager on it."""
