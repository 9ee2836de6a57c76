"""`lbt --method m2`: the classroom's teacher tuned from start to end, and pairs exported."""

import importlib.util
import json

import pytest
from conftest import stats

from lbt_dspy.benchmarks.cli.main import main
from lbt_dspy.teleprompters.dpo import options as dpo_settings

TRAINS = all(importlib.util.find_spec(name) for name in dpo_settings.NEEDED)
needs_extra = pytest.mark.skipif(not TRAINS, reason="the extra dpo is not installed")
SMALL = ["--task", "classroom", "--method", "m2", "--problems", "60", "--held-out", "60", "--sittings", "1", "--quiet"]
ROWS = ["before", "dpo-correct", "dpo-lbt", "dpo-both"]


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


@needs_extra
def test_the_whole_run_and_its_resumption(tmp_path, capsys):
    folder, more = tmp_path / "run", ["--seeds", "0,1", "--epochs", "1", "--rounds", "2"]
    assert main([*SMALL, *more, "--max-calls", "1000", "--out", str(folder)]) == 3
    out, err = capsys.readouterr()
    assert "Known so far" in out
    assert "budget of 1000 calls" in err
    assert main(["--resume", str(folder), "--quiet"]) == 0
    table = capsys.readouterr().out
    results = results_of(folder)
    rows = {entry["name"]: entry for entry in results["results"]}
    assert list(rows) == ROWS
    assert all(name in table for name in ROWS)
    assert rows["before"]["calls"] == {"teacher": 0, "students": 0}
    for name in ROWS[1:]:
        entry = rows[name]
        against = next(v for v in entry["vs"] if v["baseline"] == "before")
        assert against["diff"] == pytest.approx(entry["value"] - rows["before"]["value"])
        assert [len(entry[key]) for key in ("by_seed", "each_seed", "kept", "pairs", "rounds")] == [2] * 5
        assert all(len(curve) in (2, 3) for curve in entry["rounds"])
        assert entry["rounds"][0][0] == pytest.approx(rows["before"]["by_seed"][0])
        assert entry["coverage"] == 1
    assert rows["dpo-correct"]["chosen_wrong"] == [0, 0]
    assert results["settings"]["nll_weight"] == 50
    report = (folder / "report.md").read_text()
    assert all(f"| {name} |" in report for name in ROWS)
    assert (
        "`lbt --method m2 --task classroom --problems 60 --held-out 60 --sittings 1 --epochs 1.0 --rounds 2" in report
    )
    assert (folder / "accuracy_by_round.png").stat().st_size > 5000
    assert (folder / "seed-1" / "dpo-lbt" / "round-1" / "checkpoint" / "config.json").is_file()
    assert main([*SMALL, *more, "--out", str(tmp_path / "again")]) == 0
    again = results_of(tmp_path / "again")
    assert [e["value"] for e in again["results"]] == [e["value"] for e in results["results"]]
    assert again["calls"] == results["calls"]
    capsys.readouterr()
    assert main(["compare", str(folder / "results.json"), str(tmp_path / "again" / "results.json")]) == 0


def test_a_dry_run_counts_calls_and_needs_no_training(tmp_path, capsys):
    if not TRAINS:
        assert main([*SMALL, "--seeds", "0", "--dry-run"]) == 2
        assert "lbt_dspy[dpo]" in capsys.readouterr().err
        return
    assert main([*SMALL, "--seeds", "0", "--dry-run"]) == 0
    out = capsys.readouterr().out
    teacher, students = 60 * 12 + 60 * 4, 60 * 12 * 3
    assert f"{teacher:,}" in out
    assert f"{students:,}" in out


@pytest.mark.slow
def test_pairs_are_exported_without_the_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(dpo_settings, "NEEDED", ("nowhere_to_be_found",))
    folder = tmp_path / "run"
    assert main([*SMALL, "--seeds", "0", "--export-only", "--weight", "0", "--out", str(folder)]) == 0
    out = capsys.readouterr().out
    (place,) = folder.rglob("pairs.jsonl")
    lines = place.read_text().splitlines()
    assert f"{len(lines)} pairs" in out
    assert str(place.parent) in out
    assert main([*SMALL, "--seeds", "0", "--out", str(tmp_path / "no")]) == 2
    assert "nowhere_to_be_found: pip install 'lbt_dspy[dpo]'" in capsys.readouterr().err


