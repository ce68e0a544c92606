"""The lean websocket below python-socketio: frames, packets, polling, origins."""
