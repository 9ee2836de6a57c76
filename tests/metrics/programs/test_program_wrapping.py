"""Programs between models' tokens, tags and odd blanks, in fences that end oddly, and what base models write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from program_samples import ADD, CLASS, PROMPT

from lbt_dspy.metrics.programs.text import extract_program, program_key

WRONG = ADD.replace("+", "-")
F = "```"
TOKENS = ["<|im_end|>", "<|eot_id|>", "<|endoftext|>", "</s>", "<eos>", "<end_of_turn>", "<|return|>", "[/INST]"]
TOKENS += ["<\uff5cend\u2581of\u2581sentence\uff5c>", "<|end|>\n<|endoftext|>"]

FENCES = [
    f"{F}python\n{ADD}\n{F} This adds the numbers.",
    f"{F}python\n{ADD}\n{F}This adds the numbers.",
    f"{F}python\n{ADD}\n{F}</answer>",
    f"{F}python\n{ADD}\n{F}.",
    f"{F}python\n{ADD}\n{F}**",
    f"{F}python\n{ADD}{F}<|im_end|>",
    f"<answer>{F}python\n{ADD}\n{F}</answer>",
    f"{F}python def add(a, b):\n    return a + b\n{F}",  # code in the line of the fence
    f"{F}python\r\n{ADD}\r\n{F}<|im_end|>\r\n",
    f"{F}python\n{ADD}\n{F}<|im_end|>\n<|im_start|>user\nThanks<|im_end|>\n<|im_start|>assistant\n{F}\n{WRONG}\n{F}",
]
ENDS = [
    f"<|im_start|>assistant\n{ADD}<|im_end|>",
    f"<s>{ADD}</s>",
    f"{ADD}<|endoftext|>Some other document.\n\n{WRONG}",
    f"{ADD}\n<|endoftext|>\n# another\n{WRONG}",
    f"<|channel|>analysis<|message|>Maybe {WRONG}<|end|><|start|>assistant<|channel|>final<|message|>{ADD}<|return|>",
    f"<thinking>\n{WRONG}\n</thinking>\n{ADD}",
    'def add(a, b):\n    s = "<|endoftext|>"\n    return a + b + len(s) - 13<|endoftext|>',  # one in a text stays
    f'{F}python\ndef add(a, b):\n    s = "</s>"\n    return a + b + len(s) - 4\n{F}</s>',
    f"{F}python\ndef add(a, b):\n    s = '''<code>\n'''\n    return a + b + len(s) - 7\n{F}</s>",
]
BLANKS = [
    f"{F}python\ndef add(a,\u202fb):\n    return a\u2009+\u00a0b\n{F}",
    f"{F}python\ndef add(a,\u00a0b):\n    s = 'x\u00a0y'\n    return a + b + (s != 'x\\xa0y')\n{F}",  # one in a text
    "def\u00a0add(a, b):\n    return a +\u3000b",
    "Here:\n\ndef\u00a0add(a, b):\n    return a +\u200db",
    f"{F}\ndef add(a, b):\n    '''A\u00a0sum.'''\n\u00a0   return a\u00a0+ b\n{F}",
    "It's this:\n\n\u00a0\u00a0def add(a, b):\n\u00a0\u00a0\u00a0\u00a0return\u00a0a + b",
]
DOCSTRINGS = [
    f'{F}python\n"""Module.\n\n{F}python\nadd(1, 2)\n{F}\n"""\n{ADD}\n{F}',
    f'{F}python\ndef add(a, b):\n    """Adds.\n\n{F}\nadd(1, 2)\n{F}\n    """\n    return a + b\n{F}',
    f"{F}python\ndef add(a, b):\n    '''Adds.\n\n    {F}python\n    >>> add(1, 2)\n    {F}\n    '''\n    return a + b",
    f'Sure:\n\ndef add(a, b):\n    """Adds.\n\n    {F}python\n    add(1, 2)\n    {F}\n    """\n    return a + b\n',
    f'{F}python\ndef add(a, b):\n    s = """\n{F}\n"""\n    return a + b\n{F}\nThen:\n{F}python\nprint(add(1, 2))\n{F}',
    f'{F}python\ndef add(a, b):\n    """Unfinished\n    return a - b\n{F}\nBetter:\n{F}python\n{ADD}\n{F}',
    f'{F}\nIt is """ here\n{F}\n{F}python\n{ADD}\n{F}',
    '~~~python\ndef add(a, b):\n    """Adds.\n\n    ~~~\n    add(1, 2)\n    ~~~\n    """\n    return a + b\n~~~',
]  # fmt: skip
TAGS = [
    f"<pre>{ADD}</pre>",
    f'<p>Here:</p>\n<PRE><code class="language-python">{ADD}\n</code></PRE>\n<p>Done.</p>',
    "<pre><code>def add(a, b):\n    if a &lt; 0 and b &gt; 0: pass\n    return a + b\n</code></pre>",
    "<pre>\ndef add(a, b):\n    x = a &lt; b\n    return a + b if x else 0\n</pre>",
    f"<code>{ADD}</code>",
    f"<answer>{ADD}</answer>",
    f"[PYTHON]\n{ADD}\n[/PYTHON]\n[TESTS]\nassert add(1, 2) == 4\n[/TESTS]",
    f"<program><![CDATA[\n{ADD}\n]]></program>",
    f"{F}python\ndef add(a, b):\n    return a + b if a &lt; 9 else 0\n{F}",
    f"Use <code>add</code>:\n{F}python\ndef add(a, b):\n    return a + b + len('&lt;') - 4\n{F}",  # an entity in a text
]


