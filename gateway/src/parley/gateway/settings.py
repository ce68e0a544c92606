"""The gateway's settings, from the environment."""

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import get_args

from parley.gateway.state.rates import Rate, RateKind
from parley.shared.settings import HIGHEST_PORT, SettingsError, SharedSettings, setting

SECRET_BYTES = 32
SECRET_CHARACTERS = 6
PLACEHOLDERS = ("changeme", "changethis", "changein", "replaceme", "placeholder", "secretkey", "supersecret")
"""Parts of secrets copied from examples."""
NAMED_PLACEHOLDER = re.compile("your.*(secret|password|token|jwt|key)")
"""A secret copied from an example that names it. One random secret in a million begins with `your` alone."""
ORIGIN = r"[a-z][a-z0-9+.-]*://[^/*\s]+"
"""An origin as browsers send it: without a path, even without a slash."""
NODE_NAME = "[a-z0-9-]{1,63}"
"""A name that DNS accepts, such as a pod's in Kubernetes."""
RATE = r"[0-9]{1,9}(\.[0-9]{1,3})?:[1-9][0-9]{0,8}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SharedSettings):
    """The gateway's settings."""

    node_name: str = setting(
        "The gateway's name, unique among gateways: letters, digits and dashes; empty takes the host's name.",
        "",
        form=NODE_NAME,
    )
    gateway_host: str = setting("The address that the gateway listens on.", "127.0.0.1")
    gateway_port: int = setting("The port that the gateway listens on.", 8001, least=1, most=HIGHEST_PORT)
    jwt_secret: str = setting("The secret of HS256 tokens; not needed with JWT_JWKS_URL.", "")
    jwt_secret_previous: str = setting(
        "A secret whose HS256 tokens are accepted too, while JWT_SECRET is being replaced.", ""
    )
    environment: str = setting(
        "production or development; only development allows a weak JWT_SECRET.",
        "production",
        form="production|development",
    )
    jwt_jwks_url: str = setting(
        "The URL of the JWKS with the keys of RS256 and ES256 tokens.", "", form="https?://.+"
    )
    jwt_jwks_seconds: float = setting(
        "Seconds between two reads of the JWKS; a removed key is trusted until the next read.", 300.0, least=1
    )
    jwt_issuer: str = setting("The issuer that tokens must have; empty accepts any.", "")
    jwt_audience: str = setting("The audience that tokens must have; empty accepts any.", "")
    jwt_leeway_seconds: float = setting(
        "Seconds by which the clock of the tokens' issuer may be ahead, for the claims nbf and iat.",
        30.0,
        least=0,
        most=600,
    )
    revocation_days: int = setting(
        "Days for which a revocation is kept; at least the lifetime of any token.",
        365,
        least=1,
        most=36_500,
    )
    token_in_query: bool = setting("Whether a token in the query (?token=) is accepted.", True)
    cors_origins: tuple[str, ...] = setting(
        "Allowed origins of web pages, separated by commas; the gateway's own is always allowed.", ()
    )
    cors_headers: tuple[str, ...] = setting(
        "Headers that pages of allowed origins may send besides those that Parley reads, such as of tracing.",
        ("baggage", "sentry-trace", "traceparent", "tracestate", "x-requested-with"),
    )
    trusted_proxies: tuple[str, ...] = setting(
        "Networks of the proxies in front of nginx whose X-Forwarded-For, -Proto and -Host are believed.", ()
    )
    nginx_networks: tuple[str, ...] = setting(
        "Networks of Parley's own nginx, which tells a gateway the client's address.",
        ("127.0.0.0/8", "::1/128"),
    )
    outbox_limit: int = setting(
        "Records that may wait for RabbitMQ; past that, commands that write are refused.", 20_000, least=1
    )
    store_within_seconds: float = setting(
        "Seconds within which a message is to be stored; sends are refused where it takes longer.",
        5.0,
        least=0,
    )
    backlog_limit: int = setting(
        "Unread bytes of one client past which its connection is closed.", 1 << 20, least=1
    )
    max_frame: int = setting("Bytes of one Socket.IO frame, at most.", 256 * 1024, least=1)
    max_body: int = setting("Bytes of one REST body, at most.", 256 * 1024, least=1)
    drain_seconds: float = setting(
        "Seconds over which a stopping gateway closes the connections of its clients.", 5.0, least=0
    )
    rate_limits: bool = setting("Whether rate limits apply; off is for load tests.", True)
    rate_sends: str = setting(
        "Rate limit of one user's sends, edits and deletions, as rate per second:burst.", "20:100", form=RATE
    )
    rate_typing: str = setting(
        "Rate limit of one user's typing starts and stops, likewise.", "5:50", form=RATE
    )
    rate_joins: str = setting(
        "Rate limit of the rooms that one user joins and leaves, likewise.", "50:1000", form=RATE
    )
    rate_creates: str = setting(
        "Rate limit of one user's changes of conversations and memberships, likewise.", "5:50", form=RATE
    )
    rate_reads: str = setting(
        "Rate limit of one user's reads, searches, receipts and all other commands, likewise;"
        " many conversations count as more.",
        "50:500",
        form=RATE,
    )
    rate_requests: str = setting(
        "Rate limit of one user's events and REST requests, likewise; 4 KiB count as one more, errors as 20.",
        "200:2000",
        form=RATE,
    )
    rate_rooms: str = setting(
        "Rate limit of one user's connects, by the conversations that they load and whom a recovery reaches,"
        " likewise.",
        "500:20000",
        form=RATE,
    )
    rate_events: str = setting(
        "Rate limit of the events of one socket, valid or not, likewise; 4 KiB count as one more.",
        "100:1000",
        form=RATE,
    )
    rate_connects: str = setting(
        "Rate limit of the new connections of one address, likewise.", "100:2000", form=RATE
    )
    rate_session_bytes: str = setting(
        "Rate limit of the bytes that one connection sends, a packet counted as 512 at least, likewise.",
        "524288:4194304",
        form=RATE,
    )
    rate_address_bytes: str = setting(
        "Rate limit of the bytes that one address sends to Socket.IO, with a token or without, likewise.",
        "4194304:8388608",
        form=RATE,
    )
    max_sockets: int = setting("Sockets of one gateway, at most.", 20_000, least=1)
    max_sockets_of_user: int = setting("Sockets of one user at one gateway, at most.", 100, least=1)
    presence_members: int = setting(
        "Members past which a group does not announce who comes online and goes; 0 announces nobody.",
        200,
        least=0,
    )
    audit_seconds: float = setting(
        "Seconds between two comparisons of the stored conversations with the events that were emitted; "
        "a comparison of more than 2,000 conversations takes longer.",
        20.0,
        least=1,
    )
    attachments: str = setting("The storage of uploads: gridfs or s3.", "gridfs", form="gridfs|s3")
    max_upload: int = setting(
        "Bytes of one attachment, at most; the nginx in front passes up to 26 MiB.", 25 * 1024 * 1024, least=1
    )
    max_upload_of_day: int = setting("Bytes of one user's uploads of a day (UTC), at most.", 1 << 30, least=1)
    min_free_storage: float = setting(
        "Percent of MongoDB's disk below which uploads are refused; 0 refuses none.", 5.0, least=0, most=100
    )
    s3_endpoint: str = setting(
        "The URL of an S3-compatible server; empty takes Amazon's.", "", form="https?://.+"
    )
    s3_bucket: str = setting("The bucket of the uploads.", "")
    s3_region: str = setting("The bucket's region.", "us-east-1")
    s3_access_key: str = setting("The access key's id; empty takes the machine's role.", "")
    s3_secret_key: str = setting("The access key's secret.", "")


