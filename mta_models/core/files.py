"""Files written whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mta_models.errors import MTAError

if TYPE_CHECKING:
    import polars as pl


@contextmanager
def reserved(file: Path) -> Iterator[None]:
    """Make sure that `file` can be written before the work starts; no trace of it on failure.

    Raises:
        MTAError: it cannot.
    """
    new = not file.exists()
    try:
        file.open("ab").close()
    except OSError as error:
        raise MTAError(f"cannot write {str(file)!r}: {error.strerror}") from error
    try:
        yield
    except BaseException:
        if new:
            file.unlink(missing_ok=True)
        raise


def write(file: Path, table: pl.DataFrame, document: Mapping[str, Any]) -> None:
    """The table to `.csv` or `.parquet`, the document to `.json`, as the file's name ends."""
    ending = file.suffix.lower()
    if ending == ".json":
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        content = f"{text}\n".encode()
    elif ending == ".csv":
        content = table.write_csv().encode()
    else:
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        content = buffer.getvalue()
    file.write_bytes(content)  # one way to fail, whatever the format