@pytest.mark.parametrize("text", [*FENCES, *ENDS, *BLANKS, *DOCSTRINGS, *TAGS])
def test_what_is_no_python_is_taken_off(text):
    names = {"__name__": "program"}
    exec(extract_program(text, entry_point="add"), names)
    assert names["add"](1, 2) == 3


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("text", [ADD, f"Sure.\n{F}python\n{ADD}\n{F}", f"{F}\n{ADD}\n{F}\n", f"It's\n\n{ADD}\n"])
def test_tokens_at_the_end_change_nothing(text, token):
    assert extract_program(text + token, entry_point="add") == ADD
    assert extract_program(text + token) == ADD  # as a script


WENT_ON = [
    ("    return a + b\n\n\ndef add(a, b):\n    '''another'''\n    return a -", "add", PROMPT),
    ("    return a + b\n\n\ndef sub(a, b):\n    '''another'''\n    return a - (", "add", PROMPT),  # cut off
    ("    return a + b\n\n\ndef sub(a, b):\n    '''anoth", "add", PROMPT),
    ("return a + b\n\n\ndef add(a, b):\n    return a - b", "add", PROMPT),  # stripped on its way
    (f"{PROMPT}    return a + b\n\n\n{WRONG}", "add", PROMPT),  # with the starter
    (f"    return inc(a) + b - 1\n\ndef inc(a):\n    return a + 1\n\n\n{WRONG}", "add", PROMPT),  # a helper of its own
    (f"    return a + b\n\n\n@cache\n{WRONG}", "add", PROMPT),
    (f"    return a + b\n\nif __name__ == '__main__':\n    print(add(1, 2))\n\n\n{WRONG}\n", "add", PROMPT),
    (f"    return a + b<|endoftext|>{WRONG}", "add", PROMPT),
    (f"    return a + b\n{F}\n\nAnother:\n{F}python\n{WRONG}\n{F}", "add", PROMPT),  # the prompt had opened the fence
    (
        f"    return a + b\n\n\ndef add(a, b):\n    '''\n    {F}\n    x\n    {F}\n    '''\n    return a - b",
        "add",
        PROMPT,
    ),
    ("    pass\n\n\ndef add(a, b):\n    return a + b", "add", PROMPT),  # which is the first that does anything
    ("    x = 0\n    def add(a, b):\n        return a + b\n", "add", PROMPT),  # a program with a margin
    (f"    Sure\n\n{F}python\n{ADD}\n{F}", "add", PROMPT),  # prose with a margin
    (f"return a + b\n\n{CLASS}return a - b\n", "Solution().twoSum", CLASS),
]


@pytest.mark.parametrize(("text", "entry_point", "starter"), WENT_ON)
def test_a_completion_ends_where_another_problem_begins(text, entry_point, starter):
    names = {"__name__": "program", "cache": lambda f: f}
    exec(extract_program(text, entry_point=entry_point, starter=starter), names)
    assert eval(entry_point, names)(1, 2) == 3


@given(st.text(alphabet="ab'\"\\\n#<>|/s`&;[] \u00a0", max_size=30))
def test_python_is_left_as_it_is(text):
    program = f"def add(a, b):\n    s = {text!r}\n    return a + b"
    for written in (program, f"So:\n{F}python\n{program}\n{F}</s>", f"<pre>{program}</pre>"):
        if "<pre" in written and "&" in text:  # there it may be an entity
            continue
        assert program_key(extract_program(written, entry_point="add")) == program_key(program)
