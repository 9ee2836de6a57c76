"""Streamed and asynchronous programs with our LMs, and those that the optimisers compile."""

import asyncio
import json

import dspy
import pytest
from aiohttp import web
from recording_server import YES, always_yes, recording, refusal

from lbt_dspy import Fixed, LbTRerank, LMRoles
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.testing import scripted_lm

CLIENTS = ["lean", "litellm"]
PIECES = (YES[:16], YES[16:20], YES[20:])


def in_pieces(body):
    """A server that streams where it is asked to."""
    if not body.get("stream"):
        return always_yes(body)
    deltas = [({"role": "assistant", "content": piece}, None) for piece in PIECES] + [({}, "stop")]
    chunks = [
        {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
         "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        for delta, reason in deltas
    ]  # fmt: skip
    lines = [*map(json.dumps, chunks), "[DONE]"]
    return web.Response(body="".join(f"data: {line}\n\n" for line in lines).encode(), content_type="text/event-stream")


def refuses_streams(body):
    if body.get("stream"):
        return refusal(400, "no streams here")
    return always_yes(body)


SERVERS = {"streams": in_pieces, "ignores it": always_yes, "refuses it": refuses_streams}


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("HOSTED_VLLM_API_KEY", "sk-for-tests-123456")


def program(lm):
    made = dspy.Predict("text -> label")
    made.set_lm(lm)
    return made


def in_all_ways(made, **options):
    """What a program gives streamed, from ordinary code and from asynchronous code."""

    async def later(**more):
        return [value async for value in dspy.streamify(made, **options, **more)(text="t")]

    yield list(dspy.streamify(made, async_streaming=False, **options)(text="t"))
    yield asyncio.run(later())
    yield asyncio.run(later(is_async_program=True))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("answer", SERVERS.values(), ids=SERVERS)
def test_a_program_is_streamed(client, answer):
    with recording(answer) as (url, recorder):
        made = program(LMRoles(client=client).lms([f"hosted_vllm/m@{url}"])[0])
        for values in in_all_ways(made):
            *chunks, last = values
            assert last.label == "Yes"
            texts = [chunk.choices[0].delta.content or "" for chunk in chunks]
            assert "".join(texts) == YES
            assert sum(map(bool, texts)) == (len(PIECES) if answer is in_pieces else 1)
    asked = [bool(body.get("stream")) for body in recorder.bodies]
    assert asked == ([True] * 3 if answer is in_pieces else [True, False] * 3)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_listener_hears_its_field(client):
    with recording(in_pieces) as (url, _):
        made = program(LMRoles(client=client).lms([f"hosted_vllm/m@{url}"])[0])
        listener = dspy.streaming.StreamListener(signature_field_name="label", allow_reuse=True)
        for values in in_all_ways(made, stream_listeners=[listener]):
            *heard, last = values
            assert "".join(said.chunk for said in heard) == "Yes"
            assert last.label == "Yes"


def test_models_in_this_process_give_their_answer_in_one_piece():
    made = dspy.Predict("text -> label")
    made.demos = [dspy.Example(text="sweet", label="Yes"), dspy.Example(text="sour", label="No")]
    made.set_lm(embedded_lm("embedded/words"))
    for values in in_all_ways(made):
        assert isinstance(values[-1], dspy.Prediction)
        assert values[-1].label in ("Yes", "No")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_failure_says_why(client):
    with recording(lambda body: refusal(404, "no such model")) as (url, _):
        made = program(LMRoles(client=client).lms([f"hosted_vllm/m@{url}"])[0])
        with pytest.raises(dspy.LMError, match="no such model"):
            list(dspy.streamify(made, async_streaming=False)(text="t"))


class Status(dspy.streaming.StatusMessageProvider):
    def lm_start_status_message(self, instance, inputs):
        return "asking"


def reranked():
    lm = scripted_lm(lambda inputs, lessons, seed: {"label": "Yes" if seed % 3 else "No"})
    bank = [dspy.Example(text="u", label="Yes").with_inputs("text")]
    return LbTRerank(exam_students=[lm], exam=Fixed(bank), rationales=4, sittings=1).compile(program(lm))


@pytest.mark.parametrize("told", [{}, {"status_message_provider": Status()}], ids=["", "status"])
def test_what_m1_compiles_gives_its_answer_when_the_exam_is_over(told):
    made = reranked()
    expected = made(text="t").label
    for values in in_all_ways(made, **told):
        assert [type(value) for value in values] == [dspy.Prediction]
        assert values[0].label == expected
        assert values[0].exam.asked > 0


def test_a_listener_of_m1_gets_the_prediction():
    listener = dspy.streaming.StreamListener(signature_field_name="label", allow_reuse=True)
    for values in in_all_ways(reranked(), stream_listeners=[listener], include_final_prediction_in_output_stream=False):
        assert [type(value) for value in values] == [dspy.Prediction]


@pytest.mark.parametrize("client", CLIENTS)
def test_asynchronous_calls_say_the_same(client):
    with recording(always_yes) as (url, _):
        lm = LMRoles(client=client).lms([f"hosted_vllm/m@{url}"])[0]
        made = program(lm)
        assert asyncio.run(made.acall(text="t")).label == "Yes"
        assert asyncio.run(dspy.asyncify(made)(text="t")).label == "Yes"
        assert asyncio.run(lm.acall("t")) == lm("t") == [YES]
    compiled = reranked()
    answers = [
        compiled(text="t"),
        asyncio.run(compiled.acall(text="t")),
        asyncio.run(dspy.asyncify(compiled)(text="t")),
    ]
    assert len({found.label for found in answers}) == 1


def test_students_of_ones_own_are_not_streamed_into_the_answer():
    """They are asked inside of a streamed program, through DSPy."""
    with recording(in_pieces) as (url, recorder):
        student = dspy.LM("hosted_vllm/m", api_base=url, api_key="sk-x", engine="litellm", cache=False)
        bank = [dspy.Example(text="u", label="Yes").with_inputs("text")]
        made = LbTRerank(exam_students=[student], exam=Fixed(bank), rationales=2, sittings=1).compile(program(student))
        for values in in_all_ways(made):
            assert [type(value) for value in values] == [dspy.Prediction]
    assert not any(body.get("stream") for body in recorder.bodies)
