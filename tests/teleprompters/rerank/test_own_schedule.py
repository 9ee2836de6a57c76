"""A schedule of one's own: an object in the place of a name."""

import itertools

import pytest
from school import ASK, program, rerank

from lbt_dspy import UserError
from lbt_dspy.exam.schedules import Full, Lossless, Schedule


class Half:
    """Asks half of the sittings, lesson by lesson."""

    name = "half"
    waits = True

    def next(self, table, in_flight):
        cells = itertools.chain.from_iterable(map(table.open_cells, range(len(table.candidates))))
        left = (table.open + table.asked) // 2 - table.asked
        return list(itertools.islice(cells, max(0, min(in_flight, left))))

    def choice(self, table):
        return table.choice()


@pytest.mark.parametrize("question", ASK[:3])
def test_a_schedule_of_ones_own_decides_what_is_asked(question):
    full, half = (rerank(schedule=schedule).compile(program())(question=question) for schedule in (Full(), Half()))
    assert (full.exam.schedule, half.exam.schedule) == ("full", "half")
    assert full.exam.asked == full.exam.sittings
    assert half.exam.asked == full.exam.sittings // 2


@pytest.mark.parametrize(("name", "made"), [("full", Full()), ("lossless", Lossless())])
def test_a_schedule_by_its_name_is_the_same(name, made):
    by_name, by_object = (rerank(schedule=schedule).compile(program())(question=ASK[1]) for schedule in (name, made))
    assert dict(by_name.items()) == dict(by_object.items())


def test_votes_need_no_schedule():
    found = rerank(schedule=Half(), selection="maj").compile(program())(question=ASK[0])
    assert (found.exam.asked, found.exam.schedule) == (0, "half")


class Nameless(Half):
    name = None


class Idle(Half):
    next = None


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ("losless", "schedule must be one of full, lossless, confident but got 'losless'; did you mean lossless?"),
        (Nameless(), "have a name \\(str\\)"),
        (Idle(), "has no method next"),
        (7, "have a name \\(str\\)"),
    ],
)
def test_anything_else_is_an_error_that_says_what_a_schedule_is(schedule, says):
    with pytest.raises(UserError, match=says):
        rerank(schedule=schedule)


def test_the_protocol_is_what_ours_are():
    ours: list[Schedule] = [Full(), Lossless(), Half()]
    assert [schedule.waits for schedule in ours] == [False, True, True]
