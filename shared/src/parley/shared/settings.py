"""Settings: a frozen dataclass per service, filled from the environment."""

import re
import socket
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")

PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"
HOST = rf"(\[[0-9a-fA-F:.]+\]|[^][:/@?#,\s]+)(:{PORT})?"
HOSTS = rf"{HOST}(,{HOST})*"
USER = r"([^@/\s]*@)?"
REST = r"([/?].*)?"
HIGHEST_PORT = 65_535


class StartupError(Exception):
    """The service cannot start; the text is one sentence that says why, and what to do."""


class SettingsError(StartupError):
    """A setting is missing, or has an invalid value."""


def setting(
    doc: str, default: Any = MISSING, *, least: float | None = None, most: float = 2**31, form: str = ".*"
) -> Any:
    """Declare a setting; its environment variable is its name in capitals.

    Args:
        doc: One sentence.
        default: The value of a variable that is not set; without it the variable is required.
        least: The smallest number.
        most: The greatest number.
        form: A regular expression that matches a whole text.
    """
    return field(default=default, metadata={"doc": doc, "least": least, "most": most, "form": form})


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSettings:
    """The settings of both services."""

    redis_url: str = setting(
        "Where Redis listens, its sentinels (redis+sentinel://host,host/master), or a cluster, which has "
        "database 0 only (redis+cluster://host,host).",
        "redis://127.0.0.1:6379/0",
        form=rf"rediss?://{USER}{HOST}{REST}"
        rf"|rediss?\+sentinel://{USER}{HOSTS}/[^/?#,\s]+(/[0-9]*)?(\?.*)?"
        rf"|rediss?\+cluster://{USER}{HOSTS}(/0?)?(\?.*)?",
    )
    rabbitmq_url: str = setting(
        "Where RabbitMQ listens: one host, or the nodes of a cluster separated by commas.",
        "amqp://guest:guest@127.0.0.1:5672/",
        form=f"amqps?://{USER}{HOSTS}{REST}",
    )
    mongo_url: str = setting(
        "Where MongoDB listens, with the database's name.",
        "mongodb://127.0.0.1:27017/parley",
        form=rf"mongodb(\+srv)?://{USER}{HOSTS}{REST}",
    )
    partitions: int | None = setting(
        "How many queues the conversations are spread over at the first start, 2 if it is empty; "
        "`make partitions` changes it later.",
        None,
        least=1,
        most=1024,
    )
    log_level: str = setting("debug, info, warning or error.", "info", form="(?i:debug|info|warning|error)")
    log_format: str = setting("json for machines, console for people.", "json", form="json|console")
    otel_exporter_otlp_endpoint: str = setting(
        "The URL of a receiver of traces by OTLP over HTTP, without /v1/traces; empty traces nothing.",
        "",
        form="https?://.+",
    )
    otel_exporter_otlp_headers: str = setting(
        "Headers for the receiver of traces, such as a key: name=value, separated by commas.", ""
    )
    otel_traces_sampler: str = setting(
        "traceidratio decides by the share alone, parentbased_traceidratio by a client's traceparent first.",
        "parentbased_traceidratio",
        form="(parentbased_)?traceidratio",
    )
    otel_traces_sampler_arg: float = setting(
        "The share of the messages that are traced, from 0 to 1.",
        0.01,
        least=0,
        most=1,
    )


def load(cls: type[T], environ: Mapping[str, str]) -> T:
    """Read a settings dataclass from environment variables; an empty one counts as not set.

    The variable `NAME_FILE` names a file that holds the value of `NAME`, such as a secret that is mounted.

    Raises:
        SettingsError: A variable is missing or invalid.
    """
    hints = get_type_hints(cls)
    values = {}
    for f in fields(cls):  # type: ignore[arg-type]
        text = _text(f.name.upper(), environ)
        if text:
            values[f.name] = _parse(f, hints[f.name], text)
        elif f.default is MISSING:
            raise SettingsError(f"{f.name.upper()} is not set: {f.metadata['doc']}")
    return cls(**values)


def _text(name: str, environ: Mapping[str, str]) -> str:
    text, path = (environ.get(variable, "").strip() for variable in (name, f"{name}_FILE"))
    if not path:
        return text
    if text:
        raise SettingsError(f"{name} and {name}_FILE are both set: set one of them")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_FILE names a file that cannot be read: {error}") from None


def host_name() -> str:
    """Return this machine's name without its domain; a container's is its id."""
    return socket.gethostname().partition(".")[0].lower()


def _parse(f: Field[Any], kind: Any, text: str) -> Any:
    name = f.name.upper()
    try:
        value = _PARSERS[kind](text)
    except ValueError:
        raise SettingsError(f"{name} must be {_NAMES[kind]}, not {text!r}") from None
    least, most = f.metadata["least"], f.metadata["most"]
    if least is not None and value < least:
        raise SettingsError(f"{name} must be at least {least}, not {text}")
    if isinstance(value, int | float) and not value <= most:
        raise SettingsError(f"{name} must be at most {most}, not {text}")
    if kind is str and not re.fullmatch(f.metadata["form"], value):
        # The value may contain a password, so the error does not quote it.
        raise SettingsError(f"{name} has an invalid value: {f.metadata['doc']}")
    return value


def _switch(text: str) -> bool:
    try:
        return {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


_PARSERS: dict[Any, Any] = {
    str: str,
    int: int,
    int | None: int,
    float: float,
    bool: _switch,
    tuple[str, ...]: _words,
}
_NAMES: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    int | None: "a whole number",
    float: "a number",
    bool: "on or off",
    tuple[str, ...]: "a list with commas",
}
