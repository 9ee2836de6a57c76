"""The files of preference pairs: what TRL, OpenAI and `datasets` read is what was paired, whatever the texts hold."""

import json
import os
from pathlib import Path

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbt_dspy.errors import UserError
from lbt_dspy.teleprompters.dpo.preference_files import encodable, write_whole
from lbt_dspy.teleprompters.dpo.preferences import (
    PreferenceData,
    PreferencePair,
    ScoredLesson,
    load_lessons,
    preference_pairs,
)

FILES = {"pairs.jsonl", "pairs_openai.jsonl", "lessons.jsonl", "card.json", ".huggingface.yaml"}
TEXTS = [
    "β ≤ θ, 中文, 🙂, עברית",
    "one\ntwo\r\nthree\rfour\n",
    "a\u2028b\u2029c\u0085d\x1ce\x0bf\x0cg",  # str.splitlines cuts at each of these
    '"quotes" \\ and \\u2028 and \x00',
    "",
    " ",
    "\ufefffirst",
]


def lesson(text, score, correct=None, *, problem="p", rollout=0, asked="1 + 1?", answer="2"):
    prompt = ({"role": "system", "content": "Solve it."}, {"role": "user", "content": asked})
    return ScoredLesson(
        problem=problem, prompt=prompt, text=text, answer=answer, rollout=rollout, lbt_score=score, correct=correct
    )


@pytest.fixture
def data():
    lessons = [lesson("good", 0.9, 0.0, rollout=1), lesson("bad", 0.2, 1.0, rollout=2, answer="3"), lesson("?", None)]
    return PreferenceData.of(lessons, weight=0)


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def loaded(folder, cache):
    return datasets.load_dataset(str(folder), split="train", cache_dir=str(cache))


def test_the_row_of_a_pair(data):
    assert data.rows() == [
        {
            "prompt": [{"role": "system", "content": "Solve it."}, {"role": "user", "content": "1 + 1?"}],
            "chosen": [{"role": "assistant", "content": "good"}],
            "rejected": [{"role": "assistant", "content": "bad"}],
            "gap": 0.7,
            "chosen_lbt_score": 0.9,
            "rejected_lbt_score": 0.2,
            "chosen_correct": 0.0,
            "rejected_correct": 1.0,
            "chosen_answer": "2",
            "rejected_answer": "3",
            "chosen_rollout": 1,
            "rejected_rollout": 2,
            "problem": "p",
        }
    ]


def test_the_row_for_openai(data):
    """As https://platform.openai.com/docs/guides/direct-preference-optimization shows it, and nothing more."""
    assert data.openai_rows() == [
        {
            "input": {
                "messages": [{"role": "system", "content": "Solve it."}, {"role": "user", "content": "1 + 1?"}],
                "tools": [],
                "parallel_tool_calls": True,
            },
            "preferred_output": [{"role": "assistant", "content": "good"}],
            "non_preferred_output": [{"role": "assistant", "content": "bad"}],
        }
    ]


def test_a_folder_holds_all(data, tmp_path):
    folder = data.save(tmp_path / "new" / "folder")
    assert folder == tmp_path / "new" / "folder"
    assert {path.name for path in folder.iterdir()} == FILES
    assert read(folder / "pairs.jsonl") == data.rows()
    assert read(folder / "pairs_openai.jsonl") == data.openai_rows()
    assert json.loads((folder / "card.json").read_text()) == data.card()
    assert load_lessons(str(folder)) == list(data.lessons)


def test_a_folder_is_a_data_set_of_its_pairs(data, tmp_path):
    """As `trl dpo --dataset_name folder` reads it: the other JSON files beside the pairs are not taken for pairs."""
    found = loaded(data.save(tmp_path / "run"), tmp_path / "cache")
    assert found.to_list() == data.rows()
    assert found.features == data.dataset().features


SPARSE = [
    [lesson("a", 0.9), lesson("b", 0.1)],  # no reference answers at all
    [lesson("a", None, 1.0), lesson("b", None, 0.0)],  # no exams at all
    [lesson("a", 1, 1), lesson("b", 0, 0)],  # whole numbers are scores too
    [lesson("a", 1.0), lesson("b", 0.0), lesson("a", 1.0, 1, problem="q"), lesson("b", 0.5, 0, problem="q")],
]


@pytest.mark.parametrize("lessons", SPARSE)
def test_column_types_do_not_depend_on_the_rows(lessons, data, tmp_path):
    weight = 1 if lessons[0].lbt_score is None else 0.5
    sparse = PreferenceData.of(lessons, weight=weight)
    typed = data.dataset().features
    assert sparse.dataset().features == typed
    assert sparse.dataset().to_list() == sparse.rows()
    assert all(isinstance(row["gap"] + (row["chosen_lbt_score"] or 0.0), float) for row in sparse.rows())
    folder = sparse.save(tmp_path / "run")
    found = loaded(folder, tmp_path / "cache")
    assert found.features == typed
    assert found.to_list() == sparse.rows()
    file = str(folder / "pairs.jsonl")
    by_file = datasets.load_dataset(
        "json", data_files=file, split="train", features=typed, cache_dir=str(tmp_path / "2")
    )
    assert by_file.features == typed
    assert by_file.to_list() == sparse.rows()
    assert datasets.concatenate_datasets([found, data.dataset()]).features == typed


