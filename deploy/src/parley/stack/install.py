"""Install what the stack needs and this machine lacks.

This file runs on the system's Python before a venv exists, so it imports the standard library only. Python
3.11 is required, but older versions must be able to parse this file in order to print that.
"""

from __future__ import annotations

import glob
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "..", ".."))
PYTHON = (3, 11)
UV = "~=0.13.0"
SYSTEM_PATH = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
DEBIAN_WHEELS = "/usr/share/python-wheels"
POLICY_SCRIPT = "/usr/sbin/policy-rc.d"
STARTED = time.monotonic()

# Debian package, its command, and the setting that names an external server instead.
SERVERS = (
    ("redis-server", "redis-server", "REDIS_URL"),
    ("rabbitmq-server", "rabbitmq-server", "RABBITMQ_URL"),
    ("nginx", "nginx", None),
)
BROWSER = ("chromium-headless-shell", "chromium-headless-shell", None)
# A library of the mongod that is installed as a Python package, and its place.
MONGOD_LIBRARY = ("libcurl4", "/usr/lib/*/libcurl.so.4")
MONITORING = ("prometheus", "prometheus", None)
FOR_OBSERVING = "--observe"  # Also install Prometheus.
FOR_TESTS = "--for-tests"  # Also install what only checks and tests need: linters, the browser, React.
# Folders with a package.json, and a title of what it installs.
NPM_FOLDERS = ((os.path.join(ROOT, "gateway", "src", "parley", "gateway", "web"), "the chat page's scripts"),)
TEST_NPM_FOLDERS = (
    (os.path.join(ROOT, "tests", "asyncapi"), "AsyncAPI's parser"),
    (os.path.join(ROOT, "tests", "e2e", "js"), "React"),
    (os.path.join(ROOT, "tests", "load", "yardstick"), "the guides' own stack"),
)


class InstallError(Exception):
    """Something is missing and cannot be installed from here; the message is for the operator."""


def main() -> int:
    """Install everything that is missing and return the exit code."""
    return exit_code(install_all, InstallError)


def install_all() -> None:
    """Install system packages, uv, the workspace and the npm packages, each only if needed."""
    require_python()
    uv = find_uv()
    install_packages(uv)
    if not is_synced():
        sync(uv or install_uv())
    for directory, title in NPM_FOLDERS + (TEST_NPM_FOLDERS if FOR_TESTS in sys.argv else ()):
        if not are_scripts_installed(directory):
            install_scripts(directory, title)


