"""Game of 24: what counts as its answer, and that nothing is accepted that does not make 24 of the four cards."""

import ast
import itertools
import json
import operator
from collections import Counter
from fractions import Fraction

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy import LMRoles, UserError
from lbt_dspy.benchmarks.tasks import game24
from lbt_dspy.benchmarks.tasks.game24 import Game24
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.sampling import rollout_seed

GRADER = Game24()


def grade(puzzle, output):
    return GRADER.grade(dspy.Example(question=puzzle), {"answer": output}).value


def key(output):
    return GRADER.key({"answer": output})


TABLE = [
    # (puzzle, output, mark)  # why
    ("4 5 6 10", "Answer: (5 * (10 - 4)) - 6 = 24", 1),
    ("4 5 6 10", "5 * (10 - 4) - 6", 1),  # the bare expression
    ("4 5 6 10", "5 * (10 - 4) - 6 = 24", 1),  # no "Answer:", as 3% of the recorded samples
    ("4 5 6 10", "Steps:\n10 - 4 = 6 (left: 5 6 6)\nAnswer: 5 * (10 - 4) - 6 = 24\n", 1),
    ("4 5 6 10", "answer is: 24 = 5*(10-4)-6.", 1),  # the other way round, with a full stop
    ("4 5 6 10", "**Answer:** $5 \\times (10 \u2212 4) - 6$", 1),  # bold, LaTeX, a real minus sign
    ("4 5 6 10", "Answer: 5 x [10 - 4] - 6", 1),
    ("4 5 6 10", "Answer: 4 * 5 + 10 - 6 = 25", 1),  # what it is said to equal is not believed, either way
    ("4 5 6 10", "Answer: (10 - 6) * (5 - 4) * 4 = 24", 0),  # 4 is used twice
    ("4 5 6 10", "Answer: (10 - 6) * (5 + 1) = 24", 0),  # 1 is no card
    ("4 5 6 10", "Answer: 4 * 6 = 24", 0),  # makes 24, of two cards
    ("4 5 6 10", "Answer: 4 + 5 + 6 + 10 = 24", 0),  # all the cards make 25
    ("4 5 6 10", "Answer: 10 * (5 - 4) * 6 / 2.5 = 24", 0),  # a decimal number: 5 is not the card
    ("1 1 4 6", "Answer: 12.4 * 6 * 1 * 1 = 24", 0),  # the end of a number is no number
    ("1 1 4 6", "Answer: 1,4 * 6 * 1 * 1 = 24", 0),
    ("1 1 4 6", "Answer: f4 * 6 * 1 * 1 = 24", 0),
    ("1 1 4 6", "Answer: 2 ^ 4 * 6 * 1 * 1", 0),
    ("1 1 4 6", "Answer: 4 * 6 ** 1 * 1", 0),  # a power is none of the four operations
    ("1 1 4 6", "Answer: 4 * 6 // 1 * 1", 0),
    ("1 1 4 6", "Answer: 4! * 1 * 1", 0),
    ("1 1 4 6", "Answer: 46 // 11 * 6", 0),
    ("1 1 4 6", "Answer: (4 * 6) * 11 / 11", 0),  # cards are not glued together
    ("1 1 4 6", "Answer: -4 * -6 * 1 * 1", 0),  # a sign is no operation
    ("1 1 4 6", "Answer: 4 6 1 1", 0),
    ("1 1 4 6", "Answer: 4 * 6 / (1 - 1) = 24", 0),  # divides by zero
    ("3 3 8 8", "Answer: 8 / (3 - 8 / 3)", 1),  # exact: floating point gives 23.99
    ("2 5 8 11", "Answer: (((11 - 5) * 8) / 2", 0),  # brackets that do not close
    ("4 4 7 10", "Answer: (10 - 7) + 4 * 4 ≠ 24", 0),
    ("1 2 4 6", "Steps:\n6 * 4 = 24 (left: 1 2 24)\n24 * 1 = 24 (left: 2 24)", 0),  # a step is no answer
    ("1 1 4 6", "4 * 6 * 1 * 1 = 24 (left: 24)", 0),
    ("1 1 4 6", "Answer: 4 * 6 * 1 * 1\nAnswer: None", 0),  # the last answer counts
    ("1 1 4 6", "Answer: None\nAnswer: 4 * 6 * 1 * 1", 1),
    ("1 1 4 6", "4 * 6 * 1 * 1 = 24\nThere is no solution.", 0),
    ("1 1 4 6", "Answer: 4 * 6 * 1 * 1 = 24 (all used)", 1),  # a comment in its line
    ("1 1 4 6", "Answer:\n\n4 * 6 * 1 * 1", 1),
    ("1 1 4 6", "Answer: " + "(" * 60 + "4 * 6 * 1 * 1" + ")" * 60, 0),  # longer than is read
    ("1 1 4 6", "Answer: Not possible", 0),
    ("1 1 4 6", "", 0),
    ("1 1 4 6", None, 0),
]


