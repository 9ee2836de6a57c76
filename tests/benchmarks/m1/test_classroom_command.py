"""`lbt --task classroom`: the whole run of M1, offline, with the embedded models of the synthetic world."""

import json

import pytest
from conftest import ROOT

from lbt_dspy.benchmarks.cli.main import main

SMALL = ["--task", "classroom", "--limit", "9", "--rationales", "6", "--sittings", "2", "--seeds", "0,1", "--quiet"]
ROWS = ["greedy", "sc", "max", "sum", "avg", "few-shot", "few-shot-sc", "few-shot-worked"]


def run(folder, *more):
    assert main([*SMALL, "--out", str(folder), *more]) == 0
    return json.loads((folder / "results.json").read_text())


def answers(folder):
    """Return the answer to each question of each seed, by row."""
    found = {}
    for line in map(json.loads, (folder / "answers.jsonl").read_text().splitlines()):
        found.setdefault(line["row"], {})[line["seed"], line["inputs"]["question"]] = line["answer"]
    return found


def comparable(results):
    return {name: value for name, value in results.items() if name != "seconds"}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """One small run: its folder and its results."""
    folder = tmp_path_factory.mktemp("classroom") / "run"
    return folder, run(folder)


def test_all_rows_answer_the_same_questions_and_say_that_the_world_is_synthetic(small):
    folder, results = small
    assert [entry["name"] for entry in results["results"]] == ROWS
    assert all(entry["coverage"] == 1 and entry["n"] == 9 for entry in results["results"])
    report = (folder / "report.md").read_text()
    assert report.startswith("# classroom (synthetic world, embedded models): 9 questions")
    assert "`lbt --task classroom --rationales 6 --sittings 2 --limit 9 --seeds 0,1`" in report
    for name in ("accuracy_by_lessons.png", "lbt_scores.png", "calls.png"):
        assert (folder / name).stat().st_size > 5000


def test_each_seed_has_problems_of_its_own_one_of_every_p_and_difficulty(small):
    folder, results = small
    asked = list(answers(folder)["sum"])
    assert len({question for _, question in asked}) == len(asked) == 18
    assert [(entry["p"], entry["n"]) for entry in results["strata"]] == [(0.4, 6), (0.6, 6), (0.8, 6)]


def test_accuracy_by_p_adds_up_to_the_table(small):
    _, results = small
    for entry in results["results"]:
        mean = sum(part["accuracy"][entry["name"]] for part in results["strata"]) / 3
        assert mean == pytest.approx(entry["value"])


def test_lossless_is_full_on_every_problem_and_replays_pay_nothing(small):
    folder, results = small
    by_row = answers(folder)
    for row in ("max", "sum", "avg"):
        assert by_row[f"{row} (lossless)"] == by_row[row]
    schedules = {(entry["name"], entry["schedule"]): entry for entry in results["schedules"]}
    assert len(schedules) == 8
    for (row, schedule), entry in schedules.items():
        full = schedules[row, "full"]
        assert entry["same"] == 1 or schedule == "confident"
        assert entry["share"] == pytest.approx(entry["calls"] / full["calls"])
        assert entry["calls"] < full["calls"] or schedule == "full"
    (student_calls,) = results["calls"]["students"].values()
    evidence = next(entry["calls"] for entry in results["marks"] if entry["mark"] == "evidence")
    assert student_calls == schedules["sum", "full"]["calls"] + evidence


@pytest.mark.slow
@pytest.mark.xdist_group("small classroom")
def test_a_schedule_by_itself_answers_and_pays_as_its_replay_said(small, tmp_path):
    folder, results = small
    replay = next(e for e in results["schedules"] if (e["name"], e["schedule"]) == ("sum", "lossless"))
    alone = run(tmp_path / "run", "--schedule", "lossless")
    entry = next(entry for entry in alone["results"] if entry["name"] == "sum")
    assert entry["calls"]["students"] == replay["calls"]
    assert answers(tmp_path / "run")["sum"] == answers(folder)["sum"]
    assert alone["schedules"] == []


