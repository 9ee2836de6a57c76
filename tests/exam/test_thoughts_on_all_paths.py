"""Whatever asks a model, its thoughts are neither parsed nor graded; the journal keeps them."""

import json

import dspy
import pytest
from recording_server import completion, recording
from school import QUESTIONS, Pupil, rerank, student, teacher
from school import program as school_program

from lbt_dspy import ExactMatch, Exam, Examiner, ExamProblem, Journal, Ledger, LMRoles
from lbt_dspy.lms.engine import lm_of
from lbt_dspy.lms.recorded import recorded_lm
from lbt_dspy.lms.replies.thoughts import answer_in
from lbt_dspy.signatures import classification
from lbt_dspy.types import Reply

ALL_THOUGHTS = "empty answer: it never left its thoughts, where all of its text is"
pytestmark = pytest.mark.usefixtures("short_waits")
ADAPTERS = {"chat": dspy.ChatAdapter(), "json": dspy.JSONAdapter(), "xml": dspy.XMLAdapter()}


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    monkeypatch.setenv("HOSTED_VLLM_API_KEY", "for-tests-123456")


def written(kind, label, **fields):
    """An answer in the layout of an adapter."""
    values = {**fields, "label": label}
    if kind == "json":
        return json.dumps(values)
    if kind == "xml":
        return "\n\n".join(f"<{name}>\n{value}\n</{name}>" for name, value in values.items())
    return "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in values.items()) + "\n\n[[ ## completed ## ]]"


WAYS = {
    "in a block": "<think>\nMaybe\n{}\nbut no.\n</think>\n\n",
    "with no beginning": "Maybe\n{}\nbut no.\n</think>\n\n",
    "by the name of thinking": "<thinking>{}</thinking>\n",
    "as Magistral writes them": "[THINK]{}[/THINK]",
    "in two blocks": "<think>Hm.</think>\n<think>{}</think>\n",
}


def problems(count=2):
    return [ExamProblem(example=dspy.Example(text=f"t{i}", label="Yes").with_inputs("text")) for i in range(count)]


def marks_of(program, lm, ledger, *, adapter=None, predictor=None, count=2):
    examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger, adapter=adapter, predictor=predictor)
    report = examiner.examine([Exam(material=(), problems=problems(count))], [lm])[0][0]
    return [(row[0].mark.value, row[0].mark.reason) for row in report.sittings]


def model(url, client="lean"):
    return LMRoles(client=client).lms([f"hosted_vllm/m@{url}"])[0]


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("way", WAYS)
def test_every_adapter_reads_the_answer(kind, way, program):
    text = WAYS[way].format(written(kind, "No")) + written(kind, "Yes")
    with recording(lambda body: completion(text)) as (url, _):
        for lm in (model(url), model(url, "litellm"), dspy.LM("hosted_vllm/m", api_base=url, engine="litellm")):
            assert marks_of(program, lm, Ledger(), adapter=ADAPTERS[kind]) == [(1.0, None)] * 2


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("way", ["", *WAYS.values()])
def test_a_field_named_reasoning_is_no_thought(kind, way):
    """Not even as a tag, where the prompt asks for it."""
    draft, answer = (written(kind, label, reasoning="Because.") for label in ("No", "Yes"))
    reasoned = dspy.ChainOfThought(classification("Is it good?", ("Yes", "No")))
    with recording(lambda body: completion(way.format(draft) + answer)) as (url, _):
        assert marks_of(reasoned, model(url), Ledger(), adapter=ADAPTERS[kind]) == [(1.0, None)] * 2
        with dspy.context(lm=model(url), adapter=ADAPTERS[kind]):
            said = reasoned(text="x")
    assert (said.label, said.reasoning) == ("Yes", "Because.")


class Two(dspy.Module):
    """A larger program, which is run as it is."""

    def __init__(self):
        super().__init__()
        self.first = dspy.Predict(classification("Is it good?", ("Yes", "No")))
        self.second = dspy.Predict(classification("Is it good?", ("Yes", "No")))

    def forward(self, text):
        return self.second(text=self.first(text=text).label)


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        (WAYS["in a block"].format(written("chat", "No")) + written("chat", "Yes"), (1.0, None)),
        (f"<think>\n{written('chat', 'Yes')}", (0.0, ALL_THOUGHTS)),
    ],
)  # fmt: skip
def test_a_larger_program_reads_the_answer(text, mark):
    with recording(lambda body: completion(text)) as (url, _), dspy.context(lm=model(url)):
        assert marks_of(Two(), model(url), Ledger(), predictor="first") == [mark] * 2


