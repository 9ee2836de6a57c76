"""`lbt predict` and `lbt compare`: what they write, print and refuse."""

import csv
import json
import shutil
import sys

import dspy
import pyarrow
import pytest
from command_line import OWN, PROGRAMS, SMALL, TOPICS, rows_of, run, write_csv
from conftest import stats
from pyarrow import parquet

from lbt_dspy.benchmarks.cli.main import main
from lbt_dspy.benchmarks.shared.held_out import references_of, runs_of
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.metrics import MacroF1, paired_bootstrap

RUNS = {"a": (), "b": ("--rounds", "0", "--seeds", "0,1")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs, a and b, of one task with different settings, and one, c, of two labels."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "desk.py").write_text(PROGRAMS)
        write_csv("train.csv", rows_of("old", 6))
        write_csv("test.csv", rows_of("new", 4))
        for name, words in RUNS.items():
            assert main([*OWN, *SMALL, *words, "--out", name]) == 0
        write_csv("train.csv", rows_of("old", 6, ("food", "sport")))
        write_csv("test.csv", rows_of("new", 6, ("food", "sport")))
        for name, label in (("c", "food"), ("d", "sport")):
            assert main([*OWN, *SMALL, "--positive", label, "--out", name]) == 0
    return folder


@pytest.fixture
def folder(runs, tmp_path, monkeypatch):
    """The current folder, with the runs' results and programs, and a file to predict."""
    for name in "abcd":
        (tmp_path / name).mkdir()
        for file in ("results.json", "program.json"):
            shutil.copy(runs / name / file, tmp_path / name / file)
    monkeypatch.chdir(tmp_path)
    write_csv("new.csv", rows_of("never seen", 3))
    yield tmp_path
    sys.modules.pop("desk", None)


def read_csv(text):
    return list(csv.DictReader(text.splitlines(keepends=True)))


def test_rows_of_every_kind_go_in_and_out(folder, capsys):
    rows = [{**row, "id": i, "seen": i % 2 == 0, "note": None} for i, row in enumerate(rows_of("never seen", 3))]
    (folder / "new.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    parquet.write_table(pyarrow.Table.from_pylist(rows), "new.parquet")
    code, out, err = run("predict", "a/program.json", "new.csv", capsys=capsys)
    assert code == 0
    found = [row["prediction"] for row in read_csv(out)]
    assert found == [row["label"] for row in rows]
    assert err == (
        "9 rows: 9 predicted, 0 unreadable, 0 not measured, 0 without text; 9 calls, cost $0\n"
        "macro-F1 100.0 [100.0, 100.0], accuracy 100.0 [100.0, 100.0] in %, on 9 rows with a label\n"
    )
    wanted = [{**row, "prediction": label} for row, label in zip(rows, found, strict=True)]
    for source in ("new.jsonl", "new.parquet"):
        for ending in ("jsonl", "ndjson", "parquet", "csv"):
            code, out, _ = run("predict", "a/program.json", source, "--out", f"out.{ending}", "--quiet", capsys=capsys)
            assert (code, out) == (0, "")
        assert [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()] == wanted
        assert (folder / "out.ndjson").read_text() == (folder / "out.jsonl").read_text()
        assert parquet.read_table("out.parquet").to_pylist() == wanted
        assert read_csv((folder / "out.csv").read_text())[1] == {
            "text": rows[1]["text"], "label": rows[1]["label"], "id": "1", "seen": "False", "note": "",
            "prediction": rows[1]["label"],
        }  # fmt: skip


def test_equal_texts_are_asked_once_and_rows_without_text_not_at_all(folder, capsys):
    texts = ("soup", " ", "soup", 'goal\nand, "more"', "")
    rows = [{"text": text, "prediction": "mine"} for text in texts]
    write_csv("new.csv", rows)
    code, out, err = run("predict", "a/program.json", "new.csv", capsys=capsys)
    assert code == 0
    found = read_csv(out)
    assert [row["text"] for row in found] == [row["text"] for row in rows]
    assert [row["prediction"] for row in found] == ["mine"] * 5
    first, empty, again, other, nothing = (row["prediction_2"] for row in found)
    assert (empty, nothing) == ("", "")
    assert first == again in TOPICS
    assert other in TOPICS
    assert err == "5 rows: 3 predicted, 0 unreadable, 0 not measured, 2 without text; 2 calls, cost $0\n"


def test_the_same_answers_as_plain_dspy_without_a_warning(folder, capsys, recwarn):
    program = dspy.Predict("text -> label")
    program.load("a/program.json")
    with dspy.context(lm=embedded_lm("embedded/words")):
        plain = [program(text=row["text"]).label for row in rows_of("never seen", 3)]
    assert capsys.readouterr().err == ""
    assert not [w for w in recwarn if "lbt" in str(w.message)]
    _, out, _ = run("predict", "a/program.json", "new.csv", "--teacher", "embedded/words", capsys=capsys)
    assert [row["prediction"] for row in read_csv(out)] == plain


def test_labels_that_the_program_does_not_know_are_in_no_score(folder, capsys):
    write_csv("new.csv", [*rows_of("n", 2), {"text": "rain", "label": "weather"}, {"text": "the chip", "label": ""}])
    code, _, err = run("predict", "a/program.json", "new.csv", capsys=capsys)
    assert code == 0
    assert "on 6 rows with a label" in err
    assert "1 rows have a label that is none of the program's: in no score" in err
    _, _, err = run("predict", "c/program.json", "new.csv", capsys=capsys)
    assert "F1 (of 'food') " in err


@pytest.mark.parametrize("flags", [("--max-calls", "4"), ("--max-calls", "4", "--program", "desk:Single")])
def test_a_spent_budget_keeps_what_was_answered(flags, folder, capsys):
    (folder / "desk.py").write_text(PROGRAMS)
    path = folder / "a" / "program.json"
    if "--program" in flags:
        state = json.loads(path.read_text())
        about = state.pop("metadata")
        about["lbt_dspy"]["program"] = "desk:Single"
        path.write_text(json.dumps({"classify": state, "metadata": about}))
    code, _, err = run("predict", "a/program.json", "new.csv", "--out", "out.csv", *flags, capsys=capsys)
    assert code == 3
    assert "9 rows: 4 predicted, 0 unreadable, 5 not measured, 0 without text; 4 calls" in err
    assert err.endswith("error: the budget of 4 calls is spent\n")
    assert sum(row["prediction"] != "" for row in read_csv((folder / "out.csv").read_text())) == 4


def test_what_a_server_does_not_answer_is_counted(folder, server, capsys, monkeypatch):
    monkeypatch.setattr("lbt_dspy.benchmarks.cli.running.RETRIES", 0)
    with server("--empty", "0.3", "--server-error", "0.3") as base_url:
        model = f"hosted_vllm/m@{base_url}"
        write_csv("new.csv", rows_of("never seen", 8))
        code, out, err = run("predict", "a/program.json", "new.csv", "--teacher", model, capsys=capsys)
        assert code == 0
        empty = sum(row["prediction"] == "" for row in read_csv(out))
        words = err.split()
        assert empty == int(words[words.index("unreadable,") - 1]) + int(words[words.index("measured,") - 2]) > 0
        assert f"{stats(base_url)['requests']} calls, cost ?" in err


def test_a_comparison_is_paired_on_the_same_examples(folder, capsys):
    code, out, _ = run("compare", "a/results.json", "b/results.json", capsys=capsys)
    assert code == 0
    a, b = (json.loads((folder / name / "results.json").read_text()) for name in "ab")
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith(" ") and line.split()}
    for entry in a["results"]:
        if entry["metric"] == "macro-f1":
            value, (low, high) = entry["value"], entry["ci95"]
            assert f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]" in lines[entry["name"]]
    methods = {name: runs_of(r["held_out"], "random") for name, r in (("a", a), ("b", b))}
    _, paired = paired_bootstrap(references_of(a["held_out"]), methods, MacroF1(("food", "sport", "tech")))
    d = paired["b", "a"]
    assert f"{100 * d.value:+.1f} [{100 * d.low:.1f}, {100 * d.high:.1f}]" in lines["random"]
    assert "Settings that differ, A | B: rounds 1 | 0." in out
    assert "The seeds differ: A 0, B 0,1" in out
    code, out, _ = run("compare", "a/results.json", "a/results.json", "--rows", "zero, m3-one", capsys=capsys)
    assert code == 0
    assert [name for name in lines if name in out.split()] == ["row", "zero", "m3-one"]
    assert "+0.0 [0.0, 0.0]" in out
    assert "The settings are the same." in out


