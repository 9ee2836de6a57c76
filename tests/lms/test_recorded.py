"""Recorded outputs replayed by question and rollout, through DSPy and through the ledger."""

import json

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy import Ledger, LMRoles, UserError
from lbt_dspy.exam.render import Renderer
from lbt_dspy.ledger.account import Account
from lbt_dspy.lms.recorded import RecordedEngine, recorded_lm
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.sampling import rollout_seed

ADAPTERS = pytest.mark.parametrize("adapter", [dspy.ChatAdapter(), dspy.JSONAdapter()], ids=["chat", "json"])
SUM = 'What is  1 + 1?\n\nSay "why".'


def write(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xef\xbb\xbf" + "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows).encode())


@pytest.fixture
def recording(tmp_path):
    write(tmp_path / "rec" / "b.jsonl", {"question": SUM, "output": "third"}, {"problem": "1 1 4 6", "output": "other"})
    write(
        tmp_path / "rec" / "a.jsonl",
        {"question": SUM, "output": "first 🦆\n\nIt is [2].\n#### 2"},
        {"puzzle": "2 + 2", "output": "four"},
        {"question": 'What is 1 + 1? Say "why".', "output": "second"},
        {"question": "Empty?", "output": ""},
    )
    return f"recorded/{tmp_path / 'rec'}"


def ask(lm, question, rollout=None, adapter=None):
    config = {} if rollout is None else {"seed": rollout_seed(3, rollout), "temperature": 0.7}
    with dspy.context(lm=lm, adapter=adapter or dspy.ChatAdapter()):
        return dspy.ChainOfThought("question -> answer")(question=question, config=config)


@ADAPTERS
def test_rollouts_are_the_outputs_in_file_and_line_order(recording, adapter):
    lm = recorded_lm(recording)
    texts = [ask(lm, SUM, rollout, adapter) for rollout in range(3)]
    assert [t.answer for t in texts] == ["first 🦆\n\nIt is [2].\n#### 2", "second", "third"]
    assert [t.reasoning for t in texts] == [t.answer for t in texts]
    assert ask(lm, SUM, None, adapter).answer == texts[0].answer
    assert ask(lm, "Empty?", 0, adapter).answer == ""


@ADAPTERS
def test_the_longest_known_question_in_the_message_is_meant(recording, adapter):
    lm = recorded_lm(recording)
    assert ask(lm, "2 + 2", 0, adapter).answer == "four"
    assert ask(lm, f"2 + 2 aside:\n {SUM}", 1, adapter).answer == "second"
    with pytest.raises(Exception, match="holds no output for the question '11 1 4 6'"):
        ask(lm, "11 1 4 6", 0, adapter)  # it ends in a known one, but within a number


def test_demonstrations_are_not_the_question(recording):
    program = dspy.Predict("question -> answer")
    program.demos = [dspy.Example(question=SUM, answer="2")]
    with dspy.context(lm=recorded_lm(recording)):
        assert program(question="2 + 2").answer == "four"


def test_samples_beyond_the_last_are_lost_and_not_asked_again(recording):
    """Through the ledger, which gives no text and a reason; an empty output is an answer."""
    lm = recorded_lm(recording)
    renderer = Renderer(dspy.Signature("question -> answer"), dspy.ChatAdapter())
    calls = [
        renderer.prefix((), lm, engine_of(lm), {"seed": rollout_seed(3, rollout)}, rollout).call({"question": question})
        for question, rollout in ((SUM, 2), (SUM, 3), ("Empty?", 0))
    ]
    ledger, account = Ledger(), Account()
    replies = ledger.ask(calls, role="teacher", account=account)
    ledger.close()
    assert [reply.text is None for reply in replies] == [False, True, False]
    assert "has 3 outputs for this question, none for rollout 3" in replies[1].reason
    assert (account.failed, account.calls["teacher", recording]) == (1, 3)
    with pytest.raises(Exception, match="none for rollout 3"):
        ask(lm, SUM, 3)


def test_the_identity_is_that_of_the_contents(recording, tmp_path):
    first, again = RecordedEngine(recording).identity, RecordedEngine(recording).identity
    assert first == again
    assert recording in first
    write(tmp_path / "rec" / "b.jsonl", {"question": SUM, "output": "another third"})
    assert RecordedEngine(recording).identity != first


def test_it_is_a_name_like_others_and_can_be_saved(recording, tmp_path):
    lm, same = LMRoles().lms([recording, recording])
    assert lm is same
    assert engine_of(lm).in_process
    assert engine_of(lm).writes_texts
    assert engine_of(lm).takes_seed
    program = dspy.Predict("question -> answer")
    program.lm = lm
    program.save(str(tmp_path / "p.json"))
    loaded = dspy.Predict("question -> answer")
    loaded.load(str(tmp_path / "p.json"), allow_unsafe_lm_state=True)
    assert loaded(question="2 + 2").answer == "four"
    with pytest.raises(UserError, match="recorded/DIR"):
        LMRoles().lms(["recordd/x"])


