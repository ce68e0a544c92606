"""Errors of the stack."""


class StackError(Exception):
    """The stack cannot do what was asked.

    The message is one sentence for the operator; the last lines of a log may follow it.
    """
