"""The classroom's models as LMs: their layout, their settings, and one text per request whatever the batch."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import dspy
import numpy as np
import pytest
from dspy.lm15 import request_from_openai_chat
from dspy.utils.exceptions import AdapterParseError
from tiny_classroom import VOCABULARY, write_models

from lbt_dspy import ExactMatch, Exam, Examiner, ExamProblem, Ledger, LMRoles, UserError
from lbt_dspy.exam.likelihood import label_probabilities
from lbt_dspy.lms.embedded import CLASSROOM, embedded_lm
from lbt_dspy.lms.embedded import classroom as module
from lbt_dspy.lms.embedded.classroom import FOLDER, ClassroomAdapter, ClassroomEngine
from lbt_dspy.lms.faults import NoReply
from lbt_dspy.lms.logprobs import decode
from lbt_dspy.lms.user_lm import engine_of

SOLVE = dspy.Signature("question -> reasoning, answer")
ANSWER = dspy.Signature("question -> answer")
LESSON = dspy.Example(question="ba x3 y5 z2", reasoning="x+y:3+5=8;*z:8*2=6", answer="6")
SHIPPED = sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("classroom"))


@pytest.fixture(autouse=True)
def _untrained_models(folder, monkeypatch):
    monkeypatch.setattr(module, "FOLDER", folder)


@pytest.fixture(scope="module")
def engine(folder):
    return ClassroomEngine("embedded/classroom-student-a", folder)


def request(*texts, **settings):
    """Make a request of turns, the user's first."""
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    return request_from_openai_chat({"model": "m", "messages": messages, **settings})


def questions(count, seed=0):
    rng = np.random.default_rng(seed)
    return [f"{rng.choice(VOCABULARY[24:])} x{a} y{b} z{c}" for a, b, c in rng.integers(0, 10, (count, 3))]


def requests(count, **settings):
    """Lessons of three questions, three sittings each, with and without a reasoning in the lesson."""
    lessons, asked = questions(count, 1), questions(count, 2)
    return [
        request(
            f"Q {lessons[i // 9]}", f"R x+y:3+5=8 A {i // 9 % 10}" if i % 2 else "A 8", f"Q {asked[i // 3]}",
            seed=i % 3, max_tokens=20, **settings,
        )
        for i in range(count)
    ]  # fmt: skip


def test_the_layout_of_a_prompt():
    labelled = dspy.Example(question="du x0 y0 z1", answer=7)
    assert ClassroomAdapter().format(SOLVE, [LESSON, labelled], {"question": "ba x1 y1 z1"}) == [
        {"role": "user", "content": "Q ba x3 y5 z2"},
        {"role": "assistant", "content": "R x+y:3+5=8;*z:8*2=6 A 6"},
        {"role": "user", "content": "Q du x0 y0 z1"},
        {"role": "assistant", "content": "A 7"},
        {"role": "user", "content": "Q ba x1 y1 z1"},
    ]
    assert ClassroomAdapter().format(ANSWER, [LESSON], {"question": "q"})[1]["content"] == "A 6"


READABLE = [
    ("R x+y:3+5=8;*z:8*2=6 A 6", "x+y:3+5=8;*z:8*2=6", "6"),
    ("Rx+y:3+5=8A8", "x+y:3+5=8", "8"),  # a tokenizer that drops spaces
    ("R x + y : 3 + 5 = 8 A 8\n", "x+y:3+5=8", "8"),  # one that puts spaces everywhere
    ("A 8", "", "8"),
    ("R A 8", "", "8"),
    ("R x+y:3+5=8 A 8 8", "x+y:3+5=8", "88"),  # wrong, but an answer
    ("R x+y A 1 A 2", "x+y", "1A2"),  # two answers are none of the right ones
]
UNREADABLE = ["R x+y:3+5=8", "R x+y:3+5=8 A", "x+y:3+5=8 A 8", "8", "Q ba x3 y5 z2", "RA"]


@pytest.mark.parametrize(("text", "reasoning", "answer"), READABLE)
def test_readable_answers(text, reasoning, answer):
    assert ClassroomAdapter().parse(SOLVE, text) == {"reasoning": reasoning, "answer": answer}
    assert ClassroomAdapter().parse(ANSWER, text) == {"answer": answer}


@pytest.mark.parametrize("text", UNREADABLE)
def test_unreadable_answers(text):
    with pytest.raises(AdapterParseError):
        ClassroomAdapter().parse(SOLVE, text)


@pytest.mark.parametrize("signature", ["a, b -> answer", "question -> a, b, c"])
def test_signatures_of_another_shape_are_refused(signature):
    with pytest.raises(UserError, match="one input field"):
        ClassroomAdapter().format(dspy.Signature(signature), [], {"a": "", "b": "", "question": ""})


