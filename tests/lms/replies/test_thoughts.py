"""Where thoughts end and the answer begins; a row for each way that models and templates have of writing them."""

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.lms.prompt import asks_for_tag
from lbt_dspy.lms.replies.thoughts import answer_in, with_thoughts
from lbt_dspy.signatures import classification

YES = "[[ ## label ## ]]\nYes\n\n[[ ## completed ## ]]"
NO = YES.replace("Yes", "No")
CODE = "```python\nx = 1\n```"
FINAL = "<|channel|>final<|message|>"

CUT = [  # (what was written, the answer)
    (f"<think>\nMaybe {NO}\n</think>\n\n{YES}", YES),
    (f"<think>{NO}</think>{YES}", YES),
    (f"<think>\n\n</think>\n\n{YES}", YES),  # Qwen3 that is told not to think
    (f"\n <think>{NO}</think> \n{YES}", YES),
    (f"\ufeff<think>{NO}</think>{YES}", YES),
    (f"<think>\r\n{NO}\r\n</think>\r\n\r\n{YES}", YES),
    ("<think>a</think>\n\n    return x", "    return x"),  # a completion keeps its indentation
    (f"<THINK>{NO}</Think>{YES}", YES),
    (f"<thinking>{NO}</thinking>{YES}", YES),
    (f"<thinking>{NO}</think>{YES}", YES),
    (f"<thought>{NO}</thought>\n{YES}", YES),
    (f"<Thoughts>{NO}</Thoughts>\n{YES}", YES),
    (f"<reasoning>{NO}</reasoning>\n{YES}", YES),
    (f"<reflection>{NO}</reflection>{YES}", YES),
    (f"<scratchpad>{NO}</scratchpad>{YES}", YES),
    (f"<thought_process>{NO}</thought_process>{YES}", YES),
    (f"<chain-of-thought>{NO}</chain-of-thought>{YES}", YES),
    (f"<inner_monologue>{NO}</inner_monologue>{YES}", YES),
    (f"<think duration='5'>{NO}</think>{YES}", YES),
    (f"<seed:think>{NO}</seed:think>{YES}", YES),  # Seed-OSS
    (f"<longcat_think>{NO}</longcat_think>{YES}", YES),
    (f"◁think▷{NO}◁/think▷{YES}", YES),  # Kimi-VL
    (f"[THINK]{NO}[/THINK]{YES}", YES),  # Magistral
    (f"<|START_THINKING|>{NO}<|END_THINKING|>{YES}", YES),  # Command A
    (f"<|begin_of_thought|>{NO}<|end_of_thought|>{YES}", YES),  # OpenThinker
    (f"<|channel|>analysis<|message|>{NO}<|end|><|start|>assistant{FINAL}{YES}", YES),  # gpt-oss
    (f"<|channel>thought\n{NO}<channel|>{YES}", YES),  # Gemma
    (f"<|im_start|>assistant\n<think>{NO}</think>{YES}", YES),  # marks of a template that were left in
    # without a beginning, which the template wrote into the prompt
    (f"Maybe {NO}, but no.\n</think>\n\n{YES}", YES),
    (f"{NO} is my draft.\n</think>\n\n{YES}", YES),
    (f"so it is yes </think>\n\n{YES}", YES),
    (f"so it is yes. </think> {YES}", f" {YES}"),
    ("Hm.</think>Yes", "Yes"),
    (f"{NO}◁/think▷{YES}", YES),
    (f"{NO}[/THINK]{YES}", YES),
    (f"a\n</think>\nb {NO}\n</think>\n{YES}", YES),
    ('{"label": "No"}\n</think>\n{"label": "Yes"}', '{"label": "Yes"}'),
    ("Say <think> first. Hm.\n</think>\nYes", "Yes"),
    (f"It is in\n{CODE}\n</think>\n{CODE}", CODE),
    # several blocks
    (f"<think>a</think><think>{NO}</think>{YES}", YES),
    (f"<think>a</think>\n\n<think>{NO}</think>\n\n{YES}", YES),
    (f"<think>a</think> {NO}\n</think>{YES}", YES),
    (f"<think>a<think>b</think>{NO}</think>{YES}", YES),
    (f"<think>a</think>Let me see.<think>{NO}</think>{YES}", YES),
    ("<think>a</think>Let me see.<think>5?</think>It is 4.", "Let me see.It is 4."),
    ("<think>a</think>Let me see.\n<think>\n5?\n</think>\nIt is 4.", "Let me see.\n\nIt is 4."),
    # after a word or two, before the first field
    (f"Sure.\n<think>\n{NO}\n</think>\n{YES}", YES),
    (f"Sure.\n<think>Hm.</think>{YES}", YES),
    ('Sure.\n<think>{"label": "No"}</think>\n{"label": "Yes"}', '{"label": "Yes"}'),
    (f"Sure.\n<think>\n{NO}", ""),
    (f"<think>a</think>{YES}\n<think>or not", f"{YES}\n"),
    # tags that are spoken about in thoughts
    (f"<think>the <think> tag. {NO}</think>{YES}", YES),
    (f"<think>Say `</think>` then {NO}</think>{YES}", YES),
    (f"<think>Then the </think> tag. {NO}\n</think>\n{YES}", YES),
    (f'<think>I end with "</think>". {NO}\n</think>\n{YES}', YES),
    (f"<think>\n```\n</think>\n```\n{NO}\n</think>\n{YES}", YES),
    ("<think>I end with </reasoning>.</think>Yes", "Yes"),
    # fences that thoughts left open
    (f"<think>```python\nx\n</think>\n{CODE}", CODE),
    ("<think>\n```\nx\n</think>\n```\ny\n```", "```\ny\n```"),
    (f"```python\nx\n</think>\n{CODE}", CODE),
    # tags that are spoken about in answers
    ("<think>a</think>The `<think>` tag", "The `<think>` tag"),
    ("<think>a</think>Use <think> and </think>.", "Use <think> and </think>."),
    ("<think>a</think>\n```\n<think>\n</think>\n```", "```\n<think>\n</think>\n```"),
    # thoughts without an end
    (f"<think>{NO}", ""),
    (f"<think>\nMaybe {NO} but wait", ""),
    (f"<think>a</think><think>{NO}", ""),
    (f"<think>I must write </think> at the end. {NO}", ""),
    (f"<think>I must write `</think>`. {NO}", ""),
    (f"<think><reasoning>x</reasoning>{NO}", ""),
    (f"[THINK]{NO}", ""),
    (f"<|channel|>analysis<|message|>{NO}", ""),
    ("<think>a</think>", ""),
    ("all of it\n</think>", ""),
    ("all of it\n</think>\n\n", ""),
]


