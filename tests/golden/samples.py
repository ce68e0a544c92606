"""Samples of every event and record: with only the fields that are needed, and with all of them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import inspect

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def samples_of(union: Any) -> Mapping[str, Any]:
    """Return the samples of a union of structs, by the names `kind, needed` and `kind, all`."""
    samples = {}
    for each in inspect.type_info(union).types:  # type: ignore[attr-defined]
        assert isinstance(each, inspect.StructType)
        samples[f"{each.tag}, needed"] = _struct(each, whole=False)
        samples[f"{each.tag}, all"] = _struct(each, whole=True)
    return samples


def _struct(of: inspect.StructType, *, whole: bool) -> Any:
    fields = (field for field in of.fields if whole or field.required)
    return of.cls(**{field.name: _value(field.type, _wire_name(field), whole=whole) for field in fields})


def _wire_name(field: inspect.Field) -> str:
    """Return the name that golden values show; a field that was renamed keeps its name on the wire."""
    return field.encode_name if field.name == "new_owner" else field.name


def _value(of: inspect.Type, name: str, *, whole: bool) -> Any:
    match of:
        case inspect.StructType():
            return _struct(of, whole=whole)
        case inspect.UnionType():
            return _value(of.types[0] if whole else of.types[-1], name, whole=whole)
        case inspect.VarTupleType():
            return (_value(of.item_type, name, whole=whole),) if whole else ()
        case inspect.ListType():
            return [{"any": [name, 1, None]}]
        case inspect.LiteralType():
            return of.values[-1]
    return _PLAIN[type(of)](name)


_PLAIN: dict[type[inspect.Type], Any] = {
    inspect.StrType: lambda name: f"{name} é",
    inspect.IntType: len,
    inspect.FloatType: lambda name: len(name) + 0.5,
    inspect.BoolType: lambda name: True,
    inspect.DateTimeType: lambda name: AT,
    inspect.NoneType: lambda name: None,
}
