"""Runs the whole of Parley natively on one machine, under supervisor."""

from parley.stack.errors import StackError
from parley.stack.stack import PartStatus, Stack

__all__ = ["PartStatus", "Stack", "StackError"]
