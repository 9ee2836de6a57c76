"""Exams against a server that fails as real ones do, beside the same exams against one that does not.

`python benchmarks/under_faults.py --json FILE.json` holds 10,000 sittings with each seed, while one request in five is
refused with Retry-After and others end in errors, closed connections, silence or broken JSON. It checks that every
sitting is measured or known not to be, and that each request is counted once. No model is called. See
docs/throughput.md.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import itertools
import json
import os
import platform
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lbt_dspy.benchmarks.shared.format import markdown_table
from lbt_dspy.benchmarks.shared.parser import OneLineParser
from lbt_dspy.benchmarks.shared.words import add_words, parsed, word
from lbt_dspy.benchmarks.studies.script import exit_code_of
from lbt_dspy.benchmarks.studies.throughput.command import PACKAGES, check_json_file, concurrencies_of
from lbt_dspy.benchmarks.studies.throughput.echo_server import RETRY_AFTER, Faults, running_server
from lbt_dspy.benchmarks.studies.throughput.report import Table, show
from lbt_dspy.benchmarks.studies.throughput.runs import own_process
from lbt_dspy.errors import LbTError, UserError, check_at_least, check_choice

if TYPE_CHECKING:
    from lbt_dspy.benchmarks.studies.under_faults.runs import Held

FAULTS = Faults(rate_limit=0.2, server_error=0.05, disconnect=0.02, hang=0.01, malformed=0.01)
SHARES = {name: share for name, share in asdict(FAULTS).items() if name != "seed"}
CLIENTS = ("lean", "litellm")
SITTINGS, CONCURRENCY, LATENCY, TIMEOUT, SEEDS = 10_000, "64", "0.05,0.2", 5.0, "0,1,2"
WARM_UP = 64
"""Sittings that do not count: imports and first connections."""
Figures = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class FaultOptions:
    """Which exams are held."""

    sittings: int = field(default=SITTINGS, metadata=word("in a run", least=1))
    concurrency: str = field(default=CONCURRENCY, metadata=word("requests in flight", "N,N"))
    latency: str = field(default=LATENCY, metadata=word("of the server, seconds", "S,S"))
    timeout: float = field(default=TIMEOUT, metadata=word("of a request, seconds, above 0", "S"))
    seeds: str = field(default=SEEDS, metadata=word("of the faults, a pair of runs each", "N,N"))
    client: str = field(default=CLIENTS[0], metadata=word("who sends requests", "C", choices=CLIENTS))
    json: str | None = field(default=None, metadata=word("write the results there, and FILE.md", "FILE.json"))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = OneLineParser(
        prog="benchmarks/under_faults.py", allow_abbrev=False, description="Hold exams while the server fails."
    )
    add_words(p, FaultOptions, {}, known=set())
    return p


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    options = parsed(parser(), FaultOptions, argv)
    return exit_code_of(lambda: run(options))


def run(options: FaultOptions) -> None:
    """Hold all exams, print and write what was seen, and check the counts.

    Raises:
        LbTError: A sitting was lost or counted twice.
        UserError: A flag is out of bounds.
    """
    seeds, settings = (
        seeds_of(options.seeds),
        list(itertools.product(latencies_of(options.latency), concurrencies_of(options.concurrency))),
    )
    check_at_least("--sittings", options.sittings, 1, f"{SITTINGS} is the default")
    check_choice("--client", options.client, CLIENTS)
    if not options.timeout > 0:
        raise UserError(f"--timeout must be above 0 seconds but got {options.timeout}; {TIMEOUT:.0f} is the default")
    check_json_file(options.json)
    rows = list(rows_of(options, seeds, settings, lambda line: print(line, file=sys.stderr)))
    results: dict[str, Any] = {
        "command": command_of(options),
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}},
        "cores": os.cpu_count(),
        "client": options.client,
        "timeout": options.timeout,
        "retry_after": RETRY_AFTER,
        "faults": SHARES,
        "rows": rows,
    }
    show([table(results)])
    if options.json is not None:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        Path(options.json).with_suffix(".md").write_text(report(results), encoding="utf-8")
    check(rows)


def rows_of(
    options: FaultOptions, seeds: Sequence[int], settings: Sequence[tuple[float, int]], tell: Callable[[str], None]
) -> Iterator[Figures]:
    """Give the row of each seed: exams without faults and with them, one after the other, both in one process."""
    from lbt_dspy.benchmarks.studies.under_faults.runs import hold

    with own_process() as process:

        def held(faults: Faults, sittings: int, latency: float, concurrency: int) -> tuple[Held, dict[str, Any]]:
            with running_server(latency, faults) as url:
                terms: dict[str, Any] = {"sittings": sittings, "concurrency": concurrency, "timeout": options.timeout}
                return process.submit(hold, url, options.client, **terms).result(), counters(url)

        held(Faults(), WARM_UP, *settings[0])
        for seed in seeds:
            for latency, concurrency in settings:
                calm, _ = held(Faults(), options.sittings, latency, concurrency)
                faulty, server = held(replace(FAULTS, seed=seed), options.sittings, latency, concurrency)
                row = row_of(faulty, server, calm)
                where = f"seed {seed}, {latency:g} s, {concurrency} in flight"
                tell(f"{where}: {row['seconds']:.1f} s, {row['ratio']:.2f} of faultless")
                yield {
                    "seed": seed,
                    "latency": latency,
                    "concurrency": concurrency,
                    "sittings": options.sittings,
                    **row,
                }


def counters(url: str) -> dict[str, Any]:
    """Return the counters of a server."""
    with contextlib.closing(urllib.request.urlopen(url.removesuffix("/v1") + "/stats")) as response:
        return dict(json.load(response))


def row_of(faulty: Held, server: dict[str, Any], calm: Held) -> Figures:
    """Return what a run under faults came to, by its reports, the server and the journal."""
    return {
        "measured": faulty.measured,
        "not_measured": faulty.not_measured,
        "requests_server": server["requests"],
        "requests_journal": faulty.sent,
        "requests_of_replies": faulty.attempts,
        "replies_journal": faulty.recorded,
        "failed_journal": faulty.failed,
        "faults": {name: server[name] for name in SHARES},
        "seconds": faulty.seconds,
        "seconds_without_faults": calm.seconds,
        "ratio": faulty.seconds / calm.seconds,
    }


def check(rows: Sequence[Figures]) -> None:
    """Raise `LbTError` where a sitting is neither measured nor `None`, or a count is not that of another counter."""
    for row in rows:
        ends = row["measured"] + row["not_measured"]
        if not (row["sittings"] == ends == row["replies_journal"] and row["not_measured"] == row["failed_journal"]):
            raise LbTError(
                f"all {row['sittings']} sittings must end measured or None, and be in the journal, but "
                f"{row['measured']} were measured, {row['not_measured']} were not, and the journal holds "
                f"{row['replies_journal']} replies, {row['failed_journal']} without a text (seed {row['seed']})"
            )
        counts = [row[name] for name in ("requests_server", "requests_journal", "requests_of_replies")]
        if len(set(counts)) > 1:
            raise LbTError(
                f"server, journal and replies must count the same requests but count {counts} (seed {row['seed']})"
            )


def table(results: dict[str, Any]) -> Table:
    """Return the results as a table."""
    headings = (
        "seed", "latency, s", "in flight", "sittings", "measured", "None", "requests: server", "journal",
        "of its replies", "replies in the journal", "s", "s without faults", "ratio",
    )  # fmt: skip
    counts = (
        "sittings", "measured", "not_measured", "requests_server", "requests_journal", "requests_of_replies",
        "replies_journal",
    )  # fmt: skip
    cells = [
        [
            str(r["seed"]), f"{r['latency']:g}", str(r["concurrency"]), *(f"{r[name]:,}" for name in counts),
            f"{r['seconds']:.1f}", f"{r['seconds_without_faults']:.1f}", f"{r['ratio']:.2f}",
        ]
        for r in results["rows"]
    ]  # fmt: skip
    return Table(f"Exams under faults, client {results['client']}", headings, cells)


def report(results: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    shares = ", ".join(f"{100 * share:.0f}% {name.replace('_', ' ')}" for name, share in results["faults"].items())
    setup = (
        f"Requests that fail: {shares} (Retry-After {results['retry_after']} s, timeout {results['timeout']:g} s); the "
        "others are answered after the latency.\n"
        f"`{results['command']}`, {results['date']}, {results['cores']} cores, {versions}."
    )
    shown = table(results)
    return f"# {shown.title}\n\n{setup}\n\n{markdown_table(shown.headings, shown.cells)}\n"


def latencies_of(text: str) -> list[float]:
    """Return the seconds of `--latency`.

    Raises:
        UserError: They are no numbers of at least 0.
    """
    try:
        seconds = [float(part) for part in text.split(",")]
    except ValueError:
        seconds = [-1.0]
    if not min(seconds) >= 0:
        raise UserError(f"--latency must be seconds of at least 0 with commas between but got {text!r}")
    return seconds


def seeds_of(text: str) -> list[int]:
    """Return the numbers of `--seeds`.

    Raises:
        UserError: They are not different whole numbers of at least 0.
    """
    numbers = [int(part) if part.strip().isdecimal() else -1 for part in text.split(",")]
    if min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise UserError(f"--seeds must be different whole numbers of at least 0 with commas between but got {text!r}")
    return numbers


def command_of(options: FaultOptions) -> str:
    """Return the command line that gives these results."""
    words = ["python benchmarks/under_faults.py"]
    for name in ("sittings", "concurrency", "latency", "timeout", "seeds", "client"):
        value = getattr(options, name)
        words += [f"--{name} {value}"] if value != getattr(FaultOptions, name) else []
    suffix = "" if options.client == CLIENTS[0] else f"_{options.client}"
    return " ".join([*words, f"--json benchmarks/results/under_faults{suffix}.json"])
