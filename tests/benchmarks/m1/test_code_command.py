"""`lbt --task code`: the whole run of M1 on programs, against a real server, graded in the real sandbox."""

import json

import pytest
from conftest import stats

from lbt_dspy.benchmarks.cli.main import main
from lbt_dspy.errors import UserError
from lbt_dspy.metrics.sandbox import strongest

QUESTIONS = 8
ROWS = ["greedy", "sample", "visible", "max", "sum", "avg", "visible-max", "few-shot", "few-shot-visible"]
RIGHT = "def f{0}(x):\n    return x + {0}"
OVERFIT = "def f{0}(x):\n    known = {{0: {0}, 1: {0} + 1}}\n    return known.get(x, 0)"
BROKEN = "def f{0}(x):\n    return x - {0} - 1"
SOLVED, HALF, WRONG = "def g(x):\n    return 2 * x", "def g(x):\n    return abs(2 * x)", "def g(x):\n    return x + 7"


@pytest.fixture(autouse=True)
def _sandbox():
    try:
        strongest()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture
def school(tmp_path):
    """Write the problems, and the answers of a server: after a right lesson students are right more often."""
    folder = tmp_path / "data"
    folder.mkdir()
    about = {"tags": ["Arithmetic", "Functions"], "difficulty": "Easy", "entry_point": "g", "program": SOLVED}
    exam = [
        {
            "question": f"Exam {v}: write g(x), which doubles a number.", "unique_id": f"e{v}",
            "visible": ["assert g(3) == 6", f"assert g(-{v + 1}) == -{2 * v + 2}"], "hidden": ["assert g(9) == 18"],
            **about,
        }
        for v in range(4)
    ]  # fmt: skip
    teaching = [
        {
            **about, "question": f"Problem {n} of the book: write f{n}(x), which adds {n}.", "unique_id": f"p{n}",
            "entry_point": f"f{n}", "program": RIGHT.format(n), "difficulty": ("Easy", "Hard")[n % 2],
            "visible": [f"assert f{n}(0) == {n}", f"assert f{n}(1) == {n + 1}"],
            "hidden": [f"assert f{n}(10) == {n + 10}", f"assert f{n}(-5) == {n - 5}"],
        }
        for n in range(1, QUESTIONS + 1)
    ]  # fmt: skip
    rules = [{"contains": "\nassert g(", "fields": {"reasoning": "mended", "program": [SOLVED, WRONG]}}]
    for n in range(1, QUESTIONS + 1):
        rules.append({"contains": f"\nassert f{n}(", "fields": {"reasoning": "mended", "program": RIGHT.format(n)}})
        for lesson, marks in ((RIGHT, [SOLVED, SOLVED, HALF]), (OVERFIT, [WRONG, WRONG, HALF]), (BROKEN, [WRONG])):
            shown = lesson.format(n).splitlines()[1]
            rules.append({"contains": f"{shown}\n", "fields": {"reasoning": "as shown", "program": marks}})
        texts = [f"Here it is:\n```python\n{text.format(n)}\n```" for text in (BROKEN, OVERFIT, RIGHT)]
        fields = {"reasoning": [f"way {i}" for i in range(4)], "program": texts}
        rules.append({"contains": f"Problem {n} of the book", "fields": fields})
    for name, rows in (("teaching", teaching), ("exam", exam)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "answers.json").write_text(json.dumps(rules))
    return tmp_path


def run(school, base_url, *more):
    return main(
        ["--task", "code", "--data", str(school / "data"), "--teacher", f"hosted_vllm/t@{base_url}",
         "--students", f"hosted_vllm/s@{base_url}", "--quiet", *more]
    )  # fmt: skip


def answers(folder, row):
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    return [line["answer"] for line in lines if line["row"] == row]


def results_of(folder):
    return json.loads((folder / "results.json").read_text())


