"""A gate in dollars against a server that keeps a bill of its own: whatever it answers, the bill stays below it."""

import contextlib
import os

import dspy
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recording_server import YES, completion, recording

from lbt_dspy import Account, Budget, ExactMatch, Exam, Examiner, ExamProblem, Journal, Ledger, LMRoles, classification
from lbt_dspy.errors import BudgetSpentError
from lbt_dspy.lms.fleet import sections
from lbt_dspy.lms.user_lm import engine_of

pytestmark = pytest.mark.usefixtures("short_waits")
EXAMPLES = int(os.environ.get("LBT_GATE_EXAMPLES", "50"))
PROBLEMS = [
    ExamProblem(example=dspy.Example(text=text, label="Yes").with_inputs("text"))
    for text in ("short", "words " * 40, "Ünïcödé " * 30, "x" * 900, "y", "zz")
]


class Biller:
    """Answers, and bills by a price list of its own; a limit that it is sent it keeps."""

    def __init__(self):
        self.bill, self.price, self.wanted, self.read, self.usage, self.sent = 0.0, {}, 1, 1.0, "whole", []

    def __call__(self, body):
        limits = [body[name] for name in ("max_tokens", "max_completion_tokens") if body.get(name)]
        self.sent.append(max(limits, default=None))
        written = min([self.wanted, *([max(limits)] if limits else [])])
        size = sum(len(m["content"].encode()) + 10 for m in body["messages"])
        prompt = max(1, int(size * self.read))
        tier = "_above_1k_tokens" if prompt > 1000 and "input_cost_per_token_above_1k_tokens" in self.price else ""
        cost = float(self.price["input_cost_per_token" + tier]), float(self.price["output_cost_per_token" + tier])
        self.bill += prompt * cost[0] + written * cost[1]
        reply = completion(YES)
        reply["usage"] = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
        if self.usage == "none":
            del reply["usage"]
        elif self.usage == "null":
            reply["usage"] = None
        elif self.usage == "zero":
            reply["usage"] = dict.fromkeys(reply["usage"], 0)
        return reply


@pytest.fixture(scope="module")
def billed():
    biller = Biller()
    with recording(biller) as (url, _):
        yield url, biller


def written(price):
    """A price as files have it: a number, or a text (YAML reads 1e-6 as one)."""
    return st.sampled_from([price, str(price), f"{price:e}"])


PRICES = st.sampled_from([0.0, 1e-6, 0.0005, 0.01])
LIMITS = st.sampled_from([None, 1, 7, 300, "64"])


@st.composite
def fleets(draw):
    tiered = draw(st.booleans())
    price = {
        "input_cost_per_token": draw(PRICES.flatmap(written)), "output_cost_per_token": draw(PRICES.flatmap(written)),
    }  # fmt: skip
    if tiered:
        price |= {f"{name}_above_1k_tokens": draw(PRICES.flatmap(written)) for name in list(price)}
    params = {"max_tokens": draw(LIMITS), "max_completion_tokens": draw(LIMITS)}
    inside = draw(LIMITS)
    if inside is not None:
        params["extra_body"] = {"max_tokens": int(inside)}
    return price, {name: value for name, value in params.items() if value is not None}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(
    fleet=fleets(), wanted=st.sampled_from([1, 5, 500, 5000, 50_000]), read=st.sampled_from([0.1, 0.5, 1.0]),
    usage=st.sampled_from(["whole", "whole", "none", "null", "zero"]),
    gate=st.sampled_from([0.0, 0.01, 0.5, 3.0, 40.0]), workers=st.sampled_from([1, 4]),
    client=st.sampled_from(["auto", "litellm"]),
)  # fmt: skip
def test_the_bill_never_exceeds_the_gate(billed, tmp_path_factory, fleet, wanted, read, usage, gate, workers, client):
    url, biller = billed
    price, params = fleet
    biller.bill, biller.price, biller.wanted, biller.read, biller.usage = 0.0, price, wanted, read, usage
    biller.sent.clear()
    path = tmp_path_factory.getbasetemp() / "gate.yaml"
    params = {"model": "openai/m", "api_base": url, "api_key": "none", **params}
    path.write_text(
        yaml.safe_dump({"model_list": [{"model_name": "a", "litellm_params": params, "model_info": price}]})
    )
    (lm,) = LMRoles(path, client=client).lms(["a"])
    account, ledger = Account(), Ledger(budget=Budget(max_cost=gate), workers=workers, retries=1)
    program = dspy.Predict(classification("Is it good?", ("Yes", "No")))
    examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger)
    with contextlib.closing(ledger), contextlib.suppress(BudgetSpentError):
        examiner.examine([Exam(material=(), problems=PROBLEMS)], [lm], account=account)
    assert biller.bill <= gate + 1e-9
    assert biller.bill <= ledger.budget.cost + 1e-9 <= gate + 2e-9
    if not engine_of(lm).prices[0].free:
        assert None not in biller.sent, "what was reserved was not sent"


