"""`lbt --task math`: the whole run of M1 against a real server whose students learn from right lessons."""

import json
import subprocess
import sys
import time

import pytest
from conftest import ROOT, stats

from lbt_dspy.benchmarks.cli.main import main

QUESTIONS = 8
LIKELY = {0: ["7{0}1", "7{0}9", "7{0}9"], 1: ["7{0}1", "7{0}1", "7{0}9"]}
"""What the teacher draws from: the right answer is 7n1; of even questions the majority is wrong."""


@pytest.fixture
def school(tmp_path):
    """Write the problems, and the answers of a server: after a right lesson students are right more often."""
    folder = tmp_path / "data"
    folder.mkdir()
    teaching, exam, rules = [], [], []
    for n in range(QUESTIONS):
        about = {"subject": "Algebra", "level": 1, "unique_id": f"p{n}", "solution": ""}
        teaching.append({"question": f"What is problem {n} of the book?", "answer": f"7{n}1", **about})
        exam += [{"question": f"Variant {v} of problem {n}, solved?", "answer": "24", **about} for v in range(3)]
        for answer, marks in ((f"7{n}1", ["24", "24", "24", "5"]), (f"7{n}9", ["5", "5", "5", "24"])):
            rules.append({"contains": answer, "fields": {"reasoning": "as shown", "answer": marks}})
        texts = [text.format(n) for text in LIKELY[n % 2]]
        fields = {"reasoning": [f"way {i}" for i in range(4)], "answer": texts}
        rules.append({"contains": f"What is problem {n} of", "fields": fields})
    for name, rows in (("teaching", teaching), ("exam", exam)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "answers.json").write_text(json.dumps(rules))
    return tmp_path


def run(school, base_url, *more):
    return main(
        ["--task", "math", "--data", str(school / "data"), "--rationales", "12", "--teacher",
         f"hosted_vllm/t@{base_url}", "--students", f"hosted_vllm/s@{base_url}", "--quiet", *more]
    )  # fmt: skip


def answers(folder, row):
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    return [line["answer"] for line in lines if line["row"] == row]


@pytest.mark.slow
@pytest.mark.parametrize("client", ["lean", "litellm"])
def test_teaching_beats_voting_and_lossless_exams_give_the_same_answers_with_fewer_calls(
    client, school, server, capsys
):
    calls, results = {}, {}
    for schedule in ("full", "lossless"):
        with server("--answers", str(school / "answers.json")) as base_url:
            more = ["--schedule", schedule, "--client", client, "--out", str(school / schedule)]
            assert run(school, base_url, *more) == 0
            calls[schedule] = stats(base_url)["requests"]
        results[schedule] = json.loads((school / schedule / "results.json").read_text())
        made = results[schedule]["calls"]
        assert made["teacher"] + sum(made["students"].values()) == calls[schedule]
    assert calls["lossless"] < calls["full"]
    for row in ("greedy", "sc", "max", "sum", "avg", "few-shot", "few-shot-sc"):
        assert answers(school / "full", row) == answers(school / "lossless", row)
    rows = {entry["name"]: entry for entry in results["lossless"]["results"]}
    assert rows["sum"]["value"] - rows["sc"]["value"] >= 0.25
    against = next(v for v in rows["sum"]["vs"] if v["baseline"] == "sc")
    assert against["diff"] == pytest.approx(rows["sum"]["value"] - rows["sc"]["value"])
    assert rows["sum"]["sittings"]["asked"] < rows["sum"]["sittings"]["full"]
    assert rows["sum"]["overturned"] >= 2
    assert [rows[name]["schedule"] for name in ("sc", "sum")] == ["none", "lossless"]
    assert all(entry["coverage"] == 1 for entry in rows.values())
    assert set(results["full"]["by_lessons"]) == {"sc", "max", "sum", "avg"}
    assert results["full"]["by_lessons"]["sum"][-1] == pytest.approx(rows["sum"]["value"])
    assert set(results["lossless"]["by_lessons"]) == {"sc"}
    means = {
        kind: sum(float(score) * n for score, n in counts.items()) / sum(counts.values())
        for kind, counts in results["full"]["lbt_scores"].items()
    }
    assert means["right"] > means["wrong"] + 0.3
    for name in ("report.md", "accuracy_by_lessons.png", "lbt_scores.png"):
        assert (school / "lossless" / name).stat().st_size > 500
    capsys.readouterr()
    both = [str(school / schedule / "results.json") for schedule in ("full", "lossless")]
    assert main(["compare", *both]) == 0
    assert "schedule full | lossless" in capsys.readouterr().out


