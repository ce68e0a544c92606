"""The worker's settings."""

from dataclasses import dataclass

from parley.shared.settings import HIGHEST_PORT, SharedSettings, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SharedSettings):
    """The worker's settings."""

    worker_name: str = setting("The worker's name in logs; empty takes the host's.", "")
    worker_host: str = setting("The address that health and metrics listen on.", "127.0.0.1")
    worker_port: int = setting(
        "The port that health and metrics listen on.", 9001, least=1, most=HIGHEST_PORT
    )
    batch_limit: int = setting("Records that are written together, at most.", 500, least=1)
    prefetch: int = setting(
        "AMQP messages that a partition's consumer holds unacknowledged.", 100, least=1, most=65_535
    )
