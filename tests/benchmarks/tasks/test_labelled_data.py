import json
import re
from collections import Counter

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from lbt_dspy import UserError
from lbt_dspy.benchmarks.tasks.classification.data import load_data
from lbt_dspy.benchmarks.tasks.classification.task import clean, plain_text, plain_texts


def five_word_runs(text):
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def test_the_shipped_set_is_large_enough_varied_and_without_near_duplicates():
    data = load_data("fallacy", None, ())
    assert len(data.train) >= 240
    assert len(data.test) >= 240
    assert not data.dropped
    for split in (data.train, data.test):
        assert 0.3 < Counter(e.label for e in split)["Yes"] / len(split) < 0.5
    train, test = [e.text for e in data.train], [e.text for e in data.test]
    runs = {run for text in train for run in five_word_runs(text)}
    assert not [text for text in test if five_word_runs(text) & runs]
    vectorizer = TfidfVectorizer().fit(train + test)
    assert (vectorizer.transform(train) @ vectorizer.transform(test).T).max() < 0.6


def test_the_row_that_the_task_quotes_is_real():
    from lbt_dspy.benchmarks.tasks.classification import fallacy

    quoted = json.loads(" ".join(fallacy.__doc__.split("One shipped row: ")[1].split()))
    shipped = (ROOT / "benchmarks" / "data" / "fallacy_train.jsonl").read_text().splitlines()
    assert quoted in [json.loads(line) for line in shipped]


@given(
    st.lists(
        st.tuples(st.tuples(st.sampled_from(["a", "A ", "b", "c", "d", " "])), st.sampled_from("01")), max_size=12
    ),
    st.lists(st.tuples(st.tuples(st.sampled_from(["a", "b", "c", "e"])), st.sampled_from("01")), max_size=12),
)
def test_cleaning(train, test):
    kept_train, kept_test, dropped = clean(train, test)
    keys = [plain_texts(texts) for texts, _ in (*kept_train, *kept_test)]
    assert len(keys) == len(set(keys))
    assert all(any(key) for key in keys)
    labels = {}
    for texts, label in (*train, *test):
        labels.setdefault(plain_texts(texts), set()).add(label)
    assert all(len(labels[key]) == 1 for key in keys)
    assert len(kept_train) + len(kept_test) + sum(dropped.values()) == len(train) + len(test)


def folder_of(path, train, test, dev=None):
    for name, rows in (("train", train), ("test", test), ("dev", dev)):
        if rows is not None:
            (path / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return str(path)


ROWS = [{"text": f"text {i}", "label": i % 2, "config": "edu" if i < 6 else "other"} for i in range(8)]
HELD = [{"text": f"held {i}", "label": i % 2, "config": "edu"} for i in range(4)]


def test_a_folder_is_read_with_dev_as_held_out(tmp_path):
    dev = [{"text": "dev 1", "label": 1}, {"text": "text 3", "label": 1}]
    data = load_data("fallacy", folder_of(tmp_path, ROWS, HELD, dev), ())
    assert [e.text for e in data.test] == ["held 0", "held 1", "held 2", "held 3", "dev 1"]
    assert data.dropped == {"repeated": 1}
    assert {e.label for e in data.train} == {"Yes", "No"}


def test_filters(tmp_path):
    folder = folder_of(tmp_path, ROWS, HELD)
    assert len(load_data("liar", folder, ("config=edu",)).train) == 6
    assert len(load_data("liar", folder, ("config=edu", "text=text 1", "label=1")[:1]).test) == 4
    for wish, says in (
        ("confg=edu", "did you mean 'config'"),
        ("config=edo", "leaves no rows; values of config: edu, other"),
        ("config", "must be FIELD=VALUE"),
        ("label=1", "only one class"),
    ):
        with pytest.raises(UserError, match=says):
            load_data("liar", folder, (wish,))


def test_unfit_data(tmp_path):
    with pytest.raises(UserError, match="ships no data"):
        load_data("liar", None, ())
    with pytest.raises(UserError, match="is no folder"):
        load_data("liar", str(tmp_path / "nowhere"), ())
    with pytest.raises(UserError, match=r"has no train\.jsonl"):
        load_data("liar", str(tmp_path), ())
    (tmp_path / "train.jsonl").write_text('{"text": "a", "label": 1}\nnot json\n')
    with pytest.raises(UserError, match=r"line 2 of .*train.jsonl is no JSON object"):
        load_data("liar", str(tmp_path), ())
    with pytest.raises(UserError, match="row 1 of train needs a label, 1 or 0, not 'high'"):
        load_data("liar", folder_of(tmp_path, [{"text": "a", "label": "high"}], HELD), ())


def test_rows_without_text_or_with_other_labels(tmp_path):
    with pytest.raises(UserError, match="row 1 of train needs a text, a string, not 5"):
        load_data("liar", folder_of(tmp_path, [{"text": 5, "label": 1}], HELD), ())
    with pytest.raises(UserError, match=r"has an empty train\.jsonl"):
        load_data("liar", folder_of(tmp_path, [], HELD), ())
    named = [{"text": row["text"], "label": "Yes" if row["label"] else "No"} for row in ROWS]
    assert {e.label for e in load_data("liar", folder_of(tmp_path, named, HELD), ()).train} == {"Yes", "No"}


def test_a_hub_that_cannot_be_reached_is_said_in_one_line(monkeypatch):
    import datasets

    def unreachable(*args, **kwargs):
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(UserError, match=r"ConnectionError: no route\); check the network, or give --data DIR"):
        load_data("fallacy", "hf", ())


def test_rows_of_the_hub_become_ours(monkeypatch):
    import datasets

    fallacy = [
        {"source_article": "x" * 900, "logical_fallacies": "faulty generalization", "config": "edu"},
        {"source_article": "y", "logical_fallacies": "ad hominem", "config": "edu"},
        {"source_article": "z", "logical_fallacies": "faulty generalization", "config": "edu"},
        {"source_article": "w", "logical_fallacies": "ad populum", "config": "edu"},
    ]
    split_of = {"train": fallacy[:2], "test": fallacy[2:], "dev": []}
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: split_of[split])
    data = load_data("fallacy", "hf", ())
    assert [(len(e.text), e.label) for e in data.train] == [(700, "Yes"), (1, "No")]
    said = {"job_title": "j", "state_info": "s", "party_affiliation": "p", "context": "c"}
    liar = [{**said, "statement": f"{split} {label}", "label": label} for split in "ab" for label in range(6)]
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: liar[:6] if split == "train" else liar[6:])
    data = load_data("liar", "hf", ())
    assert [(e.text.splitlines()[0], e.label) for e in data.train] == [
        ("Statement: a 0", "Yes"),
        ("Statement: a 3", "No"),
    ]


@pytest.mark.parametrize("task", ["fallacy", "liar"])
def test_the_real_sets(task, data_dir):
    data = load_data(task, str(data_dir / task), ())
    texts = [plain_text(e.text) for e in (*data.train, *data.test)]
    assert len(texts) == len(set(texts)) > 3000
