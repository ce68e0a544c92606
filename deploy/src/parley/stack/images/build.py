"""Build the images of the gateway, the worker and nginx from deploy/docker/Dockerfile."""

from collections.abc import Mapping
from pathlib import Path

from parley.stack.images.bases import build, make_bases, registries_answer
from parley.stack.images.engine import Engine, find_engine
from parley.stack.images.replaced import building
from parley.stack.install import ROOT, report

DOCKERFILE = Path(ROOT, "deploy", "docker", "Dockerfile")
TARGETS = ("gateway", "worker", "nginx")
STAGES = ("page", "gateway-build", "worker-build")
"""The stages that the targets copy from."""
BASES = ("auto", "registry", "debian")
"""Where base images come from: `auto` takes Debian's packages where no registry is reached."""


def image(target: str) -> str:
    """Return the name of a target's image, as docker-compose.yml has it."""
    return f"parley-{target}"


def build_images(bases: str = "auto") -> None:
    """Build all images, and remove those that they replace.

    Args:
        bases: one of BASES.

    Raises:
        StackError: There is no container engine, or no way to base images.
        InstallError: A build failed; the message has its output.
    """
    engine = find_engine()
    with building(engine):
        arguments = _bases(engine, bases)
        for target, tag in _tags(engine).items():
            build(engine, DOCKERFILE, Path(ROOT), target, tag, arguments)
    report(f"built {', '.join(map(image, TARGETS))} by {engine.name}")


def _tags(engine: Engine) -> Mapping[str, str]:
    # podman's cache is its images, and what has no name is removed after the build.
    stages = {stage: f"localhost/parley-stage-{stage}" for stage in STAGES if engine.name == "podman"}
    return stages | {target: image(target) for target in TARGETS}


def _bases(engine: Engine, chosen: str) -> Mapping[str, str]:
    if chosen == "registry" or (chosen == "auto" and registries_answer()):
        report(f"using {engine.name} and the registries' base images")
        return {}
    report(f"using {engine.name} and base images from Debian's packages")
    return make_bases(engine)
