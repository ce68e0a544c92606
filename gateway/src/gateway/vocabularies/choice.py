"""Which vocabulary a socket speaks, where several share a namespace: its own words tell."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from marshmallow import ValidationError

from gateway.core.errors import ChatError, Invalid, UnknownEvent
from gateway.vocabularies.vocabulary import Hears, Payload, Vocabulary, fields_of

Vocabularies = tuple[Vocabulary, ...]


class Understood(NamedTuple):
    """The vocabularies that a word is good in, and what it is in the first of them."""

    by: Vocabularies
    hears: Hears
    payload: Payload


class Misunderstood(Exception):
    """No vocabulary takes the word; `by` is the one that came nearest, `error` what it says."""

    def __init__(self, by: Vocabulary, error: ChatError) -> None:
        super().__init__(error.message)
        self.by = by
        self.error = error


def understand(vocabularies: Vocabularies, event: Any, args: Sequence[Any]) -> Understood:
    """What an event with its payload is in the vocabularies that a socket may speak.

    A word that is good in one only decides for it; one that is good in several decides nothing.

    Raises:
        Misunderstood: it is good in none.
    """
    knowing = [v for v in vocabularies if isinstance(event, str) and event in v.hears]
    if not knowing:
        raise Misunderstood(vocabularies[0], UnknownEvent(f"There is no event {str(event)[:50]!r}."))
    payload = args[0] if args and args[0] is not None else {}
    if len(args) > 1 or not isinstance(payload, dict):
        raise Misunderstood(knowing[0], Invalid("The payload must be one object."))
    return _taken(knowing, event, payload)


def _taken(knowing: Sequence[Vocabulary], event: str, payload: Payload) -> Understood:
    loaded: dict[str, Payload] = {}
    wrong: list[tuple[Vocabulary, Payload]] = []
    for vocabulary in knowing:
        try:
            loaded[vocabulary.name] = vocabulary.hears[event].schema.load(payload)
        except ValidationError as error:
            # Its frames hold the error itself, and all that was at work, until the garbage collector comes.
            wrong.append((vocabulary, fields_of(error.with_traceback(None))))
    if not loaded:
        nearest, reasons = min(wrong, key=lambda pair: len(pair[1]))
        raise Misunderstood(nearest, Invalid.fields(reasons))
    by = tuple(v for v in knowing if v.name in loaded)
    return Understood(by, by[0].hears[event], loaded[by[0].name])
