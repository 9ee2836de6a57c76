"""Marks by evidence: what is measured, what it is worth, who can be asked, and that each call is paid once."""

from fractions import Fraction

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from school import Pupil, student
from vllm_double import NEW, SEEN, TOKEN, vllm_server

from lbt_dspy import (
    Account,
    Budget,
    BudgetSpentError,
    ExactMatch,
    Exam,
    Examiner,
    ExamProblem,
    Journal,
    LbTRerank,
    Ledger,
    LMRoles,
    UserError,
    Variants,
)
from lbt_dspy.benchmarks.tasks.classroom.grader import StepsGrader
from lbt_dspy.benchmarks.tasks.classroom.problems import classroom_problems, example
from lbt_dspy.exam.render import Renderer
from lbt_dspy.exam.sitting.evidence import SCALE, evidence_mark
from lbt_dspy.lms.embedded import CLASSROOM_STUDENTS, CLASSROOM_TEACHER, embedded_lm
from lbt_dspy.lms.embedded.classroom import ClassroomAdapter
from lbt_dspy.lms.engine import lm_of
from lbt_dspy.lms.logprobs import given_tokens
from lbt_dspy.types import Seat

SOLVE = dspy.Signature("question -> reasoning, answer")
SOLVED = dspy.Example(question="ba x3 y5 z2", reasoning="x+y:3+5=8", answer=8).with_inputs("question")
ANSWERED = SOLVED.without("reasoning").with_inputs("question")
gains = st.floats(-50, 50)
scales = st.floats(1e-3, 10)


@given(gains, gains, scales)
def test_larger_gains_have_no_smaller_marks(one, other, scale):
    low, high = sorted((one, other))
    assert 0 <= evidence_mark(low, scale) <= evidence_mark(high, scale) <= 1


@given(gains, scales)
def test_marks_are_symmetric_about_no_gain_and_exact_in_ten_thousandths(gain, scale):
    mark = evidence_mark(gain, scale)
    assert mark + evidence_mark(-gain, scale) == pytest.approx(1, abs=1e-9)
    assert (Fraction(mark).limit_denominator(10_000) * 10_000).denominator == 1


def test_the_scale_is_what_it_is_said_to_be():
    assert [evidence_mark(gain, 0.2) for gain in (0, 0.2, 0.4, -0.2)] == [0.5, 0.7311, 0.8808, 0.2689]


def listed(*tokens):
    """Make vLLM's `prompt_logprobs` of tokens; the first has none, the own one stands first where there are more."""
    rows = [{str(i): {"logprob": -i, "decoded_token": t}, "x": {"logprob": 0.0}} for i, t in enumerate(tokens)]
    return [None, *rows[1:]]


FOUND = [
    (listed("Q ", "1", "A ", "2"), "A 2", ["A ", "2"]),
    (listed("Q ", "1", "A ", "2"), "A  2\n", ["A ", "2"]),  # a template or a tokenizer changes white space
    (listed("Q", "1A", "2"), "A2", ["1A", "2"]),  # a token that begins before the text
    (listed("Q", "\u0120A", "\u01202"), "A 2", ["\u0120A", "\u01202"]),  # byte-level tokens as they are stored
    (listed("Q", "A", "\ufffd", "\ufffd", "2"), "A \u00e92", ["A", "\ufffd", "\ufffd", "2"]),  # one letter, two tokens
    (listed("A", "2", "A", "2"), "A2", ["A", "2"]),  # the last of two
    (listed("Q", "A", "2", "<end>"), "A2", []),  # a template that closes the message
    (listed("Q", "A", "3"), "A2", []),
    (listed("A", "2"), "A2", []),  # nothing before the text: its first token has no probability
    ((), "A2", []),  # a server that does not know the wish
    (listed("Q", "\u7b54"), "\u7b54", []),  # no letter to find it by
]


@pytest.mark.parametrize(("prompt", "text", "tokens"), FOUND)
def test_the_tokens_of_the_given_text_are_found_at_the_end_of_the_prompt(prompt, text, tokens):
    found = given_tokens(prompt, text)
    assert [token for token, _, _ in found] == tokens
    assert [own for _, own, _ in found] == [-i for i in range(len(prompt) - len(tokens), len(prompt))]


