"""Connection state recovery: snapshots of sockets, and their restoration."""
