"""How many calls a second clients make, and what a call costs them, beside each other on one local server.

`python benchmarks/throughput.py --concurrency 8,64,256 --json FILE.json` measures raw aiohttp, LiteLLM, DSPy's
`Evaluate` and `Parallel`, and our exams, and writes FILE.json and FILE.md. No model is called. See docs/throughput.md.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbt_dspy.benchmarks.shared.parser import OneLineParser
from lbt_dspy.benchmarks.shared.words import add_words, parsed, word
from lbt_dspy.benchmarks.studies.script import exit_code_of
from lbt_dspy.benchmarks.studies.throughput.echo_server import LATENCY, running_server
from lbt_dspy.benchmarks.studies.throughput.names import BASELINE, NAMES
from lbt_dspy.benchmarks.studies.throughput.runs import Figures, compare, overhead_rows, requests_seen, rows_of
from lbt_dspy.errors import UserError, check_at_least

PACKAGES = ("lbt_dspy", "dspy", "litellm", "aiohttp")
CONCURRENCY, REQUESTS, REPEATS = "64", 1500, 5


@dataclass(frozen=True, kw_only=True)
class ThroughputOptions:
    """What is measured."""

    concurrency: str = field(default=CONCURRENCY, metadata=word("requests in flight", "N,N"))
    requests: int = field(default=REQUESTS, metadata=word("a client and repeat", least=1))
    repeats: int = field(default=REPEATS, metadata=word("of every measurement", least=1))
    clients: str = field(
        default=",".join(NAMES), metadata=word(f"which; {BASELINE} always is", "A,B", shown="default: all")
    )
    server: str | None = field(
        default=None,
        metadata=word("of an OpenAI-like server that counts at /stats", "URL", shown="default: one is started"),
    )
    json: str | None = field(default=None, metadata=word("write the results there, and FILE.md", "FILE.json"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = OneLineParser(
        prog="benchmarks/throughput.py", allow_abbrev=False, description="Measure calls a second, and CPU a call."
    )
    add_words(p, ThroughputOptions, {}, known=set())
    return p


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = parsed(parser(), ThroughputOptions, argv)
    return exit_code_of(lambda: run(options))


def run(options: ThroughputOptions) -> None:
    """Make all measurements and write them."""
    from lbt_dspy.benchmarks.studies.throughput.report import show, tables, write

    concurrencies, names = concurrencies_of(options.concurrency), names_of(options.clients)
    check_at_least("--requests", options.requests, 1, f"{REQUESTS} is the default")
    check_at_least("--repeats", options.repeats, 1, f"{REPEATS} is the default")
    check_json_file(options.json)

    start = time.monotonic()
    results: dict[str, Any] = {
        "command": command_of(options),
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}},
        "cores": os.cpu_count(),
        "requests": options.requests,
        "repeats": options.repeats,
        "server": f"answers after {1000 * LATENCY:.0f} ms" if options.server is None else options.server,
        "rows": throughput(names, options, concurrencies),
        "overhead": overhead_rows(options.requests, options.repeats),
    }
    show(tables(results))
    if options.json is not None:
        write(Path(options.json), results)
        print(f"{options.json} and .md ({time.monotonic() - start:.0f} s)")


def throughput(names: list[str], options: ThroughputOptions, concurrencies: list[int]) -> list[Figures]:
    """Return the rows of all clients."""
    with running_server() if options.server is None else contextlib.nullcontext(options.server) as url:
        requests_seen(url)
        runs = compare(
            names,
            url.rstrip("/"),
            concurrencies=concurrencies,
            requests=options.requests,
            repeats=options.repeats,
            tell=lambda line: print(line, file=sys.stderr),
        )
    return rows_of(runs)


def concurrencies_of(text: str) -> list[int]:
    """Return the numbers of `--concurrency`.

    Raises:
        UserError: They are not different whole numbers of at least 1.
    """
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if min(numbers) < 1 or len(set(numbers)) < len(numbers):
        raise UserError(
            f"--concurrency must be different whole numbers of at least 1 with commas between but got {text!r}"
        )
    return numbers


def names_of(text: str) -> list[str]:
    """Return the clients of `--clients`, the baseline first.

    Raises:
        UserError: There is no client of that name.
    """
    names = [part.strip() for part in text.split(",")]
    wrong = next((name for name in names if name not in NAMES), None)
    if wrong is not None:
        raise UserError(f"--clients must be of {', '.join(NAMES)} but got {wrong!r}")
    return [name for name in NAMES if name in (BASELINE, *names)]


def check_json_file(path: str | None) -> None:
    """Raise `UserError` when `--json` cannot be written."""
    if path is not None and (Path(path).suffix != ".json" or not Path(path).absolute().parent.is_dir()):
        raise UserError(f"--json must be a file FILE.json in a folder that exists but got {path!r}")


def command_of(options: ThroughputOptions) -> str:
    """Return the command line that gives these results."""
    words = ["python benchmarks/throughput.py"]
    for name in ("concurrency", "requests", "repeats", "clients", "server"):
        value = getattr(options, name)
        words += [f"--{name} {value}"] if value != getattr(ThroughputOptions, name) else []
    return " ".join([*words, "--json benchmarks/results/throughput.json"])
