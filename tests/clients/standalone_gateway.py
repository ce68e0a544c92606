"""A gateway process by itself, to see how it reports its settings."""

import subprocess
import sys
from pathlib import Path


def run_gateway(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a gateway that reaches no server, until it exits."""
    nowhere = {"MONGO_URL": "mongodb://127.0.0.1:9/parley", "GATEWAY_PORT": "1"}
    return subprocess.run(
        [sys.executable, "-m", "parley.gateway"],
        cwd=directory,
        env={**nowhere, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
