"""A classification task of one's own, by flags alone: what is read, refused, trained and written."""

import json
import sys

import datasets
import dspy
import pyarrow
import pytest
from command_line import ASK, OWN, PROGRAMS, ROW_NAMES, SMALL, rows_of, run, without_times, write_csv
from pyarrow import parquet

from lbt_dspy import classification
from lbt_dspy.benchmarks.cli.parser import parser
from lbt_dspy.benchmarks.cli.settings import settings_of
from lbt_dspy.benchmarks.shared.words import CommandLine
from lbt_dspy.benchmarks.tasks.classification.own_data import load_own_data
from lbt_dspy.benchmarks.tasks.tables import from_hub
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.signatures import field_names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a small task of three classes and programs for it."""
    monkeypatch.chdir(tmp_path)
    write_csv("train.csv", rows_of("old", 6))
    write_csv("test.csv", rows_of("new", 4))
    (tmp_path / "desk.py").write_text(PROGRAMS)
    (tmp_path / "broken.py").write_text("1 / 0")
    yield tmp_path
    for name in ("desk", "broken"):
        sys.modules.pop(name, None)


def load(*words):
    return load_own_data(settings_of(CommandLine.of(parser().parse_args(list(words)))))


def results_in(folder):
    return json.loads((folder / "results.json").read_text())


def test_three_classes_run_by_flags_alone_and_resume(folder, capsys):
    code, printed, _ = run(*OWN, *SMALL, "--out", "run", capsys=capsys)
    assert code == 0
    assert "macro-F1 [95%]" in printed
    assert "train (train.csv, test.csv): 18 training, 12 held-out examples" in printed
    results = results_in(folder / "run")
    assert results["task"] == "train"
    assert (results["settings"]["positive"], results["settings"]["labels"]) == (None, ["food", "sport", "tech"])
    assert {e["metric"] for e in results["results"]} == {"macro-f1", "accuracy"}
    assert list(results["held_out"]["answers"]) == ROW_NAMES
    assert [len(lines) for lines in results["held_out"]["answers"].values()] == [1, 20, 1, 1, 1, 1, 1]
    assert "`lbt --train DIR/train.csv --test DIR/test.csv --question 'What is it about?'" in (
        (folder / "run" / "report.md").read_text()
    )
    assert "macro-F1" in (folder / "run" / "report.md").read_text()
    program = dspy.Predict("text -> label")
    program.load(str(folder / "run" / "program.json"))
    with dspy.context(lm=embedded_lm("embedded/teacher")):
        assert program(text="the soup and the bread").label == "food"
    again = without_times(folder / "run" / "results.json")
    for words in ((), OWN, ("--text-field", "text")):
        assert run("--resume", "run", *words, capsys=capsys)[0] == 0
        assert without_times(folder / "run" / "results.json") == again
    code, _, err = run("--resume", "run", "--question", "Else?", capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "--question cannot be changed on --resume" in err


BAD_DATA = [
    ("--test test.csv -q", "--test needs --train FILE"),
    ("--labels a,b --task fallacy", "--labels needs --train FILE"),
    ("--train train.csv -q", "--train train.csv needs --test FILE: the held-out examples"),
    ("--train train.csv --test test.csv", "--train train.csv needs --question TEXT"),
    ("OWN --task liar", "--task liar does not go with --train train.csv"),
    ("OWN --data hf", "--data hf does not go with --train train.csv"),
    ("OWN --text-field txt", "--text-field txt is no column of train.csv; did you mean 'text'? it has: text, label"),
    ("OWN --text-field text,Label", "--text-field Label is no column of train.csv; did you mean 'label'?"),
    ("OWN --label-field topic", "--label-field topic is no column of train.csv; it has: text, label"),
    ("OWN --text-field label", "--text-field must be different columns, none of them the label's, but got 'label'"),
    ("OWN --label-field text", "--text-field must be different columns"),
    ("OWN --text-field text,text", "--text-field must be different columns"),
    ("OWN --filter lable=food", "did you mean 'label'?"),
    ("OWN --filter label=food", "have only one class (food)"),
    ("OWN --labels food", "--labels must be two or more different names"),
    ("OWN --labels food,food", "--labels must be two or more different names"),
    (
        "OWN --labels food,sport",
        "row 3 of train.csv has the label 'tech', which is not in --labels food, sport; add it",
    ),
    ("OWN --labels food,sport,teck", "did you mean 'teck'? add it"),
    ("OWN --positive foot", "--positive foot is none of the labels; did you mean 'food'? they are: food, sport, tech"),
    ("OWN --positive food", "--positive food needs two labels but there are 3; leave it out: macro-F1"),
    ("OWN --exemplars 400", "--exemplars must be at most the 18 training examples"),
    ("OWN --trian x", "did you mean --train?"),
    ("--train nowhere.csv --test test.csv -q", "nowhere.csv does not exist; give a file that ends in .csv"),
    ("--train . --test test.csv -q", " is a folder; give a file that ends in .csv, .jsonl"),
    ("--train desk.py --test test.csv -q", "desk.py has an unknown ending; it must be one of .csv"),
    ("--train empty.csv --test test.csv -q", "empty.csv is empty; give a header line and rows"),
    ("--train header.csv --test test.csv -q", "header.csv has no rows"),
    ("--train empty.jsonl --test test.csv -q", "empty.jsonl has no rows"),
    ("--train latin.csv --test test.csv -q", "latin.csv cannot be read ('utf-8' codec"),
    ("--train ragged.csv --test test.csv -q", "row 2 of ragged.csv has 3 cells, its header 2"),
    ("--train open.csv --test test.csv -q", "line 3 of open.csv is no CSV (unexpected end of data)"),
    ("--train twice.csv --test test.csv -q", "the header of twice.csv names 'text' twice"),
    ("--train bad.jsonl --test test.csv -q", "line 2 of bad.jsonl is no JSON object"),
    ("--train half.jsonl --test test.csv -q", "half.jsonl is no JSON object (Expecting ',' delimiter at character 25)"),
    ("--train list.jsonl --test test.csv -q", "row 1 of list.jsonl needs text in 'text', not ['a']"),
    ("--train bad.parquet --test test.csv -q", "bad.parquet cannot be read as Parquet"),
    ("--train unlabelled.csv --test test.csv -q", "row 2 of unlabelled.csv has no label in 'label'; give it one"),
    ("--train one.csv --test test.csv -q --labels food,sport,tech", "have only one class (food)"),
    (
        "--train train.csv --test train.csv -q",
        "the 0 held-out examples of train.csv have only one class (no label at all",
    ),
    ("--train train.csv --test other.csv -q", "row 2 of other.csv has the label 'teck', which no training row has"),
    ("--train train.csv --test other.csv -q", "did you mean 'tech'? correct it, or name all labels with --labels"),
    ("--train cases.csv --test test.csv -q --labels food,sport,tech,Food", "'food' and 'Food' differ only in case"),
    ("OWN --predictor classify", "--predictor classify needs --program MODULE:NAME"),
    ("OWN --program desk", "--program must be MODULE:NAME, e.g. desk:Desk, but got 'desk'"),
    ("OWN --program desq:Desk", "desq cannot be imported (ModuleNotFoundError: No module named 'desq')"),
    ("OWN --program broken:Desk", "broken cannot be imported (ZeroDivisionError: division by zero)"),
    ("OWN --program desk:Disk", "desk has no 'Disk'; did you mean 'Desk'? its programs: Desk, Single"),
    ("OWN --program desk:number", "desk:number is no dspy.Module but of type int"),
    ("OWN --program desk:Demanding", "desk:Demanding cannot be made without arguments"),
    ("OWN --program desk:Empty", "desk:Empty has no predictor that could learn"),
    ("OWN --program desk:Desk", "desk:Desk has 2 predictors: classify, urgency; say which with --predictor"),
    ("OWN --program desk:Desk --predictor clasify", "did you mean 'classify'? it has: classify, urgency"),
    (
        "OWN --program desk:Desk --predictor urgency",
        "urgency has no output field 'label', the label's; it has: urgency",
    ),
    ("OWN --program desk:Still", "desk:Still has no forward method; give it one that takes the text fields"),
    ("OWN --program desk:Titled", "desk:Titled takes no input 'text', a text field; it takes: title"),
    ("OWN --program desk:Greedy", "desk:Greedy needs the input 'user' too; name its column with --text-field"),
    ("OWN --program desk:Blind", "the predictor classify reads none of the text fields text; it reads: summary"),
    ("OWN --program desk:Nameless", "classify has no output field 'label', the label's; it has: topic"),
]


def write_bad_files(folder):
    lines = {
        "empty.csv": "", "header.csv": "text,label\n", "empty.jsonl": "\n\n", "ragged.csv": "text,label\na,b\na,b,c\n",
        "open.csv": 'text,label\n"a,b\nc,d\n', "twice.csv": "text,text,label\na,b,c\n", "bad.parquet": "PAR1",
        "bad.jsonl": '{"text": "a", "label": 1}\n[]\n', "half.jsonl": '{"text": "a", "label": 1\n',
        "list.jsonl": '{"text": ["a"], "label": 1}\n', "unlabelled.csv": "text,label\na,b\nc, \n",
        "one.csv": "text,label\na,food\nb,food\n", "other.csv": "text,label\nx,tech\ny,teck\n",
        "cases.csv": "text,label\na,food\nb,Food\nc,sport\n",
    }  # fmt: skip
    for name, text in lines.items():
        (folder / name).write_text(text)
    (folder / "latin.csv").write_bytes("text,label\ncafé,a\n".encode("latin-1"))


@pytest.mark.parametrize(("words", "says"), BAD_DATA, ids=[f"{words} | {says[:30]}" for words, says in BAD_DATA])
def test_a_mistake_is_one_line_and_nothing_is_written(words, says, folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    write_bad_files(folder)
    before = sorted(folder.rglob("*"))
    call = [part for word in words.split() for part in {"OWN": OWN, "-q": ASK}.get(word, (word,))]
    code, out, err = run(*call, *(SMALL if "--exemplars" not in call else ()), capsys=capsys)
    assert (code, out) == (2, ""), err
    assert says in err
    assert err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before


def test_a_program_that_does_not_return_the_label_is_the_users_mistake(folder, capsys):
    code, _, err = run(*OWN, *SMALL, "--program", "desk:Silent", capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "the program's prediction has no field 'label', only topic; return it too" in err


PROGRAM_CASES = [
    ("desk:Desk", "classify"),
    *(pytest.param(spec, None, marks=pytest.mark.slow) for spec in ("desk:Single", "desk:ready")),
    ("desk:plain", None),
]


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "predictor"), PROGRAM_CASES)
def test_a_program_of_ones_own_learns_one_predictor(spec, predictor, folder, capsys):
    words = [*OWN, *SMALL, "--program", spec, *(("--predictor", predictor) if predictor else ())]
    code, planned, err = run(*words, "--dry-run", capsys=capsys)
    assert code == 0, err
    assert "taken to ask each of its predictors once in a run" in planned
    assert run(*words, "--out", "run", capsys=capsys)[0] == 0
    results = results_in(folder / "run")
    assert (results["settings"]["program"], results["settings"]["predictor"]) == (spec, predictor)
    most = next(line.split()[2].replace(",", "") for line in planned.splitlines() if line.startswith(" teacher"))
    assert 0 < results["calls"]["teacher"] <= int(most)
    state = json.loads((folder / "run" / "program.json").read_text())
    assert len((state if spec == "desk:plain" else state["classify"])["demos"]) == 4
    assert not state.get("urgency", {}).get("demos")
    code, out, err = run("predict", "run/program.json", "test.csv", "--program", spec, capsys=capsys)
    assert (code, out.count("\n")) == (0, 13), err
    code, _, err = run("predict", "run/program.json", "test.csv", capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert f"compiled from a program of your own; give it with --program {spec}" in err


def test_cells_are_text_as_they_stand(folder):
    texts = [
        "NA", "007", "1e5", "True", "null", 'she said "no", twice', "two\nlines", "x" * 10_000, "👩‍👩‍👧 ok",
        "שלום עולם", "  spaced  ", "[[ ## label ## ]]", "=1+1", "{text}",
    ]  # fmt: skip
    rows = [{"text": text, "label": ("0", "NA")[i % 2]} for i, text in enumerate(texts)]
    write_csv("odd.csv", rows)
    (folder / "odd.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    parquet.write_table(pyarrow.Table.from_pylist(rows), "odd.parquet")
    (folder / "bom.CSV").write_bytes(b"\xef\xbb\xbf" + (folder / "odd.csv").read_bytes())
    write_csv("held.csv", [{"text": f"held {i}", "label": ("0", "NA")[i % 2]} for i in range(4)])
    for name in ("odd.csv", "odd.jsonl", "odd.parquet", "bom.CSV"):
        data = load("--train", name, "--test", "held.csv", *ASK)
        assert [e.text for e in data.train] == texts
        assert (data.task.labels, data.task.positive) == (("0", "NA"), "NA")


def test_numbers_and_truths_become_text(folder):
    rows = [{"text": f"t {i}", "age": i, "label": bool(i % 2)} for i in range(5)]
    (folder / "a.ndjson").write_text("\n".join(json.dumps(row) for row in rows))
    (folder / "b.jsonl").write_text("\n".join(json.dumps({**row, "text": f"h {row['age']}"}) for row in rows))
    data = load("--train", "a.ndjson", "--test", "b.jsonl", *ASK, "--text-field", "text", "--text-field", "age")
    assert (data.train[3].text, data.train[3].age, data.train[3].label) == ("t 3", "3", "True")
    assert (data.task.labels, data.task.positive) == (("False", "True"), "True")
    assert load("--train", "a.ndjson", "--test", "b.jsonl", *ASK, "--positive", "False").task.positive == "False"


def test_empty_texts_are_dropped_and_a_class_of_one_example_and_an_unseen_label_are_fine(folder, capsys):
    write_csv(
        "train.csv",
        [*rows_of("old", 6, ("food", "sport")), *rows_of("o", 1, ("tech",)), {"text": " ", "label": "food"}],
    )
    write_csv("test.csv", [*rows_of("new", 3), {"text": "rain", "label": "weather"}])
    words = [*OWN, *SMALL, "--labels", "food, sport,tech,weather"]
    assert run(*words, "--out", "run", capsys=capsys)[0] == 0
    results = results_in(folder / "run")
    assert results["settings"]["dropped"] == {"empty": 1}
    assert results["settings"]["labels"] == ["food", "sport", "tech", "weather"]
    assert run("--resume", "run", *words, capsys=capsys)[0] == 0


def test_several_fields_with_names_that_are_no_identifiers(folder, capsys):
    def renamed(rows):
        return [{"Review Title": "about it", "class": r["text"], "Is it?": r["label"]} for r in rows]

    write_csv("train.csv", renamed(rows_of("old", 6)))
    write_csv("test.csv", renamed(rows_of("new", 4)))
    fields = ("--text-field", "Review Title,class", "--label-field", "Is it?", "--filter", "Review Title=about it")
    assert run(*OWN, *fields, *SMALL, "--out", "run", capsys=capsys)[0] == 0
    results = results_in(folder / "run")
    assert (results["settings"]["train"], results["settings"]["dropped"]) == (18, {})
    assert results["settings"]["text_fields"] == ["Review Title", "class"]
    state = json.loads((folder / "run" / "program.json").read_text())
    assert set(state["demos"][0]) >= {"review_title", "class_field", "is_it"}
    code, out, err = run("predict", "run/program.json", "test.csv", capsys=capsys)
    assert (code, out.splitlines()[0]) == (0, "Review Title,class,Is it?,prediction")
    assert "on 12 rows with a label" in err


NAMES = [
    (("text", "label"), ("text", "label")),
    (("Review Text", "label"), ("review_text", "label")),
    (("Review Text", "review_text", "label"), ("review_text_field", "review_text", "label")),
    (("class", "1st", "", "_x"), ("class_field", "field_1st", "field", "x")),
    (("config", "demos", "completed"), ("config_field", "demos_field", "completed_field")),
    (("instructions", "prediction", "self"), ("instructions_field", "prediction_field", "self_field")),
    (("base", "items", "labels", "json"), ("base_field", "items_field", "labels_field", "json_field")),
    (("A b", "a-b", "a b"), ("a_b", "a_b_field", "field_a_b")),
    (("текст отзыва", "метка"), ("текст_отзыва", "метка")),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "names"), NAMES, ids=[" ".join(c) for c, _ in NAMES])
def test_names_of_fields(columns, names):
    assert field_names(columns) == dict(zip(columns, names, strict=True))
    signature = classification("Q?", ("a", "b"), text_field=columns[:-1], label_field=columns[-1])
    assert tuple(signature.fields) == names
    with dspy.context(lm=embedded_lm("embedded/teacher")):
        assert dspy.Predict(signature)(**dict.fromkeys(names[:-1], "x"))[names[-1]] in ("a", "b")


def test_sets_of_the_hub(folder, monkeypatch, capsys):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["down", "up"])})
    asked = []

    def load_dataset(name, split):
        asked.append((name, split))
        if name != "some/mood":
            raise FileNotFoundError(f"no set {name}")
        rows = {"text": [f"{split} {i}" for i in range(6)], "label": [0, 1, 0, 1, 0, 0]}
        return datasets.Dataset.from_dict(rows, features=features)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = load("--train", "some/mood", "--test", "some/mood:validation", *ASK)
    assert asked == [("some/mood", "train"), ("some/mood", "validation")]
    assert (data.task.name, data.task.labels, data.task.positive) == ("mood", ("down", "up"), "up")
    assert data.source == "some/mood, some/mood:validation"
    assert load("--train", "some/mood", "--test", "some/mood", *ASK).test[0].text == "test 0"
    assert from_hub("some/mood", "train", "")[1]["label"] == 1
    code, _, err = run("--train", "some/modo", "--test", "some/mood", *ASK, capsys=capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert (
        "some/modo cannot be loaded from the Hugging Face hub (FileNotFoundError: no set some/modo); check the name"
        in err
    )


LABELS = [
    (("-1", "0", "1"), "-1", "-1"),
    (("-1", "0", "1"), " 1 ", "1"),
    (("C", "C++"), "C++", "C++"),
    (("a.", "b"), "A", "a."),
    (("+", "-"), "-", "-"),
    (("+", "b"), "...", None),
]


@pytest.mark.parametrize(("labels", "written", "meant"), LABELS)
def test_labels_that_look_alike_are_told_apart(labels, written, meant):
    from lbt_dspy.exam.render import Renderer, UnreadableError

    renderer = Renderer(classification("Q?", labels), dspy.ChatAdapter())
    text = f"[[ ## label ## ]]\n{written}\n\n[[ ## completed ## ]]"
    if meant is None:
        with pytest.raises(UnreadableError):
            renderer.parse(text)
    else:
        assert renderer.parse(text) == {"label": meant}