def test_a_folder_stands_for_its_results(folder, capsys):
    by_file = run("compare", "a/results.json", "b/results.json", capsys=capsys)
    by_folder = run("compare", "a", "b", capsys=capsys)
    assert by_folder[0] == 0
    assert by_folder[1].splitlines()[2:] == by_file[1].splitlines()[2:]  # the first lines name the arguments


def change(folder, name, **held_out):
    results = json.loads((folder / "a" / "results.json").read_text())
    results["held_out"] |= held_out
    (folder / name).write_text(json.dumps(results))


BAD_CALLS = [
    ("predict", "the following arguments are required: PROGRAM.JSON, FILE"),
    ("predict a/program.json new.csv --teecher x", "did you mean --teacher?"),
    ("predict nowhere.json new.csv", "nowhere.json cannot be read (No such file or directory)"),
    ("predict a/results.json new.csv", "a/results.json is no program of an `lbt` run"),
    ("predict new.csv new.csv", "new.csv is no program of an `lbt` run"),
    ("predict plain.json new.csv", "plain.json is no program of an `lbt` run"),
    ("predict a/program.json nowhere.csv", "FILE nowhere.csv does not exist"),
    ("predict a/program.json a", "FILE a is a folder"),
    (
        "predict a/program.json texts.csv",
        "the program's text field text is no column of texts.csv; did you mean 'texts'?",
    ),
    ("predict a/program.json list.jsonl", "row 2 of list.jsonl needs text in 'text', not {'a': 1}"),
    ("predict a/program.json new.csv --out x.xlsx", "--out x.xlsx has an unknown ending; it must be one of .csv"),
    ("predict a/program.json new.csv --out no/x.csv", "--out no/x.csv cannot be written"),
    ("predict a/program.json mixed.jsonl --out x.parquet", "cannot be written as Parquet"),
    ("predict a/program.json new.csv --workers 0", "--workers must be"),
    ("predict a/program.json new.csv --max-calls -1", "max_calls must be"),
    ("predict a/program.json new.csv --teacher embedded/teecher", "did you mean 'embedded/teacher'"),
    (
        "predict a/program.json new.csv --teacher hosted_vllm/m@http://127.0.0.1:1/v1 --max-cost 1",
        "input_cost_per_token",
    ),
    ("predict a/program.json new.csv --program shelf:Desk", "shelf cannot be imported (ModuleNotFoundError"),
    ("compare a/results.json", "the following arguments are required: B.JSON"),
    ("compare a .", "results.json cannot be read (No such file or directory); name the results.json of a run"),
    ("compare a/results.json nowhere.json", "nowhere.json cannot be read"),
    ("compare a/results.json new.csv", "new.csv is no results.json"),
    ("compare a/results.json a/program.json", "a/program.json is no results.json"),
    (
        "compare a/results.json earlier.json",
        "earlier.json holds no held-out answers (an earlier version wrote it); run",
    ),
    ("compare a/results.json texts.json", "both have 12 held-out examples, but their texts or their order differ"),
    ("compare a/results.json labels.json", "the labels are food, sport, tech in A and food, sport, news in B"),
    ("compare a/results.json golds.json", "1 of the 12 held-out examples have another reference label"),
    ("compare c/results.json d/results.json", "the positive label is 'food' in A and 'sport' in B"),
    ("compare a/results.json b/results.json --rows m3-on", "'m3-on' is not in both runs; did you mean 'm3-one'?"),
    ("compare a/results.json rowless.json", "the two runs have no row in common"),
]


