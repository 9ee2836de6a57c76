"""Rows of CSV, JSON lines and Parquet files, and of Hugging Face data sets, as they stand: nothing is guessed."""

from __future__ import annotations

import csv
import difflib
import io
import json
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from lbt_dspy.errors import UserError

Row = dict[str, Any]
JSON_LINES = (".jsonl", ".ndjson")
ENDINGS = (".csv", *JSON_LINES, ".parquet")
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(:.+)?")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
LONGEST_CELL = 2**31 - 1
LISTED = 12


def is_file(name: str) -> bool:
    """Tell a file (that may be missing) from the name of a Hugging Face data set."""
    return ending_of(name) in ENDINGS or Path(name).exists() or HUB_NAME.fullmatch(name) is None


def ending_of(name: str | Path) -> str:
    """Return a file's ending in small letters."""
    return Path(name).suffix.lower()


def read_rows(name: str, what: str, split: str) -> list[Row]:
    """Return the rows of a file, or of a Hugging Face data set, `name` or `name:split`.

    Args:
        name: File or data set.
        what: How the command line calls it, for messages.
        split: Which one of a data set when its name does not say.

    Raises:
        UserError: There is no such thing, or it cannot be read.
    """
    if is_file(name):
        return read_file(Path(name), what)
    data_set, _, given = name.partition(":")
    way_out = f"check the name and the network, or give a file that ends in {', '.join(ENDINGS)}"
    return some_rows(from_hub(data_set, given or split, way_out, class_names=True), name)


def read_file(path: Path, what: str) -> list[Row]:
    """Return the rows of a file; the cells of a CSV file are text, whatever they hold.

    Raises:
        UserError: It is missing, empty, of another kind, or damaged.
    """
    if path.is_dir():
        raise UserError(f"{what} {path} is a folder; give a file that ends in {', '.join(ENDINGS)}")
    if not path.is_file():
        raise UserError(f"{what} {path} does not exist; give a file that ends in {', '.join(ENDINGS)}")
    if ending_of(path) not in ENDINGS:
        raise UserError(f"{what} {path} has an unknown ending; it must be one of {', '.join(ENDINGS)}")
    if ending_of(path) == ".parquet":
        return some_rows(_read_parquet(path), path.name)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); it must be UTF-8 text") from None
    parse = parse_csv if ending_of(path) == ".csv" else parse_json_lines
    return some_rows(parse(text, path.name), path.name)


def some_rows(rows: list[Row], name: str) -> list[Row]:
    """Return the rows unless there are none."""
    if not rows:
        raise UserError(f"{name} has no rows; give one with data")
    return rows


def parse_csv(text: str, name: str) -> list[Row]:
    """Return the rows of a CSV text with a header; quoted cells may hold commas, quotes and line breaks."""
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise UserError(f"line {reader.line_num} of {name} is no CSV ({error}); quote cells as CSV does") from None
    if not lines:
        raise UserError(f"{name} is empty; give a header line and rows")
    header = lines[0]
    twice = next((column for column in header if header.count(column) > 1), None)
    if twice is not None:
        raise UserError(f"the header of {name} names {twice!r} twice; give each column a name of its own")
    for number, cells in enumerate(lines[1:], 1):
        if len(cells) != len(header):
            raise UserError(
                f"row {number} of {name} has {len(cells)} cells, its header {len(header)}; separate cells by commas "
                "and quote those that hold commas"
            )
    return [dict(zip(header, cells, strict=True)) for cells in lines[1:]]


def parse_json_lines(text: str, name: str) -> list[Row]:
    """Return the rows of a text with one JSON object a line."""
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"line {number} of {name} is no JSON object ({_json_fault(error)}); mend it") from None
        if not isinstance(row, dict):
            raise UserError(f"line {number} of {name} is no JSON object; each line must be one")
        rows.append(_whole(row) if "\\ud" in line.casefold() else row)
    return rows


