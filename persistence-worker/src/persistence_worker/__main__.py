"""`python -m persistence_worker`: the only module of the worker that reads the environment."""

from persistence_worker.app import run
from persistence_worker.settings import Settings
from shared import process

if __name__ == "__main__":
    process.main(Settings, "worker_name", run)
