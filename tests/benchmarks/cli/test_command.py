"""The command line: what it prints, writes, refuses and survives."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dspy
import pytest
from command_line import ROW_NAMES, run, without_times
from conftest import ROOT, slow, stats

from lbt_dspy import LbTExemplars, UserError, classification
from lbt_dspy.benchmarks.cli.parser import parser
from lbt_dspy.benchmarks.cli.run_folder import alone_in
from lbt_dspy.benchmarks.cli.settings import settings_of
from lbt_dspy.benchmarks.m3.settings import SEARCH, SearchSettings
from lbt_dspy.benchmarks.shared.kept import save_record
from lbt_dspy.benchmarks.shared.run_options import run_options
from lbt_dspy.benchmarks.shared.words import CommandLine
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.teleprompters.exemplars.searches.study import open_storage

SMALL = "--exemplars 4 --selection-examples 30 --minibatch 10 --beam 2 --reflections 2 --rounds 1 --seeds 0,1".split()


@pytest.fixture
def small_data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for split, count in (("train", 40), ("test", 12)):
        source = ROOT / "benchmarks" / "data" / f"fallacy_{split}.jsonl"
        (folder / f"{split}.jsonl").write_text("\n".join(source.read_text().splitlines()[:count]))
    return str(folder)


@pytest.fixture
def fleet(server, tmp_path):
    """A YAML of two deployments, one of which fails in every way, and one student behind the good one."""

    def write(good, bad):
        path = tmp_path / "fleet.yaml"
        path.write_text(
            "model_list:\n"
            + "".join(
                f"- {{model_name: fleet, litellm_params: {{model: hosted_vllm/big, api_base: '{url}', "
                "api_key: os.environ/FLEET_TEST_KEY, timeout: 5}}\n"
                for url in (good, bad)
            )
            + f"- {{model_name: pupil, litellm_params: {{model: hosted_vllm/small, api_base: '{good}'}}}}\n"
        )
        return str(path)

    return write


def test_a_run_writes_its_folder_and_prints_its_table(tmp_path, small_data, capsys):
    out, copy = tmp_path / "run", tmp_path / "copy.json"
    words = ["--task", "fallacy", "--data", small_data, *SMALL, "--out", str(out), "--json", str(copy)]
    code, printed, _ = run(*words, capsys=capsys)
    assert code == 0
    results = json.loads((out / "results.json").read_text())
    assert copy.read_text() == (out / "results.json").read_text()
    assert {p.name for p in out.iterdir()} - {".lock"} == {
        "f1_by_round.png", "journal.sqlite", "program.json", "report.md", "results.json", "run.json", "searches.jsonl",
    }  # fmt: skip
    assert list(dict.fromkeys(e["name"] for e in results["results"])) == ROW_NAMES
    for entry in results["results"]:
        assert set(entry) >= {"name", "metric", "value", "ci95", "n", "coverage", "by_seed", "vs", "calls", "schedule"}
        assert entry["ci95"][0] <= entry["value"] <= entry["ci95"][1]
        assert len(entry["by_seed"]) == 2
        assert entry["value"] == pytest.approx(sum(entry["by_seed"]) / 2)
        assert (entry["n"], entry["coverage"], entry["schedule"]) == (12, 1.0, "full")
    assert set(results) == {
        "task", "method", "seeds", "models", "versions", "settings", "results", "by_round", "held_out", "calls",
        "cost_usd", "seconds",
    }  # fmt: skip
    for name in ROW_NAMES:
        assert name in printed
        assert name in (out / "report.md").read_text()
    assert "statistical" in printed
    assert (out / "f1_by_round.png").read_bytes().startswith(b"\x89PNG")
    program = dspy.Predict("text -> label")
    program.load(str(out / "program.json"))
    assert len(program.demos) == 4
    with dspy.context(lm=embedded_lm("embedded/teacher")):
        assert program(text="All dogs bite; mine did.").label in ("Yes", "No")
    searches = [json.loads(line) for line in (out / "searches.jsonl").read_text().splitlines()]
    assert len(searches) == 6
    assert [len(s["rounds"]) for s in searches] == [2] * 6


@pytest.mark.parametrize("workers", ["8", *slow("1")])
def test_two_runs_are_identical_whatever_the_workers(workers, tmp_path, small_data, capsys):
    for name, count in (("a", workers), ("b", "3")):
        words = ["--task", "fallacy", "--data", small_data, *SMALL, "--out", str(tmp_path / name), "--workers", count]
        assert run(*words, capsys=capsys)[0] == 0
    assert without_times(tmp_path / "a" / "results.json") == without_times(tmp_path / "b" / "results.json")
    assert (tmp_path / "a" / "program.json").read_text() == (tmp_path / "b" / "program.json").read_text()


BAD_CALLS = [
    ("--task fallasy", "--task must be one of fallacy, liar, math, classroom, code but got 'fallasy'"),
    ("", "--task must be one of fallacy, liar, math, classroom, code but got None"),
    ("--tusk fallacy", "did you mean --task?"),
    ("--task fallacy --round 3", "did you mean --rounds?"),
    ("--task fallacy --rounds -1", "--rounds must be a whole number of at least 0 but got -1"),
    ("--task fallacy --rounds three", "argument --rounds: invalid int value: 'three'"),
    ("--task fallacy --beam 0", "--beam must be a whole number of at least 1 but got 0"),
    ("--task fallacy --search bream", "--search must be one of utility, beam, tpe but got 'bream'"),
    ("--task fallacy --init wrote", "--init must be one of train, generate but got 'wrote'"),
    ("--task fallacy --init generate", "--init generate needs a language model as --teacher"),
    ("--task fallacy --search beam --paraphrases 1", "--paraphrases 1 needs a language model as --teacher"),
    ("--task fallacy --search beam --evaluator half", "--evaluator must be one of full, halving, rejects, ucb"),
    ("--task fallacy --evaluator halving", "--evaluator is for --search beam but the search is utility"),
    ("--task fallacy --search beam --draw 9", "--draw is for --search utility but the search is beam"),
    ("--task fallacy --storage s.log", "--storage is for --search tpe but the search is utility"),
    ("--task fallacy --search tpe --storage no/s.log", "storage no/s.log must be a file in a folder that exists"),
    ("--task fallacy --search tpe --storage oracle://u:pw@h/x", "storage oracle://u:***@h/x cannot be opened"),
    ("--task fallacy --evaluations 0", "--evaluations must be a whole number of at least 1 but got 0"),
    ("--task fallacy --reflection-mix 0", "--reflection-mix must be"),
    ("--task fallacy --scoring odds", "--scoring must be one of auto, metric, likelihood"),
    ("--task fallacy --method m4", "--method must be m1, m2 or m3 but got 'm4'"),
    ("--task fallacy --workers 0", "--workers must be"),
    ("--task fallacy --max-calls -5", "max_calls must be"),
    ("--task fallacy --seeds 0,0", "--seeds must be different"),
    ("--task fallacy --seeds x", "--seeds must be different"),
    ("--task fallacy --exemplars 4000", "--exemplars must be at most the 325 training examples but got 4000"),
    ("--task fallacy --data nowhere", "is no folder"),
    ("--task liar", "ships no data; give --data DIR"),
    ("--task fallacy --filter kynd=sound", "did you mean 'kind'"),
    ("--task fallacy --filter kind=sound", "only one class"),
    ("--task fallacy --teacher embedded/teacer", "did you mean 'embedded/teacher'"),
    ("--task fallacy --teacher gpt-5000", "known: embedded/words"),
    ("--task fallacy --students embedded/words", "needs a --teacher"),
    ("--task fallacy --teacher embedded/teacher --students embedded/words,", "with commas between"),
    ("--task fallacy --teacher m --config nowhere.yaml", "cannot be read"),
    ("--task fallacy --teacher m --config README.md", "no readable YAML"),
    ("--task fallacy --teacher openai/gpt-4o-mini", "export OPENAI_API_KEY"),
    ("--task fallacy --teacher hosted_vllm/m@http://127.0.0.1:1/v1 --max-cost 1", "input_cost_per_token"),
    ("--task fallacy --json no/such/folder/x.json", "--json no/such/folder/x.json cannot be written"),
    ("--resume nowhere", "is no run folder"),
    ("--resume nowhere --rounds 3", "is no run folder"),
    ("--task fallacy --teacher embedded/words", "can only be a student; use embedded/teacher"),
    ("--task fallacy extra", "unrecognized arguments: extra"),
]


@pytest.mark.parametrize(("words", "says"), BAD_CALLS, ids=[words for words, _ in BAD_CALLS])
def test_a_mistake_is_one_line_and_exit_code_2(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    words = [str(ROOT / word) if word == "README.md" else word for word in words.split()]
    code, out, err = run(*words, capsys=capsys)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1
    assert out == ""
    assert not list(tmp_path.iterdir())  # nothing was written, so no run was begun


@pytest.mark.slow
@pytest.mark.parametrize(
    "search",
    ["beam --evaluator halving --reflection-mix 2 --typed-feedback", "utility --evaluations 600 --scoring likelihood",
     "utility --selection students --pool 16 --draw 10"],
)  # fmt: skip
def test_every_search_runs_from_the_command_line(search, tmp_path, small_data, capsys):
    words = ["--task", "fallacy", "--data", small_data, *SMALL, "--out", str(tmp_path / "r"), "--search"]
    code, printed, _ = run(*words, *search.split(), capsys=capsys)
    assert code == 0
    assert f"fallacy (data): 40 training, 12 held-out examples; {search.split()[0]}, K = 4" in printed
    report = (tmp_path / "r" / "report.md").read_text()
    assert "## F1 by round" in report
    assert "Whose mistakes led to its exemplars" in report
    assert ("Which exemplars teach" in report) == search.startswith("utility")
    assert ("Kinds of mistake" in report) == ("--typed-feedback" in search)
    assert f"--search {search}" in report or "--search beam" in report or search.split()[1] in report
    results = json.loads((tmp_path / "r" / "results.json").read_text())
    assert {(e["name"], e["round"]) for e in results["by_round"]} == {
        (name, number) for name in ("m3-self", "m3-one", "m3-several") for number in (0, 1)
    }
    for search_record in map(json.loads, (tmp_path / "r" / "searches.jsonl").read_text().splitlines()):
        assert len(search_record["rounds"]) == 2
        assert search_record["rounds"][0]["churn"] == 0


@pytest.mark.slow
def test_a_study_is_in_the_run_folder_with_its_pictures_and_resumes(tmp_path, small_data, capsys):
    words = ["--task", "fallacy", "--data", small_data, *SMALL, "--search", "tpe", "--evaluations", "420"]
    out = tmp_path / "r"
    assert run(*words, "--out", str(out), "--max-calls", "2500", capsys=capsys)[0] == 3
    assert (out / "study.log").is_file()
    assert run("--resume", str(out), capsys=capsys)[0] == 0
    assert {"study.log", "study_history.png", "study_importance.png"} <= {p.name for p in out.iterdir()}
    assert "study_history.png" in (out / "report.md").read_text()
    storage = open_storage(str(out / "study.log"))
    for study in storage.get_all_studies():
        states = [t.state.name for t in storage.get_all_trials(study._study_id)]
        assert states.count("COMPLETE") + states.count("PRUNED") == 420 // 30 - 1
        assert "RUNNING" not in states


def test_a_storage_is_kept_without_its_password(tmp_path):
    line = CommandLine.of(
        parser().parse_args(["--task", "fallacy", "--search", "tpe", "--storage", "postgresql://me:secret@host/db"])
    )
    settings = settings_of(line)
    save_record(settings, tmp_path)
    assert "secret" not in (tmp_path / "run.json").read_text()
    assert settings.storage == "postgresql://me:***@host/db"
    options = run_options(line, settings.task, settings.storage)
    assert options.storage == "postgresql://me:secret@host/db"
    with pytest.raises(UserError, match="since passwords are not kept"):
        settings_of(CommandLine.of(parser().parse_args(["--resume", str(tmp_path)])))


def test_the_defaults_of_the_command_are_those_of_the_library():
    ours = {f.name: f.default for f in dataclasses.fields(SearchSettings)}
    theirs = {f.name: f.default for f in dataclasses.fields(LbTExemplars)}
    assert {name: ours[name] for name in SEARCH} == {name: theirs[name] for name in SEARCH}


def test_a_used_out_folder_is_refused(tmp_path, capsys):
    (tmp_path / "x").write_text("")
    code, _, err = run("--task", "fallacy", "--out", str(tmp_path), capsys=capsys)
    assert code == 2
    assert "is not empty" in err


@pytest.mark.slow
def test_a_dry_run_asks_nothing_and_is_never_exceeded(server, fleet, small_data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FLEET_TEST_KEY", "sk-fleet-secret-42")
    monkeypatch.chdir(tmp_path)
    with server("--rate-limit", "0.1") as good, server("--server-error", "0.3") as bad:
        words = ["--task", "fallacy", "--data", small_data, *SMALL, "--config", fleet(good, bad)]
        words += ["--teacher", "fleet", "--students", "fleet,pupil"]
        code, out, _ = run(*words, "--dry-run", capsys=capsys)
        assert code == 0
        assert stats(good)["requests"] == stats(bad)["requests"] == 0
        assert not (tmp_path / "runs").exists()
        plan = {tuple(line.split()[:2]): line.replace(",", "").split() for line in out.splitlines() if "fleet" in line}
        plan |= {("students", "pupil"): next(ln.replace(",", "").split() for ln in out.splitlines() if "pupil" in ln)}
        assert run(*words, "--out", str(tmp_path / "run"), capsys=capsys)[0] == 0
        results = json.loads((tmp_path / "run" / "results.json").read_text())
        assert results["calls"]["teacher"] <= int(plan["teacher", "fleet"][4])
        for name, calls in results["calls"]["students"].items():
            assert 0 < calls <= int(plan["students", name][4])
        assert results["calls"]["teacher"] + sum(results["calls"]["students"].values()) == (
            stats(good)["requests"] + stats(bad)["requests"]
        )


def test_a_failing_deployment_and_a_secret(server, fleet, small_data, tmp_path, monkeypatch, capsys):
    """30% of one deployment's requests fail: the run completes, says its coverage, and writes no key anywhere."""
    monkeypatch.setenv("FLEET_TEST_KEY", "sk-fleet-secret-42")
    faults = "--rate-limit 0.1 --server-error 0.08 --disconnect 0.06 --malformed 0.06".split()
    with server() as good, server(*faults) as bad:
        words = ["--task", "fallacy", "--data", small_data, *SMALL, "--config", fleet(good, bad), "--teacher", "fleet"]
        words += ["--students", "pupil,fleet", "--out", str(tmp_path / "run"), "--workers", "16"]
        code, out, err = run(*words, capsys=capsys)
    assert code == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert all(entry["coverage"] == 1.0 for entry in results["results"])
    assert results["cost_usd"] is None
    for path in (tmp_path / "run").iterdir():
        assert b"fleet-secret" not in path.read_bytes()
    assert "fleet-secret" not in out + err


