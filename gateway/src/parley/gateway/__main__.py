"""`python -m parley.gateway`: the only module of the gateway that reads the environment."""

from parley.gateway.serve import run
from parley.gateway.settings import Settings, check
from parley.shared import process

if __name__ == "__main__":
    process.serve(Settings, "node_name", run, check)