@pytest.fixture
def school(tmp_path):
    """Problems, and a server whose students are right after right lessons."""
    folder = tmp_path / "data"
    folder.mkdir()
    about = {"subject": "Algebra", "level": 1, "solution": ""}
    teaching = [
        {"question": f"What is problem {n}?", "answer": f"7{n}1", "unique_id": f"p{n}", **about} for n in range(4)
    ]
    exam = [
        {"question": f"Variant {v} of problem {n}.", "answer": "24", "unique_id": f"p{n}", **about}
        for n in range(4) for v in range(3)
    ]  # fmt: skip
    rules = []
    for n in range(4):
        for answer, marks in ((f"7{n}1", ["24", "24", "24", "5"]), (f"7{n}9", ["5", "5", "5", "24"])):
            rules.append({"contains": answer, "fields": {"reasoning": "as shown", "answer": marks}})
        fields = {"reasoning": [f"way {i}" for i in range(4)], "answer": [f"7{n}1", f"7{n}9"]}
        rules.append({"contains": f"What is problem {n}", "fields": fields})
    for name, rows in (("teaching", teaching), ("exam", exam)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "answers.json").write_text(json.dumps(rules))
    return tmp_path


@pytest.mark.slow
def test_pairs_of_a_run_of_m1_ask_only_what_its_exams_left_open(school, server, capsys):
    with server("--answers", str(school / "answers.json")) as base_url:
        models = ["--teacher", f"hosted_vllm/t@{base_url}", "--students", f"hosted_vllm/s@{base_url}"]
        line = ["--task", "math", "--data", str(school / "data"), "--rationales", "6", *models, "--quiet"]
        assert main([*line, "--out", str(school / "m1")]) == 0
        before = stats(base_url)["requests"]
        export = ["--method", "m2", "--export-only", "--from", str(school / "m1"), "--quiet"]
        assert main([*export, "--out", str(school / "pairs")]) == 0
        asked = stats(base_url)["requests"] - before
        m1 = results_of(school / "m1")
        full = next(entry["sittings"] for entry in m1["results"] if entry["name"] == "sum")
        assert 0 < asked < full["full"]
        assert main([*export, "--out", str(school / "more"), "--gap", "0.5"]) == 0
        assert stats(base_url)["requests"] == before + asked  # all is in the journal now
        alone = school / "alone"
        assert main([*line, "--method", "m2", "--export-only", "--out", str(alone)]) == 0
    rows = [json.loads(row) for row in (school / "pairs" / "pairs.jsonl").read_text().splitlines()]
    assert rows
    assert all(row["gap"] > 0.3 for row in rows)
    assert all(row["chosen_correct"] in (0, 1) for row in rows)
    assert "Variant" not in json.dumps(rows)
    capsys.readouterr()


MISTAKES = [
    ("--task classroom --method m2 --gap 1", "gap must be"),
    ("--task classroom --method m2 --weight 2", "weight must be"),
    ("--task classroom --method m2 --problems 0", "--problems must be a whole number of at least 1 but got 0"),
    ("--task classroom --method m2 --problems 99999", "number must be at most"),
    ("--task classroom --method m2 --held-out 0", "--held-out must be a whole number of at least 1"),
    ("--task classroom --method m2 --learning-rate 0", "learning_rate must be a number above 0"),
    ("--task classroom --method m2 --temperature 0", "--temperature must be above 0"),
    ("--task classroom --method m2 --limit 3", "--limit 3 is for --task math and code"),
    ("--task classroom --method m2 --exam nearest", "--exam must be variants in the classroom"),
    ("--task classroom --method m2 --teacher openai/x", "--teacher is embedded/classroom-teacher in the classroom"),
    ("--task classroom --method m2 --data x", "makes its own problems"),
    ("--task classroom --method m2 --schedule full", "--schedule is not an option of --method m2"),
    ("--task classroom --method m2 --beam 3", "--beam is not an option of --method m2"),
    ("--task classroom --method m2 --selection max", "--selection is not an option of --method m2"),
    ("--task fallacy --method m2", "--task of --method m2 must be one of classroom, math, code but got 'fallacy'"),
    ("--task math --method m2 --teacher t/x", "give --export-only"),
    ("--task math --method m2 --export-only --beta 1 --teacher t/x", "--beta is for training"),
    ("--method m2 --from nowhere --export-only", "nowhere is no run folder"),
    ("--method m2 --from nowhere", "--from makes pairs of a run of M1: give --export-only"),
    ("--method m2 --from nowhere --export-only --rationales 3", "--rationales is that of the run in --from nowhere"),
    ("--task classroom --gap 0.3", "--gap is not an option of --method m1"),
    ("--task fallacy --gap 0.3", "--gap is an option of --method m2"),
    ("--task classroom --method m4", "--method must be m1, m2 or m3 but got 'm4'"),
    ("--task classroom --method m2 --learning-rat 1", "did you mean --learning-rate?"),
]


@pytest.mark.parametrize(("line", "says"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_code_2(line, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dpo_settings, "NEEDED", ())
    try:
        code = main(line.split())
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert says in err
    assert not list(tmp_path.iterdir())
