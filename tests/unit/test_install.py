"""`install.py` makes the venv."""

import sys
from collections.abc import Sequence

import pytest

from parley.stack import install


def test_the_venv_has_the_python_that_runs_the_installer(monkeypatch: pytest.MonkeyPatch) -> None:
    used: dict[str, str] = {}

    def run_step(_title: str, _command: Sequence[str], environment: dict[str, str]) -> None:
        used.update(environment)

    monkeypatch.setattr(install, "run_step", run_step)
    monkeypatch.setattr(install, "touch", lambda _path: None)
    monkeypatch.setenv("UV_PYTHON", "/another/python")

    install.sync("uv")

    assert used["UV_PYTHON"] == sys.executable
