from typing import Literal

import dspy
import pytest
from dspy.lm15 import request_from_openai_chat
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lbt_dspy.exam.render import Renderer, UnreadableError, current_adapter
from lbt_dspy.ledger.calls import Terms, call_of
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.lms.settings import sampling_of
from lbt_dspy.lms.user_lm import engine_of


class Judge(dspy.Signature):
    """Judge the text in its context."""

    context: str = dspy.InputField()
    text: str = dspy.InputField()
    verdict: Literal["Yes", "No"] = dspy.OutputField()


ADAPTERS = [dspy.ChatAdapter(), dspy.JSONAdapter(), dspy.XMLAdapter()]
DEMOS = (dspy.Example(context="c", text="t", verdict="No"), dspy.Example(text="only a text", verdict="Yes"))


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda a: type(a).__name__)
@given(context=st.text(max_size=40), text=st.text(max_size=40), demos=st.integers(0, 2))
def test_the_fast_path_asks_exactly_what_the_adapter_renders(adapter, context, text, demos):
    lm = embedded_lm("embedded/words", temperature=0.3)
    inputs = {"context": context, "text": text}
    prefix = Renderer(Judge, adapter).prefix(DEMOS[:demos], lm, engine_of(lm), {"seed": 3}, 1)
    prefix.call({"context": "first", "text": "question"})
    call = prefix.call(inputs)
    messages = adapter.format(Judge, list(DEMOS[:demos]), inputs)
    whole = request_from_openai_chat({"model": lm.model, "messages": messages, "temperature": 0.3, "seed": 3})
    assert call.request == whole
    assert call.key == call_of(whole, engine_of(lm), 1).key


TAGGED = "<<CUSTOM-TYPE-START-IDENTIFIER>>{}<<CUSTOM-TYPE-END-IDENTIFIER>>"  # DSPy's mark of pictures and the like
ODD = st.sampled_from(["", " ", "plain", " led", "trailed\n", "a\0b", "\0\0verdict\0", TAGGED, "{x}", "\x85", "0"])
VALUE = ODD | st.text(max_size=8)
WHOLE = st.fixed_dictionaries({name: VALUE for name in ("context", "text", "verdict")})
PARTS = st.fixed_dictionaries({}, optional={name: VALUE for name in ("context", "text", "verdict", "other")})
DEMO = (WHOLE | PARTS).map(lambda fields: dspy.Example(**fields))
MATERIALS = st.lists(st.lists(DEMO, max_size=3), min_size=1, max_size=4)


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda a: type(a).__name__)
@settings(max_examples=25)
@example(materials=[[dspy.Example(context=TAGGED, text="t", verdict="No")]], questions=[("c", "t")])
@given(materials=MATERIALS, questions=st.lists(st.tuples(ODD, ODD), min_size=1, max_size=2))
def test_any_demonstrations_are_asked_exactly_as_the_adapter_renders_them(adapter, materials, questions):
    """Many materials through one renderer; the first one of a size, a plain one, says how others are rendered."""
    lm = embedded_lm("embedded/words", temperature=0.3)
    renderer = Renderer(Judge, adapter)
    terms = Terms(engine_of(lm), sampling_of(lm, {"seed": 3}), 1)
    plain = [dspy.Example(context="of", text="it", verdict="No")]
    materials = [demos for material in materials for demos in (plain * len(material), material)]
    for demos in materials:
        try:
            adapter.format(Judge, list(demos), {"context": "c", "text": "t"})
        except Exception:  # what the adapter refuses, no exam can show
            assume(False)
    for demos in materials:
        rendering = renderer.rendering(demos)
        prefix = rendering.prefix(terms)
        for context, text in questions:
            inputs = {"context": context, "text": text}
            messages = adapter.format(Judge, list(demos), inputs)
            whole = request_from_openai_chat({"model": lm.model, "messages": messages, "temperature": 0.3, "seed": 3})
            for call in (prefix.call(inputs), prefix.asking(rendering.question(inputs))):
                assert call.request == whole
                assert call.key == call_of(whole, engine_of(lm), 1).key


def test_a_marker_in_a_text_is_just_text():
    lm = embedded_lm("embedded/words")
    prefix = Renderer(Judge, dspy.ChatAdapter()).prefix((), lm, engine_of(lm), {}, 0)
    text = prefix.call({"context": "\0text\0", "text": "x"}).request.messages[-1].text
    assert "\0text\0" in text
    assert text.count("x\n") == 1


def test_other_input_types_take_the_full_path():
    class Listy(dspy.Signature):
        """Judge."""

        items: list[str] = dspy.InputField()
        verdict: str = dspy.OutputField()

    lm = embedded_lm("embedded/words")
    prefix = Renderer(Listy, dspy.ChatAdapter()).prefix((), lm, engine_of(lm), {}, 0)
    call = prefix.call({"items": ["a", "b"]})
    assert call.tail is None
    assert '["a", "b"]' in call.request.messages[-1].text


def test_keys_differ_by_all_that_can_change_the_answer():
    words, bayes = embedded_lm("embedded/words"), embedded_lm("embedded/bayes")
    renderer = Renderer(Judge, dspy.ChatAdapter())
    inputs = {"context": "c", "text": "t"}
    base = renderer.prefix(DEMOS, words, engine_of(words), {}, 0).call(inputs).key
    others = [
        renderer.prefix(DEMOS, bayes, engine_of(bayes), {}, 0).call(inputs),
        renderer.prefix(DEMOS[:1], words, engine_of(words), {}, 0).call(inputs),
        renderer.prefix(DEMOS, words, engine_of(words), {"temperature": 0.5}, 0).call(inputs),
        renderer.prefix(DEMOS, words, engine_of(words), {"seed": 1}, 0).call(inputs),
        renderer.prefix(DEMOS, words, engine_of(words), {}, 1).call(inputs),
        renderer.prefix(DEMOS, words, engine_of(words), {}, 0).call({"context": "c", "text": "u"}),
    ]
    assert len({base, *(call.key for call in others)}) == 7


READINGS = [
    ("[[ ## verdict ## ]]\nYes\n\n[[ ## completed ## ]]", "Yes"),
    ("[[ ## verdict ## ]]\nyes.", "Yes"),  # DSPy alone refuses the small letter and the full stop
    ("[[ ## verdict ## ]]\n'No'", "No"),
    ("[[ ## verdict ## ]]\n**NO**", "No"),
    ("[[ ## verdict ## ]]\nmaybe", None),
    ("[[ ## verdict ## ]]\nYes and No", None),
    ("[[ ## verdict ## ]]\n", None),
    ("[[ ## other ## ]]\nYes", None),
    ("Yes", None),
    ("", None),
    ("   \n", None),
]


@pytest.mark.parametrize(("text", "verdict"), READINGS)
def test_replies_are_read_leniently_but_never_guessed(text, verdict):
    renderer = Renderer(Judge, dspy.ChatAdapter())
    if verdict is None:
        with pytest.raises(UnreadableError):
            renderer.parse(text)
    else:
        assert renderer.parse(text) == {"verdict": verdict}


def test_the_default_adapter_never_asks_a_second_time():
    assert current_adapter(None).use_json_adapter_fallback is False
    given_one = dspy.JSONAdapter()
    assert current_adapter(given_one) is given_one
