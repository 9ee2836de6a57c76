"""All that a `dspy.LM` may be told reaches the server, as in plain DSPy, and belongs to the journal's key."""

import sqlite3

import dspy
import pydantic
import pytest
from dspy.lm15 import request_from_openai_chat
from hypothesis import given
from hypothesis import strategies as st
from recording_server import recording

from lbt_dspy import ExactMatch, Exam, Examiner, ExamProblem, Fixed, Journal, LbTRerank, Ledger, LMRoles, UserError
from lbt_dspy.ledger.calls import Terms, call_of
from lbt_dspy.lms.openai.client import OpenAICompatible
from lbt_dspy.lms.redaction import secrets_of
from lbt_dspy.lms.settings import sampling_of, split
from lbt_dspy.lms.user_lm import UserEngine, engine_of

PROBLEM = ExamProblem(example=dspy.Example(text="a prize", label="Yes").with_inputs("text"))
TOOL = {"name": "look", "description": "Look.", "parameters": {"type": "object", "properties": {}}}


class Verdict(pydantic.BaseModel):
    label: str


# setting, and what the server must be sent of it
SENT = [
    ({"min_p": 0.1}, {"min_p": 0.1}),
    ({"repetition_penalty": 1.1}, {"repetition_penalty": 1.1}),
    ({"top_k": -1}, {"top_k": -1}),  # vLLM's "all"; DSPy's record takes positive numbers alone
    ({"temperature": 2.5}, {"temperature": 2.5}),
    ({"stop_token_ids": [1, 2]}, {"stop_token_ids": [1, 2]}),
    ({"guided_choice": ["Yes", "No"], "min_tokens": 3}, {"guided_choice": ["Yes", "No"], "min_tokens": 3}),
    ({"chat_template_kwargs": {"enable_thinking": False}}, {"chat_template_kwargs": {"enable_thinking": False}}),
    ({"extra_body": {"top_a": 0.2, "x": {"y": [1]}}}, {"top_a": 0.2, "x": {"y": [1]}}),
    ({"extra_body": {"a": 1}, "min_p": 0.1, "top_p": 0.5}, {"a": 1, "min_p": 0.1, "top_p": 0.5}),
    ({"min_p": 0.1, "top_logprobs": 3, "logprobs": True}, {"min_p": 0.1, "top_logprobs": 3, "logprobs": True}),
    ({"tool_choice": "auto", "tools": [{"type": "function", "function": TOOL}], "min_p": 0.1}, {"tool_choice": "auto"}),
    ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
    ({"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
    ({"presence_penalty": 0.5, "seed": 7, "stop": ["X"]}, {"presence_penalty": 0.5, "stop": ["X"]}),
    ({"drop_params": True}, {}),
]  # fmt: skip


@pytest.fixture(scope="module")
def recorded():
    with recording() as found:
        yield found


def own(url, engine="auto", model="openai/m", **settings):
    return dspy.LM(model, api_base=url, api_key="sk-abcd1234", cache=False, engine=engine, **settings)


class Wrapped(dspy.Module):
    def __init__(self, **config):
        super().__init__()
        self.classify = dspy.Predict("text -> label", **config)

    def forward(self, text):
        return self.classify(text=text)


def examined(lm, program=None, ledger=None, **options):
    examiner = Examiner(
        program or dspy.Predict("text -> label"), grader=ExactMatch("label"),
        ledger=ledger or Ledger(workers=1, retries=0), **options,
    )  # fmt: skip
    return examiner.examine([Exam(material=(), problems=[PROBLEM])], [lm])[0][0].marks


@pytest.mark.parametrize("engine", ["auto", "litellm"])
@pytest.mark.parametrize("program", [None, Wrapped()], ids=["one predictor", "a program"])
@pytest.mark.parametrize(("told", "sent"), SENT, ids=lambda row: next(iter(row), ""))
def test_a_students_settings_reach_its_server(recorded, engine, program, told, sent):
    url, recorder = recorded
    recorder.raw.clear()
    assert examined(own(url, engine, **told), program) == [1.0]
    (body,) = recorder.bodies
    assert body == body | sent
    assert not {"extra_body", "drop_params", "num_retries"} & set(body)


@pytest.mark.parametrize("client", ["lean", "litellm"])
def test_settings_of_sittings_and_of_predictors_do_too(recorded, client, monkeypatch):
    url, recorder = recorded
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-tests-123456")
    lm = LMRoles(client=client).lms([f"openai/m@{url}"])[0]
    recorder.raw.clear()
    examined(lm, config={"min_p": 0.1})
    examined(lm, Wrapped(), config={"extra_body": {"a": 1}})
    examined(lm, Wrapped(min_p=0.2, temperature=0.3))
    examined(lm.copy(min_p=0.4))
    first, second, third, fourth = recorder.bodies
    assert (first["min_p"], second["a"], third["min_p"], third["temperature"], fourth["min_p"]) == (
        0.1,
        1,
        0.2,
        0.3,
        0.4,
    )


@pytest.mark.parametrize("engine", ["auto", "litellm"])
def test_a_teachers_settings_do_too(recorded, engine):
    url, recorder = recorded
    teacher, student = own(url, engine, min_p=0.1, extra_body={"a": 1}), own(url)
    program = dspy.Predict("text -> label")
    program.set_lm(teacher)
    recorder.raw.clear()
    reranked = LbTRerank(exam_students=[student], exam=Fixed([PROBLEM.example]), rationales=2, sittings=1)
    assert reranked.compile(program)(text="a prize").label == "Yes"
    assert [body.get("min_p") for body in recorder.bodies].count(0.1) == 2


def test_a_class_is_a_response_format_as_in_plain_dspy(recorded):
    url, recorder = recorded
    recorder.raw.clear()
    with dspy.context(lm=own(url, response_format=Verdict)):
        dspy.Predict("text -> label")(text="a prize")
    for program in (None, Wrapped()):
        examined(own(url, response_format=Verdict), program)
    plain, *ours = recorder.bodies
    assert plain["response_format"]["json_schema"]["schema"]["required"] == ["label"]
    assert [body["response_format"] for body in ours] == [plain["response_format"]] * 2


def test_what_changes_an_answer_is_part_of_the_key_and_what_does_not_is_not(recorded):
    url, recorder = recorded
    recorder.raw.clear()
    ledger = Ledger(workers=1)
    same = [{"min_p": 0.1}, {"min_p": 0.1, "timeout": 5}, {"min_p": 0.1, "extra_headers": {"X-Key": "abcdefgh"}},
            {"min_p": 0.1, "azure_ad_token": "abcdefgh"}, {"min_p": 0.1, "max_retries": 2}]  # fmt: skip
    for told in same:
        examined(own(url, **told), ledger=ledger)
    assert len(recorder.raw) == 1
    for told in ({}, {"min_p": 0.2}, {"extra_body": {"min_p": 0.1}}, {"min_p": 0.1, "top_a": 1}):
        examined(own(url, **told), ledger=ledger)
    assert len(recorder.raw) == 5


def test_no_credential_is_written(recorded, tmp_path):
    url, _ = recorded
    told = {"extra_headers": {"X-Key": "SECRET-one"}, "azure_ad_token": "SECRET-two",
            "extra_body": {"metadata": {"user_token": "SECRET-three"}}}  # fmt: skip
    lm = own(url, **told)
    ledger = Ledger(Journal(tmp_path / "journal.sqlite"), workers=1)
    assert examined(lm, ledger=ledger) == [1.0]
    ledger.close()
    with sqlite3.connect(tmp_path / "journal.sqlite") as written:
        assert "SECRET" not in "\n".join(written.iterdump())
    assert {"SECRET-one", "SECRET-two", "SECRET-three"} <= set(secrets_of(lm))


def test_who_is_asked_through_which_client(recorded):
    url, _ = recorded
    kinds = {
        OpenAICompatible: [{}, {"min_p": 0.1}, {"extra_body": {"a": 1}}, {"stream": True}, {"max_retries": 2}],
        UserEngine: [{"drop_params": True}, {"azure_ad_token": "abcdefgh"}, {"extra_query": {"a": "b"}}],
    }
    for kind, settings in kinds.items():
        assert [type(engine_of(own(url, **told))) for told in settings] == [kind] * len(settings)


def test_what_no_request_can_hold_is_said_in_one_line(recorded):
    url, recorder = recorded
    recorder.raw.clear()
    with pytest.raises(UserError, match="setting hook of a model must be what JSON can hold but is a function"):
        examined(own(url, hook=lambda: 1))
    assert recorder.raw == []


ORDINARY = st.fixed_dictionaries({}, optional={
    "temperature": st.floats(0, 2), "top_p": st.floats(0, 1), "top_k": st.integers(1, 99), "seed": st.integers(0, 99),
    "max_tokens": st.integers(1, 99), "stop": st.lists(st.text(min_size=1), max_size=2), "user": st.text(min_size=1),
    "reasoning_effort": st.sampled_from(["low", "high"]), "metadata": st.dictionaries(st.text(), st.text()),
    "logit_bias": st.dictionaries(st.text(), st.integers(-9, 9)), "prompt_cache_key": st.text(min_size=1),
})  # fmt: skip


ENGINE = engine_of(dspy.LM("openai/m", api_base="http://127.0.0.1:9/v1", api_key="sk-abcd1234"))


@given(ORDINARY)
def test_requests_without_such_settings_are_what_they_were(settings):
    """So are their keys: a run that was begun before goes on."""
    engine, told = ENGINE, sampling_of(dspy.LM("openai/m", **settings), {"seed": 3})
    messages = [{"role": "user", "content": "q"}]
    before = request_from_openai_chat({"messages": messages, "model": "openai/m", **told})
    terms = Terms(engine, told, 1)
    assert split(told)[1] == {}
    assert terms.request(messages) == before
    assert call_of(terms.request(messages), engine, 1).key == call_of(before, engine, 1).key