@pytest.mark.slow
def test_teaching_beats_visible_tests_and_lossless_exams_give_the_answers_of_full_ones(school, server):
    calls = {}
    for schedule in ("full", "lossless"):
        with server("--answers", str(school / "answers.json")) as base_url:
            assert run(school, base_url, "--schedule", schedule, "--out", str(school / schedule)) == 0
            calls[schedule] = stats(base_url)["requests"]
        made = results_of(school / schedule)["calls"]
        assert made["teacher"] + sum(made["students"].values()) == calls[schedule]
    assert calls["lossless"] < calls["full"]
    for row in ROWS:
        assert answers(school / "full", row) == answers(school / "lossless", row)
    results = results_of(school / "lossless")
    rows = {entry["name"]: entry for entry in results["results"]}
    assert list(rows) == ROWS
    assert rows["sample"]["value"] < rows["visible"]["value"] < rows["max"]["value"]
    assert rows["visible-max"]["value"] >= rows["max"]["value"]
    assert rows["max"]["value"] - rows["visible"]["value"] >= 0.25
    assert rows["max"]["sittings"]["asked"] < rows["max"]["sittings"]["full"]
    assert {v["baseline"] for v in rows["max"]["vs"]} == {"greedy", "visible"}
    assert results["settings"]["sandbox"].startswith("bubblewrap")
    assert results["settings"]["selection"] == "max"
    scores = {entry["name"]: entry for entry in results["scores"]}
    assert scores["visible"]["visible"]["value"] == 1.0
    assert scores["visible"]["hidden"]["value"] >= rows["visible"]["value"]  # here half of the tests count too
    assert set(results["by_lessons"]) == {"visible"}
    assert set(results_of(school / "full")["by_lessons"]) == {"visible", "max", "sum", "avg"}
    assert results["by_lessons"]["visible"][-1] == rows["visible"]["value"]
    assert scores["greedy"]["visible"]["value"] == 0
    assert [entry["difficulty"] for entry in results["strata"]] == ["Easy", "Hard"]
    assert results["failures"]["right"] == round(rows["sample"]["value"] * 8 * QUESTIONS)
    assert sum(results["failures"].values()) == 8 * QUESTIONS
    lines = [json.loads(line) for line in (school / "lossless" / "answers.jsonl").read_text().splitlines()]
    assert all(line["unique_id"].startswith("p") for line in lines)
    assert {line["right"] for line in lines if line["hidden_score"] == 1} == {True}
    report = (school / "lossless" / "report.md").read_text()
    for says in ("V-score", "S-score", "visible-max", "Programs ran in the sandbox: bubblewrap"):
        assert says in report
    assert main(["compare", str(school / "full" / "results.json"), str(school / "lossless" / "results.json")]) == 0


@pytest.mark.slow
def test_the_mean_of_all_lessons_is_the_row_sample(school, server):
    with server("--answers", str(school / "answers.json")) as base_url:
        assert run(school, base_url, "--schedule", "full", "--seeds", "0,1", "--out", str(school / "run")) == 0
    lines = [json.loads(line) for line in (school / "run" / "answers.jsonl").read_text().splitlines()]
    alone = [line["right"] for line in lines if line["row"] == "sample"]
    assert len(alone) == 2 * 8 * QUESTIONS
    row = next(entry for entry in results_of(school / "run")["results"] if entry["name"] == "sample")
    assert row["value"] == pytest.approx(sum(alone) / len(alone))
    assert len(row["by_seed"]) == 2
    assert row["calls"] == {"teacher": 2 * 8 * QUESTIONS, "students": 0}


@pytest.mark.slow
def test_self_debug_mends_programs_of_teacher_and_students(school, server, capsys):
    found = {}
    for rounds in ("0", "1"):
        folder = school / f"debug{rounds}"
        with server("--answers", str(school / "answers.json")) as base_url:
            more = ["--debug-rounds", rounds, "--schedule", "full"]
            assert run(school, base_url, *more, "--dry-run") == 0
            plan = next(
                line.split() for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith("all ")
            )
            assert run(school, base_url, *more, "--out", str(folder)) == 0
            assert stats(base_url)["requests"] <= int(plan[1].replace(",", ""))
        found[rounds] = {entry["name"]: entry for entry in results_of(folder)["results"]}
    assert found["0"]["greedy"]["value"] == 0  # the first answer drawn is the broken one
    assert found["1"]["greedy"]["value"] == 1  # its visible test fails, and it is mended
    assert found["1"]["greedy"]["calls"]["teacher"] == 2 * QUESTIONS
    assert found["1"]["sample"]["value"] > found["0"]["sample"]["value"]
    students = {rounds: rows["max"]["calls"]["students"] for rounds, rows in found.items()}
    assert students["1"] > students["0"] * 0.5  # broken lessons are mended, so there are fewer different ones
    mended = [json.loads(line) for line in (school / "debug1" / "answers.jsonl").read_text().splitlines()]
    assert all(set(line["inputs"]) >= {"question", "visible"} for line in mended)


