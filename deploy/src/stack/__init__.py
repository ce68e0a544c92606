"""Runs the whole of Parley natively on one machine, under supervisor."""

from stack.errors import StackError
from stack.stack import PartStatus, Stack

__all__ = ["PartStatus", "Stack", "StackError"]
