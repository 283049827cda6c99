"""Other packages on the same journeys, each in a virtual environment of its own.

`install(name)` makes a package's environment, `run(name, path_csv)` runs its models on a path
table. If a package fails, both return the reason instead of raising. `python -m benchmarks.peers`
measures how far every package's credits are from exact definitions.
"""

from benchmarks.peers.catalogue import EVERYONE, OURS, PEERS, Model, Peer
from benchmarks.peers.environments import Environment, install
from benchmarks.peers.running import TIME_LIMIT, Result, run

__all__ = [
    "EVERYONE",
    "OURS",
    "PEERS",
    "TIME_LIMIT",
    "Environment",
    "Model",
    "Peer",
    "Result",
    "install",
    "run",
]
