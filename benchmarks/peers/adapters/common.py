"""Code that all adapters share. It runs in the peers' environments: standard library only.

An adapter is called as `adapter.py MODEL FILE`, reads the path table FILE (columns path,
conversions, nulls, and perhaps value; channels joined by " > ") and prints one line of JSON:
`credit` by channel, in conversions, and the seconds of `import`, `read` and `model`. A failure
is one line on standard error and a non-zero exit code.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

SEPARATOR = " > "
Credit = dict[str, float]


def main(load: Callable[[], Any], read: Callable[[str], Any], models: dict[str, Any]) -> None:
    """Run one model and print its credit and seconds.

    Args:
        load: imports the package; it is timed separately.
        read: from the file's path to the input of the models.
        models: by name, a function from that input to credit by channel.
    """
    # Packages print banners and progress bars, some from compiled code: none of it may mix with the
    # line of JSON.
    said = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        name, file = sys.argv[1:]
        model = models[name]
        start = time.perf_counter()
        load()
        loaded = time.perf_counter()
        table = read(file)
        was_read = time.perf_counter()
        credit = model(table)
        done = time.perf_counter()
        if credit is None:
            raise ValueError("it returned no credit")
        answer = {
            "credit": {str(channel): float(amount) for channel, amount in credit.items()},
            "import": loaded - start,
            "read": was_read - loaded,
            "model": done - was_read,
        }
    except BaseException as error:
        # Some packages put all their data into the message.
        words = " ".join(str(error).split()) or "no reason given"
        cut = f"{words[:200]} …" if len(words) > 200 else words
        print(f"{type(error).__name__}: {cut}", file=sys.stderr)
        sys.stderr.flush()
        # Not `sys.exit`: text that a package prints at exit would be taken for the reason.
        os._exit(1)
    os.write(said, (json.dumps(answer) + "\n").encode())


def rows(file: str) -> Iterator[tuple[str, int, int]]:
    """Path, conversions and nulls of every row with a touchpoint: no package takes an empty path.

    Leaving them out changes no credit of rules or Markov: all removal effects change by one factor.
    """
    with open(file, newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["path"]:
                yield row["path"], int(float(row["conversions"])), int(float(row["nulls"]))


def frame(file: str) -> Any:
    """The same rows as a pandas table, as a user of pandas would read it."""
    import pandas as pd

    table = pd.read_csv(file, keep_default_na=False)
    return table[table["path"] != ""].reset_index(drop=True)


def outcomes(file: str) -> tuple[list[str], list[int], list[int]]:
    """Paths with their outcome, 1 or 0, and how many users each row stands for."""
    paths, converted, users = [], [], []
    for path, conversions, nulls in rows(file):
        for outcome, count in ((1, conversions), (0, nulls)):
            if count:
                paths.append(path)
                converted.append(outcome)
                users.append(count)
    return paths, converted, users


def scaled(shares: Any, total: float) -> Credit:
    """Shares of any sum as credit that sums to `total`."""
    given = {str(channel): float(share) for channel, share in dict(shares).items()}
    together = sum(given.values())
    return {channel: share * total / together for channel, share in given.items()}


def by_column(channels: Iterable[Any], amounts: Iterable[Any]) -> Credit:
    """Two columns as credit by channel."""
    return {str(each): float(amount) for each, amount in zip(channels, amounts, strict=True)}
