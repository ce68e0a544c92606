"""JSON Schemas (2020-12) of a protocol's inbound and outbound payloads."""

import itertools
from collections.abc import Collection
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields

from parley.gateway.api_docs import texts
from parley.gateway.protocols.fields import Id
from parley.gateway.protocols.serializer import ToPayload
from parley.shared.tracing import TRACEPARENT

Json = dict[str, Any]

OPENAPI = "3.1.0"


class Schemas:
    """Makes schemas; objects become components, prefixed with their owner's name so that none collide."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        plugin = MarshmallowPlugin(schema_name_resolver=self._name)
        self._spec = APISpec(owner, "", OPENAPI, plugins=[plugin])
        assert plugin.converter is not None
        self._converter = plugin.converter
        for describe in (_pattern, _of_object, _also):
            self._converter.add_attribute_function(describe)

    @property
    def components(self) -> Json:
        """All components made so far, by name."""
        return self._spec.components.schemas

    def of_output(self, serializer: ToPayload) -> Json:
        """Describe what a serializer makes."""
        return self._of_field(serializer.field)

    def of_input(self, schema: Schema, without: Collection[str] = ()) -> Json:
        """Describe what a schema accepts, without the fields that a route takes from its path."""
        if not without:
            return self._component(schema)
        described: Json = self._converter.schema2jsonschema(schema)
        described["properties"] = _without(described["properties"], without)
        kept = [field for field in described.pop("required", ()) if field not in without]
        return described | ({"required": kept} if kept else {})

    def of_event(self, schema: Schema) -> Json:
        """Describe what an event with this schema accepts: a trace's context besides, as every event does."""
        described = self._component(schema)
        properties = self.components[described["$ref"].rpartition("/")[2]].setdefault("properties", {})
        properties[TRACEPARENT] = {"description": texts.TRACEPARENT}
        return described

    def _component(self, schema: Schema) -> Json:
        described: Json = self._converter.resolve_nested_schema(schema)
        component: Json = self.components[described["$ref"].rpartition("/")[2]]
        if doc := vars(type(schema)).get("__doc__"):
            component.setdefault("description", doc)
        return described

    def by_field(self, schema: Schema) -> dict[str, Json]:
        """Describe a schema's fields, by their names in payloads."""
        return {name(field): self._of_field(field) for field in schema.fields.values()}

    def _of_field(self, field: fields.Field[Any]) -> Json:
        described: Json = self._converter.field2property(field)
        return described

    def _name(self, schema: type[Schema] | Schema) -> str:
        """Name a new component; a number makes a name unique."""
        cls = schema if isinstance(schema, type) else type(schema)
        plain = f"{self._owner}.{cls.__name__}"
        names = itertools.chain([plain], (f"{plain}{count}" for count in itertools.count(2)))
        return next(each for each in names if each not in self.components)


def required(schema: Schema) -> set[str]:
    """Return a schema's required fields, by their names in payloads."""
    return {name(field) for field in schema.fields.values() if field.required}


def has_ids(schema: Schema) -> bool:
    """Tell whether a schema has an id: then the request may be answered with 403 or 404."""
    inner = (field.inner if isinstance(field, fields.List) else field for field in schema.fields.values())
    return any(isinstance(field, Id) for field in inner)


def name(field: fields.Field[Any]) -> str:
    """Return a field's name in payloads."""
    return field.data_key or str(field.name)


def _without(properties: Json, names: Collection[str]) -> Json:
    return {name: each for name, each in properties.items() if name not in names}


def _pattern(_: Any, _field: fields.Field[Any], *, ret: Json) -> Json:
    r"""Translate a Python pattern (anchored at the start, `\Z` for the end) to ECMA-262."""
    if "pattern" not in ret:
        return {}
    inner = ret["pattern"].replace(r"\Z", "$").removeprefix("^")
    return {"pattern": f"^(?:{inner})" if "|" in inner else f"^{inner}"}


def _of_object(converter: Any, field: fields.Field[Any], *, ret: Json) -> Json:
    """Describe the keys of an object with any keys, and how many it may have."""
    if not isinstance(field, fields.Dict):
        return {}
    limits = {"minLength": "minProperties", "maxLength": "maxProperties"}
    found: Json = {limit: ret.pop(wrong) for wrong, limit in limits.items() if wrong in ret}
    if field.key_field is not None:
        found["propertyNames"] = converter.field2property(field.key_field)
    return found


def _also(converter: Any, field: fields.Field[Any], *, ret: Json) -> Json:
    """Add the other types that a field accepts, its attribute `also`: one, or several."""
    if not hasattr(field, "also"):
        return {}
    about: Json = {word: ret.pop(word) for word in ("default", "description") if word in ret}
    others = field.also if isinstance(field.also, tuple) else (field.also,)
    either = [dict(ret), *map(converter.field2property, others)]
    ret.clear()
    return {"anyOf": either, **about}