def test_any_text_comes_back(tmp_path):
    lessons = [lesson(text, i % 2, problem=text, asked=text, answer=text) for text in TEXTS for i in range(2)]
    lessons = [
        one if one.lbt_score else lesson(one.text + "!", 0, problem=one.problem, asked=one.problem) for one in lessons
    ]
    data = PreferenceData.of(lessons)
    folder = data.save(tmp_path / "run")
    assert load_lessons(folder) == lessons
    assert [row["chosen"][0]["content"] for row in data.rows()] == TEXTS
    assert loaded(folder, tmp_path / "cache").to_list() == data.rows() == data.dataset().to_list()
    for name in ("lessons.jsonl", "pairs.jsonl", "pairs_openai.jsonl"):
        text = (folder / name).read_text(encoding="utf-8")
        assert [json.loads(line) for line in text.splitlines()] == read(folder / name)  # readers that cut at U+2028


@settings(max_examples=60)
@given(texts=st.lists(st.text(st.characters(), max_size=8), min_size=2, max_size=5, unique=True))
def test_saved_lessons_give_the_same_pairs(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    lessons = [lesson(text, i / len(texts), rollout=i, problem=texts[0]) for i, text in enumerate(texts)]
    data = PreferenceData.of(lessons, gap=0.1)
    data.save(folder)
    assert tuple(preference_pairs(load_lessons(folder), gap=0.1)) == data.pairs


def test_lone_surrogates_are_replaced(tmp_path):
    """Half of an emoji, as a reply cut in the middle has it, can neither be written in UTF-8 nor trained on."""
    half = "\ud83d"
    lessons = [
        lesson(f"{half} yes", 1.0, problem=half, asked=half, answer=half),
        lesson("no", 0.0, problem=half, asked=half),
    ]
    data = PreferenceData.of(lessons)
    folder = data.save(tmp_path / "run")
    assert data.rows()[0]["chosen"] == [{"role": "assistant", "content": "\ufffd yes"}]
    assert loaded(folder, tmp_path / "cache").to_list() == data.rows()
    assert load_lessons(folder) == lessons


@given(st.text(st.characters(exclude_categories=[])))
def test_encodable(text):
    found = encodable(text)
    found.encode()
    assert [c for c, was in zip(found, text, strict=True) if c != was] == ["\ufffd"] * sum(
        "\ud800" <= c <= "\udfff" for c in text
    )


def card_of(*gaps_and_marks):
    """The card of pairs with these gaps, and marks of the chosen answers."""
    pairs = [
        PreferencePair(chosen=lesson("a", 1.0, mark, problem=str(i)), rejected=lesson("b", 0.0), gap=gap)
        for i, (gap, mark) in enumerate(gaps_and_marks)
    ]
    lessons = [pair.chosen for pair in pairs]
    return PreferenceData(lessons=lessons, pairs=pairs, options={"weight": 0, "gap": 0}).card()


BINS = [  # gap, the bin it is in: a bin holds its lower end, the last one 1 too
    (0.3, "0.3-0.4"),
    (0.9 - 0.6, "0.3-0.4"),  # 0.30000000000000004
    (0.4 - 0.1, "0.3-0.4"),
    (0.3 - 1e-16, "0.3-0.4"),  # 0.2999999999999999
    (1 - 0.7, "0.3-0.4"),  # 0.30000000000000004
    (0.8 - 0.5, "0.3-0.4"),  # 0.30000000000000004
    (1 - 0.9, "0.1-0.2"),  # 0.09999999999999998
    (0.9 - 0.3, "0.6-0.7"),  # 0.6000000000000001
    (0.7 - 0.1, "0.6-0.7"),  # 0.6 or, in floats, 0.6 * 10 = 5.999999999999999
    (0.29999, "0.2-0.3"),
    (0.3001, "0.3-0.4"),
    (1 / 3, "0.3-0.4"),
    (2 / 3, "0.6-0.7"),
    (1e-9, "0-0.1"),
    (1.0, "0.9-1"),
]


@pytest.mark.parametrize(("gap", "name"), BINS)
def test_bins_of_gaps(gap, name):
    histogram = card_of((gap, None))["gap_histogram"]
    assert list(histogram) == [
        "0-0.1", "0.1-0.2", "0.2-0.3", "0.3-0.4", "0.4-0.5", "0.5-0.6", "0.6-0.7", "0.7-0.8", "0.8-0.9", "0.9-1"
    ]  # fmt: skip
    assert {found: count for found, count in histogram.items() if count} == {name: 1}


MARKS = [  # marks of the chosen answers; share of the wrong ones, and how many could be checked
    ([None, None], None, 0),
    ([1.0, None], 0.0, 1),
    ([0.0, None], 1.0, 1),
    ([0.0, 1.0, 1.0, 1.0, None], 0.25, 4),
    ([0.5, 0.49], 0.5, 2),
]


@pytest.mark.parametrize(("marks", "share", "checked"), MARKS)
def test_share_of_wrong_answers_among_the_chosen(marks, share, checked):
    card = card_of(*[(0.5, mark) for mark in marks])
    assert (card["chosen_wrong"], card["chosen_checked"]) == (share, checked)


def test_the_cards_counts():
    lessons = [lesson(text, score) for text, score in (("a", 1.0), ("b", 0.9), ("c", 0.0), ("d", None))]
    lessons += [lesson(text, score, problem="q") for text, score in (("a", 1.0), ("b", 0.5))]
    lessons += [lesson("a", 1.0, problem="no pair"), lesson("a", None, problem="no score")]
    card = PreferenceData.of(lessons, weight=0, per_problem=3, seed=5).card()
    histogram = card.pop("gap_histogram")
    assert {found: count for found, count in histogram.items() if count} == {"0.5-0.6": 1, "0.9-1": 2}
    assert card == {
        "weight": 0,
        "gap": 0.3,
        "per_problem": 3,
        "seed": 5,
        "problems": 4,
        "problems_with_pairs": 2,
        "lessons": 8,
        "lessons_without_score": 2,
        "pairs": 3,
        "pairs_by_problem": {"1": 1, "2": 1},
        "chosen_wrong": None,
        "chosen_checked": 0,
    }


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("name", sorted(FILES))
def test_a_full_disk_leaves_the_older_file(name, data, tmp_path):
    data.save(tmp_path)
    older = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / f"{name}.part").symlink_to("/dev/full")
    with pytest.raises(UserError) as caught:
        data.save(tmp_path)
    expected = f"{tmp_path / name} cannot be written (No space left on device); name a folder of yours with room in it"
    assert str(caught.value) == expected
    assert set(os.listdir(tmp_path)) == FILES
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == older


