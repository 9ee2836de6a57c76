"""Exams against a server that fails: every sitting ends measured or `None`, and each request is counted once."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from conftest import ROOT, stats

from lbt_dspy.benchmarks.studies.throughput.echo_server import Faults, running_server
from lbt_dspy.benchmarks.studies.under_faults import command as under_faults
from lbt_dspy.benchmarks.studies.under_faults.command import CLIENTS, FAULTS, SHARES, TIMEOUT, check, row_of
from lbt_dspy.benchmarks.studies.under_faults.runs import hold, student_at
from lbt_dspy.errors import LbTError
from lbt_dspy.lms.openai.client import OpenAICompatible
from lbt_dspy.lms.user_lm import engine_of

CLEAN = {
    "seed": 0, "sittings": 9, "measured": 8, "not_measured": 1, "replies_journal": 9, "failed_journal": 1,
    "requests_server": 15, "requests_journal": 15, "requests_of_replies": 15,
}  # fmt: skip


def checked(client, *, sittings, concurrency, timeout, seed=0):
    """Hold exams under faults and check all counts; return the row."""
    with running_server(0.005, replace(FAULTS, seed=seed)) as url:
        held = hold(url, client, sittings=sittings, concurrency=concurrency, timeout=timeout)
        row = {"seed": seed, "sittings": sittings, **row_of(held, stats(url), held)}
    check([row])
    return row


def test_faults_come_as_often_as_they_should_and_by_the_number_alone():
    met = [replace(FAULTS, seed=1).of(number) for number in range(20_000)]
    assert met == [replace(FAULTS, seed=1).of(number) for number in range(20_000)]
    assert met != [FAULTS.of(number) for number in range(20_000)]
    counts = Counter(met)
    for kind, share in SHARES.items():
        assert counts.pop(kind) / len(met) == pytest.approx(share, abs=0.01)
    assert set(counts) == {None}
    assert not any(map(Faults().of, range(100)))


def test_auto_picks_the_lean_client_for_the_benchmarks_yaml(tmp_path):
    auto, lean, litellm = (engine_of(student_at("http://127.0.0.1:1/v1", c, 5, tmp_path)) for c in ("auto", *CLIENTS))
    assert type(auto) is type(lean) is OpenAICompatible
    assert type(litellm) is not OpenAICompatible


@pytest.mark.parametrize("client", ["lean", pytest.param("litellm", marks=pytest.mark.slow)])
def test_each_sitting_ends_and_each_request_is_counted_once(client):
    row = checked(client, sittings=300, concurrency=32, timeout=1.5 if client == "lean" else 4)
    assert row["faults"]["rate_limit"] > row["faults"]["server_error"] > 0
    assert row["requests_server"] > 300
    assert row["measured"] > 280


@pytest.mark.slow
@pytest.mark.parametrize(("client", "sittings"), [("lean", 2_000), ("litellm", 250)])
def test_thousands_of_sittings_under_faults(client, sittings):
    row = checked(client, sittings=sittings, concurrency=64, timeout=TIMEOUT)
    assert all(row["faults"].values())
    assert row["measured"] > 0.99 * sittings


@pytest.mark.parametrize(
    "miscount",
    [
        {"measured": 7},  # a sitting is lost
        {"replies_journal": 8},  # one is not in the journal
        {"not_measured": 2, "measured": 7},  # a reply is there, but was not used
        {"requests_server": 16},  # a request was not counted
        {"requests_journal": 16},  # one was counted but never sent
        {"requests_of_replies": 14},  # one is borne by no reply
    ],
    ids=lambda miscount: next(iter(miscount)),
)
def test_a_miscount_is_an_error(miscount):
    check([CLEAN])
    with pytest.raises(LbTError, match="seed 0"):
        check([CLEAN, CLEAN | miscount])


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--sitting", "3"], "did you mean --sittings?"),
        (["--sittings", "0"], "--sittings must be"),
        (["--concurrency", "0"], "--concurrency must be"),
        (["--latency", "fast"], "--latency must be"),
        (["--timeout", "0"], "--timeout must be"),
        (["--timeout", "nan"], "--timeout must be"),
        (["--seeds", "0,x"], "--seeds must be"),
        (["--seeds", "1,1"], "--seeds must be"),
        (["--client", "curl"], "--client"),
        (["--json", "results.txt"], "FILE.json"),
    ],
)
def test_a_bad_flag_is_one_line(flags, says, capsys):
    try:
        code = under_faults.main(flags)
    except SystemExit as stop:
        code = stop.code
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (2, 1)
    assert says in err


@pytest.mark.slow
def test_the_script_writes_json_and_markdown(tmp_path):
    file = tmp_path / "results.json"
    script = [sys.executable, str(ROOT / "benchmarks" / "under_faults.py")]
    flags = [
        "--sittings",
        "60",
        "--timeout",
        "0.5",
        "--seeds",
        "3",
        "--concurrency",
        "8,16",
        "--latency",
        "0.01",
        "--json",
        str(file),
    ]
    done = subprocess.run([*script, *flags], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(file.read_text())
    assert {"command", "date", "versions", "cores", "client", "timeout", "faults"} < set(results)
    assert [(r["seed"], r["concurrency"]) for r in results["rows"]] == [(3, 8), (3, 16)]
    assert all(r["ratio"] == r["seconds"] / r["seconds_without_faults"] for r in results["rows"])
    assert file.with_suffix(".md").read_text() == under_faults.report(results)
