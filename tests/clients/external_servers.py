"""Servers that run already, such as those of a CI job, for the session's stack."""

import os


def external_servers() -> dict[str, str]:
    """Return their URLs as settings of a stack: `REDIS_URL` from `TEST_REDIS_URL`, and so on."""
    given = {name: os.environ.get(f"TEST_{name}") for name in ("REDIS_URL", "RABBITMQ_URL", "MONGO_URL")}
    return {name: url for name, url in given.items() if url}
