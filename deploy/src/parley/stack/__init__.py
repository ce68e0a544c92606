"""Run all of Parley natively on one machine, under supervisor."""

from parley.stack.errors import StackError
from parley.stack.stack import Stack
from parley.stack.status import PartStatus

__all__ = ["PartStatus", "Stack", "StackError"]
