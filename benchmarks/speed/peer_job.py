"""ChannelAttribution on the same file, run by the Python of its own environment.

`python peer_job.py NAME '{"file": …}'`; prints what `benchmarks.speed.jobs` prints. It stands
alone: the environment has neither mta_models nor polars.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time

RULES = {"first_touch": "FirstTouch", "last_touch": "LastTouch", "linear_touch": "Linear"}


def main() -> None:
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):  # it prints a banner
        import ChannelAttribution  # type: ignore[import-not-found]  # in its own environment only
        import pandas as pd

        imported = time.perf_counter()
        table = pd.read_csv(arguments["file"], keep_default_na=False)
        read = time.perf_counter()
        # It takes one sign as a separator and drops the blanks round names.
        options = {"sep": ">", "flg_pro": False}
        if name == "rules":
            result = ChannelAttribution.heuristic_models(table, "path", "conversions", **options)
        else:
            result = ChannelAttribution.markov_model(
                table,
                "path",
                "conversions",
                var_null="nulls",
                order=arguments["order"],
                ncore=os.cpu_count() or 1,
                verbose=False,
                **options,
            )
        modelled = time.perf_counter()
    result = result.set_index("channel_name")
    if name == "rules":
        answer = {
            f"{ours} {channel}": float(amount)
            for theirs, ours in RULES.items()
            for channel, amount in result[theirs].items()
        }
    else:
        answer = {channel: float(n) for channel, n in result["total_conversions"].items()}
    seconds = {"import": imported - start, "read": read - imported, "model": modelled - read}
    print(json.dumps(seconds | {"answer": answer}))


if __name__ == "__main__":
    main()
