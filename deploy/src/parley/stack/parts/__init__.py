"""The parts of the stack: how each is started, and when it is ready."""
