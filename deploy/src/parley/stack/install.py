"""Installs what the stack needs and this machine lacks; runs on the system's Python, before there is a venv.

Python 3.11 is required, but older ones must be able to read this file, to be told so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "..", ".."))
PYTHON = (3, 11)
UV = "~=0.13.0"
SYSTEM_PATH = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
GUARD = "/usr/sbin/policy-rc.d"
STARTED = time.monotonic()

# Package, its command, and the setting that makes it needless.
SERVERS = (
    ("redis-server", "redis-server", "REDIS_URL"),
    ("rabbitmq-server", "rabbitmq-server", "RABBITMQ_URL"),
    ("nginx", "nginx", None),
)
BROWSER = ("chromium", "chromium", None)
FOR_TESTS = "--for-tests"  # with what only they need: the browser, a parser, React
# Where a package.json says what is needed of npm, and what that is.
SCRIPTS = ((os.path.join(ROOT, "gateway", "src", "parley", "gateway", "web"), "the chat page's scripts"),)
TEST_SCRIPTS = (
    (os.path.join(ROOT, "tests", "asyncapi"), "AsyncAPI's parser"),
    (os.path.join(ROOT, "tests", "e2e", "js"), "React"),
)


class Missing(Exception):
    """Something is missing that cannot be installed from here; the message is for people."""


def main() -> int:
    try:
        require_python()
        uv = find_uv()
        install_packages(uv)
        if not is_synced():
            sync(uv or install_uv())
        for place, title in SCRIPTS + (TEST_SCRIPTS if FOR_TESTS in sys.argv else ()):
            if not are_scripts_installed(place):
                install_scripts(place, title)
    except Missing as missing:
        print(f"parley: {missing}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"parley: {error.filename}: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def require_python() -> None:
    if sys.version_info < PYTHON:
        have = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise Missing(f"Python 3.11 or newer is needed, this is {have}: make PYTHON=/path/to/a/newer/python3")


# uv and the workspace


def find_uv() -> str | None:
    """The path of a uv that understands our lock file, or None."""
    for candidate in (shutil.which("uv"), own_uv()):
        if candidate and is_right_uv(candidate):
            return candidate
    return None


def own_uv() -> str:
    return os.path.join(ROOT, ".run", "uv", "bin", "uv")


def is_right_uv(path: str) -> bool:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return False
    return answer.startswith("uv 0.13.")


def install_uv() -> str:
    home = os.path.join(ROOT, ".run", "uv")
    os.makedirs(os.path.dirname(home), mode=0o700, exist_ok=True)
    step("making a venv for uv", [sys.executable, "-m", "venv", "--clear", home])
    pip = [os.path.join(home, "bin", "python"), "-m", "pip", "--disable-pip-version-check"]
    step("installing uv from PyPI", [*pip, "install", "--quiet", "--root-user-action=ignore", f"uv{UV}"])
    return own_uv()


def is_synced() -> bool:
    """Whether nothing that decides the environment changed since the last sync."""
    return os.path.exists(venv_python()) and is_newest(stamp_file(), decisive_files())


def is_newest(stamp: str, files: list[str]) -> bool:
    """Whether a stamp is there, and was set after all these files were written."""
    if not os.path.exists(stamp):
        return False
    return max(os.path.getmtime(file) for file in files) < os.path.getmtime(stamp)


def decisive_files() -> list[str]:
    members = [os.path.join(ROOT, name) for name in ("", "shared", "gateway", "persistence-worker", "deploy")]
    projects = [os.path.join(member, "pyproject.toml") for member in members]
    return [os.path.join(ROOT, "uv.lock"), *projects]


def sync(uv: str) -> None:
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    environment.pop("VIRTUAL_ENV", None)
    step(
        "installing the workspace into .venv (uv sync --locked)",
        [uv, "sync", "--locked", "--quiet"],
        environment,
    )
    set_stamp(stamp_file())


def set_stamp(path: str) -> None:
    with open(path, "w"):
        pass


def stamp_file() -> str:
    return os.path.join(ROOT, ".venv", "parley-synced")


def venv_python() -> str:
    return os.path.join(ROOT, ".venv", "bin", "python")


# Scripts of npm


def are_scripts_installed(place: str) -> bool:
    """Whether what is needed from npm is there, and nothing that decides it changed since."""
    decisive = [os.path.join(place, name) for name in ("package.json", "package-lock.json")]
    return is_newest(scripts_stamp(place), decisive)


def install_scripts(place: str, title: str) -> None:
    npm = os.path.join(ROOT, ".venv", "bin", "npm")
    # As pip and apt do, trust whom the machine trusts: npm brings a list of its own.
    environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    install = [npm, "ci", "--ignore-scripts", "--prefix", place]
    step(f"installing {title} (npm ci)", install, environment)
    set_stamp(scripts_stamp(place))


def scripts_stamp(place: str) -> str:
    return os.path.join(place, "node_modules", "parley-installed")


# Debian's packages


def install_packages(uv: str | None) -> None:
    packages = missing_packages(uv)
    if not packages:
        return
    names = " ".join(packages)
    if not shutil.which("apt-get", path=SYSTEM_PATH):
        raise Missing(f"These are missing, and without apt-get they must be installed by hand: {names}.")
    administrator = as_administrator(names)
    environment = {**os.environ, "PATH": SYSTEM_PATH}
    apt = [*administrator, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y"]
    step("updating the package lists", [*apt, "update"], environment)
    before = epmds()
    with NoServiceStarts(administrator):
        step("installing " + names, [*apt, "install", "--no-install-recommends", *packages], environment)
    quieten(administrator, packages, epmds() - before)


def missing_packages(uv: str | None) -> list[str]:
    missing = [
        package
        for package, command, setting in (*SERVERS, *([BROWSER] if FOR_TESTS in sys.argv else []))
        if not is_there(command) and not is_elsewhere(setting)
    ]
    if not uv and not has_venv():
        missing.append("python3-venv")
    return missing


def is_there(command: str) -> bool:
    return shutil.which(command, path=SYSTEM_PATH) is not None


def is_elsewhere(setting: str | None) -> bool:
    """Whether a setting names a server that runs elsewhere."""
    if setting is None:
        return False
    return bool(os.environ.get(setting, in_env_file(setting)))


def in_env_file(setting: str) -> str:
    try:
        with open(os.path.join(ROOT, ".env"), errors="replace") as file:
            found = re.search(rf"^{setting}=(.*)$", file.read(), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1).strip("\"' ") if found else ""


def has_venv() -> bool:
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def as_administrator(names: str) -> list[str]:
    """The words before a command that make it root's."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        raise Missing(f"These are missing, and installing them needs root or sudo: {names}.")
    return ["sudo"]


