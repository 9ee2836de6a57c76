"""Reports as they come: in order, a bounded number of exams ahead, nothing asked twice."""

import threading

import dspy
import pytest
from recording_server import YES, recording

from lbt_dspy import Account, Budget, BudgetSpentError, ExactMatch, Exam, Examiner, ExamProblem, Ledger, LMRoles
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.lms.engine import Answer, ModelEngine, lm_of

NO = YES.replace("Yes", "No")


class Reader(ModelEngine):
    """Says Yes to even numbers; counts what it is asked."""

    def __init__(self, name="reader"):
        super().__init__(name, name)
        self.asked = []
        self.lock = threading.Lock()

    def answer(self, request, faults=()):
        text = request.messages[-1].text
        with self.lock:
            self.asked.append(text)
        return Answer(YES if text.split("number ")[1].split(".")[0][-1] in "02468" else NO)


def exam(number, problems=3):
    demo = dspy.Example(text=f"lesson {number}", label="Yes")
    asked = [dspy.Example(text=f"number {i}.", label="Yes").with_inputs("text") for i in range(problems)]
    return Exam(material=(demo,), problems=[ExamProblem(example=example) for example in asked])


def examiner(program, ledger=None, **options):
    return Examiner(program, grader=ExactMatch("label"), ledger=ledger or Ledger(workers=4), **options)


class Counted:
    """Exams that say how many were taken."""

    def __init__(self, count, make=exam):
        self.count, self.make, self.taken = count, make, 0

    def __iter__(self):
        for i in range(self.count):
            self.taken += 1
            yield self.make(i)


class Larger(dspy.Module):
    """More than a predictor: it is run as it is."""

    def __init__(self, first):
        super().__init__()
        self.first = first

    def forward(self, text):
        return self.first(text=text)


def test_a_stream_gives_what_examine_gives(program):
    students = [lm_of(Reader("one")), lm_of(Reader("other"))]
    exams = [exam(i, problems=i % 4) for i in range(9)]
    whole, part = Account(), Account()
    expected = examiner(program).examine(exams, students, sittings=2, account=whole)
    streamed = list(examiner(program).stream(iter(exams), students, sittings=2, account=part))
    assert streamed == expected
    assert whole.calls == part.calls
    assert [len(report.sittings) for (report, _) in streamed] == [0, 1, 2, 3, 0, 1, 2, 3, 0]


def test_a_larger_program_too(program):
    students = [lm_of(Reader())]
    exams = [exam(i, problems=i % 4) for i in range(9)]
    larger = Larger(program)
    made = examiner(larger, predictor="first")
    assert made._alone is False
    assert list(made.stream(iter(exams), students)) == examiner(program).examine(exams, students)


@pytest.mark.parametrize("student", [lambda: lm_of(Reader()), lambda: embedded_lm("embedded/words")])
def test_only_so_many_exams_are_taken_ahead(student, program):
    """One problem each: a million would be held as these are."""
    exams = Counted(30_000, make=lambda i: exam(i % 50, problems=1))
    reports = examiner(program).stream(exams, [student()])
    assert exams.taken == 0
    assert len(next(reports)) == 1
    assert exams.taken < 8_000
    ahead = exams.taken
    for _ in range(500):
        next(reports)
    assert exams.taken <= ahead + 2_500


def test_exams_without_problems_are_reported_without_a_call(program):
    reader = Reader()
    reports = list(examiner(program).stream((exam(i, problems=0) for i in range(5)), [lm_of(reader)]))
    assert [(report.score, report.coverage) for (report,) in reports] == [(None, 1.0)] * 5
    assert not reader.asked
    assert list(examiner(program).stream([], [lm_of(reader)])) == []


def test_an_error_in_the_middle_is_raised_after_what_was_done(program):
    ledger = Ledger(workers=4, budget=Budget(max_calls=1000))
    reports = []
    stream = examiner(program, ledger).stream((exam(i, problems=20) for i in range(100)), [lm_of(Reader())])
    with pytest.raises(BudgetSpentError, match="1000 calls"):
        reports.extend(stream)
    ledger.finish()
    assert 0 < len(reports) <= 50
    assert all(report.coverage == 1.0 for (report,) in reports)
    assert ledger.journal.sent() == 1000 == sum(ledger.journal.calls().values())


def test_an_error_of_the_exams_is_raised_as_it_is(program):
    def exams():
        yield exam(0)
        raise RuntimeError("no more exams")

    with pytest.raises(RuntimeError, match="no more exams"):
        list(examiner(program).stream(exams(), [lm_of(Reader())]))


def test_identical_lessons_share_their_sittings(program):
    with recording() as (url, recorder):
        (lm,) = LMRoles().lms([f"hosted_vllm/m@{url}"])
        account = Account()
        reports = list(
            examiner(program, Ledger(workers=16)).stream(
                (exam(i % 2) for i in range(40)), [lm], sittings=2, account=account
            )
        )
        assert len(recorder.raw) == 2 * 3 == sum(account.calls.values())  # lessons x problems
        assert all(row == reports[0] for row in reports)


def test_a_stream_that_is_left_leaves_a_ledger_that_can_go_on(program):
    reader, ledger = Reader(), Ledger(workers=4)
    stream = examiner(program, ledger).stream((exam(i, problems=50) for i in range(40)), [lm_of(reader)])
    next(stream)
    stream.close()
    (report,) = examiner(program, ledger).examine([exam(1000)], [lm_of(reader)])[0]
    assert report.coverage == 1.0
    ledger.finish()
    assert len(reader.asked) == ledger.journal.sent() < 2000
