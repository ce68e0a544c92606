"""The parts of the stack: what each is, how it is started, and when it is ready."""