@pytest.mark.parametrize(("puzzle", "output", "mark"), TABLE)
def test_marks(puzzle, output, mark):
    assert grade(puzzle, output) == mark


KEYS = [
    # (one output, another, equal)  # why
    ("Answer: (10 - 6) * (5 - 4)", "Answer: (5 - 4) * (10 - 6) = 24", True),
    ("1 + 2 + 3", "3 + (2 + 1)", True),
    ("10 - (4 - 6)", "6 + 10 - 4", True),  # a bracket after a minus
    ("8 / (4 / 6) * 2", "2 * 6 * 8 / 4", True),
    ("(1 + 2) * 3", "1 + 2 * 3", False),
    ("8 / 4", "4 / 8", False),
    ("8 - 4", "4 - 8", False),
    ("2 * 3 * 4", "2 * 12", False),  # equal in value only
    ("1 + 2", "1 * 2", False),
    ("12 + 3", "1 + 23", False),
]


@pytest.mark.parametrize(("one", "other", "equal"), KEYS)
def test_keys(one, other, equal):
    assert None not in (key(one), key(other))
    assert (key(one) == key(other)) is equal


@pytest.mark.parametrize("output", ["", "Answer: None", "Answer: 24", "4 5 6 10", "4 +", "not possible - sorry"])
def test_no_expression_has_no_key(output):
    assert key(output) is None


REASONS = [
    ("None", "no expression"),
    ("4 * 6", "does not use each of 4, 5, 6, 10 once"),
    ("4 * 5 + 10 - 6", None),
    ("4 + 5 + 6 + 10", "makes 25"),
    ("4 / (10 - 5 - 6 + 1)", "does not use each of 4, 5, 6, 10 once"),
    ("5 / (10 - 6 - 4)", "divides by zero"),
    ("5 / 10 * 6 / 4", "makes 3/4"),
]


@pytest.mark.parametrize(("output", "reason"), REASONS)
def test_reasons(output, reason):
    assert GRADER.grade(dspy.Example(puzzle="10 6 5 4"), {"answer": output}).reason == reason


@pytest.mark.parametrize("puzzle", ["", "4 5 6", "4 5 6 10 24", "four 5 6 10", "1.5 2 3 4", "-1 2 3 4"])
def test_puzzles_that_are_none(puzzle):
    with pytest.raises(UserError, match="must be 4 whole numbers"):
        grade(puzzle, "4 * 6")


def test_a_missing_field():
    with pytest.raises(UserError, match="no field 'answer', only reasoning"):
        GRADER.key({"reasoning": "4 * 6"})


OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def evaluate(tree):
    """Evaluate nested (left, sign, right) tuples."""
    if not isinstance(tree, tuple):
        return Fraction(tree)
    left, sign, right = tree
    return OPERATORS[sign](evaluate(left), evaluate(right))


def trees(a, b, c, d):
    for x, y, z in itertools.product(OPERATORS, repeat=3):
        yield from (
            (((a, x, b), y, c), z, d), ((a, x, (b, y, c)), z, d), ((a, x, b), y, (c, z, d)),
            (a, x, ((b, y, c), z, d)), (a, x, (b, y, (c, z, d))),
        )  # fmt: skip


def written(tree):
    return f"({' '.join(map(written, tree))})" if isinstance(tree, tuple) else str(tree)


