"""Labels that are spelled in two ways or hold commas, halves of characters, and cells that hold lists."""

import csv
import json
import sys

import pytest
from command_line import ASK
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy import UserError
from lbt_dspy.benchmarks.cli.parser import parser
from lbt_dspy.benchmarks.cli.settings import settings_of
from lbt_dspy.benchmarks.shared.command import command_of
from lbt_dspy.benchmarks.shared.words import CommandLine, listed, listing
from lbt_dspy.benchmarks.tasks.classification.own_data import class_key, load_own_data
from lbt_dspy.benchmarks.tasks.tables import parse_json_lines


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lbt"])
    return tmp_path


def settings(*words):
    return settings_of(
        CommandLine.of(parser().parse_args(["--train", "train.jsonl", "--test", "test.jsonl", *ASK, *words]))
    )


def written(train, test=None, column="label"):
    """Write a file of each, a text per label."""
    for name, labels in (("train", train), ("test", test or train)):
        with open(f"{name}.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": f"{name} {n}", column: y}) + "\n" for n, y in enumerate(labels))


TWICE = [  # labels that can only mean one class, and what is said of them
    ("caf\u00e9", "cafe\u0301", r"differ only in spacing or in how their characters are coded; use one spelling"),
    ("very good", "very\u00a0good", r"'very good' and 'very\\xa0good' differ only in spacing"),
    ("very good", "very  good", "differ only in spacing"),
    ("\ufb01ne", "fine", "how their characters are coded"),
    ("spam", "\uff53\uff50\uff41\uff4d", "how their characters are coded"),
    ("spam", "sp\u200bam", "how their characters are coded"),
    ("\u2764", "\u2764\ufe0f", "how their characters are coded"),
    ("\u212b", "\u00c5", "how their characters are coded"),
    ("Spam", "spam", "'Spam' and 'spam' differ only in case"),
    (1, 1.0, "'1' and '1.0' mean the same; use one spelling"),
    (1, "1.0", "mean the same"),
    ("-2", -2.0, "mean the same"),
    (True, 1, "mean the same"),
    ("0.0", False, "mean the same"),
    ("true", 1.0, "mean the same"),
]


@pytest.mark.parametrize(("one", "other", "says"), TWICE)
def test_labels_that_mean_one_class_are_refused_in_one_file_and_in_two(here, one, other, says):
    written([one, other, "else", "else"])
    with pytest.raises(UserError, match=says):
        load_own_data(settings())
    written([one, "else"], ["else", other])
    with pytest.raises(UserError, match=says if "case" not in says else "did you mean 'Spam'"):
        load_own_data(settings())


APART = [
    ("-1", "1"),
    ("C", "C++"),
    ("1.5", "1.50"),
    ("01", "1"),
    ("1.10", "1.1"),
    ("+", "-"),
    (1, 0),
    (True, False),
    (2.5, 2),
]


@pytest.mark.parametrize(("one", "other"), APART)
def test_other_labels_are_told_apart(here, one, other):
    written([one, other])
    assert load_own_data(settings()).task.labels == tuple(sorted((str(one), str(other))))


def test_the_positive_label_may_be_typed_in_another_coding(here):
    written(["cafe\u0301", "ham"])
    assert load_own_data(settings("--positive", "caf\u00e9")).task.positive == "cafe\u0301"
    with pytest.raises(UserError, match="--positive tea is none of the labels"):
        load_own_data(settings("--positive", "tea"))


@given(st.text(), st.text())
def test_a_class_has_one_key(label, more):
    assert class_key(label) == class_key(f" {label}\u00a0")
    assert class_key(f"{label}x{more}") != class_key(f"{label}y{more}")


HALVES = [
    (r'{"text": "Hi \ud83d, you", "label": 1}', {"text": "Hi \ufffd, you", "label": 1}),
    (r'{"text": "\ude00", "label": 1}', {"text": "\ufffd", "label": 1}),
    (r'{"text": "a\ud83d\ude00b", "label": 1}', {"text": "a\U0001f600b", "label": 1}),  # two halves are one
    (r'{"text": "\ude00\ud83d"}', {"text": "\ufffd\ufffd"}),
    (r'{"\uD83Dx": 1}', {"\ufffdx": 1}),
    (r'{"text": ["\ud83d", {"a": "\udfff"}]}', {"text": ["\ufffd", {"a": "\ufffd"}]}),
    (r'{"text": "\\ud83d"}', {"text": r"\ud83d"}),  # a backslash, and a word
]


