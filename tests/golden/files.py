"""`python -m golden.files 0.2.0` writes the golden bytes of that version, before its release.

A file lists bodies by format and sample, in Base64. The file of a released version never changes.
"""

import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from golden.samples import samples_of
from parley.shared import events, records
from parley.shared.envelope import SCHEMA

FOLDER = Path(__file__).parent
FORMATS: Mapping[str, Any] = {"events": events, "records": records}
UNIONS: Mapping[str, Any] = {"events": events.Event, "records": records.Record}


def versions() -> list[str]:
    """Return the versions that have golden bytes, the newest last."""
    return sorted((file.stem for file in FOLDER.glob("*.json")), key=_numbers)


def read(version: str) -> dict[tuple[str, str], bytes]:
    """Return a version's bodies, by format and sample."""
    formats = json.loads((FOLDER / f"{version}.json").read_text())
    return {(f, name): b64decode(text) for f, bodies in formats.items() for name, text in bodies.items()}


def write(version: str) -> None:
    """Write a version's golden bytes."""
    formats = {
        name: {sample: _text([SCHEMA, version, [value]]) for sample, value in samples_of(union).items()}
        for name, union in UNIONS.items()
    }
    (FOLDER / f"{version}.json").write_text(json.dumps(formats, indent=1) + "\n")


def _text(envelope: list[Any]) -> str:
    return b64encode(msgspec.msgpack.encode(envelope)).decode()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


if __name__ == "__main__":
    write(sys.argv[1])