@pytest.mark.slow
@pytest.mark.parametrize("rounds", ["0", "1"])
def test_the_budget_stops_a_run_and_resume_pays_nothing_twice(rounds, school, server, capsys):
    folder = school / "run"
    with server("--answers", str(school / "answers.json")) as base_url:
        more = ["--limit", "3", "--debug-rounds", rounds]
        assert run(school, base_url, *more, "--max-calls", "60", "--out", str(folder)) == 3
        out, err = capsys.readouterr()
        assert stats(base_url)["requests"] == 60
        assert "greedy" in out
        assert "budget of 60 calls" in err
        assert main(["--resume", str(folder), "--quiet", "--json", "-"]) == 0
        resumed = json.loads(capsys.readouterr().out)
        total = stats(base_url)["requests"]
        assert resumed["calls"]["teacher"] + sum(resumed["calls"]["students"].values()) == total
        assert run(school, base_url, *more, "--workers", "2", "--out", str(school / "again")) == 0
        assert stats(base_url)["requests"] == 2 * total
    again = results_of(school / "again")
    assert {k: v for k, v in again.items() if k != "seconds"} == {k: v for k, v in resumed.items() if k != "seconds"}


def test_programs_that_misbehave_are_wrong_and_the_run_goes_on(school, server):
    rules = json.loads((school / "answers.json").read_text())
    bad = ["import os; os._exit(0)", "def f1(x): return open('/etc/passwd').read()", "def f1(:", "no code", ""]
    rules.insert(0, {"contains": "Problem 1 of the book", "fields": {"reasoning": "bad", "program": bad}})
    (school / "answers.json").write_text(json.dumps(rules))
    with server("--answers", str(school / "answers.json")) as base_url:
        assert run(school, base_url, "--limit", "1", "--schedule", "full", "--out", str(school / "run")) == 0
    assert {entry["name"]: entry["value"] for entry in results_of(school / "run")["results"]}["max"] == 0


@pytest.mark.slow
def test_all_schedules_are_replayed_and_marks_by_evidence_are_left_out(school, server):
    with server("--answers", str(school / "answers.json")) as base_url:
        more = ["--schedule", "all", "--limit", "2", "--seeds", "0,1", "--out", str(school / "run")]
        assert run(school, base_url, *more) == 0
    results = results_of(school / "run")
    assert ("visible-max", "lossless") in {(entry["name"], entry["schedule"]) for entry in results["schedules"]}
    assert all(entry["same"] == 1 for entry in results["schedules"] if entry["schedule"] == "lossless")
    assert results["marks"] == []
    assert sum(entry["n"] for entry in results["strata"]) == 2


def test_a_preamble_that_fails_is_told_before_any_call(school, capsys):
    path = school / "data" / "exam.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[1]["preamble"] = "import not_there"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(school, "http://127.0.0.1:9/v1") == 2
    err = capsys.readouterr().err
    assert "the problem 'e1': the preamble fails" in err
    assert err.count("\n") == 1


def test_what_was_chosen_cannot_be_changed_on_resume_not_even_to_nothing(school, server, capsys):
    with server("--answers", str(school / "answers.json")) as base_url:
        more = ["--limit", "1", "--debug-rounds", "1", "--max-calls", "5", "--out", str(school / "run")]
        assert run(school, base_url, *more) == 3
    assert main(["--resume", str(school / "run"), "--debug-rounds", "0"]) == 2
    assert "--debug-rounds cannot be changed on --resume" in capsys.readouterr().err


MISTAKES = [
    ("", "needs language models: --teacher NAME"),
    ("--teacher t/x --exam variants", "--exam must be one of nearest, same-kind, fixed but got 'variants'"),
    ("--teacher t/x --debug-rounds -1", "--debug-rounds must be a whole number of at least 0 but got -1"),
    ("--teacher t/x --mark evidence", "--mark evidence is not for --task code"),
    ("--teacher t/x --schedule confident", "--schedule confident is for --selection sum or avg but got max"),
    ("--teacher t/x --debug-round 1", "did you mean --debug-rounds?"),
    ("--teacher t/x --allow-weak-sandboxes", "did you mean --allow-weak-sandbox?"),
    ("--teacher t/x --method m3", "--task code is for --method m1"),
]


@pytest.mark.parametrize(("line", "says"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_code_2(school, capsys, line, says):
    try:
        code = main(["--task", "code", "--data", str(school / "data"), *line.split()])
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


@pytest.mark.parametrize("line", ["--task fallacy --allow-weak-sandbox", "--task classroom --allow-weak-sandbox"])
def test_the_weak_sandbox_is_for_programs(capsys, line):
    assert main(line.split()) == 2
    assert "--allow-weak-sandbox is for --task code" in capsys.readouterr().err


def test_problems_without_tags_need_another_exam(school, capsys):
    path = school / "data" / "teaching.jsonl"
    path.write_text(path.read_text().replace('["Arithmetic", "Functions"]', "[]"))
    assert run(school, "http://127.0.0.1:9/v1") == 2
    assert "take nearest" in capsys.readouterr().err
    assert run(school, "http://127.0.0.1:9/v1", "--exam", "nearest", "--dry-run") == 0
