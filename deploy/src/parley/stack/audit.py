"""Asks the indexes for known vulnerabilities of what is locked: `python -m parley.stack.audit`.

An index that answers no such question is no failure; a vulnerability in what ships is one.
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

SECONDS = 30.0
"""For each audit; they run side by side."""
BIN = Path(ROOT, ".venv", "bin")
SHIPPED_SCRIPTS = Path(ROOT, "gateway/src/parley/gateway/web")
TEST_SCRIPTS = Path(ROOT, "tests/e2e/js")
GRAVE = ("high", "critical")


class Unanswered(Exception):
    """The audit could not be made; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an index said of some packages: `found` are the vulnerabilities, one line each."""

    of: str
    ships: bool
    found: Sequence[str] = field(default=())
    unanswered: str = ""

    @property
    def failed(self) -> bool:
        """Whether something that ships is vulnerable."""
        return self.ships and bool(self.found)

    def __str__(self) -> str:
        if self.unanswered:
            return f"{self.of}: not audited, {self.unanswered}"
        return f"{self.of}: " + ("; ".join(self.found) or "no known vulnerability")


def main() -> int:
    """Print what is known; 1 when something that ships is vulnerable."""
    with ThreadPoolExecutor() as pool:
        audits = [
            pool.submit(audit, "Python packages", True, python_packages),
            pool.submit(audit, "scripts of the pages", True, lambda: scripts(SHIPPED_SCRIPTS)),
            pool.submit(audit, "scripts of the tests", False, lambda: scripts(TEST_SCRIPTS)),
        ]
    for each in audits:
        print(f"audit: {each.result()}")
    return int(any(each.result().failed for each in audits))


def audit(of: str, ships: bool, ask: Callable[[], Sequence[str]]) -> Audit:
    """Ask, and note when there is no answer."""
    try:
        return Audit(of=of, ships=ships, found=ask())
    except Unanswered as unanswered:
        return Audit(of=of, ships=ships, unanswered=str(unanswered))


def python_packages() -> Sequence[str]:
    """The vulnerabilities of what the lock file has us install."""
    uv = find_uv()
    if uv is None:
        raise Unanswered("there is no uv.")
    export = [uv, "export", "--locked", "--no-dev", "--all-packages", "--no-emit-workspace", "--quiet"]
    listed = _run([*export, "--format", "requirements-txt"])
    if listed.returncode:
        raise Unanswered(_reason(listed.stderr))
    audit = [str(BIN / "pip-audit"), "--disable-pip", "--require-hashes", "--timeout", "5"]
    # By a path, for pip-audit opens the file more than once.
    place = Path(ROOT, ".run", "audited.txt")
    place.parent.mkdir(mode=0o700, exist_ok=True)
    place.write_text(listed.stdout)
    return read_pip(_run([*audit, "--format", "json", "--progress-spinner", "off", "-r", str(place)]))


def scripts(place: Path) -> Sequence[str]:
    """The grave vulnerabilities of what a package-lock.json has us install."""
    return read_npm(_run([str(BIN / "npm"), "audit", "--json", "--fetch-retries=0", "--prefix", str(place)]))


def read_pip(done: "subprocess.CompletedProcess[str]") -> Sequence[str]:
    """What pip-audit says; it tells of no severity, so all count.

    Raises:
        Unanswered: it could not ask, or the index knew none of the packages.
    """
    packages = _json(done).get("dependencies", [])
    known = [each for each in packages if "skip_reason" not in each]
    if not known:
        raise Unanswered("the index answers no such question.")
    return [f"{each['name']} {each['version']} has {v['id']}" for each in known for v in each["vulns"]]


def read_npm(done: "subprocess.CompletedProcess[str]") -> Sequence[str]:
    """What npm says of severity high or more.

    Raises:
        Unanswered: it could not ask.
    """
    told = _json(done)
    if "vulnerabilities" not in told:
        raise Unanswered(_reason(str(told.get("message") or done.stderr)))
    grave = [each for each in told["vulnerabilities"].values() if each["severity"] in GRAVE]
    return [f"{each['name']} {each['range']} is vulnerable ({each['severity']})" for each in grave]


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    try:
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        raise Unanswered(f"no answer within {SECONDS:.0f} s.") from None
    except OSError as error:
        raise Unanswered(f"{error.filename}: {error.strerror}.") from None


def _json(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise Unanswered(_reason(done.stderr)) from None
    return told if isinstance(told, dict) else {}


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it did not say why."


if __name__ == "__main__":
    sys.exit(main())
