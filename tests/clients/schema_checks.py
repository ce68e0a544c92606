"""JSON Schemas of a document that describes us: whether a value is what one says, and a value that is."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jsonschema_rs
from marshmallow import Schema

from clients.samples import RESULTS
from parley.gateway.core.commands import Command
from parley.gateway.protocols.protocol import Payload

Json = dict[str, Any]


def complaints(document: Json, schema: Json, value: Any) -> list[str]:
    """What is wrong with a value, by a schema of the document."""
    whole = {**schema, "components": document["components"]}
    # Its patterns are ECMA-262's, as JSON Schema wants them.
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(value)]


def resolved(document: Json, thing: Json) -> Json:
    """What a reference within the document stands for, or the thing itself."""
    while "$ref" in thing:
        found = document
        for key in thing["$ref"].removeprefix("#/").split("/"):
            found = found[key.replace("~1", "/")]
        thing = found
    return thing


def example(document: Json, schema: Json) -> Any:
    """A value that the schema allows: what must be there, and a content where there may be one."""
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
    """What the last of the commands that a payload makes may come to."""
    return RESULTS[type(commands[-1](schema.load(given)))]


def references(thing: Any) -> Iterator[str]:
    """Every reference within a document."""
    if isinstance(thing, dict):
        if isinstance(thing.get("$ref"), str):
            yield thing["$ref"]
        for each in thing.values():
            yield from references(each)
    elif isinstance(thing, list):
        for each in thing:
            yield from references(each)
