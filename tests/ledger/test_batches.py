"""Models in this process answer in batches: the ledger keeps its promises about journal, budget and faults."""

import dspy
import pytest

from lbt_dspy import Account, Budget, BudgetSpentError, ExactMatch, Exam, Examiner, ExamProblem, Journal, Ledger
from lbt_dspy.lms.engine import Answer, ModelEngine, lm_of
from lbt_dspy.lms.faults import NoReply
from lbt_dspy.lms.prompt import write_answer


class Batching(ModelEngine):
    """Answers in batches of ten; has no reply to questions with "lost", and breaks down at one with "broken"."""

    in_process = True

    def __init__(self, name="embedded/batching"):
        super().__init__(name, name)
        self.batches = []

    def answer(self, request, faults=()):
        raise AssertionError("asked one by one")

    def answer_many(self, requests):
        for start in range(0, len(requests), 10):
            batch = [request.messages[-1].text for request in requests[start : start + 10]]
            self.batches.append(len(batch))
            for text in batch:
                if "broken" in text:
                    raise ValueError("broken")
                yield NoReply("nothing to say") if "lost" in text else Answer(write_answer({"label": "Yes"}, False))


def problems(count, special=(), word=""):
    texts = [f"{word if i in special else 'text'} {i}" for i in range(count)]
    return [ExamProblem(example=dspy.Example(text=text, label="Yes").with_inputs("text")) for text in texts]


def examine(program, asked, ledger, *engines, account=None):
    examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger)
    reports = examiner.examine(
        [Exam(material=(), problems=asked)], [lm_of(engine) for engine in engines], account=account or Account()
    )
    return reports[0]


def test_a_batch_is_asked_at_once_and_each_call_counted(program):
    engine, other, ledger, account = Batching(), Batching("embedded/other"), Ledger(), Account()
    reports = examine(program, problems(25), ledger, engine, other, account=account)
    assert [report.score for report in reports] == [1.0, 1.0]
    assert engine.batches == other.batches == [10, 10, 5]
    assert ledger.journal.sent() == ledger.budget.calls == sum(account.calls.values()) == 50
    examine(program, problems(25), ledger, engine, other)
    assert len(engine.batches) == 3


def test_a_lost_call_takes_no_other_with_it(program):
    report = examine(program, problems(25, (3, 11), "lost"), Ledger(), Batching())[0]
    assert report.coverage == 23 / 25
    assert [row[0].mark.value for row in report.sittings].count(None) == 2
    assert report.sittings[3][0].mark.value is report.sittings[11][0].mark.value is None


@pytest.mark.parametrize("room", [0, 1, 10, 17, 24])
def test_no_answer_beyond_the_budget_is_used(room, program, tmp_path):
    ledger = Ledger(Journal(tmp_path / "j"), Budget(max_calls=room))
    with pytest.raises(BudgetSpentError):
        examine(program, problems(25), ledger, Batching())
    assert ledger.journal.sent() == ledger.budget.calls == room
    ledger.close()
    engine = Batching()
    again = Ledger(Journal(tmp_path / "j"))
    assert examine(program, problems(25), again, engine)[0].coverage == 1.0
    assert sum(engine.batches) == 25 - room
    assert again.journal.sent() == 25


def test_what_was_answered_before_an_error_is_kept(program, tmp_path):
    ledger = Ledger(Journal(tmp_path / "j"))
    with pytest.raises(ValueError, match="broken"):
        examine(program, problems(25, (14,), "broken"), ledger, Batching())
    ledger.close()
    assert Ledger(Journal(tmp_path / "j")).journal.sent() == 14
