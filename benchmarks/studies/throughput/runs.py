"""Runs of the clients, in turn and each in a process of its own, and what they come to."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import signal
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

from lbt_dspy.benchmarks.studies.throughput.names import BASELINE, EVALUATE
from lbt_dspy.errors import LbTError, UserError

SECONDS_FOR_STATS = 10
Figures = dict[str, Any]


class Run(NamedTuple):
    """One client's figures in one repeat."""

    calls_per_s: float
    sittings_per_s: float
    cpu_ms_per_call: float
    """Of the client's process, all threads."""
    cpu_ms_per_sitting: float


Runs = Mapping[tuple[int, str], Sequence[Run]]
"""By concurrency and client, in the order of the repeats."""


def requests_seen(url: str) -> int:
    """Return how many requests a server has seen.

    Raises:
        UserError: There is no such server, or it does not count.
    """
    address = url.removesuffix("/").removesuffix("/v1") + "/stats"
    try:
        with urllib.request.urlopen(address, timeout=SECONDS_FOR_STATS) as response:
            return int(json.load(response)["requests"])
    except (OSError, ValueError, KeyError, urllib.error.URLError) as error:
        raise UserError(
            f"--server {url} must be the address of a server that counts its requests at {address} but that gave "
            f"{type(error).__name__}; leave it out to start one"
        ) from None


def measure(name: str, url: str, requests: int, concurrency: int) -> Run:
    """Run one client once, in this process.

    Raises:
        LbTError: The server did not see as many requests as the client says it sent.
    """
    from lbt_dspy.benchmarks.studies.throughput.clients import CLIENTS

    work, before = _work(requests), requests_seen(url)
    gc.collect()
    cpu, start = time.process_time(), time.perf_counter()
    done = CLIENTS[name](url, work, concurrency)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    seen = requests_seen(url) - before
    if seen != done.requests:
        raise LbTError(f"{name} sent {done.requests} requests by its own count, but the server saw {seen}")
    return Run(
        calls_per_s=done.requests / seconds,
        sittings_per_s=done.sittings / seconds,
        cpu_ms_per_call=1000 * cpu / done.requests,
        cpu_ms_per_sitting=1000 * cpu / done.sittings,
    )


@functools.lru_cache(maxsize=2)
def _work(requests: int) -> Any:
    from lbt_dspy.benchmarks.studies.throughput.clients import work_of

    return work_of(requests)


def own_process() -> Executor:
    """Return a process that is started afresh, and keeps what it has imported and connected."""
    return ProcessPoolExecutor(
        max_workers=1, mp_context=get_context("spawn"), initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip


def compare(
    names: Sequence[str],
    url: str,
    *,
    concurrencies: Sequence[int],
    requests: int,
    repeats: int,
    tell: Callable[[str], None],
) -> Runs:
    """Measure all clients in all repeats, in another order in each.

    Args:
        names: Of clients.
        url: Base URL of the server.
        concurrencies: Most requests in flight.
        requests: Per client and repeat.
        repeats: At least 1.
        tell: Takes a line for each run.
    """
    runs: dict[tuple[int, str], list[Run]] = {(c, name): [] for c in concurrencies for name in names}
    with contextlib.ExitStack() as stack:
        processes = {name: stack.enter_context(own_process()) for name in names}
        for name in names:  # not counted: imports, first connections, caches
            processes[name].submit(measure, name, url, 2 * max(concurrencies), max(concurrencies)).result()
        for repeat, concurrency, name in _turns(names, concurrencies, repeats):
            run = processes[name].submit(measure, name, url, requests, concurrency).result()
            runs[concurrency, name].append(run)
            tell(f"repeat {repeat + 1}, {concurrency} in flight: {name} {run.calls_per_s:.0f} calls/s")
    return runs


def _turns(names: Sequence[str], concurrencies: Sequence[int], repeats: int) -> Iterator[tuple[int, int, str]]:
    for repeat in range(repeats):
        first = repeat % len(names)
        for concurrency in concurrencies:
            for name in (*names[first:], *names[:first]):
                yield repeat, concurrency, name


def rows_of(runs: Runs) -> list[Figures]:
    """Return one row per concurrency and client: medians over the repeats, and medians of ratios within each."""
    return [
        {
            "client": name,
            "concurrency": concurrency,
            "repeats": len(own),
            **{field: statistics.median(getattr(run, field) for run in own) for field in Run._fields},
            "calls_per_s_min": min(run.calls_per_s for run in own),
            "calls_per_s_max": max(run.calls_per_s for run in own),
            "ratio_to_aiohttp": _ratio(own, runs.get((concurrency, BASELINE))),
            "ratio_to_dspy_evaluate": _ratio(own, runs.get((concurrency, EVALUATE))),
        }
        for (concurrency, name), own in runs.items()
    ]


def _ratio(own: Sequence[Run], others: Sequence[Run] | None) -> float | None:
    """Return the median ratio of sittings a second; `None` where the other client was not measured."""
    if others is None:
        return None
    return statistics.median(a.sittings_per_s / b.sittings_per_s for a, b in zip(own, others, strict=True))


def overhead_rows(sittings: int, repeats: int) -> list[Figures]:
    """Return the rows of the in-process overhead, measured in a process of its own."""
    from lbt_dspy.benchmarks.studies.throughput.overhead import overhead

    with own_process() as process:
        return process.submit(overhead, sittings, repeats).result()
