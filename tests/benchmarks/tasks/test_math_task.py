"""Problems of M1: loading a folder, the hub and the originals."""

import json
import subprocess
import sys

import datasets
import pytest
from conftest import ROOT

from lbt_dspy import UserError
from lbt_dspy.benchmarks.cli.math_task import main
from lbt_dspy.benchmarks.tasks.math import task as math_task
from lbt_dspy.benchmarks.tasks.math.rows import boxed
from lbt_dspy.benchmarks.tasks.math.task import check_variants, load_math
from lbt_dspy.metrics import math_answer

TAUGHT = {
    "question": "What is $1+1$? 🦆", "solution": "Count.", "answer": "2", "subject": "Algebra", "level": 2,
    "unique_id": "test/algebra/1.json",
}  # fmt: skip
FIELDS = {*TAUGHT}


def lines(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.fixture
def folder(tmp_path):
    """A folder of one teaching problem and two variants of it."""
    (tmp_path / "teaching.jsonl").write_bytes(lines(TAUGHT))
    variants = [TAUGHT | {"question": f"What is $1+{n}$?", "answer": str(1 + n)} for n in (2, 3)]
    (tmp_path / "exam.jsonl").write_bytes(lines(*variants))
    return tmp_path


def test_the_papers_data(data_dir):
    data = load_math(str(data_dir / "math181"))
    assert (len(data.teaching), len(data.bank), data.source, data.dropped) == (181, 543, "math181", {})
    for number, taught in enumerate(data.teaching):
        assert {e.unique_id for e in data.bank[3 * number : 3 * number + 3]} == {taught.unique_id}
    check_variants(data)
    rows = (data_dir / "math181" / "exam.jsonl").read_text(encoding="utf-8").splitlines()
    quoted = math_task.__doc__.split("A row of the bank: ")[1]
    assert " ".join(quoted.split()) == " ".join(rows[0].split())


def test_every_example_has_its_fields_and_one_input(folder, data_dir):
    for data in (load_math(str(folder)), load_math(str(data_dir / "gsm8k"))):
        for example in (*data.teaching, *data.bank):
            assert set(example.inputs().keys()) == {"question"}
            assert set(example.keys()) == FIELDS
            assert isinstance(example.level, int)
            assert all(isinstance(example[field], str) for field in FIELDS - {"level"})


def test_gsm8k_has_neither_subjects_nor_variants(data_dir):
    data = load_math(str(data_dir / "gsm8k"))
    assert (len(data.teaching), len(data.bank), data.source) == (1319, 7473, "gsm8k")
    assert {(e.subject, e.level) for e in data.bank} == {("", 0)}
    assert data.teaching[0].unique_id == "gsm8k-test-0"
    with pytest.raises(UserError, match=r"1319 of the 1319 .* no functional variant .*fneval .* prepare"):
        check_variants(data)


def test_bom_emoji_and_windows_line_ends_survive(folder):
    plain = load_math(str(folder))
    for name in ("teaching.jsonl", "exam.jsonl"):
        text = (folder / name).read_bytes()
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n") + b"\r\n")
    assert load_math(str(folder)) == plain
    assert plain.teaching[0].question == TAUGHT["question"]


def test_the_folder_of_the_environment(folder, monkeypatch):
    monkeypatch.delenv("LBT_DATA_DIR", raising=False)
    with pytest.raises(UserError, match=r"--data DIR with teaching\.jsonl and exam\.jsonl, or --data hf, .* prepare"):
        load_math(None)
    monkeypatch.setenv("LBT_DATA_DIR", str(folder))
    with pytest.raises(UserError, match="--data DIR with"):
        load_math(None)  # the folder has no math181
    (folder / "math181").mkdir()
    for name in ("teaching.jsonl", "exam.jsonl"):
        (folder / name).rename(folder / "math181" / name)
    assert load_math(None).source == "math181"


BAD_ROWS = [
    ({"question": None}, "row 1 of teaching.jsonl has no 'question'"),
    ({"answer": " "}, "row 1 of teaching.jsonl has no 'answer'"),
    ({"answer": ["2"]}, "needs text in 'answer'"),
    ({"answer": True}, "needs text in 'answer'"),
    ({"unique_id": None}, "has no 'unique_id'"),
    ({"solution": {"a": 1}}, "needs text in 'solution'"),
    ({"level": "hard"}, "needs a level"),
]


@pytest.mark.parametrize(("change", "message"), BAD_ROWS, ids=[m for _, m in BAD_ROWS])
def test_rows_that_cannot_be_used(folder, change, message):
    row = {k: v for k, v in (TAUGHT | change).items() if v is not None}
    (folder / "teaching.jsonl").write_bytes(lines(row))
    with pytest.raises(UserError, match=message):
        load_math(str(folder))


LEVELS = [(3, 3), ("3", 3), ("Level 5", 5), ("Level ?", 0), ("", 0), (None, 0)]  # MATH writes "Level 5" and "Level ?"


@pytest.mark.parametrize(("level", "number"), LEVELS)
def test_levels(folder, level, number):
    (folder / "teaching.jsonl").write_bytes(lines(TAUGHT | {"level": level}))
    assert load_math(str(folder)).teaching[0].level == number


def test_folders_that_cannot_be_used(folder):
    def message():
        with pytest.raises(UserError) as error:
            load_math(str(folder))
        assert "\n" not in str(error.value)
        return str(error.value)

    (folder / "teaching.jsonl").write_bytes(lines(TAUGHT, TAUGHT | {"question": "Another?"}))
    assert "teaching problems 1 and 2" in message()
    assert "unique_id" in message()
    (folder / "teaching.jsonl").write_bytes(
        lines(TAUGHT, TAUGHT | {"unique_id": "x", "question": "What is  $1+1$? 🦆 "})
    )
    assert "have the same question" in message()
    (folder / "teaching.jsonl").write_bytes(lines(TAUGHT) + b"{\n")
    assert "line 2 of teaching.jsonl is no JSON object" in message()
    (folder / "teaching.jsonl").write_bytes(b"\xff\xfe")
    assert "UTF-8" in message()
    (folder / "teaching.jsonl").write_bytes(b"")
    assert "teaching.jsonl has no rows" in message()
    (folder / "teaching.jsonl").write_bytes(lines(TAUGHT))
    (folder / "exam.jsonl").unlink()
    assert "has no exam.jsonl; it needs teaching.jsonl and exam.jsonl" in message()
    (folder / "exam.jsonl").write_bytes(lines(TAUGHT))
    assert "all 1 exam problems" in message()
    with pytest.raises(UserError, match="is no folder"):
        load_math(str(folder / "nowhere"))


def test_what_is_taught_is_not_examined(folder):
    with (folder / "exam.jsonl").open("ab") as file:
        file.write(lines(TAUGHT))
    data = load_math(str(folder))
    assert len(data.bank) == 2
    assert data.dropped == {"exam problems that are teaching problems": 1}


def test_the_hub(monkeypatch):
    math500 = [{k if k != "question" else "problem": v for k, v in TAUGHT.items()}]
    train = [
        {"problem": "What is $2+2$?", "solution": "It is $\\boxed{4}$.", "type": "Algebra", "level": "Level 1"},
        {"problem": "Is $2$ even?", "solution": "Yes.", "type": "Algebra", "level": "Level ?"},
    ]
    sets = {("HuggingFaceH4/MATH-500", "test"): math500, ("DigitalLearningGmbH/MATH-lighteval", "train"): train}
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: sets[name, split])
    data = load_math("hf")
    assert data.teaching[0].toDict() == TAUGHT
    assert [(e.answer, e.level, e.subject, e.unique_id) for e in data.bank] == [("4", 1, "Algebra", "train/1")]
    assert data.dropped == {"exam problems without a boxed answer": 1}
    with pytest.raises(UserError, match="not on the Hugging Face hub"):
        check_variants(data)