def test_a_dry_run_asks_nothing_and_is_never_exceeded(school, server, capsys):
    with server("--answers", str(school / "answers.json")) as base_url:
        assert run(school, base_url, "--dry-run", "--limit", "2", "--schedule", "full") == 0
        assert stats(base_url)["requests"] == 0
        planned = [line.split() for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith("all ")]
        assert run(school, base_url, "--limit", "2", "--schedule", "full", "--out", str(school / "run")) == 0
        assert 0 < stats(base_url)["requests"] <= int(planned[0][1].replace(",", ""))


def test_questions_with_too_few_exam_problems_are_counted(school, capsys):
    assert run(school, "http://127.0.0.1:9/v1", "--exam-problems", "5", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "Of 8 questions 8 with fewer exam problems than the 5 asked for." in out
    students = next(line.split() for line in out.splitlines() if line.lstrip().startswith("students "))
    assert students[2] == f"{QUESTIONS * 12 * 3 * 3:,}"  # 12 lessons, the 3 problems that there are, 3 sittings


@pytest.mark.slow
@pytest.mark.parametrize(("client", "other"), [("lean", "litellm"), ("litellm", "lean")])
def test_the_budget_stops_a_run_and_resume_pays_nothing_twice(client, other, school, server, capsys):
    """Though it goes on through another client."""
    folder = school / "run"
    with server("--answers", str(school / "answers.json")) as base_url:
        assert run(school, base_url, "--limit", "3", "--max-calls", "60", "--client", client, "--out", str(folder)) == 3
        out, err = capsys.readouterr()
        assert stats(base_url)["requests"] == 60
        assert "greedy" in out
        assert "budget of 60 calls" in err
        assert main(["--resume", str(folder), "--client", other, "--quiet", "--json", "-"]) == 0
        resumed = json.loads(capsys.readouterr().out)
        total = stats(base_url)["requests"]
        assert resumed["calls"]["teacher"] + sum(resumed["calls"]["students"].values()) == total
        assert run(school, base_url, "--limit", "3", "--workers", "2", "--out", str(school / "again")) == 0
        assert stats(base_url)["requests"] == 2 * total
    again = json.loads((school / "again" / "results.json").read_text())
    assert {k: v for k, v in again.items() if k != "seconds"} == {k: v for k, v in resumed.items() if k != "seconds"}


def test_an_answer_that_cannot_be_read_is_wrong(school, server):
    with server("--answers", str(school / "answers.json"), "--empty", "0.4") as base_url:
        assert run(school, base_url, "--rationales", "2", "--seeds", "0,1", "--out", str(school / "run")) == 0
    greedy = json.loads((school / "run" / "results.json").read_text())["results"][0]
    assert (greedy["name"], greedy["coverage"]) == ("greedy", 1)
    lines = [json.loads(line) for line in (school / "run" / "answers.jsonl").read_text().splitlines()]
    unread = [line["right"] for line in lines if line["row"] == "greedy" and line["answer"] is None]
    assert set(unread) == {False}
    assert greedy["value"] <= 1 - len(unread) / (2 * QUESTIONS)


@pytest.mark.slow
def test_a_run_that_is_killed_pays_nothing_twice(school, server):
    folder = school / "run"
    with server("--answers", str(school / "answers.json"), "--latency", "0.02") as base_url:
        words = [
            "--task", "math", "--data", str(school / "data"), "--rationales", "12", "--quiet", "--out", str(folder),
            "--teacher", f"hosted_vllm/t@{base_url}", "--students", f"hosted_vllm/s@{base_url}", "--workers", "4",
        ]  # fmt: skip
        process = subprocess.Popen([sys.executable, str(ROOT / "benchmarks" / "run.py"), *words])
        while stats(base_url)["requests"] < 150:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        process.wait()
        assert main(["--resume", str(folder), "--quiet"]) == 0
        sent = stats(base_url)["requests"]
        resumed = json.loads((folder / "results.json").read_text())
        answered = resumed["calls"]["teacher"] + sum(resumed["calls"]["students"].values())
        assert answered <= sent <= answered + 4  # only what was in flight is asked again
        assert run(school, base_url, "--workers", "16", "--out", str(school / "whole")) == 0
    whole = json.loads((school / "whole" / "results.json").read_text())
    assert {k: v for k, v in whole.items() if k != "seconds"} == {k: v for k, v in resumed.items() if k != "seconds"}


MISTAKES = [
    ("", "needs language models: --teacher NAME"),
    ("--teacher t/x --students a,a", "--students must be different names"),
    ("--teacher t/x --rationales 0", "--rationales must be a whole number of at least 1 but got 0"),
    ("--teacher t/x --exam-problems 0", "--exam-problems must be a whole number of at least 1 but got 0"),
    ("--teacher t/x --sittings 0", "--sittings must be a whole number of at least 1 but got 0"),
    ("--teacher t/x --gate 1", "--gate must be a whole number of at least 2 but got 1"),
    ("--teacher t/x --gate 25", "--gate must be at most --rationales, 24, but got 25"),
    ("--teacher t/x --mark evidences", "--mark must be one of grade, evidence but got 'evidences'"),
    ("--teacher t/x --mark evidence --sittings 3", "--sittings must be 1 with --mark evidence but got 3"),
    ("--teacher t/x --in-flight 0", "--in-flight must be a whole number of at least 1 but got 0"),
    ("--teacher t/x --limit 0", "--limit must be a whole number of at least 1 but got 0"),
    ("--teacher t/x --temperature -1", "--temperature must be at least 0 but got -1.0"),
    ("--teacher t/x --selection median", "must be one of sum, max, avg but got 'median'"),
    ("--teacher t/x --schedule lossles", "--schedule must be one of full, lossless, confident, all but got 'lossles'"),
    ("--teacher t/x --schedule confident --selection max", "take --schedule lossless"),
    ("--teacher t/x --schedule confident --delta 0.5", "--delta must be at least 0 and less than 0.5 but got 0.5"),
    ("--teacher t/x --delta 0.1", "--delta 0.1 is for --schedule confident"),
    ("--teacher t/x --exam variant", "--exam must be one of variants, nearest, same-kind, fixed but got 'variant'"),
    ("--teacher t/x --rounds 3", "--rounds is not an option of --method m1"),
    ("--teacher t/x --train a.csv", "--train is not an option of --method m1"),
    ("--teacher t/x --method m3", "--task math is for --method m1"),
    ("--teacher t/x --seeds 0,0", "--seeds must be different whole numbers"),
    ("--teacher t/x --resume nowhere", "--resume nowhere is no run folder"),
    ("--teacher nonsense", "unknown model 'nonsense'"),
    ("--teacher recorded/nowhere", "there is no folder nowhere"),
    ("--rationals 3", "did you mean --rationales?"),
]


@pytest.mark.parametrize(("line", "says"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_code_2(school, capsys, line, says):
    try:
        code = main(["--task", "math", "--data", str(school / "data"), *line.split()])
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert code == 2
    assert says in err
    assert err.count("\n") == 1
    assert not out


def test_options_of_m1_are_refused_by_m3(capsys):
    assert main(["--task", "fallacy", "--rationales", "3"]) == 2
    assert "--rationales is an option of --method m1" in capsys.readouterr().err


def test_missing_data_says_what_to_do(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("LBT_DATA_DIR", raising=False)
    models = ["--teacher", "recorded/x"]
    assert main(["--task", "math", *models]) == 2
    assert "math_task.py prepare" in capsys.readouterr().err
    assert main(["--task", "math", "--data", str(tmp_path / "no"), *models]) == 2
    assert "is no folder" in capsys.readouterr().err


@pytest.mark.slow
def test_real_recorded_outputs_are_voted_on(data_dir, tmp_path):
    """Greedy and votes of 24 recorded systems on 10 problems; the student's recordings do not know its seeds."""
    fneval = data_dir / "recorded_fneval"
    teacher = f"recorded/{fneval / 'math500_static_cot.jsonl'}@{data_dir / 'math500' / 'test.jsonl'}"
    student = f"recorded/{fneval / 'math181_oct_cot.jsonl'}@{data_dir / 'math181' / 'exam.jsonl'}"
    line = ["--task", "math", "--data", str(data_dir / "math181"), "--limit", "10", "--exam-problems", "1", "--quiet"]
    assert main([*line, "--teacher", teacher, "--students", student, "--out", str(tmp_path / "run")]) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    rows = {entry["name"]: entry for entry in results["results"]}
    assert rows["sc"]["value"] >= 0.8
    assert rows["sum"]["coverage"] == 0
    assert rows["sum"]["value"] == rows["sc"]["value"]
    report = (tmp_path / "run" / "report.md").read_text()
    assert str(data_dir) not in report
    assert "A recorded teacher replays its outputs" in report
    assert main(["--resume", str(tmp_path / "run"), "--quiet"]) == 0  # what was not recorded is not asked again
    again = json.loads((tmp_path / "run" / "results.json").read_text())
    assert again["calls"] == results["calls"]
    report = (tmp_path / "run" / "report.md").read_text()
    assert "asks them again" not in report
    assert "were in flight" not in report
