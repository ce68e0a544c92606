"""What the gateway is told by its environment."""

from dataclasses import dataclass

from shared.settings import SettingsError, SharedSettings, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SharedSettings):
    """The gateway's settings."""

    node_name: str = setting(
        "The gateway's name, unique among them: letters, digits and dashes; empty takes the host's.",
        "",
        form="[a-z0-9-]{1,32}",
    )
    gateway_host: str = setting("The address that the gateway listens on.", "127.0.0.1")
    gateway_port: int = setting("The port that the gateway listens on.", 8001, least=1)
    jwt_secret: str = setting("The secret of HS256 tokens; not needed with JWT_JWKS_URL.", "")
    jwt_jwks_url: str = setting("Where the keys of RS256 and ES256 tokens are.", "")
    jwt_issuer: str = setting("The issuer that tokens must name, if any.", "")
    jwt_audience: str = setting("The audience that tokens must name, if any.", "")
    token_in_query: bool = setting("Whether ?token= is accepted too.", True)
    cors_origins: tuple[str, ...] = setting(
        "Origins of pages that may call, with commas; the gateway's own is always allowed.", ()
    )
    outbox_limit: int = setting(
        "Records that may wait for RabbitMQ; past that sends are refused.", 20_000, least=1
    )
    backlog_limit: int = setting(
        "Bytes that a client may leave unread before it is cut off.", 1 << 20, least=1
    )
    max_frame: int = setting("Bytes of one Socket.IO frame.", 256 * 1024, least=1)
    max_body: int = setting("Bytes of one REST body.", 256 * 1024, least=1)
    drain_seconds: float = setting(
        "Over how long a stopping gateway sends its clients elsewhere.", 5.0, least=0
    )
    audit_seconds: float = setting("How often all heads are compared with what was passed on.", 20.0, least=1)
    attachments: str = setting("Where uploads are kept: gridfs or s3.", "gridfs", form="gridfs|s3")
    max_upload: int = setting(
        "Bytes of one attachment; the nginx in front passes up to 26 MiB.", 25 * 1024 * 1024, least=1
    )
    s3_endpoint: str = setting(
        "Where an S3-compatible server listens; empty is Amazon's.", "", form="https?://.+"
    )
    s3_bucket: str = setting("The bucket that uploads are kept in.", "")
    s3_region: str = setting("The bucket's region.", "us-east-1")
    s3_access_key: str = setting("The access key's id; empty takes the machine's own role.", "")
    s3_secret_key: str = setting("The access key's secret.", "")


def check_attachments(settings: Settings) -> None:
    """Check the settings of attachments against each other.

    Raises:
        SettingsError: one is missing; says which.
    """
    if settings.attachments == "s3" and not settings.s3_bucket:
        raise SettingsError("S3_BUCKET is not set: ATTACHMENTS=s3 needs one.")
    if bool(settings.s3_access_key) != bool(settings.s3_secret_key):
        raise SettingsError("S3_ACCESS_KEY and S3_SECRET_KEY go together: set both or neither.")
