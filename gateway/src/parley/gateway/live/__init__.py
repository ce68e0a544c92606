"""Live state of a node: its sockets, their rooms, and what keeps both right."""
