"""Schedules: lossless never gives another answer than the full exam, and every schedule keeps its promises."""

import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbt_dspy.errors import UserError
from lbt_dspy.exam.schedules.schedule import make_schedule
from lbt_dspy.exam.schedules.table import Candidate, Cell, ExamTable

RULES = ("maj", "sum", "max", "avg")
MARKS = (0.0, 0.0, 1.0, 1.0, 0.1, 0.2, 0.3, 1 / 3, 2 / 3, 0.55, None)
ORDERS = [("full", rule) for rule in RULES] + [("lossless", rule) for rule in RULES]
ORDERS += [("confident", rule) for rule in ("maj", "sum", "avg")]


class Case:
    """A teaching problem with all marks that its exam would give."""

    def __init__(self, rule, candidates, shape, mark_of):
        self.rule, self.candidates, self.shape = rule, candidates, shape
        students, problems, sittings = shape
        places = itertools.product(range(len(candidates)), range(students), range(problems), range(sittings))
        self.marks = {Cell(*place): mark_of() for place in places}

    def __repr__(self):
        answers = [(c.answer, c.copies) for c in self.candidates]
        return f"Case({self.rule}, {answers}, {self.shape}, {list(self.marks.values())})"

    def table(self):
        students, problems, sittings = self.shape
        return ExamTable(
            self.candidates, students=students, problems=problems, sittings=sittings, selection=self.rule
        )  # fmt: skip

    def complete(self):
        table = self.table()
        for cell, mark in self.marks.items():
            table.record(cell, mark)
        return table

    def run(self, schedule, in_flight, arrange=list):
        """Return the table at the stop and the batches that were asked."""
        table, batches = self.table(), []
        while cells := schedule.next(table, in_flight):
            assert len(cells) <= in_flight
            batches.append(list(cells))
            for cell in arrange(cells):  # a cell asked twice is refused by the table
                table.record(cell, self.marks[cell])
        return table, batches


def numbered(labels):
    numbers = {}
    return [numbers.setdefault(label, len(numbers)) for label in labels]


@st.composite
def cases(draw, rules=RULES, most=7):
    answers = numbered(draw(st.lists(st.integers(0, 4), min_size=1, max_size=most)))
    copies = draw(st.lists(st.sampled_from([1, 1, 1, 2, 5]), min_size=len(answers), max_size=len(answers)))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)))
    values = draw(st.sampled_from([(0.0, 1.0), (0.0, 1.0, 1.0, None), MARKS, (0.1, 0.2, 0.3), (None, None, 1.0)]))
    rng = draw(st.randoms(use_true_random=False))
    candidates = [Candidate(answer=a, copies=c) for a, c in zip(answers, copies, strict=True)]
    return Case(draw(st.sampled_from(rules)), candidates, shape, lambda: rng.choice(values))


def random_case(rng):
    answers = numbered(rng.choices(range(rng.randint(1, 6)), k=rng.randint(1, 10)))
    near = (0.5, 0.5001, 0.49995, None)
    values = rng.choice([(0.0, 1.0), (0.0, 0.0, 0.0, 1.0), (0.0, 1.0, 1.0, 1.0), MARKS, near, (0.0, 1.0, None)])
    candidates = [Candidate(answer=a, copies=rng.choice([1, 1, 1, 3])) for a in answers]
    shape = rng.choice([1, 1, 2, 3]), rng.randint(1, 3), rng.randint(1, 3)
    return Case(rng.choice(RULES[1:]), candidates, shape, lambda: rng.choice(values))


def agrees(case, in_flight):
    schedule = make_schedule("lossless", selection=case.rule)
    table, _ = case.run(schedule, in_flight)
    return schedule.choice(table) == table.choice() == case.complete().choice()


@settings(max_examples=400)
@given(cases(), st.integers(1, 256))
def test_lossless_is_the_full_exam(case, in_flight):
    assert agrees(case, in_flight)


def test_lossless_is_the_full_exam_on_300_random_tables():
    rng = random.Random(0)
    assert all(agrees(random_case(rng), rng.choice([1, 2, 3, 8, 64, 256])) for _ in range(300))


@pytest.mark.slow
def test_lossless_is_the_full_exam_on_2000_random_tables():
    rng = random.Random(1)
    assert all(agrees(random_case(rng), rng.randint(1, 256)) for _ in range(2_000))


@settings(max_examples=150)
@given(cases(), st.randoms(use_true_random=False))
def test_the_stop_is_exact_whatever_order_cells_are_asked_in(case, rng):
    cells, table = list(case.marks), case.table()
    rng.shuffle(cells)
    while len(table.contenders()) > 1:
        cell = cells.pop()
        table.record(cell, case.marks[cell])
    assert table.contenders() == [case.complete().choice()] == [table.choice()]


