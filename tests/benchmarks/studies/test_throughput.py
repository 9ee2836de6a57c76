"""The benchmarks of throughput and of exam size measure what they say, at tiny size; and refuse bad flags."""

import functools
import itertools
import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ROOT, stats

from lbt_dspy.benchmarks.studies.exam_size import command as exam_size
from lbt_dspy.benchmarks.studies.exam_size.runs import Run as SizeRun
from lbt_dspy.benchmarks.studies.throughput import command as throughput
from lbt_dspy.benchmarks.studies.throughput import overhead as throughput_overhead
from lbt_dspy.benchmarks.studies.throughput import runs as throughput_runs
from lbt_dspy.benchmarks.studies.throughput.clients import CLIENTS, SITTINGS, Done, program, work_of
from lbt_dspy.benchmarks.studies.throughput.echo_server import LABELS, MODEL, running_server
from lbt_dspy.benchmarks.studies.throughput.names import NAMES
from lbt_dspy.benchmarks.studies.throughput.overhead import Stopwatch
from lbt_dspy.benchmarks.studies.throughput.report import report
from lbt_dspy.benchmarks.studies.throughput.runs import Run, _turns, measure, rows_of
from lbt_dspy.errors import LbTError
from lbt_dspy.exam.render import Renderer, current_adapter

COLUMNS = {
    "client", "concurrency", "repeats", "calls_per_s", "calls_per_s_min", "calls_per_s_max", "sittings_per_s",
    "cpu_ms_per_call", "cpu_ms_per_sitting", "ratio_to_aiohttp", "ratio_to_dspy_evaluate",
}  # fmt: skip
ANY = {"command", "date", "versions", "cores", "rows"}


@pytest.fixture(scope="module")
def echo():
    with running_server(latency=0.001) as url:
        yield url


@pytest.fixture
def one_process(monkeypatch):
    """Threads in the place of processes: nothing is imported anew."""
    for module in (throughput_runs, exam_size):
        monkeypatch.setattr(module, "own_process", functools.partial(ThreadPoolExecutor, max_workers=1))