@pytest.mark.parametrize(("text", "answer"), CUT)
def test_thoughts_are_cut(text, answer):
    assert answer_in(text) == answer


KEPT = [
    "", " ", "Yes", YES, "a < b and c > d", "I think <b>so</b>", "Think [1]", "<thinker>x</thinker>", "[think] x",
    "Use the `<think>` tag and `</think>`.", "The tag </think> ends thoughts.", 'He wrote "</think>" there.',
    "He wrote “</think>” there.", "Write <think> and </think> around.", "a <think>b</think> c", "(</think>)",
    "It ends with </think>, and goes on.", "<think> tags are R1's.", "<think> and </think> are tags", "`<think>`",
    f"First:\n{CODE}\nThen\n```\n<think>\nx\n</think>\n```\nDone", "Template:\n<think>\nx\n</think>\n",
    "text.split('</think>')[1]", "print('</think>')\nx = 1", 'x = f"{y}</think>"', 'if "</think>" in text:\n    pass',
    "[[ ## reasoning ## ]]\nThe end is </think>\n\n[[ ## label ## ]]\nYes",
    f"[[ ## reasoning ## ]]\n<think>Hm.</think>\n{YES}", "Template:\n<think>\n{x}", "Use:\n<think>\nx\n</think>\nSo.",
    '{"reasoning": "Hm.</think>", "label": "Yes"}', '[\n"a\\n</think>"\n]', "</think",
]  # fmt: skip


