"""Check the locked packages for known vulnerabilities: `python -m parley.stack.audit`.

The audit fails when a package that ships is vulnerable; an index that gives no answer is only reported.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parley.stack.install import ROOT, find_uv

TIMEOUT = 30.0
"""Seconds for each audit; they run in parallel."""
BIN = Path(ROOT, ".venv", "bin")
SHIPPED_NPM_FOLDER = Path(ROOT, "gateway/src/parley/gateway/web")
TEST_NPM_FOLDER = Path(ROOT, "tests/e2e/js")
FAILING_SEVERITIES = ("high", "critical")


class AuditUnavailable(Exception):
    """The audit could not be made; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The result for one set of packages: one line for each vulnerability, or why it is unavailable."""

    subject: str
    ships: bool
    vulnerabilities: Sequence[str] = field(default=())
    unavailable: str = ""

    @property
    def failed(self) -> bool:
        """Whether a package that ships is vulnerable."""
        return self.ships and bool(self.vulnerabilities)

    def __str__(self) -> str:
        if self.unavailable:
            return f"{self.subject}: not audited, {self.unavailable}"
        return f"{self.subject}: " + ("; ".join(self.vulnerabilities) or "no known vulnerability")


def main() -> int:
    """Print all results; return 1 when a package that ships is vulnerable."""
    with ThreadPoolExecutor() as pool:
        audits = [
            pool.submit(audit, "Python packages", True, audit_python_packages),
            pool.submit(
                audit, "npm packages of the pages", True, lambda: audit_npm_packages(SHIPPED_NPM_FOLDER)
            ),
            pool.submit(
                audit, "npm packages of the tests", False, lambda: audit_npm_packages(TEST_NPM_FOLDER)
            ),
        ]
    for each in audits:
        print(f"audit: {each.result()}")
    return int(any(each.result().failed for each in audits))


def audit(subject: str, ships: bool, find: Callable[[], Sequence[str]]) -> Audit:
    """Run one audit, and record when it is unavailable."""
    try:
        return Audit(subject=subject, ships=ships, vulnerabilities=find())
    except AuditUnavailable as unavailable:
        return Audit(subject=subject, ships=ships, unavailable=str(unavailable))


def audit_python_packages() -> Sequence[str]:
    """Return the known vulnerabilities of the packages in uv.lock."""
    uv = find_uv()
    if uv is None:
        raise AuditUnavailable("uv is not installed.")
    everything = ["--no-dev", "--all-packages", "--all-extras", "--no-emit-workspace"]
    export = [uv, "export", "--locked", *everything, "--quiet"]
    listed = _run([*export, "--format", "requirements-txt"])
    if listed.returncode:
        raise AuditUnavailable(_reason(listed.stderr))
    audit = [str(BIN / "pip-audit"), "--disable-pip", "--require-hashes", "--timeout", "5"]
    # pip-audit opens the file more than once, so it cannot be a pipe.
    requirements = Path(ROOT, ".run", "audited.txt")
    requirements.parent.mkdir(mode=0o700, exist_ok=True)
    requirements.write_text(listed.stdout)
    return read_pip(_run([*audit, "--format", "json", "--progress-spinner", "off", "-r", str(requirements)]))


def audit_npm_packages(directory: Path) -> Sequence[str]:
    """Return the severe vulnerabilities of the packages in a folder's package-lock.json."""
    npm = [str(BIN / "npm"), "audit", "--json", "--fetch-retries=0"]
    return read_npm(_run([*npm, "--prefix", str(directory)]))


def read_pip(done: "subprocess.CompletedProcess[str]") -> Sequence[str]:
    """Return what pip-audit found, of any severity, since it reports none.

    Raises:
        AuditUnavailable: pip-audit got no answer, or the index knows none of the packages.
    """
    packages = _json(done).get("dependencies", [])
    known = [each for each in packages if "skip_reason" not in each]
    if not known:
        raise AuditUnavailable("the index reports no vulnerabilities of packages.")
    return [f"{each['name']} {each['version']} has {v['id']}" for each in known for v in each["vulns"]]


def read_npm(done: "subprocess.CompletedProcess[str]") -> Sequence[str]:
    """Return what npm found, of severity high or critical.

    Raises:
        AuditUnavailable: npm got no answer.
    """
    answer = _json(done)
    if "vulnerabilities" not in answer:
        raise AuditUnavailable(_reason(str(answer.get("message") or done.stderr)))
    severe = [each for each in answer["vulnerabilities"].values() if each["severity"] in FAILING_SEVERITIES]
    return [f"{each['name']} {each['range']} is vulnerable ({each['severity']})" for each in severe]


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    try:
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise AuditUnavailable(f"no answer within {TIMEOUT:.0f} s.") from None
    except OSError as error:
        raise AuditUnavailable(f"{error.filename}: {error.strerror}.") from None


def _json(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise AuditUnavailable(_reason(done.stderr)) from None
    return answer if isinstance(answer, dict) else {}


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason was given."


if __name__ == "__main__":
    sys.exit(main())