def rates_of(settings: Settings) -> dict[RateKind, Rate]:
    """Return the rates by kind; none if rate limits are off.

    Raises:
        SettingsError: A rate is 0.
    """
    return (
        {kind: _rate(f"rate_{kind}", settings) for kind in get_args(RateKind)} if settings.rate_limits else {}
    )


def _rate(name: str, settings: Settings) -> Rate:
    per_second, _, burst = getattr(settings, name).partition(":")
    if float(per_second) == 0:
        raise SettingsError(f"{name.upper()} must be higher than 0; RATE_LIMITS=off removes all limits.")
    return Rate(float(per_second), int(burst))


def check(settings: Settings) -> None:
    """Check the settings that depend on each other or need more than a pattern.

    Raises:
        SettingsError: A setting is not valid; names it.
    """
    check_attachments(settings)
    check_secret(settings)
    if not re.fullmatch(NODE_NAME, settings.node_name):
        raise SettingsError("NODE_NAME must be 1 to 63 lower-case letters, digits and dashes.")
    if "*" in settings.cors_origins:
        raise SettingsError("CORS_ORIGINS must list origins: with * any web page could act for its visitors.")
    for name in ("trusted_proxies", "nginx_networks"):
        check_networks(name, getattr(settings, name))
    if wrong := [origin for origin in settings.cors_origins if not re.fullmatch(ORIGIN, origin)]:
        raise SettingsError(f"CORS_ORIGINS must list origins as https://chat.example:8443, not {wrong[0]!r}.")


def check_networks(name: str, networks: tuple[str, ...]) -> None:
    """Check a list of networks.

    Raises:
        SettingsError: One of them is no network; names it.
    """
    for network in networks:
        try:
            ip_network(network, strict=False)
        except ValueError:
            reason = f"must list networks as 10.0.0.0/8 or addresses, not {network!r}."
            raise SettingsError(f"{name.upper()} {reason}") from None


def check_secret(settings: Settings) -> None:
    """Check that the secret of tokens cannot be guessed.

    Raises:
        SettingsError: There is no secret, or a weak one outside development.
    """
    if settings.jwt_jwks_url:
        return
    if not settings.jwt_secret:
        raise SettingsError("JWT_SECRET is not set; set it, or JWT_JWKS_URL.")
    _check_strength("JWT_SECRET", settings.jwt_secret, settings)
    if settings.jwt_secret_previous:
        _check_strength("JWT_SECRET_PREVIOUS", settings.jwt_secret_previous, settings)


def _check_strength(name: str, secret: str, settings: Settings) -> None:
    weakness = _weakness(secret)
    if weakness and settings.environment != "development":
        raise SettingsError(
            f"{name} {weakness}: generate one with `openssl rand -base64 48`, "
            "or set ENVIRONMENT=development to try Parley out."
        )


def _weakness(secret: str) -> str:
    plain = "".join(filter(str.isalnum, secret.lower()))
    if NAMED_PLACEHOLDER.match(plain) or any(word in plain for word in PLACEHOLDERS):
        return "is a publicly known placeholder"
    if len(secret.encode()) < SECRET_BYTES:
        return f"is shorter than {SECRET_BYTES} bytes"
    if len(set(secret)) < SECRET_CHARACTERS:
        return "repeats a few characters"
    return ""


def check_attachments(settings: Settings) -> None:
    """Check the settings of attachments against each other.

    Raises:
        SettingsError: A setting is missing; names it.
    """
    if settings.attachments == "s3" and not settings.s3_bucket:
        raise SettingsError("S3_BUCKET is not set: ATTACHMENTS=s3 needs one.")
    if bool(settings.s3_access_key) != bool(settings.s3_secret_key):
        raise SettingsError("S3_ACCESS_KEY and S3_SECRET_KEY belong together: set both or neither.")