def test_the_hub_out_of_reach(monkeypatch):
    def load_dataset(name, split):
        raise ConnectionError("no network\nat all")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(UserError, match=r"HuggingFaceH4/MATH-500 cannot be loaded .* --data DIR: .* prepare") as error:
        load_math("hf")
    assert "\n" not in str(error.value)


BOXES = [
    (r"so $\boxed{4}$.", "4"),
    (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),  # nested braces
    (r"\boxed{1}, no: \boxed{2}", "2"),  # the last one
    (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),  # an escaped brace closes nothing
    (r"\boxed{1", None),
    ("4", None),
    ("", None),
]


@pytest.mark.parametrize(("solution", "answer"), BOXES)
def test_boxed(solution, answer):
    assert boxed(solution) == answer


@pytest.fixture
def originals(tmp_path):
    """MATH500 of three problems and three snapshots as fneval packs them; the third problem lacks one variant."""
    ids = [f"test/{subject}/{number}.json" for subject, number in (("geometry", 7), ("algebra", 12), ("algebra", 3))]
    rows = [
        {"problem": f"Taught {i}?", "solution": "s", "answer": "1", "subject": "Algebra", "level": 4, "unique_id": id_}
        for i, id_ in enumerate(ids)
    ]
    (tmp_path / "math500").mkdir()
    (tmp_path / "math500" / "test.jsonl").write_bytes(lines(*rows))
    for snapshot in ("Oct-2023", "Nov-2023", "Dec-2023"):
        for id_ in (*ids, "test/algebra/999_x10.json"):
            if (snapshot, id_) != ("Nov-2023", ids[2]):
                path = tmp_path / snapshot / id_
                path.parent.mkdir(parents=True, exist_ok=True)
                solution = f"\\boxed{{{snapshot} {id_}}}"
                row = {"problem": f"{snapshot} {id_}?", "level": "Level 4", "type": "Algebra", "solution": solution}
                path.write_text(json.dumps(row), encoding="utf-8")
    return tmp_path


