"""How `make check` judges the answers of pip-audit and npm audit."""

import json
from subprocess import CompletedProcess
from typing import Any

import pytest

from parley.stack.audit import Audit, AuditUnavailable, audit, read_npm, read_pip


def completed(answer: Any, errors: str = "") -> CompletedProcess[str]:
    return CompletedProcess([], 1, answer if isinstance(answer, str) else json.dumps(answer), errors)


def pip_answer(*vulnerable: str) -> CompletedProcess[str]:
    packages = [
        {"name": "safe", "version": "1", "vulns": []},
        {"name": "private", "skip_reason": "not on PyPI"},
        *({"name": name, "version": "2", "vulns": [{"id": "PYSEC-1"}]} for name in vulnerable),
    ]
    return completed({"dependencies": packages, "fixes": []})


def npm_answer(**severities: str) -> CompletedProcess[str]:
    found = {
        name: {"name": name, "range": "<2", "severity": severity} for name, severity in severities.items()
    }
    return completed({"vulnerabilities": found})


def test_a_vulnerable_package_is_named() -> None:
    assert read_pip(pip_answer("weak")) == ["weak 2 has PYSEC-1"]
    assert read_npm(npm_answer(weak="high", worse="critical")) == [
        "weak <2 is vulnerable (high)",
        "worse <2 is vulnerable (critical)",
    ]


def test_packages_without_a_severe_vulnerability_are_not_named() -> None:
    assert read_pip(pip_answer()) == []
    assert read_npm(npm_answer(mild="moderate")) == []


@pytest.mark.parametrize(
    "answer",
    [
        completed("", "the network is away"),
        completed("<html>no such page</html>"),
        completed({"message": "405 Method Not Allowed"}),
        completed({"dependencies": [{"name": "all", "skip_reason": "not on PyPI"}]}),
        completed("[]"),
    ],
)
def test_an_index_that_does_not_answer_is_reported_but_does_not_fail(answer: CompletedProcess[str]) -> None:
    for read in (read_pip, read_npm):
        result = audit("packages", True, lambda read=read: read(answer))  # type: ignore[misc]
        assert not result.failed
        assert str(result).startswith("packages: not audited, ")
        with pytest.raises(AuditUnavailable):
            read(answer)


def test_only_a_vulnerable_package_that_ships_fails_the_check() -> None:
    assert Audit(subject="packages", ships=True, vulnerabilities=["weak 2 has PYSEC-1"]).failed
    assert not Audit(subject="tests' scripts", ships=False, vulnerabilities=["weak 2 has PYSEC-1"]).failed
    assert not Audit(subject="packages", ships=True).failed