def test_they_are_found_by_name():
    lms = LMRoles().lms(CLASSROOM)
    assert [lm.model for lm in lms] == list(CLASSROOM)
    assert all(engine_of(lm).in_process for lm in lms)
    assert len({engine_of(lm).identity for lm in lms}) == 3


def test_a_retrained_model_has_another_identity(folder, tmp_path):
    again = write_models(tmp_path, head_dim=16)
    names = {ClassroomEngine("embedded/classroom-teacher", place).identity for place in (folder, folder, again)}
    assert len(names) == 2


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"temperature": 0.7}, {"top_k": 5}], ids=str)
def test_a_request_has_one_answer_alone_and_in_a_batch(settings, engine):
    asked = requests(80, **settings)
    together = list(engine.answer_many(asked))
    assert together == [engine.answer(one) for one in asked]
    assert list(engine.answer_many(asked[::-1])) == together[::-1]
    assert len({answer.text for answer in together}) > 20


def test_threads_that_ask_at_once_get_the_same_answers(engine):
    asked = requests(64, temperature=0.9)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(engine.answer, asked)) == list(engine.answer_many(asked))


def test_settings_do_what_they_say(engine):
    def answers(**settings):
        settings = {"temperature": 2.0, "seed": 1, "max_tokens": 30} | settings
        return engine.answer(request("Q ba x1 y2 z3", **settings))

    assert answers() == answers()
    assert answers().text != answers(seed=2).text
    assert answers(temperature=0.0).text == answers(temperature=0.0, seed=2).text == answers(top_k=1).text
    assert answers(max_tokens=1)._replace(text="") == answers()._replace(text="", finish="length", output_tokens=1)
    assert answers(seed=None).text == answers(seed=0).text


def test_unknown_settings_are_refused(engine):
    with pytest.raises(UserError, match="not top_p, stop; leave it out"):
        engine.answer(request("Q ba x1 y2 z3", top_p=0.5, stop=["A"]))


def test_another_layout_is_refused():
    problem = ExamProblem(example=dspy.Example(question="ba x1 y2 z3", answer="1").with_inputs("question"))
    examiner = Examiner(dspy.Predict(SOLVE), grader=ExactMatch("answer"), adapter=dspy.ChatAdapter(), ledger=Ledger())
    with pytest.raises(UserError, match="through ClassroomAdapter"):
        examiner.examine([Exam(material=(), problems=[problem])], [embedded_lm(CLASSROOM[0])])


def test_words_in_a_lesson_do_not_stop_an_exam(engine):
    """A lesson is what some model wrote."""
    lessons = ["R I think that xy+zz=8 A 8", "A \N{SNOWMAN}", "", "<end>"]
    assert all(engine.answer(request("Q ba x3 y5 z2", lesson, "Q ba x1 y2 z3", max_tokens=5)) for lesson in lessons)


def test_a_long_prompt_has_no_reply_and_takes_no_other_with_it(engine):
    long = request("Q ba x1 y2 z3", "R " + "x+y:3+5=8;" * 12 + " A 8", "Q ba x1 y2 z3")
    with pytest.raises(NoReply, match="reads 96 tokens"):
        engine.answer(long)
    first, lost, last = engine.answer_many([request("Q ba x1 y2 z3"), long, request("Q ba x1 y2 z3")])
    assert isinstance(lost, NoReply)
    assert first == last


def test_log_probabilities_of_an_answer(engine):
    asked = request("Q ba x1 y2 z3", temperature=0.5, logprobs=True, top_logprobs=4, max_tokens=12)
    answer = engine.answer(asked)
    tokens = decode(answer.logprobs)
    assert "".join(token for token, _, _ in tokens) == "".join(answer.text.split())
    assert all(len(top) == 4 and max(top.values()) >= own for _, own, top in tokens)
    assert answer._replace(logprobs=None) == engine.answer(request("Q ba x1 y2 z3", temperature=0.5, max_tokens=12))
    assert label_probabilities(answer.logprobs, tokens[0][0], [tokens[0][0], "Q"])


def test_log_probabilities_of_given_texts_are_those_of_written_ones(engine):
    asked = [request("Q ba x1 y2 z3", temperature=1.0, seed=i, logprobs=True, max_tokens=1) for i in range(30)]
    written = [decode(answer.logprobs)[0] for answer in engine.answer_many(asked) if answer.output_tokens]
    given = engine.text_logprobs(asked[: len(written)], [token for token, _, _ in written])
    assert [logs.tolist() for logs in given] == [pytest.approx([own], abs=1e-3) for _, own, _ in written]
    assert len({token for token, _, _ in written}) > 3


