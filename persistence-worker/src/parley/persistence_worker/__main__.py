"""`python -m parley.persistence_worker`: the only module of the worker that reads the environment."""

from parley.persistence_worker.app import run
from parley.persistence_worker.settings import Settings
from parley.shared import process

if __name__ == "__main__":
    process.serve(Settings, "worker_name", run)