def test_a_limit_that_is_sent_for_the_gate_is_said_once_and_is_in_no_key(billed, tmp_path, program, caplog):
    url, biller = billed
    biller.price, biller.wanted, biller.usage = {"input_cost_per_token": 0, "output_cost_per_token": 0.001}, 5, "whole"
    sections._said.clear()
    path = tmp_path / "c.yaml"
    path.write_text(
        f"model_list: [{{model_name: a, litellm_params: {{model: openai/m, api_base: '{url}', api_key: none}},\n"
        "  model_info: {input_cost_per_token: 0, output_cost_per_token: 1e-3}}]"
    )
    sent = []
    for journal, gate in (("one", None), ("one", 50.0), ("other", 50.0), ("other", None)):
        biller.sent.clear()
        ledger = Ledger(Journal(tmp_path / journal), Budget(max_cost=gate), workers=2)
        examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger)
        examiner.examine([Exam(material=(), problems=PROBLEMS)], LMRoles(path).lms(["a"]))
        sent.append(set(biller.sent))
        ledger.close()
    assert sent == [{None}, set(), {4096}, set()]
    (said,) = [record.message for record in caplog.records]
    assert said.startswith("a has no max_tokens: 4,096 are sent, so that max_cost holds")


def test_a_server_that_does_not_keep_max_tokens_is_named_and_expected_to_do_so_again(tmp_path, program, caplog):
    sections._said.clear()

    def answer(body):
        reply = completion(YES)
        reply["usage"] = {"prompt_tokens": 10, "completion_tokens": 3000, "total_tokens": 3010}
        return reply

    with recording(answer) as (url, recorder):
        path = tmp_path / "c.yaml"
        path.write_text(
            f"model_list: [{{model_name: a, litellm_params: {{model: openai/m, api_base: '{url}', api_key: none, "
            "max_tokens: 100}, model_info: {input_cost_per_token: 0, output_cost_per_token: 0.001}}]"
        )
        for gate, calls in ((1.0, 1), (8.0, 2)):
            recorder.raw.clear()
            ledger = Ledger(budget=Budget(max_cost=gate), workers=1)
            examiner = Examiner(program, grader=ExactMatch("label"), ledger=ledger)
            with pytest.raises(BudgetSpentError):
                examiner.examine([Exam(material=(), problems=PROBLEMS)], LMRoles(path).lms(["a"]))
            ledger.finish()
            assert len(recorder.raw) == calls
            assert ledger.budget.cost == min(gate, 3.0 * calls)
            assert ledger.journal.spent() == pytest.approx(3.0 * calls)  # what the server says is told as it is
    (said,) = [record.message for record in caplog.records]
    assert "a reply of a counts tokens for $3.0000, more than the $0.1000 that its prompt and max_tokens allow" in said