@given(st.text("aA1 \u00e9\n<", max_size=8), st.text("bB2 \u00e9\n", max_size=12), st.data())
def test_however_a_prompt_is_cut_into_tokens_the_text_is_found(before, text, data):
    whole = f"Q{before}A{text}2"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), min_size=1)))
    tokens = [whole[i:j] for i, j in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    found = [token for token, _, _ in given_tokens(listed(*tokens), f"A{text}2")]
    if len("".join(tokens[1:])) > len(text) + 1:  # else the first token, which has no probability, is part of it
        assert "".join(found).endswith(f"A{text}2")
        assert "A" in found[0]
    else:
        assert found == []


TEXTS = [
    (ClassroomAdapter(), SOLVED, "R x+y:3+5=8 A 8"),
    (ClassroomAdapter(), ANSWERED, "A 8"),
    (ClassroomAdapter(), SOLVED.copy(reasoning=None), "A 8"),
    (dspy.JSONAdapter(), ANSWERED, '{\n  "answer": 8\n}'),
    (dspy.ChatAdapter(), ANSWERED, "[[ ## answer ## ]]\n8\n\n[[ ## completed ## ]]"),  # and no word of the reasoning
    (
        dspy.ChatAdapter(),
        SOLVED,
        "[[ ## reasoning ## ]]\nx+y:3+5=8\n\n[[ ## answer ## ]]\n8\n\n[[ ## completed ## ]]",
    ),
]


@pytest.mark.parametrize(("adapter", "reference", "text"), TEXTS)
def test_the_reference_is_written_as_in_a_demonstration(adapter, reference, text):
    assert Renderer(SOLVE, adapter).answer_text(reference) == text


class NoTurns(dspy.ChatAdapter):
    """Tells all that there is to say in one message."""

    def format(self, signature, demos, inputs):
        return [{"role": "user", "content": str([*demos, inputs])}]


@pytest.mark.parametrize(
    ("adapter", "reference", "told"),
    [
        (ClassroomAdapter(), SOLVED.without("answer"), "has no answer 'answer'"),
        (ClassroomAdapter(), SOLVED.copy(answer=None), "has no answer 'answer'"),
        (NoTurns(), SOLVED, "NoTurns must write demonstrations as a user's and an assistant's text"),
    ],
)
def test_a_reference_that_cannot_be_written_is_told_before_any_call(adapter, reference, told):
    room = Examiner(
        dspy.Predict(SOLVE), grader=StepsGrader(), ledger=Ledger(), adapter=adapter, mark="evidence"
    )  # a grader that does not say which field it reads
    problem = ExamProblem(example=reference.with_inputs("question"))
    with pytest.raises(UserError, match=told):
        room.check([problem], [embedded_lm(CLASSROOM_STUDENTS[0])])


def examiner(ledger=None, **options):
    given = {"adapter": ClassroomAdapter(), "mark": "evidence"} | options
    return Examiner(dspy.Predict(SOLVE), grader=ExactMatch("answer"), ledger=ledger or Ledger(), **given)


def lessons_of(problem):
    """One lesson for each candidate of a skill, the right one first."""
    for candidate in problem.skill.candidates:
        reasoning, answer = problem.work(candidate)
        yield dspy.Example(question=problem.question, reasoning=reasoning, answer=answer).with_inputs("question")


@pytest.fixture(scope="module")
def classroom():
    return classroom_problems(30, seed=3, split="dev")


def exam_of(variants):
    return [ExamProblem(example=example(variant, "-")) for variant in variants]


@pytest.mark.parametrize("name", CLASSROOM_STUDENTS)
def test_right_lessons_have_larger_marks_than_wrong_ones(name, classroom):
    exams = [
        Exam(material=(lesson,), problems=exam_of(variants))
        for taught, variants in zip(classroom.teaching, classroom.variants, strict=True)
        for lesson in lessons_of(taught)
    ]
    scores = [report.score for (report,) in examiner().examine(exams, [embedded_lm(name)])]
    right = scores[::4]
    wrong = [score for place, score in enumerate(scores) if place % 4]
    better = [own > max(scores[4 * i + 1 : 4 * i + 4]) for i, own in enumerate(right)]
    assert sum(better) >= 0.9 * len(better)
    assert sum(right) / len(right) > 0.8
    assert sum(wrong) / len(wrong) < 0.35


def test_the_gain_is_that_of_the_mean_log_likelihood(classroom):
    lm = embedded_lm(CLASSROOM_STUDENTS[0])
    problem = exam_of(classroom.variants[0])[0]
    (lesson, *_), reference = lessons_of(classroom.teaching[0]), problem.example
    seats = [Seat((lesson,), lm, problem, 0), Seat((), lm, problem, 0)]
    taught, untaught = examiner().sit(seats)
    renderer, text = Renderer(SOLVE, ClassroomAdapter()), f"R {reference.reasoning} A {reference.answer}"
    asked = [renderer.prefix(read, lm, lm.engine, {}, 0).call(reference.inputs()).request for read in ((lesson,), ())]
    with_it, without = lm.engine.text_logprobs(asked, [text, text])
    assert taught.mark.gain == pytest.approx(with_it.mean() - without.mean(), abs=1e-3)
    assert taught.mark.value == evidence_mark(taught.mark.gain, SCALE)
    assert (untaught.mark.gain, untaught.mark.value) == (0, 0.5)


def rerank(classroom, students=CLASSROOM_STUDENTS[:1], **options):
    program = dspy.Predict(SOLVE)
    program.set_lm(embedded_lm(CLASSROOM_TEACHER))
    given = {"mark": "evidence", "rationales": 8, "temperature": 1.0, "adapter": ClassroomAdapter(), **options}
    return LbTRerank(exam_students=students, exam=Variants(classroom.bank), **given).compile(program)


def asked_of(classroom):
    return [{"question": e.question, "unique_id": e.unique_id} for e in classroom.teaching_examples]


def answers(program, classroom, account=None, **changes):
    return [program.rerank(inputs, account=account, **changes) for inputs in asked_of(classroom)]


def accuracy(found, classroom):
    pairs = zip(found, classroom.teaching_examples, strict=True)
    return sum(f.prediction.answer == e.answer for f, e in pairs) / len(found)


@pytest.mark.slow
def test_it_chooses_better_than_the_vote_and_schedules_lose_nothing(classroom):
    program = rerank(classroom, ledger=Ledger())
    accounts = {schedule: Account() for schedule in ("full", "lossless", "confident")}
    found = {s: answers(program, classroom, account, schedule=s) for s, account in accounts.items()}
    vote = accuracy(answers(program, classroom, selection="maj"), classroom)
    assert accuracy(found["full"], classroom) >= vote + 0.1
    assert [f.prediction.answer for f in found["lossless"]] == [f.prediction.answer for f in found["full"]]
    calls = {s: account.calls["students", CLASSROOM_STUDENTS[0]] for s, account in accounts.items()}
    assert max(calls["lossless"], calls["confident"]) < calls["full"]
    for one in found["full"]:
        assert all(0 <= lesson.score <= 1 and lesson.gain is not None for lesson in one.lessons)
        assert one.exam.sittings == one.exam.asked == one.exam.measured == one.exam.problems * _distinct(one)


def _distinct(found):
    return len({str(lesson.lesson) for lesson in found.lessons})


def test_a_lesson_and_what_is_asked_without_one_are_paid_once(classroom, tmp_path):
    counts, outcomes = [], []
    for _ in range(2):
        ledger, account = Ledger(Journal(tmp_path / "j")), Account()
        program = rerank(classroom, CLASSROOM_STUDENTS, ledger=ledger, schedule="full")
        found = program.rerank(asked_of(classroom)[0], account=account)
        counts.append((ledger.journal.sent(), sum(account.calls.values())))
        outcomes.append([(lesson.score, lesson.gain) for lesson in found.lessons])
        ledger.close()
    each = 3 * _distinct(found) + 3
    assert counts == [(8 + 2 * each, 8 + 2 * each)] * 2
    assert outcomes[0] == outcomes[1]


def test_the_budget_stops_it_and_a_resumed_run_goes_on(classroom, tmp_path):
    inputs = {
        "question": classroom.teaching_examples[1].question,
        "unique_id": classroom.teaching_examples[1].unique_id,
    }
    whole = rerank(classroom, schedule="full").rerank(inputs)
    for most in (8, 11, 1000):
        ledger = Ledger(Journal(tmp_path / "j"), Budget(max_calls=most))
        program = rerank(classroom, ledger=ledger, schedule="full")
        if most < 1000:
            with pytest.raises(BudgetSpentError):
                program.rerank(inputs)
            assert ledger.journal.sent() == most
        else:
            assert program.rerank(inputs).lessons == whole.lessons
            assert ledger.journal.sent() == 8 + 3 * _distinct(whole) + 3
        ledger.close()


def test_a_lesson_that_is_too_long_is_not_measured_and_takes_no_other_with_it(classroom):
    right, wrong, *_ = lessons_of(classroom.teaching[0])
    long = right.copy(reasoning="x+y:3+5=8;" * 400)
    exams = [Exam(material=(lesson,), problems=exam_of(classroom.variants[0])) for lesson in (right, long, wrong)]
    good, lost, bad = (row[0] for row in examiner().examine(exams, [embedded_lm(CLASSROOM_STUDENTS[0])]))
    assert good.score > bad.score
    assert (lost.score, lost.coverage) == (None, 0)
    assert "reads at most" in lost.sittings[0][0].mark.reason


MUTE = [
    lambda: embedded_lm("embedded/words"),
    lambda: student(),
    lambda: dspy.LM("hosted_vllm/m", api_base="http://127.0.0.1:9/v1", api_key="-", engine="litellm"),
    lambda: dspy.LM("openai/m", api_base="http://127.0.0.1:9/v1", api_key="-"),
    lambda: LMRoles().lms(["openai/gpt-4o-mini"])[0],
]


@pytest.mark.parametrize("mute", MUTE)
def test_models_that_do_not_score_texts_are_refused_before_any_call(mute, classroom, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-unused-key")
    ledger = Ledger()
    told = r"needs students that say how likely a given text is but .* does not; vLLM servers by name \(hosted_vllm/"
    with pytest.raises(UserError, match=told):
        rerank(classroom, [mute()], ledger=ledger)(**asked_of(classroom)[0])
    with pytest.raises(UserError, match=told):
        examiner(ledger).examine([Exam(material=(), problems=exam_of(classroom.variants[0]))], [mute()])
    assert ledger.journal.sent() == 0


OPTIONS = [
    ({"mark": "evidential"}, "mark must be one of grade, evidence but got 'evidential'"),
    ({"sittings": 3}, "sittings must be 1 with mark 'evidence' but got 3; .*leave it out"),
    ({"evidence_scale": 0}, "evidence_scale must be a number above 0 but got 0; "),
    ({"evidence_scale": float("nan")}, "evidence_scale must be a number above 0 but got nan; "),
    ({"evidence_scale": "wide"}, "evidence_scale must be a number above 0 but got 'wide'; "),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_options_out_of_bounds(options, message, classroom):
    with pytest.raises(UserError, match=message):
        rerank(classroom, **options)


def test_an_examiner_refuses_what_evidence_does_not_go_with():
    class Larger(dspy.Module):
        def __init__(self):
            super().__init__()
            self.solve = dspy.Predict(SOLVE)

    with pytest.raises(UserError, match="mark 'evidence' needs a program of one predictor"):
        Examiner(Larger(), grader=ExactMatch("answer"), ledger=Ledger(), mark="evidence")
    with pytest.raises(UserError, match="sittings must be 1 with mark 'evidence' but got 2"):
        examiner().examine([], [], sittings=2)


def test_sittings_left_open_are_one_by_evidence_and_three_by_grade(classroom):
    program = rerank(classroom, schedule="full")
    one = program.rerank(inputs := asked_of(classroom)[0])
    graded = program.rerank(inputs, mark="grade")
    assert graded.exam.sittings == 3 * one.exam.sittings
    assert all(lesson.gain is None for lesson in graded.lessons)


LESSON = dspy.Example(question="What is 3 and 4?", reasoning="together", answer="7").with_inputs("question")
REFERENCE = ExamProblem(
    example=dspy.Example(question="And 1 with 1?", reasoning="together", answer="2").with_inputs("question")
)


def through_a_server(name, **options):
    lm = LMRoles().lms([name])[0]
    room = Examiner(
        dspy.Predict(SOLVE), grader=ExactMatch("answer"), ledger=Ledger(retries=1), mark="evidence", **options
    )
    report = room.examine([Exam(material=(LESSON,), problems=[REFERENCE])], [lm])[0][0]
    return report.sittings[0][0], room.ledger


def test_a_vllm_server_scores_texts_through_the_router():
    with vllm_server() as (name, server):
        sitting, ledger = through_a_server(name)
    assert ledger.journal.sent() == len(server.bodies) == 2
    text = server.bodies[0]["messages"][-1]["content"]
    # `together` is the one token of the reference that is new without the lesson
    assert sitting.mark.gain == pytest.approx((SEEN - NEW) / len(TOKEN.findall(text)), abs=1e-4)
    assert sitting.mark.value > 0.5
    for body in server.bodies:
        assert body["messages"][-1]["role"] == "assistant"
        assert body["messages"][-1]["content"].endswith("[[ ## completed ## ]]")
        wish = {"max_tokens": 1, "prompt_logprobs": 0, "add_generation_prompt": False, "continue_final_message": True}
        assert {key: body[key] for key in wish} == wish
        assert not {"temperature", "seed", "n", "extra_body"} & set(body)
    assert sorted(len(body["messages"]) for body in server.bodies) == [3, 5]  # with the lesson, and without


def test_settings_of_a_deployment_are_sent_beside_the_wish(tmp_path):
    with vllm_server() as (name, server):
        address = name.partition("@")[2]
        config = tmp_path / "lms.yaml"
        config.write_text(
            f"model_list: [{{model_name: pupil, litellm_params: {{model: hosted_vllm/m, api_base: '{address}', "
            "temperature: 0.3, extra_body: {chat_template_kwargs: {enable_thinking: false}}}}]"
        )
        lm = LMRoles(config).lms(["pupil"])[0]
        assert examiner(adapter=dspy.ChatAdapter()).sit([Seat((LESSON,), lm, REFERENCE, 0)])[0].mark.gain > 0
    assert all(body["chat_template_kwargs"] == {"enable_thinking": False} for body in server.bodies)
    assert all(body["prompt_logprobs"] == 0 and "temperature" not in body for body in server.bodies)


IGNORING = [
    lambda response: {k: v for k, v in response.items() if k != "prompt_logprobs"},
    lambda response: response | {"prompt_logprobs": None},
    lambda response: response | {"prompt_logprobs": response["prompt_logprobs"][:-1]},  # another text than the given
]


@pytest.mark.parametrize("edit", IGNORING)
def test_a_server_that_does_not_score_is_an_error_and_not_a_mark(edit):
    with vllm_server(edit) as (name, _):
        lm = LMRoles().lms([name])[0]
        problems = [ExamProblem(example=REFERENCE.example.copy(question=f"And {i}?")) for i in range(4)]
        exam = Exam(material=(LESSON,), problems=problems)
        with pytest.raises(UserError, match=r"no log-probabilities of the given text .* the server must be vLLM"):
            examiner(adapter=dspy.ChatAdapter()).examine([exam], [lm])


def test_a_fallback_that_cannot_score_makes_a_name_that_cannot(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-unused-key")
    config = tmp_path / "lms.yaml"
    config.write_text(
        "model_list:\n"
        "  - {model_name: a, litellm_params: {model: hosted_vllm/m, api_base: 'http://127.0.0.1:9/v1'}}\n"
        "  - {model_name: b, litellm_params: {model: openai/gpt-4o-mini}}\n"
        "router_settings: {fallbacks: [{a: [b]}]}"
    )
    lm = LMRoles(config).lms(["a"])[0]
    with pytest.raises(UserError, match="but a does not"):
        examiner().sit([Seat((LESSON,), lm, REFERENCE, 0)])


def test_results_do_not_depend_on_the_number_of_workers(classroom):
    """Through a server, where calls come back in any order."""
    found = []
    with vllm_server() as (name, _):
        for workers in (1, 16):
            ledger = Ledger(workers=workers)
            exams = [Exam(material=(LESSON,), problems=[REFERENCE]), Exam(material=(), problems=[REFERENCE])]
            reports = examiner(ledger, adapter=dspy.ChatAdapter()).examine(exams, LMRoles().lms([name]))
            found.append([r.marks for row in reports for r in row])
            assert ledger.journal.sent() == 2
    assert found[0] == found[1]


def test_an_engine_that_does_not_offer_it_says_who_does():
    with pytest.raises(UserError, match="school/mute does not say how likely a given text is; vLLM servers"):
        lm_of(Pupil("school/mute", None)).engine.score(None)