def test_questions_of_another_file(tmp_path):
    """Variants share a unique_id and are told apart by their answers; rows of other questions are left out."""
    rows = [
        {"unique_id": "u1", "gold": "2", "output": "two"},
        {"unique_id": "u1", "gold": "3", "output": "three"},
        {"unique_id": "u2", "gold": "9", "output": "nine"},
        {"unique_id": "u1", "output": "no gold: the first"},
        {"id": 7, "gold": "5", "output": "five"},
        {"question": "Own?", "output": "own"},
    ]
    write(tmp_path / "out.jsonl", *rows)
    variants = [{"unique_id": "u1", "problem": f"1+{n}?", "answer": str(n + 1)} for n in (1, 2)]
    write(tmp_path / "q.jsonl", *variants, {"id": 7, "question": "Seven?"}, {"id": "unused", "question": "Unused?"})
    engine = RecordedEngine(f"recorded/{tmp_path / 'out.jsonl'}@{tmp_path / 'q.jsonl'}")
    assert engine.questions == {
        "1+1?": ["two", "no gold: the first"], "1+2?": ["three"], "Seven?": ["five"], "Own?": ["own"],
    }  # fmt: skip


def test_a_folder_may_have_an_at_sign(tmp_path):
    write(tmp_path / "me@home" / "a.jsonl", {"question": "Q?", "output": "o"})
    assert RecordedEngine(f"recorded/{tmp_path / 'me@home'}").questions == {"Q?": ["o"]}


BAD = [
    ({}, "", "has no JSONL file"),
    ({"a": [""]}, "", "holds no recorded output: it has no rows"),
    ({"a": ["[1]"]}, "", "line 1 of a.jsonl is no JSON object"),
    ({"a": ['{"question": "q"}']}, "", "line 1 of a.jsonl has no text in 'output'"),
    ({"a": ['{"question": "q", "output": null}']}, "", "has no text in 'output'"),
    ({"a": ['{"output": "o"}']}, "", "has no question, problem, puzzle; name a JSONL file .*@FILE"),
    ({"a": ['{"id": 1, "output": "o"}']}, "", "@FILE"),
    ({"a": ['{"id": 1, "output": "o"}'], "../q": ['{"id": 2, "question": "q"}']}, "@q.jsonl", "none of its 1 rows"),
    ({"a": ['{"id": 1, "output": "o"}'], "../q": ['{"question": "q"}']}, "@q.jsonl", "has no unique_id or id"),
    ({"a": ['{"id": 1, "output": "o"}']}, "@q.jsonl", "q.jsonl cannot be read"),
]


@pytest.mark.parametrize(("files", "at", "message"), BAD, ids=[message for *_, message in BAD])
def test_what_cannot_be_replayed(tmp_path, files, at, message):
    (tmp_path / "rec").mkdir()
    for name, lines in files.items():
        (tmp_path / "rec" / f"{name}.jsonl").write_text("\n".join(lines))
    at = at.replace("@", f"@{tmp_path}/")
    with pytest.raises(UserError, match=message) as error:
        LMRoles().lms([f"recorded/{tmp_path / 'rec'}{at}"])
    assert "\n" not in str(error.value)


def test_a_missing_folder():
    with pytest.raises(UserError, match="there is no folder nowhere"):
        LMRoles().lms(["recorded/nowhere"])


@given(st.integers(0, 2**40), st.integers(0, 2**16 - 1))
def test_rollouts_are_numbered_in_the_low_bits(seed, rollout):
    assert rollout_seed(seed, rollout) & 0xFFFF == rollout
    assert 0 <= rollout_seed(seed, rollout) < 2**31
    assert rollout_seed(seed, rollout) >> 16 == seed % 2**15


REAL = [  # (outputs, questions, how many questions, how many outputs)
    ("recorded_gsm8k", "gsm8k/test.jsonl", 1319, 29010),
    ("recorded_fneval", "math181/teaching.jsonl", 181, 7055 + 3 * 39),  # of 3 the October variant has their answer
    ("recorded_fneval/math500_static_cot.jsonl", "math500/test.jsonl", 500, 12992),
]


@pytest.mark.parametrize(("outputs", "questions", "number", "total"), REAL, ids=[r[0] for r in REAL])
def test_real_outputs(data_dir, outputs, questions, number, total):
    engine = RecordedEngine(f"recorded/{data_dir / outputs}@{data_dir / questions}")
    assert len(engine.questions) == number
    assert sum(map(len, engine.questions.values())) == total


@ADAPTERS
def test_real_text_comes_through_dspy_whole(data_dir, adapter):
    """A hundred questions with all their outputs, also those that hold code, quotes and brackets."""
    lm = recorded_lm(f"recorded/{data_dir / 'recorded_gsm8k'}@{data_dir / 'gsm8k' / 'test.jsonl'}")
    questions = engine_of(lm).questions
    rows = (data_dir / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    for row in rows[:1319:60]:
        question = json.loads(row)["question"]
        outputs = questions[" ".join(question.split())]
        for rollout in range(0, len(outputs), 5):
            assert ask(lm, question, rollout, adapter).answer.strip() == outputs[rollout].strip()