@pytest.mark.parametrize(("words", "says"), BAD_CALLS, ids=[words for words, _ in BAD_CALLS])
def test_a_mistake_is_one_line_and_nothing_is_written(words, says, folder, capsys):
    write_csv("texts.csv", [{"texts": "a"}])
    (folder / "list.jsonl").write_text('{"text": "a"}\n{"text": {"a": 1}}')
    (folder / "mixed.jsonl").write_text('{"text": "a", "x": 1}\n{"text": "b", "x": "one"}')
    state = json.loads((folder / "a" / "program.json").read_text())
    del state["metadata"]["lbt_dspy"]
    (folder / "plain.json").write_text(json.dumps(state))
    results = json.loads((folder / "a" / "results.json").read_text())
    (folder / "earlier.json").write_text(json.dumps({k: v for k, v in results.items() if k != "held_out"}))
    golds = results["held_out"]["references"]
    change(folder, "texts.json", texts="0" * 32)
    change(folder, "labels.json", labels=["food", "sport", "news"])
    change(folder, "golds.json", references="1" + golds[1:])
    change(folder, "rowless.json", answers={})
    before = sorted(folder.rglob("*"))
    code, out, err = run(*words.split(), capsys=capsys)
    assert (code, out) == (2, ""), err
    assert says in err
    assert err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before


def test_a_program_that_does_not_fit_is_refused(folder, capsys):
    (folder / "desk.py").write_text(PROGRAMS)
    code, _, err = run("predict", "a/program.json", "new.csv", "--program", "desk:Single", capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "a/program.json does not fit the program desk:Single (KeyError: 'classify')" in err


@pytest.mark.parametrize("command", ["predict", "compare"])
def test_each_command_has_its_help(command, capsys):
    code, out, _ = run(command, "--help", capsys=capsys)
    assert code == 0
    assert f"{command} " in out.splitlines()[0]
    assert f"lbt {command}" in run("--help", capsys=capsys)[1].replace("\n ", "")