def prepared(originals, *snapshots, out="out"):
    folders = [str(originals / name) for name in snapshots]
    return main(
        ["prepare", "--math500", str(originals / "math500"), "--snapshots", *folders, "--out", str(originals / out)]
    )


def test_prepare_joins_math500_with_its_variants(originals, capsys):
    assert prepared(originals, "Dec-2023", "Oct-2023", "Nov-2023") == 0
    assert "2 teaching problems, 6 exam problems (Oct-2023, Nov-2023, Dec-2023); left out: 1" in capsys.readouterr().out
    data = load_math(str(originals / "out"))
    check_variants(data)
    assert [e.question for e in data.teaching] == ["Taught 0?", "Taught 1?"]
    assert [e.answer for e in data.bank] == [
        f"{snapshot} {id_}"
        for id_ in ("test/geometry/7.json", "test/algebra/12.json")
        for snapshot in ("Oct-2023", "Nov-2023", "Dec-2023")
    ]
    assert {e.level for e in data.bank} == {4}


def test_prepare_on_a_folder_of_subjects_and_on_two_snapshots(originals, capsys):
    assert prepared(originals, "Oct-2023/test", "Dec-2023") == 0
    assert "3 teaching problems, 6 exam problems (test, Dec-2023)" in capsys.readouterr().out


def test_prepare_says_what_is_wrong(originals, capsys):
    def message(*snapshots, **kwargs):
        assert prepared(originals, *snapshots, **kwargs) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        return error

    assert "is no folder" in message("Sep-2023")
    assert "different names" in message("Oct-2023", "Oct-2023")
    (originals / "empty").mkdir()
    assert "holds no SUBJECT/NUMBER.json" in message("empty")
    (originals / "Jan-2024" / "test" / "algebra").mkdir(parents=True)
    broken = originals / "Jan-2024" / "test" / "algebra" / "12.json"
    for text, complaint in (
        ("{", "test/algebra/12.json is no JSON object"),
        ('{"problem": "q", "solution": "4"}', "has no \\boxed"),
        ('{"solution": "\\\\boxed{4}"}', "has no 'question'"),
    ):
        broken.write_text(text)
        assert complaint in message("Jan-2024")
    broken.rename(broken.with_name("13.json"))
    assert "no problem of --math500" in message("Jan-2024")
    assert prepared(originals, "Oct-2023") == 0
    assert "already has teaching.jsonl" in message("Oct-2023")
    (originals / "math500" / "test.jsonl").unlink()
    assert "does not exist" in message("Oct-2023", out="other")


