"""Where the replay finds the secret that signs tokens, and MongoDB: the environment first, then `.env`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MONGO_URL = "mongodb://127.0.0.1:27017/parley"


class MissingSetting(Exception):
    """A setting that the replay needs is nowhere; says which."""


@dataclass(frozen=True)
class Environment:
    """What the replay shares with the services it talks to."""

    jwt_secret: str
    mongo_url: str


def read_environment(environ: Mapping[str, str], dotenv: Path, mongo_url: str | None = None) -> Environment:
    """Reads both; `mongo_url` goes before what is set. Raises Missing when there is no secret."""
    settings = {**read_dotenv(dotenv), **{name: value for name, value in environ.items() if value}}
    secret = settings.get("JWT_SECRET")
    if not secret:
        raise MissingSetting(
            f"JWT_SECRET is neither in the environment nor in {dotenv}; `make up` writes one."
        )
    return Environment(secret, mongo_url or settings.get("MONGO_URL") or MONGO_URL)


def read_dotenv(path: Path) -> dict[str, str]:
    """The settings in a file of NAME=value lines; none when there is no such file."""
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
