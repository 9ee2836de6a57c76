"""The results of the throughput benchmark as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lbt_dspy.benchmarks.shared.console import console
from lbt_dspy.benchmarks.shared.format import markdown_table

Results = Mapping[str, Any]
HEADINGS = (
    "client", "in flight", "calls/s", "(min - max)", "sittings/s", "CPU ms a call", "CPU ms a sitting", "of aiohttp",
    "of dspy.Evaluate",
)  # fmt: skip


class Table(NamedTuple):
    """One table of the report."""

    title: str
    headings: tuple[str, ...]
    cells: list[list[str]]


def tables(results: Results) -> list[Table]:
    """Return all tables of the report."""
    clients = Table("Throughput", HEADINGS, [_cells(row) for row in results["rows"]])
    parts = [[r["part"], f"{r['us_per_sitting']:.1f}", f"{100 * r['share']:.0f}"] for r in results["overhead"]]
    return [clients, Table("In-process overhead", ("part", "us a sitting", "share, %"), parts)]


def _cells(row: Mapping[str, Any]) -> list[str]:
    ratios = [row["ratio_to_aiohttp"], row["ratio_to_dspy_evaluate"]]
    return [
        row["client"], str(row["concurrency"]), f"{row['calls_per_s']:,.0f}",
        f"({row['calls_per_s_min']:,.0f} - {row['calls_per_s_max']:,.0f})", f"{row['sittings_per_s']:,.0f}",
        f"{row['cpu_ms_per_call']:.2f}", f"{row['cpu_ms_per_sitting']:.2f}",
        *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
    ]  # fmt: skip


def report(results: Results) -> str:
    """Return the report as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    setup = (
        f"{results['requests']:,} requests a run, medians over {results['repeats']} repeats, {results['server']}.\n"
        f"`{results['command']}`, {results['date']}, {results['cores']} cores, {versions}."
    )
    parts = [f"## {table.title}\n\n{markdown_table(table.headings, table.cells)}" for table in tables(results)]
    return "\n\n".join(["# Throughput of exams", setup, *parts]) + "\n"


def show(shown: Sequence[Table]) -> None:
    """Print tables."""
    from rich import box
    from rich.table import Table as RichTable

    out = console()
    for table in shown:
        rich = RichTable(title=table.title, box=box.SIMPLE, title_justify="left")
        for place, heading in enumerate(table.headings):
            rich.add_column(heading, justify="right" if place else "left")
        for cells in table.cells:
            rich.add_row(*cells)
        out.print(rich)


def write(file: Path, results: Results) -> None:
    """Write the results as JSON and as Markdown."""
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    file.with_suffix(".md").write_text(report(results), encoding="utf-8")
