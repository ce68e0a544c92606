"""Prometheus beside the stack: it scrapes gateways and workers, and evaluates the alert rules."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from parley.stack.parts.part import Part, Tier, program
from parley.stack.paths import StackPaths, write
from parley.stack.ports import LOOPBACK
from parley.stack.readiness import http_answers

NAME = "prometheus"
RULES = Path(__file__).resolve().parents[4] / "observe/alerts.yml"
SCRAPE = "5s"
RETENTION = "7d"

Targets = Mapping[str, Mapping[str, str]]
"""Addresses (`host:port`) by the name of the part, by job."""


def prometheus(paths: StackPaths, port: int, targets: Targets) -> Part:
    """Return the Prometheus of a stack, and write its configuration and its targets.

    Prometheus reads changed targets without a restart, so it follows when parts are added and removed.
    """
    config, directory = paths.config / "prometheus.json", paths.data / NAME
    write(config, _config(paths, list(targets)))
    for job, addresses in targets.items():
        write(_targets_file(paths, job), _targets(addresses))
    return Part(
        name=NAME,
        tier=Tier.MONITORING,
        argv=(
            program(NAME),
            f"--config.file={config}",
            f"--storage.tsdb.path={directory}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address={LOOPBACK}:{port}",
        ),
        directory=directory,
        port=port,
        # Prometheus is started again when the rules have changed.
        env={"RULES_DIGEST": sha256(RULES.read_bytes()).hexdigest()},
        ready=http_answers(port, "/-/ready"),
    )


def _config(paths: StackPaths, jobs: list[str]) -> str:
    # JSON is YAML.
    return _json(
        {
            "global": {"scrape_interval": SCRAPE, "scrape_timeout": "3s", "evaluation_interval": SCRAPE},
            "rule_files": [str(RULES)],
            "scrape_configs": [
                {"job_name": job, "file_sd_configs": [{"files": [str(_targets_file(paths, job))]}]}
                for job in jobs
            ],
        }
    )


def _targets(addresses: Mapping[str, str]) -> str:
    return _json(
        [{"targets": [address], "labels": {"instance": name}} for name, address in addresses.items()]
    )


def _targets_file(paths: StackPaths, job: str) -> Path:
    return paths.config / "targets" / f"{job}.json"


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