@pytest.mark.parametrize("puzzle", ["3 3 8 8", "1 4 5 6", "4 4 10 10"])
def test_every_expression_of_a_puzzle_is_marked_as_an_independent_evaluation_says(puzzle):
    right = 0
    for cards in set(itertools.permutations(puzzle.split())):
        for tree in trees(*map(int, cards)):
            try:
                expected = evaluate(tree) == 24
            except ZeroDivisionError:
                expected = False
            assert grade(puzzle, written(tree)) == expected
            right += expected
    assert right


numbers = st.integers(0, 20)
expressions = st.recursive(numbers, lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner), max_leaves=6)


@given(expressions.filter(lambda tree: isinstance(tree, tuple)), st.data())
def test_order_does_not_matter_to_the_key(tree, data):
    def turned(tree):
        if not isinstance(tree, tuple):
            return tree
        left, sign, right = turned(tree[0]), tree[1], turned(tree[2])
        return (right, sign, left) if sign in "+*" and data.draw(st.booleans()) else (left, sign, right)

    assert key(written(tree)) == key(written(turned(tree))) is not None


@given(st.text() | st.text("0146 ()+*-/.,^!%x=\n\\") | st.text("146()+*-/ ").map("Answer: {}".format))
def test_no_text_raises_and_what_is_accepted_makes_24(text):
    mark = grade("1 1 4 6", text)
    key(text)
    if mark:
        assert sorted(filter(str.isdecimal, text.replace("24", ""))) == ["1", "1", "4", "6"]


@given(expressions, st.sampled_from(["{}", "Answer: {} = 24", "so\n{}", "Answer: **{}**"]))
def test_only_24_of_the_four_cards_is_accepted(tree, frame):
    text = frame.format(written(tree))
    leaves = sorted(node.value for node in ast.walk(ast.parse(written(tree))) if isinstance(node, ast.Constant))
    puzzle = " ".join(map(str, leaves)) if len(leaves) == 4 else "1 1 4 6"
    try:
        right = len(leaves) == 4 and evaluate(tree) == 24
    except ZeroDivisionError:
        right = False
    assert grade(puzzle, text) == right


def rows_of(data_dir, name):
    lines = (data_dir / "recorded_game24" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("name", ["gpt4_cot_100", "gpt4_standard_100"])
def test_marks_agree_with_the_recorded_ones(data_dir, name):
    differing = [r for r in rows_of(data_dir, name) if grade(r["puzzle"], r["output"]) != r["correct"]]
    assert not differing


def test_the_quoted_row_is_real(data_dir):
    quoted = json.loads(" ".join(game24.__doc__.split("A row: ")[1].split()))
    rows = [{name: row[name] for name in quoted} for row in rows_of(data_dir, "gpt4_standard_100")]
    assert quoted in rows


def majority(samples):
    """Return the most frequent key, the first one seen among equals."""
    counts = Counter(k for k, _ in samples if k is not None)
    return max(counts, key=counts.__getitem__)


def test_majority_votes_of_the_recorded_teacher(data_dir):
    """A hundred samples per puzzle, replayed through the engine as a program would see them."""
    lm = LMRoles().lms([f"recorded/{data_dir / 'recorded_game24' / 'gpt4_cot_100.jsonl'}"])[0]
    right = 0
    for puzzle, outputs in engine_of(lm).questions.items():
        samples = [(key(output), grade(puzzle, output)) for output in outputs]
        assert len(samples) == 100
        right += dict(samples)[majority(samples)]
    assert right >= 8


def test_a_puzzle_through_dspy(data_dir):
    lm = LMRoles().lms([f"recorded/{data_dir / 'recorded_game24' / 'gpt4_cot_100.jsonl'}"])[0]
    program = dspy.ChainOfThought("puzzle -> answer")
    rows = [r for r in rows_of(data_dir, "gpt4_cot_100") if r["puzzle"] == "4 5 6 10"][:30]
    with dspy.context(lm=lm):
        for row in rows:
            said = program(puzzle=row["puzzle"], config={"seed": rollout_seed(0, row["sample"])})
            assert GRADER.grade(dspy.Example(puzzle=row["puzzle"]), said).value == row["correct"]
