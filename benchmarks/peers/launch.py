"""`python -m benchmarks.peers.launch SECONDS COMMAND …`: run a command, print time and memory.

A module of its own with few imports; `benchmarks.peers.running` says why.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks import measure


def main() -> None:
    limit, command = float(sys.argv[1]), sys.argv[2:]
    start = time.perf_counter()
    try:
        run = measure.run(command, timeout=limit)
    except measure.JobError as error:
        late = time.perf_counter() - start >= limit
        reason = f"took longer than {limit:g} s" if late else str(error)
        print(json.dumps({"error": reason}))
    else:
        measured = {"seconds": run.seconds, "peak": run.peak, "output": run.output}
        print(json.dumps({"error": ""} | measured))


if __name__ == "__main__":
    main()