def test_prepare_makes_the_papers_181_problems(data_dir, tmp_path, capsys):
    """The variants laid out again as snapshots, with MATH500, give the same two files."""
    for line in (data_dir / "math181" / "exam.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        path = tmp_path / row["snapshot"] / row["unique_id"]
        path.parent.mkdir(parents=True, exist_ok=True)
        row = {"problem": row["question"], "type": row["subject"], "level": f"Level {row['level']}"} | {
            "solution": row["solution"]
        }
        path.write_text(json.dumps(row), encoding="utf-8")
    snapshots = [str(tmp_path / name) for name in ("Oct-2023", "Nov-2023", "Dec-2023")]
    out = tmp_path / "out"
    assert main(["prepare", "--math500", str(data_dir / "math500"), "--snapshots", *snapshots, "--out", str(out)]) == 0
    assert "181 teaching problems, 543 exam problems" in capsys.readouterr().out
    made, given = load_math(str(out)), load_math(str(data_dir / "math181"))
    assert (made.teaching, made.bank) == (given.teaching, given.bank)


def test_the_command_runs_as_a_file(originals):
    script = ROOT / "benchmarks" / "math_task.py"
    done = subprocess.run(
        [sys.executable, script, "prepare"], capture_output=True, text=True, cwd=originals, check=False
    )
    assert done.returncode == 2
    assert "--math500" in done.stderr
    assert done.stderr.count("\n") == 1


PENS = "Ann has 20 pens and buys 23 more."
GSM8K = [  # an answer as GSM8K writes it, and what is read of it
    ("She has 20+23=<<20+23=43>>43 pens.\n#### 43", "43", "She has 20+23=43 pens."),
    ("It costs 1,000*2=<<1000*2=2000>>2,000.\n#### 2,000", "2,000", "It costs 1,000*2=2,000."),
    ("#### -3", "-3", ""),
    ("One.\n####43", "43", "One."),
    ("#### 4 is no answer yet.\n#### 43", "43", "#### 4 is no answer yet."),
    ("So 1/2.\r\n#### 1/2\r\n", "1/2", "So 1/2."),
    ("43", "43", ""),
]


@pytest.mark.parametrize(("answer", "result", "solution"), GSM8K)
def test_answers_of_gsm8k_end_in_their_result(tmp_path, answer, result, solution):
    rows = [{"question": f"{PENS} {n}", "answer": answer} for n in range(4)]
    (tmp_path / "test.jsonl").write_bytes(lines(*rows[:2]))
    (tmp_path / "train.jsonl").write_bytes(lines(*rows[2:]))
    data = load_math(str(tmp_path))
    assert {(e.answer.strip(), e.solution) for e in (*data.teaching, *data.bank)} == {(result, solution)}
    assert len({e.unique_id for e in (*data.teaching, *data.bank)}) == 4
    assert math_answer(data.teaching[0].answer, f"The answer is {result}.").value == 1
    with pytest.raises(UserError, match="no functional variant"):
        check_variants(data)


def test_ids_are_made_of_questions_where_no_row_has_one(tmp_path):
    rows = [{"question": f"What is {n}?", "answer": f"#### {n}"} for n in range(6)]
    (tmp_path / "test.jsonl").write_bytes(lines(*rows[:3]))
    (tmp_path / "train.jsonl").write_bytes(lines(*rows[3:]))
    first = load_math(str(tmp_path))
    (tmp_path / "test.jsonl").write_bytes(lines(*rows[2::-1]))
    assert {e.question: e.unique_id for e in first.teaching} == {
        e.question: e.unique_id for e in load_math(str(tmp_path)).teaching
    }
    (tmp_path / "test.jsonl").write_bytes(lines(*rows[:2], rows[0]))
    with pytest.raises(UserError, match=r"teaching problems 1 and 3 of .* have the same question"):
        load_math(str(tmp_path))
    (tmp_path / "test.jsonl").write_bytes(lines(*rows[:2], rows[2] | {"id": "x"}))
    with pytest.raises(UserError, match=r"row 1 of test\.jsonl has no 'unique_id'"):
        load_math(str(tmp_path))  # one that is forgotten is a mistake
    (tmp_path / "test.jsonl").write_bytes(lines(*(row | {"solution": "Mine."} for row in rows[:3])))
    assert {e.solution for e in load_math(str(tmp_path)).teaching} == {"Mine."}