def exit_code(run: Callable[[], None], failure: type[Exception]) -> int:
    """Run a command; print a `failure` or an OSError as one line and return the exit code."""
    try:
        run()
    except failure as error:
        print(f"parley: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"parley: {error.filename}: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def require_python() -> None:
    """Check the version of Python.

    Raises:
        InstallError: it is too old.
    """
    if sys.version_info < PYTHON:
        have = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise InstallError(
            f"Python 3.11 or newer is needed, not {have}: make PYTHON=/path/to/a/newer/python3"
        )


# uv and the workspace


def find_uv() -> str | None:
    """Return the path of a uv that can read the lock file, or None."""
    for candidate in (shutil.which("uv"), local_uv()):
        if candidate and is_supported_uv(candidate):
            return candidate
    return None


def local_uv() -> str:
    """Return the path of the uv that `install_uv` installs."""
    return os.path.join(ROOT, ".run", "uv", "bin", "uv")


def is_supported_uv(path: str) -> bool:
    """Whether the program at this path is a uv of the supported version."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return False
    return answer.startswith("uv 0.13.")


def install_uv() -> str:
    """Install uv into a venv of its own and return its path."""
    home = os.path.join(ROOT, ".run", "uv")
    os.makedirs(os.path.dirname(home), mode=0o700, exist_ok=True)
    wheel = pip_wheel()
    options = ["--clear", "--without-pip"] if wheel else ["--clear"]
    run_step("making a venv for uv", [sys.executable, "-m", "venv", *options, home])
    pip = [os.path.join(home, "bin", "python"), "-m", "pip", "--disable-pip-version-check"]
    run_step(
        "installing uv from PyPI",
        [*pip, "install", "--quiet", "--root-user-action=ignore", f"uv{UV}"],
        {**os.environ, "PYTHONPATH": wheel} if wheel else None,
    )
    return local_uv()


def pip_wheel() -> str | None:
    """Return the wheel of pip that Python brings for new venvs, or None.

    pip runs from it as it is; unpacking and compiling it for one installation takes 7 seconds.
    """
    import ensurepip

    own = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
    for directory in (sysconfig.get_config_var("WHEEL_PKG_DIR"), own, DEBIAN_WHEELS):
        wheels = sorted(glob.glob(os.path.join(directory, "pip-*.whl"))) if directory else []
        if wheels:
            return wheels[-1]
    return None


def needs_all_groups() -> bool:
    """Whether .venv is to have what checks and tests import: now, or since an earlier command."""
    return FOR_TESTS in sys.argv or os.path.exists(stamp_file(for_tests=True))


def is_synced() -> bool:
    """Whether no dependency file changed since the last sync."""
    return os.path.exists(venv_python()) and is_up_to_date(stamp_file(needs_all_groups()), dependency_files())


def is_up_to_date(stamp: str, files: list[str]) -> bool:
    """Whether the stamp file exists and is newer than all these files."""
    if not os.path.exists(stamp):
        return False
    return max(os.path.getmtime(file) for file in files) < os.path.getmtime(stamp)


def dependency_files() -> list[str]:
    """Return the files that determine the content of the venv."""
    members = [os.path.join(ROOT, name) for name in ("", "shared", "gateway", "persistence-worker", "deploy")]
    projects = [os.path.join(member, "pyproject.toml") for member in members]
    return [os.path.join(ROOT, "uv.lock"), *projects]


def sync(uv: str) -> None:
    """Install the locked packages and the workspace into .venv."""
    environment = {**os.environ, "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
    environment.pop("VIRTUAL_ENV", None)
    groups = [] if needs_all_groups() else ["--no-default-groups", "--group", "run"]
    run_step(
        "installing the workspace into .venv (uv sync --locked)",
        [uv, "sync", "--locked", "--quiet", *groups],
        environment,
    )
    touch(stamp_file(needs_all_groups()))


def touch(path: str) -> None:
    """Create an empty file, or renew its time."""
    with open(path, "w"):
        pass


def stamp_file(for_tests: bool) -> str:
    """Return the file whose time is that of the last sync, of all groups or of what `make up` needs."""
    return os.path.join(ROOT, ".venv", "parley-synced-for-tests" if for_tests else "parley-synced")


def venv_python() -> str:
    """Return the path of the venv's Python."""
    return os.path.join(ROOT, ".venv", "bin", "python")


# Scripts of npm


def are_scripts_installed(directory: str) -> bool:
    """Whether npm's packages are installed and package.json and its lock have not changed since."""
    lock_files = [os.path.join(directory, name) for name in ("package.json", "package-lock.json")]
    return is_up_to_date(scripts_stamp(directory), lock_files)


def install_scripts(directory: str, title: str) -> None:
    """Install the npm packages of a folder."""
    npm = os.path.join(ROOT, ".venv", "bin", "npm")
    # npm brings its own list of certificate authorities; use the system's, as pip and apt do.
    environment = {"NODE_USE_SYSTEM_CA": "1", **os.environ}
    install = [npm, "ci", "--ignore-scripts", "--prefix", directory]
    run_step(f"installing {title} (npm ci)", install, environment)
    touch(scripts_stamp(directory))


def scripts_stamp(directory: str) -> str:
    """Return the file whose time is that of the last `npm ci`."""
    return os.path.join(directory, "node_modules", "parley-installed")


# Debian's packages


def install_packages(uv: str | None) -> None:
    """Install the missing Debian packages.

    Raises:
        InstallError: there is no apt-get, no root or sudo, or apt-get failed.
    """
    packages = missing_packages(uv)
    if not packages:
        return
    names = " ".join(packages)
    if not shutil.which("apt-get", path=SYSTEM_PATH):
        raise InstallError(f"Without apt-get these packages must be installed by hand: {names}.")
    prefix = root_prefix(names)
    environment = {**os.environ, "PATH": SYSTEM_PATH}
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y"]
    run_step("updating the package lists", [*apt, "update"], environment)
    before = epmd_pids()
    with ServiceStartsDisabled(prefix):
        run_step("installing " + names, [*apt, "install", "--no-install-recommends", *packages], environment)
    undo_service_setup(prefix, packages, epmd_pids() - before)


def missing_packages(uv: str | None) -> list[str]:
    """Return the Debian packages that are needed and not installed."""
    missing = [
        package
        for package, command, setting in (*SERVERS, *optional_packages())
        if not is_installed(command) and not is_external(setting)
    ]
    if needs_mongod_library():
        missing.append(MONGOD_LIBRARY[0])
    if not uv and not has_venv_module():
        missing.append("python3-venv")
    return missing


def optional_packages() -> list[tuple[str, str, None]]:
    """Return the packages that the command line asks for."""
    if FOR_TESTS in sys.argv:
        return [BROWSER, MONITORING]
    return [MONITORING] if FOR_OBSERVING in sys.argv else []


def needs_mongod_library() -> bool:
    """Whether the stack will run the mongod of the Python package, and its library is missing."""
    if is_external("MONGO_URL") or is_installed("mongod") or platform.machine() != "x86_64":
        return False
    return not glob.glob(MONGOD_LIBRARY[1])


def is_installed(command: str) -> bool:
    """Whether a command is on the PATH or in an sbin directory."""
    return shutil.which(command, path=SYSTEM_PATH) is not None


def is_external(setting: str | None) -> bool:
    """Whether a setting names an external server."""
    if setting is None:
        return False
    return bool(os.environ.get(setting, env_file_value(setting)))


def env_file_value(setting: str) -> str:
    """Return the value of a setting in .env, or an empty string."""
    try:
        with open(os.path.join(ROOT, ".env"), errors="replace") as file:
            found = re.search(rf"^{setting}=(.*)$", file.read(), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1).strip("\"' ") if found else ""


def has_venv_module() -> bool:
    """Whether this Python can create venvs; Debian ships that separately."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def root_prefix(names: str) -> list[str]:
    """Return the words that run a command as root: none or `sudo`."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        raise InstallError(f"Installing these packages needs root or sudo: {names}.")
    return ["sudo"]


class ServiceStartsDisabled:
    """Keep Debian's packages from starting system services; the stack starts its own servers."""

    def __init__(self, prefix: list[str]) -> None:
        self.prefix = prefix
        self.created = not os.path.exists(POLICY_SCRIPT)

    def __enter__(self) -> None:
        if not self.created:
            return
        with tempfile.NamedTemporaryFile("w") as script:
            script.write("#!/bin/sh\nexit 101\n")
            script.flush()
            command = [*self.prefix, "install", "-m", "0755", script.name, POLICY_SCRIPT]
            subprocess.run(command, check=True)

    def __exit__(self, *failure: object) -> None:
        if self.created:
            subprocess.run([*self.prefix, "rm", "-f", POLICY_SCRIPT], check=True)


def undo_service_setup(prefix: list[str], packages: list[str], name_servers: set[str]) -> None:
    """Stop the epmd that the installation started, and disable services that would start at boot."""
    for pid in name_servers:
        subprocess.run([*prefix, "kill", pid], check=False, stderr=subprocess.DEVNULL)
    units = [name for name in packages if name not in ("python3-venv", MONGOD_LIBRARY[0])]
    if units and shutil.which("systemctl"):
        subprocess.run([*prefix, "systemctl", "--quiet", "disable", *units], check=False, capture_output=True)


def epmd_pids() -> set[str]:
    """Return the pids of all running epmd processes (Erlang's name server)."""
    found: set[str] = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as name:
                if name.read().strip() == "epmd":
                    found.add(pid)
        except OSError:
            pass
    return found


def run_step(title: str, command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command with progress lines; print its output only when it fails."""
    report(title)
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        running = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        while not has_ended(running):
            report("  still running")
        if running.returncode:
            output.seek(0)
            raise InstallError(f"`{' '.join(command)}` failed:\n{output.read().strip()}")


def has_ended(running: subprocess.Popen[bytes]) -> bool:
    """Wait up to 10 seconds; return whether the process has ended."""
    try:
        running.wait(timeout=10)
    except subprocess.TimeoutExpired:
        return False
    return True


def report(line: str) -> None:
    """Print a line of progress with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:5.1f} s] {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
