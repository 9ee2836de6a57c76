"""The classroom's world: procedures, skills, problems, and the grader."""

import itertools

import dspy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.benchmarks.tasks.classroom.grader import StepsGrader, procedure_of, step_fault
from lbt_dspy.benchmarks.tasks.classroom.problems import classroom_problems
from lbt_dspy.benchmarks.tasks.classroom.texts import numbers_of, padded, student_context, teacher_context
from lbt_dspy.benchmarks.tasks.classroom.world import (
    LEAST_BELIEF,
    MODULUS,
    QUANTITIES,
    STEPS,
    VOCABULARY,
    P,
    Problem,
    line,
    random_procedure,
    skills,
    triples,
)
from lbt_dspy.errors import UserError
from lbt_dspy.exam.makers import Variants
from lbt_dspy.sampling import stream

QUESTION, REASONING, ANSWER = "ba x3 y5 z2", "x+y:3+5=8;*z:8*2=6", "6"
REFERENCE = dspy.Example(question=QUESTION, reasoning=REASONING, answer=ANSWER).with_inputs("question")
digits = st.integers(0, MODULUS - 1)
procedures = st.builds(
    lambda seed, steps: random_procedure(np.random.default_rng(seed), steps),
    st.integers(0, 10_000),
    st.sampled_from(STEPS),
)


@given(procedures, digits, digits, digits)
def test_a_worked_solution_is_sound_and_tells_its_procedure(procedure, x, y, z):
    named = dict(zip(QUANTITIES, (x, y, z), strict=True))
    reasoning, answer = procedure.work(named)
    assert step_fault(f"ba x{x} y{y} z{z}", reasoning, str(answer)) is None
    assert procedure_of(reasoning) == procedure
    assert procedure.answers()[x, y, z] == answer