def test_log_probabilities_of_given_texts_depend_on_the_lesson(engine):
    plain, taught = request("Q ba x1 y2 z3"), request("Q ba x3 y5 z2", "R x+y:3+5=8 A 8", "Q ba x1 y2 z3")
    texts = ["R x+y:1+2=3 A 3", "A 3"]
    alone = [engine.text_logprobs([r], [t])[0] for r in (plain, taught) for t in texts]
    together = engine.text_logprobs([plain, plain, taught, taught], texts * 2)
    for one, other in zip(alone, together, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert [len(logs) for logs in together] == [12, 2, 12, 2]
    assert abs(together[1] - together[3]).max() > 1e-3
    with pytest.raises(UserError, match="at most 96 tokens"):
        engine.text_logprobs([plain], ["A " + "1" * 100])


def test_an_exam_through_the_whole_engine():
    """Each call is paid once; what a model could not end is not measured; what it ended is read, and mostly wrong."""
    students = [embedded_lm(name, temperature=2.0) for name in CLASSROOM[1:]]
    ledger = Ledger()
    examiner = Examiner(
        dspy.Predict(SOLVE), grader=ExactMatch("answer"), adapter=ClassroomAdapter(), ledger=ledger, seed=3
    )
    problems = [ExamProblem(example=dspy.Example(question=q, answer="1").with_inputs("question")) for q in questions(5)]
    reports = examiner.examine([Exam(material=(LESSON,), problems=problems)], students, sittings=3)[0]
    assert ledger.journal.sent() == 2 * 5 * 3
    read = [sitting for report in reports for row in report.sittings for sitting in row]
    cut = [sitting.mark for sitting in read if sitting.mark.value is None]
    assert 0 < len(cut) < len(read)
    assert all("token limit" in mark.reason for mark in cut)
    again = examiner.examine([Exam(material=(LESSON,), problems=problems)], students, sittings=3)[0]
    assert again == reports
    assert ledger.journal.sent() == 2 * 5 * 3


def test_programs_with_them_are_saved_and_loaded(tmp_path):
    program = dspy.Predict(SOLVE)
    program.set_lm(embedded_lm(CLASSROOM[1], temperature=0.0, max_tokens=8))
    program.save(tmp_path / "program.json")
    assert json.loads((tmp_path / "program.json").read_text())["lm"]["model"] == CLASSROOM[1]
    loaded = dspy.Predict(SOLVE)
    loaded.load(tmp_path / "program.json", allow_unsafe_lm_state=True)
    assert engine_of(loaded.lm).identity == engine_of(program.lm).identity


@pytest.mark.slow
def test_two_cores_give_35000_exam_answers_a_minute(tmp_path, monkeypatch):
    """The size of a shipped student, answers of 21 tokens; the time is that of one core, without the others' load."""
    shape = {"hidden_size": 128, "intermediate_size": 352, "num_attention_heads": 2, "head_dim": 64}
    monkeypatch.setattr(module, "FOLDER", write_models(tmp_path, **shape))
    student = embedded_lm(CLASSROOM[1], max_tokens=21, temperature=0.7)
    exams = [
        Exam(
            material=(dspy.Example(question=question, reasoning="x+y:3+5=8;*z:8*2=6", answer="6"),),
            problems=[ExamProblem(example=dspy.Example(question=q, answer="1").with_inputs("question")) for q in asked],
        )
        for question, *asked in (questions(4, seed) for seed in range(24 * 20))
    ]
    examiner = Examiner(dspy.Predict(SOLVE), grader=ExactMatch("answer"), adapter=ClassroomAdapter(), ledger=Ledger())
    examiner.examine(exams[:24], [student], sittings=3)
    start = time.process_time()
    for first in range(24, len(exams), 24):  # one problem's lessons at a time
        examiner.examine(exams[first : first + 24], [student], sittings=3)
    assert (len(exams) - 24) * 9 / (time.process_time() - start) * 60 > 35_000


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_write_what_transformers_writes(name, monkeypatch):
    """Token by token: the chat template, the tokenizer, greedy text, log-probabilities."""
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.setattr(module, "FOLDER", FOLDER)
    engine = ClassroomEngine(f"embedded/classroom-{name}")
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / name)
    model = AutoModelForCausalLM.from_pretrained(FOLDER / name, dtype=torch.float32)
    asked = requests(200, temperature=0.0, logprobs=True, top_logprobs=0)
    for one, answer in zip(asked, engine.answer_many(asked), strict=True):
        messages = [{"role": message.role, "content": message.text} for message in one.messages]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        with torch.no_grad():
            tokens = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=20)[0]
            logits = model(tokens[None]).logits[0, len(prompt) - 1 : -1]
        assert tokenizer.decode(tokens[len(prompt) :], skip_special_tokens=True) == answer.text
        logs = torch.log_softmax(logits, -1).gather(1, tokens[len(prompt) :, None])[:, 0].tolist()
        own = [logprob for _, logprob, _ in decode(answer.logprobs)]
        assert logs[: len(own)] == pytest.approx(own, abs=1e-3)
