"""The replay's settings, from the environment or else `.env`: the secret that signs tokens, and MongoDB."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MONGO_URL = "mongodb://127.0.0.1:27017/parley"


class MissingSetting(Exception):
    """A setting that the replay needs is missing; the text names it."""


@dataclass(frozen=True)
class Environment:
    """The settings that the replay shares with the services."""

    jwt_secret: str
    mongo_url: str


def read_environment(environ: Mapping[str, str], dotenv: Path, mongo_url: str | None = None) -> Environment:
    """Read the settings; `mongo_url` overrides the one that is set.

    Raises:
        MissingSetting: There is no secret.
    """
    settings = {**read_dotenv(dotenv), **{name: value for name, value in environ.items() if value}}
    secret = settings.get("JWT_SECRET")
    if not secret:
        raise MissingSetting(
            f"JWT_SECRET is neither in the environment nor in {dotenv}; `make up` writes one."
        )
    return Environment(secret, mongo_url or settings.get("MONGO_URL") or MONGO_URL)


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the settings in a file of NAME=value lines; none if there is no such file."""
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