@settings(max_examples=60)
@given(cases(rules=RULES[1:], most=4), st.integers(0, 4), st.randoms(use_true_random=False))
def test_contenders_are_the_answers_that_some_outcome_makes_win(case, open_cells, rng):
    """All outcomes of the open cells, 0, 1 and failed, played through: not one contender too many or too few."""
    cells = list(case.marks)
    rng.shuffle(cells)
    left, seen = cells[:open_cells], cells[open_cells:]
    partial, winners = case.table(), set()
    for cell in seen:
        partial.record(cell, case.marks[cell])
    for outcome in itertools.product((0.0, 1.0, None), repeat=len(left)):
        table = case.table()
        for cell, mark in [*((cell, case.marks[cell]) for cell in seen), *zip(left, outcome, strict=True)]:
            table.record(cell, mark)
        winners.add(table.choice())
    assert set(partial.contenders()) == winners


@settings(max_examples=100)
@given(cases(), st.randoms(use_true_random=False))
def test_bounds_only_shrink_and_end_at_the_score(case, rng):
    cells, table = list(case.marks), case.table()
    rng.shuffle(cells)
    bounds = [table.bounds(answer) for answer in range(len(table.answers))]
    for cell in cells:
        table.record(cell, case.marks[cell])
        now = [table.bounds(answer) for answer in range(len(table.answers))]
        assert all(
            low <= new_low <= new_high <= high for (low, high), (new_low, new_high) in zip(bounds, now, strict=True)
        )
        bounds = now
    assert all(low == high for low, high in bounds)
    scores = [table.score(i) or Fraction(0) for i in table.answers[0] for _ in range(case.candidates[i].copies)]
    worth = {"maj": len(scores), "sum": sum(scores), "max": max(scores), "avg": Fraction(sum(scores), len(scores))}
    assert bounds[0][0] == worth[case.rule]


@pytest.mark.parametrize(("name", "rule"), ORDERS)
def test_what_costs_no_sitting(name, rule):
    schedule = make_schedule(name, selection=rule)
    unanimous = Case(rule, [Candidate(answer=0, copies=2), Candidate(answer=0)], (2, 3, 3), lambda: 0.0)
    split = Case(rule, [Candidate(answer=0), Candidate(answer=1), Candidate(answer=1)], (2, 3, 3), lambda: 1.0)
    asked = [sum(map(len, case.run(schedule, 8)[1])) for case in (unanimous, split)]
    assert (asked[0] == 0) == (name != "full" or rule == "maj")
    assert (asked[1] == 0) == (rule == "maj")
    assert schedule.choice(unanimous.run(schedule, 8)[0]) == 0


def test_the_full_exam_asks_every_cell():
    case = random_case(random.Random(3))
    table, batches = case.run(make_schedule("full", selection="sum"), 7)
    assert sorted(itertools.chain(*batches)) == sorted(case.marks)
    assert (table.open, table.asked) == (0, len(case.marks))


@settings(max_examples=100)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_replies_within_a_batch_does_not_matter(case, rng):
    def shuffled(cells):
        return rng.sample(cells, len(cells))

    for name in ("lossless", "confident") if case.rule != "max" else ("lossless",):
        schedule = make_schedule(name, selection=case.rule)
        (table, batches), (other, others) = case.run(schedule, 6), case.run(schedule, 6, shuffled)
        assert batches == others
        assert schedule.choice(table) == schedule.choice(other)


@settings(max_examples=100)
@given(cases(), st.randoms(use_true_random=False))
def test_other_names_of_the_answers_change_nothing_but_who_was_first(case, rng):
    """The lessons come in another order: the winner is the same, or one of the same score and number of lessons."""
    order = rng.sample(range(len(case.candidates)), len(case.candidates))
    names = numbered([case.candidates[i].answer for i in order])
    other = Case(
        case.rule,
        [Candidate(answer=a, copies=case.candidates[i].copies) for a, i in zip(names, order, strict=True)],
        case.shape, lambda: None,
    )  # fmt: skip
    other.marks = {cell: case.marks[cell._replace(lesson=order[cell.lesson])] for cell in other.marks}
    table, renamed = case.complete(), other.complete()

    def merit(table):
        return table.bounds(table.choice()), table.sizes[table.choice()]

    assert merit(table) == merit(renamed)
    assert agrees(other, 5)


@settings(max_examples=100)
@given(cases(), st.integers(1, 64))
def test_lessons_with_the_same_text_share_sittings(case, in_flight):
    """As many lessons with the same marks choose the same, only dearer."""
    sources = [i for i, candidate in enumerate(case.candidates) for _ in range(candidate.copies)]
    apart = Case(case.rule, [Candidate(answer=case.candidates[i].answer) for i in sources], case.shape, lambda: None)
    apart.marks = {cell: case.marks[cell._replace(lesson=sources[cell.lesson])] for cell in apart.marks}
    schedule = make_schedule("lossless", selection=case.rule)
    assert schedule.choice(case.run(schedule, in_flight)[0]) == apart.complete().choice()