class Thinker(Pupil):
    """Thinks of something else before each answer."""

    def answer(self, request, faults=()):
        said = super().answer(request, faults)
        draft = said.text.replace("right", "wrong").replace("ok", "no")
        return said._replace(text=f"<think>\n{draft}\n</think>\n\n{said.text}")


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter(), dspy.JSONAdapter()], ids=["chat", "json"])
def test_lessons_are_those_of_a_model_that_says_no_thoughts(adapter):
    said = []
    for kind in (Pupil, Thinker):
        writer, reader = (lm_of(kind(lm.model, lm.engine.answers)) for lm in (teacher(QUESTIONS), student()))
        with dspy.context(adapter=adapter):
            chosen = rerank(exam_students=[reader]).compile(school_program(writer))(question=next(iter(QUESTIONS)))
        said.append(json.dumps(dict(chosen.items()), default=str))
    assert said[0] == said[1]
    assert "think" not in said[1]


def test_the_journal_keeps_thoughts_and_earlier_ones_are_read_anew(program, tmp_path):
    """What an earlier version journalled is the same text; it marked what stands in the thoughts."""
    text = WAYS["in a block"].format(written("chat", "No")) + written("chat", "Yes")
    with recording(lambda body: completion(text)) as (url, recorder):
        for _ in range(2):
            ledger = Ledger(Journal(tmp_path / "j"))
            assert marks_of(program, model(url), ledger) == [(1.0, None)] * 2
            assert ledger.journal._db.execute("SELECT DISTINCT body FROM text").fetchall() == [(text,)]
            ledger.close()
        assert len(recorder.raw) == 2


def test_thoughts_that_come_apart_are_kept_too(program, tmp_path):
    reply = completion(written("chat", "Yes"))
    reply["choices"][0]["message"]["reasoning_content"] = "Hm, </think> perhaps"
    for client in ("lean", "litellm"):
        ledger = Ledger(Journal(tmp_path / client))
        with recording(lambda body: reply) as (url, _):
            assert marks_of(program, model(url, client), ledger) == [(1.0, None)] * 2
        ((kept,),) = ledger.journal._db.execute("SELECT DISTINCT body FROM text").fetchall()
        ledger.close()
        assert kept == "<think>\nHm, (/think) perhaps\n</think>\n\n" + written("chat", "Yes")
        assert answer_in(kept) == written("chat", "Yes")


EARLIER = [  # what an earlier version recorded, and whether it is asked again
    (
        Reply("", None, 1, 3, 0, 0.0),
        True,
    ),  # an error of the server: nothing was written, says its usage
    (Reply("", None, 1, 3, 1, 0.0), False),
    (Reply("", None, 1, 0, 0, 0.0), False),  # nothing tells what it was
    (Reply("", "empty answer", 1, 3, 0, 0.0), False),  # of this version
    (Reply(None, "timeout", 1, 0, 0, 0.0), True),
    (Reply(written("chat", "Yes"), None, 1, 3, 0, 0.0), False),
]


@pytest.mark.parametrize(("reply", "again"), EARLIER)
def test_what_was_no_answer_is_asked_again(reply, again, program, tmp_path):
    with recording(lambda body: completion(written("chat", "Yes"))) as (url, recorder):
        first = Ledger(Journal(tmp_path / "j"))
        marks_of(program, model(url), first, count=1)
        ((key,),) = first.journal._db.execute("SELECT key FROM reply").fetchall()
        first.journal.record("students", "m", [(key, reply)])
        first.close()
        ledger = Ledger(Journal(tmp_path / "j"))
        ((mark, _),) = marks_of(program, model(url), ledger, count=1)
        ledger.close()
        assert len(recorder.raw) == 1 + again
    assert mark == (1.0 if again or reply.text else 0.0)


@pytest.mark.parametrize("client", ["lean", "litellm"])
def test_a_run_that_met_a_broken_server_is_made_good_when_it_is_resumed(client, program, tmp_path):
    broken = {**completion(""), "choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "error"}]}
    replies = iter([broken] * 8)
    with recording(lambda body: next(replies, completion(written("chat", "Yes")))) as (url, _):
        for mark in (None, 1.0):
            ledger = Ledger(Journal(tmp_path / "j"), workers=1, retries=1)
            found = marks_of(program, model(url, client), ledger, count=4)
            ledger.close()
            assert [value for value, _ in found] == [mark] * 4


def test_recorded_outputs_are_replayed_without_their_thoughts(tmp_path):
    outputs = ["<think>\nIt is 5.\n</think>\n\nIt is 4.", "<think>It is 4."]
    rows = [json.dumps({"question": "2 + 2?", "output": output}) for output in outputs]
    (tmp_path / "a.jsonl").write_text("\n".join(rows), encoding="utf-8")
    asked = dspy.Predict("question -> answer")
    with dspy.context(lm=recorded_lm(f"recorded/{tmp_path}")):
        assert asked(question="2 + 2?").answer == "It is 4."
        with pytest.raises(dspy.utils.exceptions.AdapterParseError):
            asked(question="2 + 2?", config={"seed": 1})