class NoServiceStarts:
    """While this lasts, Debian's packages start no system service; ours are started by ourselves."""

    def __init__(self, administrator: list[str]) -> None:
        self.administrator = administrator
        self.ours = not os.path.exists(GUARD)

    def __enter__(self) -> None:
        if not self.ours:
            return
        with tempfile.NamedTemporaryFile("w") as script:
            script.write("#!/bin/sh\nexit 101\n")
            script.flush()
            command = [*self.administrator, "install", "-m", "0755", script.name, GUARD]
            subprocess.run(command, check=True)

    def __exit__(self, *failure: object) -> None:
        if self.ours:
            subprocess.run([*self.administrator, "rm", "-f", GUARD], check=True)


def quieten(administrator: list[str], packages: list[str], name_servers: set[str]) -> None:
    """Undo what installing left behind: Erlang's name server, and services that start at the next boot."""
    for pid in name_servers:
        subprocess.run([*administrator, "kill", pid], check=False, stderr=subprocess.DEVNULL)
    units = [name for name in packages if name != "python3-venv"]
    if units and shutil.which("systemctl"):
        subprocess.run(
            [*administrator, "systemctl", "--quiet", "disable", *units], check=False, capture_output=True
        )


def epmds() -> set[str]:
    """The pids of all running epmd."""
    found: set[str] = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as name:
                if name.read().strip() == "epmd":
                    found.add(pid)
        except OSError:
            pass
    return found


def step(title: str, command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run one command, saying what it is and that it goes on; its own words are shown when it fails."""
    say(title)
    with tempfile.TemporaryFile("w+", errors="replace") as words:
        running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=words, stderr=subprocess.STDOUT)
        while still_runs(running):
            say("  still at it")
        if running.returncode:
            words.seek(0)
            raise Missing(f"`{' '.join(command)}` failed:\n{words.read().strip()}")


def still_runs(running: subprocess.Popen[bytes]) -> bool:
    try:
        running.wait(timeout=10)
    except subprocess.TimeoutExpired:
        return True
    return False


def say(line: str) -> None:
    print(f"[{time.monotonic() - STARTED:5.1f} s] {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
