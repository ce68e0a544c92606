"""How `make images` finds a container engine and base images."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.stack.errors import StackError
from parley.stack.images import bases
from parley.stack.images.__main__ import main
from parley.stack.images.bases import registries_answer
from parley.stack.images.build import STAGES, TARGETS, image
from parley.stack.images.engine import NO_ENGINE, find_engine
from parley.stack.images.replaced import LABEL

ROOT = Path(__file__).parents[2]
DOCKERFILE_PATH = ROOT / "deploy/docker/Dockerfile"
DOCKERFILE = DOCKERFILE_PATH.read_text()
SERVERS = ROOT / "tests/images/servers/Dockerfile"


@pytest.fixture(autouse=True)
def _programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A PATH with the programs of the test only."""
    monkeypatch.setenv("PATH", str(tmp_path))
    find_engine.cache_clear()
    yield
    find_engine.cache_clear()


def install(directory: Path, name: str, exit_code: int) -> None:
    program = directory / name
    program.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    program.chmod(0o755)


def test_a_missing_container_engine_is_reported_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(StackError, match=re.escape(NO_ENGINE)):
        find_engine()
    assert main([]) == 1
    assert capsys.readouterr().err == f"parley: {NO_ENGINE}\n"


def test_docker_is_used_if_its_engine_answers(tmp_path: Path) -> None:
    install(tmp_path, "docker", 0)
    install(tmp_path, "podman", 0)
    assert find_engine().name == "docker"


def test_podman_is_used_if_docker_has_no_engine(tmp_path: Path) -> None:
    install(tmp_path, "docker", 1)
    install(tmp_path, "podman", 0)
    assert find_engine().command[0] == "podman"


def test_an_unreachable_registry_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "REGISTRIES", ("http://127.0.0.1:9/v2/",))
    assert not registries_answer()


def test_each_base_image_of_the_dockerfile_has_a_replacement() -> None:
    replaced = re.findall(r"^FROM .+ AS (\w+)", bases.DOCKERFILE.read_text(), re.M)
    assert {name.upper() for name in replaced} == set(re.findall(r"^ARG (\w+)=", DOCKERFILE, re.M))


def test_the_built_images_are_stages_of_the_dockerfile_and_those_of_compose() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    for target in TARGETS:
        assert re.search(rf"^FROM .+ AS {target}$", DOCKERFILE, re.M)
        assert f"image: {image(target)}\n" in compose


@pytest.mark.parametrize(
    "path", [DOCKERFILE_PATH, bases.DOCKERFILE, SERVERS], ids=lambda path: path.parent.name + path.name
)
def test_each_stage_that_adds_to_a_base_has_the_label_first(path: Path) -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)\n+(?:#.*\n)*(.*)$", path.read_text(), re.M)
    names = {name for _, name, _ in stages}

    for base, name, first in stages:
        adds = first.split(" ")[0] not in {"", "FROM"}
        assert not adds or base in names or first == f"LABEL {LABEL}", name


def test_the_targets_copy_from_the_stages_that_keep_a_name() -> None:
    copied = set(re.findall(r"^COPY (?:--\S+ )*--from=([a-z-]+)", DOCKERFILE, re.M))
    assert copied == {*STAGES, "uv"}
