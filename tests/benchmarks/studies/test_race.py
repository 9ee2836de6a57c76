"""The race: every method within its calls, a resumed race is the same, and the report says what was run."""

import json

import pytest

from lbt_dspy.benchmarks.studies.race import command as race
from lbt_dspy.benchmarks.studies.race import runs as race_runs
from lbt_dspy.benchmarks.studies.race.runs import SHARES, loaded, run_method
from lbt_dspy.metrics.labels import default_metric

CALLS = 4500


@pytest.fixture
def small_race(monkeypatch):
    """A race with a fraction of the calls: the same code, smaller numbers."""
    monkeypatch.setattr(race_runs.Stable, "calls", CALLS)


@pytest.mark.slow
@pytest.mark.parametrize("method", race_runs.METHODS)
def test_every_method_stays_within_its_calls(method, small_race):
    data = loaded("shipped", None)
    runs = run_method("shipped", None, method, 0)
    assert [run.share for run in runs][-1] == 1.0
    assert runs[-1].calls <= CALLS
    for run in runs:
        answers = run.answers.split()
        assert len(answers) == len(data.test)
        assert set(answers) <= {"0", "1", "-"}
    assert [run.calls for run in runs] == sorted(run.calls for run in runs)


def test_three_classes_are_made_of_the_fallacies(data_dir):
    data = loaded("three", str(data_dir))
    assert data.task.labels == ("ad hominem", "ad populum", "faulty generalization")
    assert data.task.positive is None
    assert (len(data.train), len(data.test)) == (696, 258)
    assert default_metric(data.task.labels, None, "label").name == "macro-f1"
    assert not {e.text for e in data.train} & {e.text for e in data.test}


@pytest.mark.slow
def test_a_race_is_written_resumed_and_repeated(tmp_path, capsys, monkeypatch):
    words = ["--tasks", "shipped", "--methods", "random-search,few-shot", "--seeds", "2", "--jobs", "1"]
    assert race.main([*words, "--out", str(tmp_path / "a")]) == 0
    first = json.loads((tmp_path / "a" / "race.json").read_text())
    lines = (tmp_path / "a" / "runs.jsonl").read_text().splitlines()
    assert len(lines) == 2 * 2 * len(SHARES)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "runs.jsonl").write_text("".join(line + "\n" for line in lines[:3]))
    assert race.main([*words, "--out", str(tmp_path / "b")]) == 0
    second = json.loads((tmp_path / "b" / "race.json").read_text())
    assert first == second
    report = (tmp_path / "a" / "race.md").read_text()
    assert "shipped: 325 training, 299 held-out examples" in report
    assert "statistical" in report
    assert "gepa rewrites instructions" in report
    assert (tmp_path / "a" / "race.png").stat().st_size > 10_000
    (row,) = [r for r in first["tasks"][0]["rows"] if r["method"] == "random-search" and r["share"] == 1.0]
    assert row["ci95"][0] <= row["value"] <= row["ci95"][1]
    assert len(row["by_seed"]) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--tasks edu", "needs --data DIR"),
        ("--tasks edo", "--tasks must be of shipped, edu, liar, three but got 'edo'"),
        ("--tasks edu --data nowhere", "is no folder"),
        ("--methods beam", "--methods must be of random-search"),
        ("--seeds 0", "--seeds must be"),
        ("--tasks shipped --jobs 0", "--jobs must be"),
        ("--sead 1", "did you mean --seeds?"),
    ],
)
def test_a_mistake_is_one_line(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LBT_DATA_DIR", raising=False)
    try:
        code = race.main(words.split())
    except SystemExit as end:
        code = end.code
    err = capsys.readouterr().err
    assert code == 2
    assert says in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