def post(url, **body):
    data = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Why?"}], **body}).encode()
    request = urllib.request.Request(f"{url}/chat/completions", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return [choice["message"]["content"] for choice in json.load(response)["choices"]]


def test_the_server_answers_as_a_model_would_that_repeats_itself(echo):
    before = stats(echo)
    texts = post(echo, n=3, seed=1)
    assert len(set(texts)) == 3
    assert post(echo, n=3, seed=1) == texts
    assert post(echo, seed=2)[0] not in texts
    renderer = Renderer(program().predictors()[0].signature, current_adapter())
    assert {renderer.parse(text)["label"] for text in texts} <= set(LABELS)
    seen = {name: value - before[name] for name, value in stats(echo).items()}
    assert (seen["requests"], seen["choices"], seen["prompt_characters"]) == (3, 7, 12)


def test_every_client_has_a_name():
    assert set(NAMES) == set(CLIENTS)


@pytest.mark.parametrize("name", NAMES)
def test_every_client_asks_the_same_prompts(echo, name):
    work, before = work_of(7), stats(echo)
    done = CLIENTS[name](echo, work, 4)
    after = stats(echo)
    texts = [message["content"] for prompt in work.prompts for message in prompt]
    sittings = SITTINGS if name == "lbt-lean-3" else 1
    assert done == Done(requests=7, sittings=7 * sittings)
    assert after["requests"] - before["requests"] == 7
    assert after["choices"] - before["choices"] == 7 * sittings
    assert after["prompt_characters"] - before["prompt_characters"] == sum(map(len, texts))


def test_each_question_comes_after_its_own_lesson():
    prompts = [json.dumps(prompt) for prompt in work_of(7).prompts]
    assert len(set(prompts)) == 7
    assert max(map(len, prompts)) < 1.02 * min(map(len, prompts))


def test_a_client_that_miscounts_is_an_error(echo, monkeypatch):
    monkeypatch.setitem(CLIENTS, "aiohttp", lambda url, work, concurrency: Done(requests=5, sittings=5))
    with pytest.raises(LbTError, match="sent 5 requests by its own count, but the server saw 0"):
        measure("aiohttp", echo, 5, 2)


def test_ratios_are_taken_within_a_repeat_and_of_sittings():
    """The machine was slow in the second repeat: 10 / 20, 3 / 4 and 9 / 10 have the median 3 / 4."""
    runs = {
        (8, "aiohttp"): [Run(20, 20, 1, 1), Run(4, 4, 5, 5), Run(10, 10, 2, 2)],
        (8, "lbt-lean-3"): [Run(4, 10, 3, 1), Run(1, 3, 9, 3), Run(3, 9, 6, 2)],
    }
    base, ours = rows_of(runs)
    assert set(base) == COLUMNS
    assert (base["ratio_to_aiohttp"], base["calls_per_s"], base["cpu_ms_per_call"]) == (1, 10, 2)
    assert (ours["calls_per_s"], ours["calls_per_s_min"], ours["calls_per_s_max"]) == (3, 1, 4)
    assert (ours["ratio_to_aiohttp"], ours["ratio_to_dspy_evaluate"], ours["repeats"]) == (0.75, None, 3)


def test_clients_take_turns():
    turns = list(_turns("abc", (8, 64), 3))
    assert len(set(turns)) == len(turns) == 18
    orders = {tuple(name for r, c, name in turns if (r, c) == (repeat, 8)) for repeat in range(3)}
    assert len(orders) == 3


@pytest.mark.slow
def test_throughput_runs(one_process, echo, tmp_path, capsys):
    file = tmp_path / "t.json"
    flags = ["--concurrency", "3,2", "--requests", "12", "--repeats", "1", "--server", f"{echo}/", "--json", str(file)]
    assert throughput.main([*flags, "--clients", "dspy-evaluate,lbt-litellm"]) == 0
    results = json.loads(file.read_text())
    assert ANY < set(results)
    assert [(row["concurrency"], row["client"]) for row in results["rows"]] == [
        (c, name) for c in (3, 2) for name in ("aiohttp", "dspy-evaluate", "lbt-litellm")
    ]
    assert all(set(row) == COLUMNS for row in results["rows"])
    assert all(value is None or value > 0 for row in results["rows"] for k, value in row.items() if k != "client")
    *parts, whole = results["overhead"]
    assert all(set(row) == {"part", "us_per_sitting", "share"} for row in results["overhead"])
    assert sum(part["us_per_sitting"] for part in parts) == pytest.approx(whole["us_per_sitting"])
    assert results["command"].startswith("python benchmarks/throughput.py --concurrency 3,2 --requests 12 --repeats 1 ")
    assert file.with_suffix(".md").read_text() == report(results)
    assert "lbt-litellm" in capsys.readouterr().out


class Nested:
    def outer(self):
        return [self.inner(), self.inner(), self.size]

    def inner(self):
        return 1

    @property
    def size(self):
        return 2


def test_a_moment_counts_for_the_innermost_part(monkeypatch):
    """The clock shows 0, 1, 2, ... when it is read, at the start and the end of each part: outer ends at 7."""
    monkeypatch.setattr(throughput_overhead.time, "perf_counter", functools.partial(next, itertools.count()))
    watch = Stopwatch()
    with watch.watching([("outer", Nested, "outer"), ("inner", Nested, "inner"), ("size", Nested, "size")]):
        assert Nested().outer() == [1, 1, 2]
    assert watch.seconds == {"outer": 4, "inner": 2, "size": 1}
    assert Nested().outer() == [1, 1, 2]
    assert sum(watch.seconds.values()) == 7


def test_an_exam_is_held_and_resumed(one_process, tmp_path, capsys):
    file = tmp_path / "s.json"
    assert exam_size.main(["--problems", "2", "--lessons", "3", "--sittings", "6", "--json", str(file)]) == 0
    results = json.loads(file.read_text())
    assert ANY | {"student", "problems", "lessons", "sittings"} == set(results)
    assert "simulated" in results["student"]
    first, resume = results["rows"]
    assert (first["run"], first["sittings"], first["calls"]) == ("first", 36, 36)
    assert (resume["run"], resume["sittings"], resume["calls"]) == ("resume", 36, 0)
    assert first["marks_digest"] == resume["marks_digest"]
    assert first["journal_bytes_per_sitting"] == first["journal_bytes"] / 36
    assert "simulated" in capsys.readouterr().out


@pytest.mark.parametrize(("calls", "digest"), [(1, "a"), (0, "b")])
def test_a_resumed_exam_that_differs_is_an_error(calls, digest):
    size = functools.partial(
        SizeRun, sittings=9, seconds=1, rss_before_mb=1, rss_peak_mb=2, journal_bytes=3, texts=1, text_bytes=4
    )
    exam_size.check_same(size(calls=9, marks_digest="a"), size(calls=0, marks_digest="a"))
    with pytest.raises(LbTError, match="must make no call"):
        exam_size.check_same(size(calls=9, marks_digest="a"), size(calls=calls, marks_digest=digest))


@pytest.mark.parametrize(
    ("main", "flags", "says"),
    [
        (throughput.main, ["--concurrencies", "8"], "did you mean --concurrency?"),
        (throughput.main, ["--concurrency", "8,x"], "--concurrency must be"),
        (throughput.main, ["--concurrency", "8,8"], "--concurrency must be"),
        (throughput.main, ["--concurrency", "0"], "--concurrency must be"),
        (throughput.main, ["--requests", "0"], "--requests must be"),
        (throughput.main, ["--repeats", "-1"], "--repeats must be"),
        (throughput.main, ["--clients", "aiohttp,curl"], "got 'curl'"),
        (throughput.main, ["--json", "results.txt"], "FILE.json"),
        (throughput.main, ["--clients", "aiohttp", "--server", "http://127.0.0.1:9/v1"], "--server http://127.0.0.1:9"),
        (throughput.main, ["--clients", "aiohttp", "--server", "localhost"], "--server localhost must be"),
        (exam_size.main, ["--problem", "3"], "did you mean --problems?"),
        (exam_size.main, ["--problems", "0"], "--problems must be"),
        (exam_size.main, ["--lessons", "0"], "--lessons must be"),
        (exam_size.main, ["--sittings", "4"], "--sittings must be a multiple of the 3"),
        (exam_size.main, ["--sittings", "0"], "--sittings must be a multiple of the 3"),
        (exam_size.main, ["--json", "nowhere/results.json"], "folder that exists"),
    ],
)
def test_a_bad_flag_is_one_line(main, flags, says, capsys):
    try:
        code = main(flags)
    except SystemExit as stop:
        code = stop.code
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (2, 1)
    assert says in err


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["throughput.py", "--requests", "12", "--repeats", "2", "--concurrency", "2", "--clients", "lbt-litellm"],
        ["exam_size.py", "--problems", "1", "--lessons", "2"],
    ],
    ids=lambda command: command[0],
)
def test_the_scripts_run_in_processes_of_their_own(command, tmp_path):
    script, *flags = command
    line = [sys.executable, str(ROOT / "benchmarks" / script), *flags, "--json", str(tmp_path / "results.json")]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "results.json").read_text())["rows"]