@pytest.mark.slow
def test_the_budget_stops_a_run_and_resume_finishes_it(server, small_data, tmp_path, capsys):
    """Exit code 3, what is known so far, not one call too many; then the same results as an unbroken run."""
    with server() as base_url:
        model = f"hosted_vllm/m@{base_url}"
        words = ["--task", "fallacy", "--data", small_data, *SMALL, "--teacher", model, "--students", model]
        code, out, err = run(
            *words, "--client", "litellm", "--out", str(tmp_path / "a"), "--workers", "64", "--max-calls", "500",
            capsys=capsys,
        )  # fmt: skip
        assert code == 3
        assert stats(base_url)["requests"] == 500
        assert "zero" in out
        assert f"--resume {tmp_path / 'a'}" in out
        asked, error = err.splitlines()
        assert asked.startswith(f"Asked: teacher hosted_vllm/m@{base_url} at {base_url}; student")
        assert error == "error: the budget of 500 calls is spent"
        code, _, err = run("--resume", str(tmp_path / "a"), "--rounds", "3", capsys=capsys)
        assert (code, err.count("\n")) == (2, 1)
        assert "--rounds cannot be changed on --resume" in err
        # The same settings again are fine, and so is another client.
        assert run("--resume", str(tmp_path / "a"), *words, "--client", "lean", capsys=capsys)[0] == 0
        needed = stats(base_url)["requests"]
        assert run(*words, "--out", str(tmp_path / "b"), capsys=capsys)[0] == 0
        assert stats(base_url)["requests"] == 2 * needed
        assert run("--resume", str(tmp_path / "b"), capsys=capsys)[0] == 0
        assert stats(base_url)["requests"] == 2 * needed
    assert without_times(tmp_path / "a" / "results.json") == without_times(tmp_path / "b" / "results.json")


