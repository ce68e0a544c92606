"""Load by lean websocket clients in several processes, each delivery of which is accounted for."""