@pytest.mark.slow
@pytest.mark.xdist_group("small classroom")
def test_marks_are_compared_at_about_equal_calls(small, tmp_path):
    _, results = small
    marks = {(entry["name"], entry["mark"]): entry for entry in results["marks"]}
    assert list(marks) == [(row, mark) for row in ("max", "sum", "avg") for mark in ("grade", "evidence")]
    full = {entry["name"]: entry for entry in results["schedules"] if entry["schedule"] == "full"}
    for row in ("max", "sum", "avg"):
        assert marks[row, "grade"]["calls"] * 2 == full[row]["calls"]  # the run has two sittings
        baseline = marks[row, "evidence"]["calls"] - marks[row, "grade"]["calls"]
        assert 0 < baseline <= 18 * 3  # each problem of the exams that are held, once without a lesson
    alone = run(tmp_path / "run", "--mark", "evidence", "--schedule", "lossless", "--sittings", "1")
    entry = next(entry for entry in alone["results"] if entry["name"] == "sum")
    assert entry["value"] == pytest.approx(marks["sum", "evidence"]["value"])
    assert alone["marks"] == []


@pytest.mark.slow
@pytest.mark.xdist_group("small classroom")
def test_workers_decide_nothing(small, tmp_path):
    _, results = small
    assert comparable(run(tmp_path / "run", "--workers", "1")) == comparable(results)


@pytest.mark.slow
@pytest.mark.xdist_group("small classroom")
def test_the_budget_stops_a_run_and_resume_pays_the_rest_alone(small, tmp_path, capsys):
    _, results = small
    folder = tmp_path / "run"
    assert main([*SMALL, "--max-calls", "300", "--out", str(folder)]) == 3
    assert "greedy" in capsys.readouterr().out
    for _ in range(2):  # the second time there is nothing left to pay
        assert main(["--resume", str(folder), "--quiet", "--json", "-"]) == 0
        assert comparable(json.loads(capsys.readouterr().out)) == comparable(results)


def test_a_dry_run_asks_nothing_and_is_never_exceeded(small, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, "--dry-run"]) == 0
    planned = next(line.split() for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith("all "))
    made = small[1]["calls"]
    assert 0 < made["teacher"] + sum(made["students"].values()) <= int(planned[1].replace(",", ""))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.xdist_group("small classroom")
def test_two_students_sit_twice_as_many_exams(small, tmp_path):
    names = "embedded/classroom-student-a,embedded/classroom-student-b"
    results = run(tmp_path / "run", "--students", names, "--limit", "2")
    assert list(results["calls"]["students"]) == names.split(",")
    assert len(set(results["calls"]["students"].values())) == 1


MISTAKES = [
    ("--data DIR", "makes its own problems; leave --data"),
    ("--exam-problems 66", "--exam-problems must be at most 65 with --task classroom but got 66"),
    ("--schedule al", "--schedule must be one of full, lossless, confident, all but got 'al'"),
    ("--students embedded/classroom-student-c", "did you mean 'embedded/classroom-student-b'?"),
    ("--students embedded/words", "got a prompt that it cannot read"),
    ("--mark evidence --sittings 1 --students embedded/words", "embedded/words does not; vLLM servers by name"),
    ("--method m3", "--task classroom is for --method m1"),
    ("--rounds 3", "--rounds is not an option of --method m1"),
    ("--schedule lossless --delta 0.1", "--delta 0.1 is for --schedule confident"),
]


@pytest.mark.parametrize(("line", "says"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path, capsys, monkeypatch, line, says):
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, *line.split()]) == 2
    out, err = capsys.readouterr()
    assert says in err
    assert err.count("\n") == 1
    assert not out


@pytest.mark.slow
def test_teaching_beats_voting_and_schedules_save_what_they_promise(tmp_path):
    """The README's command, its first seed; acceptance in points and shares."""
    assert main(["--task", "classroom", "--quiet", "--seeds", "0", "--out", str(tmp_path / "run")]) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    committed = json.loads((ROOT / "benchmarks" / "results" / "classroom.json").read_text())
    for entry, known in zip(results["results"], committed["results"], strict=True):
        assert entry["name"] == known["name"]
        assert entry["value"] == pytest.approx(known["by_seed"][0], abs=0.01)  # another processor may round otherwise
    rows = {entry["name"]: entry for entry in results["results"]}
    against = next(v for v in rows["sum"]["vs"] if v["baseline"] == "sc")
    assert against["diff"] >= 0.05
    assert against["ci95"][0] > 0
    by_row = answers(tmp_path / "run")
    assert all(by_row[f"{row} (lossless)"] == by_row[row] for row in ("max", "sum", "avg"))
    schedules = {(entry["name"], entry["schedule"]): entry for entry in results["schedules"]}
    assert schedules["sum", "lossless"]["share"] <= 0.5
    assert schedules["sum", "confident"]["share"] <= 0.3
    assert abs(schedules["sum", "confident"]["value"] - schedules["sum", "full"]["value"]) <= 0.005
