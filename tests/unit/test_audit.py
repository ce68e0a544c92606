"""What `make check` makes of what the indexes say of known vulnerabilities."""

import json
from subprocess import CompletedProcess
from typing import Any

import pytest

from parley.stack.audit import Audit, Unanswered, audit, read_npm, read_pip


def done(told: Any, errors: str = "") -> CompletedProcess[str]:
    return CompletedProcess([], 1, told if isinstance(told, str) else json.dumps(told), errors)


def of_pip(*vulnerable: str) -> CompletedProcess[str]:
    packages = [
        {"name": "safe", "version": "1", "vulns": []},
        {"name": "private", "skip_reason": "not on PyPI"},
        *({"name": name, "version": "2", "vulns": [{"id": "PYSEC-1"}]} for name in vulnerable),
    ]
    return done({"dependencies": packages, "fixes": []})


def of_npm(**severities: str) -> CompletedProcess[str]:
    found = {
        name: {"name": name, "range": "<2", "severity": severity} for name, severity in severities.items()
    }
    return done({"vulnerabilities": found})


def test_what_is_vulnerable_is_named() -> None:
    assert read_pip(of_pip("weak")) == ["weak 2 has PYSEC-1"]
    assert read_npm(of_npm(weak="high", worse="critical")) == [
        "weak <2 is vulnerable (high)",
        "worse <2 is vulnerable (critical)",
    ]


def test_what_is_not_is_not() -> None:
    assert read_pip(of_pip()) == []
    assert read_npm(of_npm(mild="moderate")) == []


@pytest.mark.parametrize(
    "told",
    [
        done("", "the network is away"),
        done("<html>no such page</html>"),
        done({"message": "405 Method Not Allowed"}),
        done({"dependencies": [{"name": "all", "skip_reason": "not on PyPI"}]}),
        done("[]"),
    ],
)
def test_an_index_that_does_not_answer_is_no_finding(told: CompletedProcess[str]) -> None:
    for read in (read_pip, read_npm):
        noted = audit("packages", True, lambda read=read: read(told))  # type: ignore[misc]
        assert not noted.failed
        assert str(noted).startswith("packages: not audited, ")
        with pytest.raises(Unanswered):
            read(told)


def test_only_what_ships_fails_the_check() -> None:
    assert Audit(of="packages", ships=True, found=["weak 2 has PYSEC-1"]).failed
    assert not Audit(of="tests' scripts", ships=False, found=["weak 2 has PYSEC-1"]).failed
    assert not Audit(of="packages", ships=True).failed
