"""Socket.IO: from frames to commands, from events to frames."""