@pytest.mark.parametrize(("line", "row"), HALVES)
def test_halves_of_characters_are_replaced(line, row):
    assert parse_json_lines(line, "a.jsonl") == [row]


NO_JSON = [
    ("{", "Expecting property name enclosed in double quotes at character 2"),
    ("[1]", "line 1 of a.jsonl is no JSON object; each line must be one"),
    ('{"a": ' + "9" * 5000 + "}", "4300 digits"),
    ('{"a": ' + "[" * 100_000, "too deep"),
    ('{"a": 1} {"b": 2}', "Extra data at character 10"),
]


@pytest.mark.parametrize(("line", "says"), NO_JSON)
def test_what_is_no_json_is_told_by_its_reason(line, says):
    with pytest.raises(UserError, match=r"line 1 of a.jsonl is no JSON object") as error:
        parse_json_lines(line, "a.jsonl")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


NESTED = [
    (["spam"], r"row 1 of train.jsonl holds a list in 'label', \['spam'\]; give it one label as text"),
    ([], "holds a list in 'label'"),
    (["a", "b"], "holds a list"),
    ({"name": "spam"}, r"holds an object in 'label', \{'name': 'spam'\}"),
    ({}, "holds an object"),
    ("", "row 1 of train.jsonl has no label in 'label'"),
    (None, "has no label"),
]


@pytest.mark.parametrize(("label", "says"), NESTED)
def test_a_label_that_is_no_text(here, label, says):
    written([label, "ham"])
    with pytest.raises(UserError, match=says):
        load_own_data(settings())


LISTS = [
    ("a,b", ["a", "b"]),
    ('"a, b",c', ["a, b", "c"]),
    ('c, "a, b"', ["c", "a, b"]),
    ('"a, b" , c', ["a, b", "c"]),
    ('"a, ""b""",c', ['a, "b"', "c"]),
    ('"a","b, c"', ["a", "b, c"]),
    ('"a",b', ['"a"', "b"]),  # no comma in them: quotes are quotes, as ever
    ('5" pipe,6" pipe', ['5" pipe', '6" pipe']),
    ('"a,b', ['"a', "b"]),
    ("a", ["a"]),
    ("", [""]),
    (" a , b ", ["a", "b"]),
]


@pytest.mark.parametrize(("text", "parts"), LISTS)
def test_lists_of_the_command_line(text, parts):
    assert listed(text) == parts


NAMES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters='"'), min_size=1).map(str.strip)


@given(st.lists(NAMES.filter(bool), min_size=1))
def test_a_list_is_written_as_it_is_read(parts):
    assert listed(listing(parts)) == parts


def test_labels_and_columns_with_commas_can_be_named(here):
    for name in ("train", "test"):
        with open(f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            rows = [(f"{name} {n}", "x", y) for n, y in enumerate(("yes, sir", "no"))]
            csv.writer(file).writerows([("Title, short", "body", "Class, all"), *rows])
    words = ["--train", "train.csv", "--test", "test.csv", *ASK, "--label-field", "Class, all"]
    words += ["--labels", '"yes, sir",no', "--text-field", '"Title, short",body', "--positive", "yes, sir"]
    found = settings_of(CommandLine.of(parser().parse_args(words)))
    task = load_own_data(found).task
    assert (task.labels, task.positive) == (("yes, sir", "no"), "yes, sir")
    assert (task.text_fields, task.label_field) == (("Title, short", "body"), "Class, all")
    command = command_of(found)
    assert """--labels '"yes, sir",no'""" in command
    assert """--text-field '"Title, short",body'""" in command


def test_help_says_how_a_comma_is_written():
    told = " ".join(parser(["--train", "x"]).format_help().split())
    assert '"A, B",C' in told