def test_a_file_in_the_place_of_the_folder(data, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(UserError, match=r"cannot be written \(File exists\)"):
        data.save(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_write_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    def broken(self, target):
        raise OSError("the cable was pulled")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(UserError, match=r"new cannot be written \(the cable was pulled\)"):
        write_whole(tmp_path / "new", "text")
    assert os.listdir(tmp_path) == []


ROW = {"problem": "p", "prompt": [], "text": "t", "answer": "a", "rollout": 0, "lbt_score": 0.5, "correct": None}
DAMAGED = [
    b"",
    b"\n",
    b"{",
    b"\xff\xfe",
    b"[]\n",
    b"1\n",
    b'"text"\n',
    b"null\n",
    json.dumps({**ROW, "lbt_score": 2}).encode(),
    json.dumps({**ROW, "lbt_score": "0.5"}).encode(),
    json.dumps({**ROW, "lbt_score": float("nan")}).encode(),
    json.dumps({**ROW, "prompt": None}).encode(),
    json.dumps({**ROW, "prompt": "Solve it."}).encode(),
    json.dumps({**ROW, "prompt": [{"role": "user", "content": None}]}).encode(),
    json.dumps({**ROW, "text": None}).encode(),
    json.dumps({**ROW, "more": 1}).encode(),
    json.dumps({key: value for key, value in ROW.items() if key != "prompt"}).encode(),
    json.dumps(ROW).encode() + b"\n" + json.dumps(ROW).encode()[:-9],  # cut in its last line
]


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_lessons(content, tmp_path):
    (tmp_path / "lessons.jsonl").write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_lessons(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'lessons.jsonl'} cannot be read (")
    assert message.endswith("; make it anew with PreferenceData.save")
    assert "\n" not in message


def test_a_missing_folder(tmp_path):
    with pytest.raises(UserError, match=r"none.lessons.jsonl cannot be read \(.*No such file or directory"):
        load_lessons(tmp_path / "none")
    (tmp_path / "lessons.jsonl").mkdir()
    with pytest.raises(UserError, match="Is a directory"):
        load_lessons(tmp_path)


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_rows_that_others_wrote_are_read(text, ascii_only, tmp_path):
    row = ROW | {"text": text}
    (tmp_path / "lessons.jsonl").write_text(json.dumps(row, ensure_ascii=ascii_only), encoding="utf-8")
    assert load_lessons(tmp_path) == [ScoredLesson(**row)]
