"""CI's workflow: it parses, runs commands that exist, and names the servers that the tests read."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients.external_servers import external_servers

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
JOBS: dict[str, Any] = WORKFLOW["jobs"]
SERVERS = {"redis": "REDIS_URL", "rabbitmq": "RABBITMQ_URL", "mongo": "MONGO_URL"}


def commands(job: str) -> list[list[str]]:
    """Return the commands of a job as words."""
    return [shlex.split(step["run"]) for step in JOBS[job]["steps"] if "run" in step]


def test_the_suite_is_what_must_hold_before_a_change_goes_in() -> None:
    assert commands("suite")[-1] == [".ci/run"]
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_a_make_command_names_a_target_and_folders_that_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    (command,) = [words for words in commands("servers") if words[0] == "make"]
    assert command[1] in targets
    (arguments,) = [word.removeprefix("ARGS=") for word in command if word.startswith("ARGS=")]
    folders = [word for word in shlex.split(arguments) if word.startswith("tests/")]
    assert folders
    assert all((ROOT / folder).is_dir() for folder in folders)


@pytest.mark.parametrize(("service", "variable"), SERVERS.items())
def test_the_tests_use_the_servers_of_their_job(
    service: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = JOBS["servers"]["env"][f"TEST_{variable}"]
    assert f"{service}:" in url.partition("://")[2].rpartition("@")[2]
    monkeypatch.setenv(f"TEST_{variable}", url)
    assert external_servers()[variable] == url


@pytest.mark.parametrize("service", SERVERS)
def test_the_servers_are_those_of_the_compose_file(service: str) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    name, _, version = JOBS["servers"]["services"][service]["image"].partition(":")
    used, _, pinned = compose["services"][service]["image"].rpartition("/")[2].partition(":")
    assert (name, version) == (used, pinned.split(".")[0])
    assert "--health-cmd" in JOBS["servers"]["services"][service]["options"]


def test_every_folder_with_tests_is_run_by_make_test_or_by_make_test_images() -> None:
    folders = {path.relative_to(ROOT).parts[1] for path in (ROOT / "tests").rglob("test_*.py")}
    (listed,) = re.findall(r"^testpaths = \[(.*)\]", (ROOT / "pyproject.toml").read_text(), re.M)
    assert {f"tests/{folder}" for folder in folders} == {*re.findall(r'"(.+?)"', listed), "tests/images"}
    assert "tests/images" in (ROOT / "Makefile").read_text()
