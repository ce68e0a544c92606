"""JSON Schemas of the generated documents: validation of values, and values that are valid."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jsonschema_rs
from marshmallow import Schema

from clients.samples import RESULTS
from parley.gateway.core.commands import Command
from parley.gateway.protocols.protocol import Payload

Json = dict[str, Any]


def complaints(document: Json, schema: Json, value: Any) -> list[str]:
    """Return the violations of a schema of the document by a value."""
    whole = {**schema, "components": document["components"]}
    # The patterns are ECMA-262's, as JSON Schema requires.
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)]


def resolved(document: Json, thing: Json) -> Json:
    """Follow a reference within the document; return anything else unchanged."""
    while "$ref" in thing:
        found = document
        for key in thing["$ref"].removeprefix("#/").split("/"):
            found = found[key.replace("~1", "/")]
        thing = found
    return thing


def example(document: Json, schema: Json) -> Any:
    """Return a valid value: with required fields only, and a content where there may be one."""
    schema = resolved(document, schema)
    if "anyOf" in schema:
        return example(document, schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            names = {*schema.get("required", ()), *({"content"} & schema.get("properties", {}).keys())}
            return {name: example(document, schema["properties"][name]) for name in names}
        case "array":
            return []
        case "integer":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return "x"


def outcomes(schema: Schema, given: Payload, *commands: Callable[[Payload], Command]) -> Sequence[Any]:
    """Return the possible results of the last command that a payload makes."""
    return RESULTS[type(commands[-1](schema.load(given)))]


def references(thing: Any) -> Iterator[str]:
    """Yield every reference within a document."""
    if isinstance(thing, dict):
        if isinstance(thing.get("$ref"), str):
            yield thing["$ref"]
        for each in thing.values():
            yield from references(each)
    elif isinstance(thing, list):
        for each in thing:
            yield from references(each)
