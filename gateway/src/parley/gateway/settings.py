"""The gateway's settings, from the environment."""

import re
from dataclasses import dataclass
from typing import get_args

from parley.gateway.state.rates import Rate, RateKind
from parley.shared.settings import HIGHEST_PORT, SettingsError, SharedSettings, setting

SECRET_BYTES = 32
SECRET_CHARACTERS = 6
PLACEHOLDERS = ("changeme", "changethis", "changein", "replaceme", "placeholder", "secretkey", "supersecret")
"""Parts of secrets copied from examples; anything that begins with `your` is one too."""
ORIGIN = r"[a-z][a-z0-9+.-]*://[^/*\s]+"
"""As browsers write it: no path, not even a slash."""
RATE = r"[0-9]{1,6}(\.[0-9]{1,3})?:[1-9][0-9]{0,6}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SharedSettings):
    """The gateway's settings."""

    node_name: str = setting(
        "The gateway's name, unique among them: letters, digits and dashes; empty takes the host's.",
        "",
        form="[a-z0-9-]{1,32}",
    )
    gateway_host: str = setting("The address that the gateway listens on.", "127.0.0.1")
    gateway_port: int = setting("The port that the gateway listens on.", 8001, least=1, most=HIGHEST_PORT)
    jwt_secret: str = setting("The secret of HS256 tokens; not needed with JWT_JWKS_URL.", "")
    environment: str = setting(
        "production or development: only the latter starts with a weak JWT_SECRET.",
        "production",
        form="production|development",
    )
    jwt_jwks_url: str = setting("Where the keys of RS256 and ES256 tokens are.", "", form="https?://.+")
    jwt_jwks_seconds: float = setting(
        "How often those keys are fetched anew; one that was taken out is trusted so long.", 300.0, least=1
    )
    jwt_issuer: str = setting("The issuer that tokens must name, if any.", "")
    jwt_audience: str = setting("The audience that tokens must name, if any.", "")
    revocation_days: int = setting(
        "Days for which a revocation is remembered: at least as long as any token is valid.",
        365,
        least=1,
        most=36_500,
    )
    token_in_query: bool = setting("Whether ?token= is accepted too.", True)
    cors_origins: tuple[str, ...] = setting(
        "Origins of pages that may call, with commas; the gateway's own is always allowed.", ()
    )
    outbox_limit: int = setting(
        "Records that may wait for RabbitMQ; past that sends are refused.", 20_000, least=1
    )
    store_within_seconds: float = setting(
        "How soon what is accepted is to be stored; where it takes longer, some sends are refused.",
        5.0,
        least=0,
    )
    backlog_limit: int = setting(
        "Bytes that a client may leave unread before it is cut off.", 1 << 20, least=1
    )
    max_frame: int = setting("Bytes of one Socket.IO frame.", 256 * 1024, least=1)
    max_body: int = setting("Bytes of one REST body.", 256 * 1024, least=1)
    drain_seconds: float = setting(
        "Over how long a stopping gateway sends its clients elsewhere.", 5.0, least=0
    )
    rate_limits: bool = setting("Whether rates are kept to; off is for load tests.", True)
    rate_sends: str = setting(
        "Sends, edits and deletions of one user: so many a second, and so many at once.", "20:100", form=RATE
    )
    rate_typing: str = setting("Starts and stops of typing of one user, likewise.", "5:50", form=RATE)
    rate_joins: str = setting("Rooms that one user joins and leaves, likewise.", "50:1000", form=RATE)
    rate_creates: str = setting(
        "Conversations and memberships that one user changes, likewise.", "5:50", form=RATE
    )
    rate_reads: str = setting(
        "Pages, searches, receipts and all else of one user, likewise.", "50:500", form=RATE
    )
    rate_events: str = setting("Events of one socket, good or bad, likewise.", "100:1000", form=RATE)
    rate_connects: str = setting("New sockets from one address, likewise.", "100:2000", form=RATE)
    max_sockets: int = setting("Sockets that one gateway takes.", 20_000, least=1)
    max_sockets_of_user: int = setting("Sockets that one user may have at one gateway.", 100, least=1)
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


def rates_of(settings: Settings) -> dict[RateKind, Rate]:
    """The rates by kind; none when they are off.

    Raises:
        SettingsError: one lets nothing pass.
    """
    return (
        {kind: _rate(f"rate_{kind}", settings) for kind in get_args(RateKind)} if settings.rate_limits else {}
    )


def _rate(name: str, settings: Settings) -> Rate:
    per_second, _, burst = getattr(settings, name).partition(":")
    if float(per_second) == 0:
        raise SettingsError(f"{name.upper()} must let something pass; RATE_LIMITS=off lets everything.")
    return Rate(float(per_second), int(burst))


def check(settings: Settings) -> None:
    """Check what no form of a single setting says.

    Raises:
        SettingsError: names the setting.
    """
    check_attachments(settings)
    check_secret(settings)
    if not re.fullmatch(r"[a-z0-9-]{1,32}", settings.node_name):
        raise SettingsError("NODE_NAME must be 1 to 32 lower-case letters, digits and dashes.")
    if "*" in settings.cors_origins:
        raise SettingsError("CORS_ORIGINS must list origins: * would let any page act for its visitors.")
    if wrong := [origin for origin in settings.cors_origins if not re.fullmatch(ORIGIN, origin)]:
        raise SettingsError(f"CORS_ORIGINS must list origins as https://chat.example:8443, not {wrong[0]!r}.")


def check_secret(settings: Settings) -> None:
    """Check that nobody can guess what tokens are signed with.

    Raises:
        SettingsError: there is no secret, or it is a weak one outside development.
    """
    if settings.jwt_jwks_url:
        return
    if not settings.jwt_secret:
        raise SettingsError("JWT_SECRET is not set: tokens could not be checked.")
    weakness = _weakness(settings.jwt_secret)
    if weakness and settings.environment != "development":
        raise SettingsError(
            f"JWT_SECRET {weakness}: take what `openssl rand -base64 48` says, "
            "or set ENVIRONMENT=development to try things out."
        )


def _weakness(secret: str) -> str:
    plain = "".join(filter(str.isalnum, secret.lower()))
    if plain.startswith("your") or any(word in plain for word in PLACEHOLDERS):
        return "is a placeholder that is known to all"
    if len(secret.encode()) < SECRET_BYTES:
        return f"is shorter than {SECRET_BYTES} bytes"
    if len(set(secret)) < SECRET_CHARACTERS:
        return "repeats a few characters"
    return ""


def check_attachments(settings: Settings) -> None:
    """Check the settings of attachments against each other.

    Raises:
        SettingsError: one is missing; says which.
    """
    if settings.attachments == "s3" and not settings.s3_bucket:
        raise SettingsError("S3_BUCKET is not set: ATTACHMENTS=s3 needs one.")
    if bool(settings.s3_access_key) != bool(settings.s3_secret_key):
        raise SettingsError("S3_ACCESS_KEY and S3_SECRET_KEY go together: set both or neither.")