def test_two_processes_never_share_a_run_folder(small_data, tmp_path, capsys):
    """Both would pay for the same calls."""
    words = ["--task", "fallacy", "--data", small_data, *SMALL, "--max-calls", "10"]
    assert run(*words, "--out", str(tmp_path / "r"), capsys=capsys)[0] == 3
    with alone_in(tmp_path / "r"):
        code, _, err = run("--resume", str(tmp_path / "r"), capsys=capsys)
    assert code == 2
    assert "is in use by another process" in err
    assert run("--resume", str(tmp_path / "r"), capsys=capsys)[0] == 0


def test_standard_output_is_json_or_nothing(small_data, tmp_path, capsys):
    words = ["--task", "fallacy", "--data", small_data, *SMALL, "--json", "-"]
    code, out, err = run(*words, "--out", str(tmp_path / "a"), "--max-calls", "10", capsys=capsys)
    assert (code, out) == (3, "")
    assert "no row is complete" in err
    code, out, err = run(*words, "--out", str(tmp_path / "b"), capsys=capsys)
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "b" / "results.json").read_text())
    assert str(tmp_path / "b") in err


def command(*words):
    return [sys.executable, str(ROOT / "benchmarks" / "run.py"), *words]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_that_is_killed_loses_only_what_was_in_flight(server, small_data, tmp_path, capsys):
    with server("--latency", "0.01") as base_url:
        model = f"hosted_vllm/m@{base_url}"
        words = ["--task", "fallacy", "--data", small_data, *SMALL, "--teacher", model, "--students", model, "--quiet"]
        words += ["--seeds", "0"]
        assert run(*words, "--out", str(tmp_path / "whole"), capsys=capsys)[0] == 0
        needed = stats(base_url)["requests"]
        for how, stop_at in ((signal.SIGINT, 5), (signal.SIGKILL, needed // 3), (signal.SIGTERM, needed // 2)):
            out = tmp_path / f"broken-{stop_at}"
            before = stats(base_url)["requests"]
            process = subprocess.Popen(
                command(*words, "--out", str(out)),
                stderr=subprocess.PIPE,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
            )
            wait_for(lambda b=before, s=stop_at: stats(base_url)["requests"] >= b + s)
            os.kill(process.pid, how)
            _, errors = process.communicate(timeout=30)
            assert b"Traceback" not in errors
            if how != signal.SIGKILL:
                assert process.returncode == 1
                assert f"--resume {out}".encode() in errors
            assert run("--resume", str(out), "--quiet", capsys=capsys)[0] == 0
            assert needed <= stats(base_url)["requests"] - before <= needed + 8
            assert without_times(out / "results.json") == without_times(tmp_path / "whole" / "results.json")


def test_the_command_is_installed():
    done = subprocess.run([str(Path(sys.executable).parent / "lbt"), "--help"], capture_output=True, check=True)
    assert done.stdout.startswith(b"usage: lbt")


def test_the_question_of_a_task_is_its_instruction():
    assert classification("Is it?", ("a", "b")).instructions == "Is it?"