def _json_fault(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos + 1}"
    return "too deep" if isinstance(error, RecursionError) else str(error).partition(";")[0]


def _whole(value: Any) -> Any:
    """Return JSON data with U+FFFD for halves of characters, which no UTF-8 file takes."""
    if isinstance(value, str):
        return LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return {_whole(key): _whole(each) for key, each in value.items()} if isinstance(value, dict) else value


def _read_parquet(path: Path) -> list[Row]:
    import pyarrow
    from pyarrow import parquet

    try:
        return list(parquet.ParquetFile(path).read().to_pylist())
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise UserError(f"{path} cannot be read as Parquet ({_first_line(error)}); write it again") from None


def from_hub(name: str, split: str, way_out: str, *, class_names: bool = False) -> list[Row]:
    """Return the rows of one split of a Hugging Face data set.

    Args:
        name: The data set.
        split: One of its splits.
        way_out: What to do when it cannot be loaded.
        class_names: Put the names of class labels in the place of their numbers.

    Raises:
        UserError: It cannot be loaded.
    """
    import datasets

    for logger in ("huggingface_hub", "httpx", "datasets"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)  # what they say of each retry is said once, below
    try:
        table = datasets.load_dataset(name, split=split)
        rows = [dict(row) for row in table]
    except Exception as error:  # the hub raises many kinds: no network, no such set, a script that is refused
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise UserError(f"{name} cannot be loaded from the Hugging Face hub ({reason}); {way_out}") from None
    features = getattr(table, "features", None) if class_names else None
    for column, feature in (features or {}).items():
        if isinstance(feature, datasets.ClassLabel):
            for row in rows:
                known = row[column] is not None and row[column] >= 0
                row[column] = feature.int2str(row[column]) if known else None
    return rows


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:120]


def cell_text(value: object) -> str | None:
    """Return a cell as text, "" when nothing is in it; `None` for a list, an object or bytes."""
    if value is None or value != value:
        return ""
    return None if isinstance(value, list | dict | bytes) else str(value)


def check_columns(rows: Sequence[Row], wanted: Iterable[str], flag: str, name: str) -> None:
    """Raise `UserError`, with the nearest name, unless each of the wanted columns is in some row."""
    known = columns_of(rows)
    for column in wanted:
        if column not in known:
            raise UserError(f"{flag} {column} is no column of {name}; {nearest(column, known)}it has: {some(known)}")


def columns_of(rows: Iterable[Row]) -> list[str]:
    """Return the columns of all rows, as they come."""
    return list(dict.fromkeys(column for row in rows for column in row))


def nearest(name: str, known: Sequence[str]) -> str:
    """Return a hint at the known name that is like `name`, if there is one."""
    alike = {k.casefold(): k for k in known}
    near = difflib.get_close_matches(name.casefold(), list(alike), n=1)
    return f"did you mean {alike[near[0]]!r}? " if near else ""


def some(names: Sequence[str]) -> str:
    """List the first names."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(name[:40] for name in names[:LISTED]) + more


def writer_for(ending: str, rows: Sequence[Row]) -> Callable[[Sequence[Row]], bytes]:
    """Return what turns rows into the bytes of a file of this ending.

    Raises:
        UserError: Rows like these cannot be written so.
    """
    if ending in JSON_LINES:
        return _json_lines
    if ending == ".csv":
        return _csv
    _parquet(rows)
    return _parquet


def _json_lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows).encode()


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns_of(rows), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: _csv_cell(value) for column, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _csv_cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value


def _parquet(rows: Sequence[Row]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    sink = io.BytesIO()
    try:
        parquet.write_table(pyarrow.table({name: [row.get(name) for row in rows] for name in columns_of(rows)}), sink)
    except (ValueError, TypeError, pyarrow.ArrowException) as error:
        raise UserError(
            f"these rows cannot be written as Parquet ({_first_line(error)}); let --out end in .jsonl or .csv"
        ) from None
    return sink.getvalue()
