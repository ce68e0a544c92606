"""`python -m gateway`: the only module of the gateway that reads the environment."""

from gateway.serve import run
from gateway.settings import Settings, check
from shared import process

if __name__ == "__main__":
    process.main(Settings, "node_name", run, check)
