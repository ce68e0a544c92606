"""A gateway with a weak JWT_SECRET does not start and names the reason."""

from pathlib import Path

import pytest

from clients.standalone_gateway import run_gateway

ADVICE = "generate one with `openssl rand -base64 48`, or set ENVIRONMENT=development to try Parley out."


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("", "JWT_SECRET is not set; set it, or JWT_JWKS_URL."),
        ("secret", f"JWT_SECRET is shorter than 32 bytes: {ADVICE}"),
    ],
)
def test_a_gateway_with_a_weak_secret_does_not_start(secret: str, complaint: str, tmp_path: Path) -> None:
    done = run_gateway(tmp_path, JWT_SECRET=secret)

    assert done.returncode == 1
    assert done.stderr.splitlines() == [complaint]
    assert done.stdout == ""