@pytest.mark.parametrize("text", KEPT)
def test_an_answer_without_thoughts_is_the_same(text):
    assert answer_in(text) is text


TAGS = ["<think>", "</think>", "<THINKING>", "</thought>", "[THINK]", "[/THINK]", "◁think▷", "◁/think▷", "<reasoning>",
        "`", "```\n", '"', "\n", " ", ".", "Yes", "{", "}", "[[ ## label ## ]]\n", FINAL]  # fmt: skip
written = st.lists(st.sampled_from(TAGS) | st.text(max_size=3), max_size=12).map("".join)
plain = st.text(st.characters(exclude_characters="<[◁`~\"'", exclude_categories=["Cs"]), max_size=40)


@given(written)
def test_an_answer_is_the_end_of_what_was_written_or_less(text):
    answer = answer_in(text)
    rest = iter(text)
    assert all(letter in rest for letter in answer), "nothing is added, and nothing changes its place"


@given(written, plain)
def test_thoughts_that_came_apart_are_all_that_is_cut(thoughts, answer):
    whole = answer_in(with_thoughts(thoughts, answer))
    assert whole.strip() == answer.strip()


@given(plain, plain)
def test_every_style_cuts_the_same(thoughts, answer):
    ways = ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷")
    cuts = {answer_in(f"{begin}\n{thoughts}\n{end}\n{answer}") for begin, end in ways}
    assert {cut.strip() for cut in cuts} == {answer.strip()}


HOSTILE = [
    "<think></think>" * 4000, "<think>" * 20_000, "</think>\n" * 10_000, "<" * 50_000 + "think",
    "`" * 50_000 + "<think>", "<reasoning></think>" * 3000, "x</think>\n" * 5000, "<think\n " * 9000,
    "<|a|>" * 10_000 + "<think>x", "[[ ## a ## ]]\n</think>\n" * 3000, '{"a":"</think>\n' + "x</think>\n" * 5000,
    "<think>a</think>b.<think>" * 2000,
]  # fmt: skip


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:20]))
def test_hostile_texts_do_not_hang(text):
    assert len(answer_in(text)) <= len(text)


def request(*outputs, adapter):
    signature = dspy.Signature(f"text -> {', '.join(outputs)}") if outputs else classification("Good?", ("Yes", "No"))
    messages = adapter.format(signature, [], {"text": "x"})
    return dspy.lm15.request_from_openai_chat({"model": "m", "messages": messages})


@pytest.mark.parametrize(
    ("outputs", "adapter", "fields"),
    [
        (("reasoning", "label"), dspy.XMLAdapter(), {"reasoning", "label"}),
        (("thinking: list[str]", "label: int"), dspy.XMLAdapter(), {"thinking", "label"}),
        (("reasoning", "label"), dspy.ChatAdapter(), set()),
        (("reasoning", "label"), dspy.JSONAdapter(), set()),
        ((), dspy.XMLAdapter(), {"label"}),
    ],
)
def test_which_tags_a_prompt_asks_for(outputs, adapter, fields):
    asked = request(*outputs, adapter=adapter)
    assert {name for name in ("reasoning", "thinking", "think", "label") if asks_for_tag(asked, name)} == fields


def test_fields_that_are_asked_for_are_no_thoughts():
    reply = "<reasoning>\nBecause.\n</reasoning>\n\n<label>\nYes\n</label>"
    thought = "<think>Maybe <reasoning>\nx\n</reasoning> <label>No</label></think>"
    for text in (reply, f"{thought}\n{reply}", f"{thought.removeprefix('<think>')}\n{reply}"):
        assert answer_in(text, {"reasoning", "label"}.__contains__) == reply
    assert answer_in(reply) == "<label>\nYes\n</label>"
