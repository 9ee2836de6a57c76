"""What the schedules save and how often they agree, on simulated tables; and that the committed results hold."""

import json
import statistics

import pytest
from conftest import ROOT

from lbt_dspy.benchmarks.shared.format import markdown_table
from lbt_dspy.benchmarks.studies.schedules import runs as schedule_runs
from lbt_dspy.benchmarks.studies.schedules.command import main
from lbt_dspy.benchmarks.studies.schedules.report import report, tables
from lbt_dspy.benchmarks.studies.schedules.runs import examine, full_choice
from lbt_dspy.benchmarks.studies.schedules.tables import ROWS, problem_of
from lbt_dspy.exam.schedules.schedule import make_schedule

RESULTS = ROOT / "benchmarks" / "results" / "schedules.json"
LOSSLESS = (6.5, 3.5, 2.6, 2.0)
CONFIDENT = ((13, 0.99), (7, 0.99), (5, 0.985), (2.6, 0.975))


def test_the_committed_savings_are_those_promised():
    entries = json.loads(RESULTS.read_text())["rows"]
    rows = {
        (e["schedule"], e["row"]): e for e in entries if (e["N"], e["selection"], e["in_flight"]) == (24, "sum", 64)
    }
    for row, least, (confident, agreement) in zip(ROWS, LOSSLESS, CONFIDENT, strict=True):
        assert rows["lossless", row.name]["saving"] >= least
        assert rows["confident", row.name]["saving"] >= confident
        assert rows["confident", row.name]["agreement"] >= agreement
    assert all(e["agreement"] == 1 for e in entries if e["schedule"] != "confident")
    assert all(e["problems"] >= 2000 for e in entries if e["N"] == 24)


def test_the_tables_of_the_docs_are_those_of_the_committed_results():
    results = json.loads(RESULTS.read_text())
    assert report(results) == RESULTS.with_suffix(".md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8")
    assert all(markdown_table(table.headings, table.cells) in page for table in tables(results))


@pytest.mark.parametrize(("row", "least"), list(zip(ROWS, LOSSLESS, strict=True)), ids=lambda x: getattr(x, "name", x))
def test_lossless_saves_in_large_batches_too(row, least):
    """On 60 problems; 0.75: what so few may be off by."""
    problems = [problem_of(row, 24, 1, number) for number in range(60)]
    schedule = make_schedule("lossless", selection="sum")
    done = [examine(problem, schedule, "sum", 64) for problem in problems]
    assert [each.choice for each in done] == [full_choice(problem, "sum") for problem in problems]
    assert 24 * 9 / statistics.fmean(each.calls for each in done) > 0.75 * least


@pytest.mark.slow
@pytest.mark.parametrize("delta", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("selection", ["sum", "avg"])
def test_confident_agrees_as_often_as_it_says_on_average(selection, delta):
    schedule = make_schedule("confident", delta=delta, selection=selection)
    problems = [problem_of(row, 24, 2, number) for row in ROWS for number in range(150)]
    agreed = [examine(p, schedule, selection, 64).choice == full_choice(p, selection) for p in problems]
    assert statistics.fmean(agreed) >= 1 - delta - 0.02


def test_a_problem_with_fewer_lessons_is_the_same_problem():
    problem = problem_of(ROWS[3], 40, 0, 5)
    first = problem.first(6)
    assert first.candidates == problem.candidates[:6]
    assert (first.marks == problem.marks[:6]).all()
    assert first.right in (None, problem.right)
    assert problem.first(40).right == problem.right


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(schedule_runs, "BUDGETS", (20, 40))
    monkeypatch.setattr(schedule_runs, "PILOT_CALLS", 100)
    monkeypatch.setattr(schedule_runs, "SIZES", {24: 1, 32: 2})


@pytest.mark.slow
def test_the_benchmark_runs_and_repeats(small, tmp_path, capsys):
    def content(name):
        assert main(["--problems", "4", "--seed", "7", "--json", str(tmp_path / name)]) == 0
        results = json.loads((tmp_path / name).read_text())
        for entry in results["rows"]:
            entry.pop("ms_a_batch", None)
        return results

    results = content("a.json")
    assert "GPT-3.5" in capsys.readouterr().out
    keys = {"row", "N", "selection", "schedule", "in_flight", "calls", "saving", "agreement", "accuracy"}
    assert all(keys <= set(entry) for entry in results["rows"])
    assert all(e["calls"] <= e["budget"] for e in results["equal_budgets"] if e["method"] != "adaptive")
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".md", ".png"}
    assert content("b.json") == results


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--problems", "0"], "--problems must be"),
        (["--seed", "-1"], "--seed must be"),
        (["--json", "results.txt"], "FILE.json"),
        (["--json", "nowhere/results.json"], "folder that exists"),
        (["--problem", "3"], "did you mean --problems?"),
    ],
)
def test_a_bad_flag_is_one_line(flags, says, capsys):
    try:
        code = main(flags)
    except SystemExit as stop:
        code = stop.code
    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (2, 1)
    assert says in err
