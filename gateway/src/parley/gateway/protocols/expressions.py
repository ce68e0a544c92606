"""Expressions: sources of values as Python code, of which a serializer's function is compiled at start.

A serializer made by calling a function for each field took twice as long, and gateways spend a tenth of
their time on payloads. All code is made of the tables; no part of it comes from a client.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

VALUE = "value"
"""The name that an expression gives to the value that it is applied to."""


@dataclass(frozen=True, slots=True)
class Expression:
    """Python code of one expression.

    Attributes:
        code: The code, in which `VALUE` is the value that it is applied to.
        names: The objects that the code refers to, by name.
    """

    code: str = VALUE
    names: Mapping[str, Any] = field(default_factory=dict)

    def then(self, function: Callable[[Any], Any]) -> "Expression":
        """Return the call of a function with this expression's result."""
        name = f"_{id(function)}"
        return Expression(f"{name}({self.code})", {**self.names, name: function})

    def then_unless_none(self, function: Callable[[Any], Any]) -> "Expression":
        """Return the call of a function with this expression's result, or None if that is None."""
        called = Expression("found").then(function)
        code = f"(None if (found := {self.code}) is None else {called.code})"
        return Expression(code, {**self.names, **called.names})

    def attribute(self, path: str) -> "Expression":
        """Return the attribute of this expression's result with a dotted path; "" is the result itself."""
        return Expression(f"{self.code}.{path}" if path else self.code, self.names)

    def of(self, inner: "Expression") -> "Expression":
        """Return this expression, applied to another one's result."""
        if inner.code == VALUE:
            return self
        return inner.then(compiled(self))


def unless_empty(path: str) -> Expression:
    """Return the attribute with a dotted path, or None if that is 0 or empty."""
    return Expression(f"({VALUE}.{path} or None)")


def constant(value: bool | str) -> Expression:
    """Return the expression of a constant."""
    return Expression(repr(value))


def compiled(expression: Expression) -> Callable[[Any], Any]:
    """Return the function that applies an expression to its argument."""
    return _defined([f"return {expression.code}"], expression.names)


def object_maker(table: Sequence[tuple[str, Expression, bool]]) -> Callable[[Any], dict[str, Any]]:
    """Return the function that makes an object.

    Args:
        table: Name and value of each field, and whether it is there if its value is None.
    """
    names = {name: each for _, value, _ in table for name, each in value.names.items()}
    first = list(takewhile(lambda row: row[2], table))
    # A display of several fields takes half as long as assignments.
    display = ", ".join(f"{name!r}: {value.code}" for name, value, _ in first)
    lines = [f"made = {{{display}}}"]
    for name, value, is_required in table[len(first) :]:
        if is_required:
            lines.append(f"made[{name!r}] = {value.code}")
        else:
            lines += [f"found = {value.code}", f"if found is not None: made[{name!r}] = found"]
    return _defined([*lines, "return made"], names)


def _defined(lines: Sequence[str], names: Mapping[str, Any]) -> Callable[[Any], Any]:
    scope = dict(names)
    exec("\n    ".join([f"def function({VALUE}):", *lines]), scope)
    function: Callable[[Any], Any] = scope["function"]
    return function
