"""What goes wrong with the stack, each said in one sentence."""


class StackError(Exception):
    """The stack cannot do what was asked; the message is for people, and may end in a log's last lines."""