def test_a_skill_is_one_of_every_difficulty_and_doubt():
    kinds = [(len(skill.procedure.steps), skill.p) for skill in skills().values()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == dict.fromkeys(itertools.product(STEPS, P), 10)


def test_beliefs_lie_around_p_and_never_exclude_the_right_procedure():
    for p in P:
        right = [skill.beliefs[0] for skill in skills().values() if skill.p == p]
        assert min(right) >= LEAST_BELIEF
        assert abs(np.mean(right) - p) < 0.06
    assert all(abs(sum(skill.beliefs) - 1) < 1e-9 for skill in skills().values())


@pytest.mark.parametrize("skill", skills().values(), ids=lambda skill: skill.name)
def test_candidates_differ_in_their_answers(skill):
    for one, other in itertools.combinations(skill.candidates, 2):
        assert (one.answers() == other.answers()).mean() <= 0.2


def test_misconceptions_start_alike_and_wrong():
    for skill in skills().values():
        wrong = {candidate.start for candidate in skill.candidates[1:]}
        assert len(wrong) == 1
        assert skill.procedure.start not in wrong


def test_splits_share_no_digits():
    together = [three for split in ("train", "dev", "test") for three in triples(split)]
    assert sorted(together) == list(itertools.product(range(10), repeat=3))


def test_the_world_is_the_same_everywhere():
    """Checkpoints know this world and no other."""
    problem = Problem(skill=skills()["bi"], digits=(3, 5, 2))
    assert line(problem.question, *problem.work()) == "Q bi x3 y5 z2 R x+z:3+2=5;+y:5+5=0;*y:0*5=0 A 0<end>"
    assert [round(belief, 2) for belief in problem.skill.beliefs] == [0.46, 0.12, 0.37, 0.05]
    assert triples("test")[:2] == ((6, 3, 8), (0, 7, 6))


# (reasoning, answer, mark)  # why
GRADED = [
    (REASONING, ANSWER, 1),
    ("x+y:3+5=8; *z:8*2=6", " 6 ", 1),  # space counts for nothing
    ("y+x:5+3=8;*z:8*2=6", "6", 1),  # the same procedure in other words
    (REASONING, "5", 0),  # the answer is not the last step's
    ("x+y:3+5=7;*z:7*2=4", "4", 0),  # wrong sum
    ("x+y:3+5=7;*z:8*2=6", "6", 0),  # right only because a wrong sum is forgotten
    ("x+y:3+4=7;*z:7*2=4", "4", 0),  # y is 5
    ("x+y:3+5=8;*z:8+2=0", "0", 0),  # says * and adds
    ("x+y:3+5=8;+y:8+5=3;+x:3+3=6", "6", 0),  # the right answer by another procedure
    ("x+y:3+5=8", "6", 0),  # a step is missing
    ("x+y:3+5=8;z*:8*2=6", "6", 0),  # no step
    ("+y:3+5=8;*z:8*2=6", "6", 0),  # starts from nothing
    ("x+y:3+5=8;x*z:3*2=6", "6", 0),  # starts anew
    ("", "6", 0),  # no reasoning
    (REASONING, "16", 0),  # not modulo 10
    (REASONING, "", 0),
    (REASONING, "six", 0),
]


@pytest.mark.parametrize(("reasoning", "answer", "mark"), GRADED)
def test_grader(reasoning, answer, mark):
    graded = StepsGrader().grade(REFERENCE, {"reasoning": reasoning, "answer": answer})
    assert graded.value == mark
    assert (graded.reason is None) == (mark == 1)


def test_grader_without_a_reference_reasoning_asks_for_sound_steps_only():
    reference = dspy.Example(question=QUESTION, answer=ANSWER).with_inputs("question")
    other_way = {"reasoning": "x+y:3+5=8;+y:8+5=3;+x:3+3=6", "answer": "6"}
    assert StepsGrader().grade(reference, other_way).value == 1
    assert StepsGrader().grade(reference, {"reasoning": "x+y:3+5=6", "answer": "6"}).value == 0


def test_keys_of_answers():
    key = StepsGrader().key
    assert key({"answer": " 6"}) == key({"answer": 6}) == "6"
    assert key({"answer": "66"}) is key({"answer": None}) is key({}) is None


def test_problems_are_even_over_skills_and_exams_never_hold_what_is_taught():
    drawn = classroom_problems(200, seed=3)
    names = [problem.skill.name for problem in drawn.teaching]
    assert {names.count(name) for name in set(names)} == {2, 3}
    taught = {(problem.skill.name, problem.digits) for problem in drawn.teaching}
    asked = [(problem.skill.name, problem.digits) for variants in drawn.variants for problem in variants]
    assert len(taught) == 200
    assert not taught & set(asked)
    assert len(set(asked)) == len(asked) == 600


def test_the_maker_of_variants_finds_each_problem_its_exam():
    drawn = classroom_problems(95, seed=0)
    maker = Variants(drawn.bank, problems=3, strict=True)
    for taught in drawn.teaching_examples:
        exam = [problem.example for problem in maker.problems(taught)]
        assert {problem.skill for problem in exam} == {taught.skill}
        assert len({problem.question for problem in exam} | {taught.question}) == 4


def test_other_seeds_draw_other_problems_of_the_same_split():
    one, same, other = (classroom_problems(90, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one.teaching != other.teaching
    assert {problem.digits for problem in other.teaching} <= set(triples("test"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"number": 0}, "number must be a whole number of at least 1"),
        ({"variants": 0}, "variants must be a whole number of at least 1"),
        ({"split": "exam"}, "split must be one of train, dev, test but got 'exam'"),
        ({"number": 5000}, "number must be at most 4500 with 3 variants of split test but got 5000"),
    ],
)
def test_problems_out_of_bounds(options, message):
    with pytest.raises(UserError, match=message):
        classroom_problems(**{"number": 10, "seed": 0, **options})


@pytest.mark.parametrize(
    ("draw", "size"), [(lambda rng: student_context(rng, (0.2, 0.3, 0.5)), 3), (teacher_context, 4)]
)
def test_training_texts_hold_no_digits_of_the_other_splits_and_predict_answers_only(draw, size):
    rng, held_out = stream(0, "test"), {*triples("dev"), *triples("test")}
    for _ in range(100):
        context = draw(rng)
        text = "".join(VOCABULARY[number] for number in context.numbers)
        lines = text.removesuffix("<end>").split("<end>")
        assert len(lines) == size
        assert not {(int(shown[4]), int(shown[6]), int(shown[8])) for shown in lines} & held_out
        predicted = "".join(VOCABULARY[n] for n, yes in zip(context.numbers, context.learned, strict=True) if yes)
        assert predicted.endswith(lines[-1][9:] + "<end>")
        assert "Q" not in predicted


def test_students_never_meet_a_skill_twice():
    """A name stands for something else in each context, so that knowing one helps with no other."""
    rng, seen = stream(0, "fresh"), {}
    for _ in range(3000):
        context = student_context(rng, (1, 0, 0))
        text = "".join(VOCABULARY[number] for number in context.numbers)
        seen.setdefault(text[1:3], set()).add(text[10:13])
    assert min(len(procedures) for procedures in seen.values()) >= 9  # of 18


def test_padding_is_never_predicted():
    rng = stream(0, "pad")
    contexts = [student_context(rng, (0.2, 0.3, 0.5)) for _ in range(8)]
    numbers, targets = padded(contexts)
    for row, context in enumerate(contexts):
        assert [int(n) for n in targets[row] if n != -100] == [
            n for n, yes in zip(context.numbers, context.learned, strict=True) if yes
        ]
        assert not numbers[row, len(context.numbers) :].any()


def test_a_line_has_the_tokens_that_the_world_documents():
    text = line(QUESTION, REASONING, ANSWER)
    documented = "Q ba x 3 y 5 z 2 R x + y : 3 + 5 = 8 ; * z : 8 * 2 = 6 A 6 <end>".split()
    assert [VOCABULARY[number] for number in numbers_of(text)] == documented
    assert numbers_of(line(QUESTION, None, ANSWER)) == numbers_of("Q ba x3 y5 z2 A 6<end>")
    assert len(numbers_of(line(QUESTION))) == 8