@settings(max_examples=100)
@given(cases(rules=("sum", "avg")), st.integers(1, 64))
def test_confident(case, in_flight):
    schedule = make_schedule("confident", delta=0.1, seed=3, selection=case.rule)
    table, batches = case.run(schedule, in_flight)
    again = case.run(make_schedule("confident", delta=0.1, seed=3, selection=case.rule), in_flight)[1]
    assert batches == again
    assert schedule.choice(table) in table.contenders()
    assert schedule.choice(case.complete()) == case.complete().choice()
    zero = make_schedule("confident", delta=0, selection=case.rule)
    assert case.run(zero, in_flight)[1] == case.run(make_schedule("lossless", selection=case.rule), in_flight)[1]


def test_confident_draws_its_sittings_by_its_seed():
    case = Case("sum", [Candidate(answer=i % 2) for i in range(8)], (1, 3, 3), lambda: 1.0)
    first = [make_schedule("confident", seed=seed, selection="sum").next(case.table(), 8) for seed in (0, 0, 1)]
    assert first[0] == first[1] != first[2]


@pytest.mark.parametrize(
    ("marks", "winner"),
    [
        ([[0.3, 0.0], [0.1, 0.2]], 0),  # 0.1 + 0.2 is 0.30000000000000004 in floats, here a tie: the first seen
        ([[0.1, 0.2], [0.3, 0.0]], 0),
        ([[1 / 3, 1 / 3], [2 / 3, 0.0]], 0),  # thirds are thirds
        ([[0.3, 0.0], [0.1, 0.2001]], 1),  # and a ten-thousandth is a difference
        ([[0.5, 0.5], [1.0, None]], 1),  # a failed sitting leaves the mean
        ([[0.0, 0.0], [None, None]], 0),  # nothing measured counts as 0
    ],
)
@pytest.mark.parametrize("rule", ["sum", "max", "avg"])
def test_ties_are_exact(rule, marks, winner):
    flat = iter(itertools.chain(*marks))
    case = Case(rule, [Candidate(answer=0), Candidate(answer=1)], (1, 1, 2), lambda: next(flat))
    assert case.complete().choice() == winner
    assert agrees(case, 1)


def test_marks_are_averaged_per_student_first():
    table = ExamTable([Candidate(answer=0)], students=3, problems=1, sittings=3, selection="sum")
    assert table.score(0) is None
    for student, marks in ((0, [1, 1, 0]), (1, [0, None, None]), (2, [None, None, None])):
        for sitting, mark in enumerate(marks):
            table.record(Cell(0, student, 0, sitting), mark)
    assert table.score(0) == Fraction(1, 3)  # (2/3 + 0) / 2: a student without a mark leaves the mean
    assert list(table.marks(0, 1).values()) == [0, None, None]
    assert (table.open, table.marked, table.failed) == (0, 4, 5)


@pytest.mark.parametrize("mark", [1.01, -0.1, float("nan"), float("inf")])
def test_marks_out_of_bounds_are_refused(mark):
    table = ExamTable([Candidate(answer=0)], students=1, problems=1, sittings=1, selection="sum")
    with pytest.raises(UserError, match=r"in \[0, 1\]"):
        table.record(Cell(0, 0, 0, 0), mark)
    assert table.open == 1


def test_a_cell_is_recorded_once_and_must_be_of_the_exam():
    table = ExamTable([Candidate(answer=0)], students=1, problems=1, sittings=1, selection="sum")
    table.record(Cell(0, 0, 0, 0), None)
    for cell in (Cell(0, 0, 0, 0), Cell(0, 0, 1, 0), Cell(1, 0, 0, 0), Cell(0, -1, 0, 0)):
        with pytest.raises(UserError, match="must be open"):
            table.record(cell, 1.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"students": 0}, "students must be .* at least 1 but got 0"),
        ({"problems": 0}, "problems"),
        ({"sittings": True}, "sittings"),
        ({"selection": "best"}, "selection must be one of sum, max, avg, maj"),
        ({"candidates": []}, "at least 1 lesson"),
        ({"candidates": [Candidate(answer=1)]}, "order in which they first appear"),
        ({"candidates": [Candidate(answer=0, copies=0)]}, "copies"),
    ],
)
def test_tables_out_of_bounds_are_refused(change, says):
    options = dict(candidates=[Candidate(answer=0)], students=1, problems=1, sittings=1, selection="sum") | change
    candidates = options.pop("candidates")
    with pytest.raises(UserError, match=says):
        ExamTable(candidates, **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "fast"}, "schedule must be one of full, lossless, confident"),
        ({"name": "confident", "delta": 0.5}, "delta must be at least 0 and less than 0.5 but got 0.5"),
        ({"name": "confident", "delta": -0.1}, "delta"),
        ({"name": "confident", "delta": float("nan")}, "delta"),
        ({"name": "confident", "selection": "max"}, "lossless"),
        ({"name": "lossless", "selection": "best"}, "selection must be one of"),
    ],
)
def test_schedules_out_of_bounds_are_refused(options, says):
    with pytest.raises(UserError, match=says):
        make_schedule(**{"selection": "sum"} | options)
