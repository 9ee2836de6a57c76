"""Programs in models' texts: what holds for any text, real programs, and hostile texts."""

import json
import textwrap
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import slow
from hypothesis import given
from hypothesis import strategies as st
from program_samples import ADD, CLASS, IMPORTING, METHOD, PROMPT, READER, SCRIPT

from lbt_dspy.metrics.programs.source import EntryPoint, Reader
from lbt_dspy.metrics.programs.text import extract_program, program_key

PIECES = [
    "```",
    "```python\n",
    "~~~",
    "\n",
    "    ",
    "\t",
    "def add(a, b):",
    "return a",
    "add",
    "(",
    ")",
    '"',
    "'''",
    "\\n",
]
PIECES += ["class Solution:", "x = 1", "# a", "Note: b", ">>> ", "<think>", "</think>", "`", "import os", "\r", "\x00"]
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25).map("".join))
ENTRIES = st.sampled_from(["", "add", "Solution().add", "(", "a b.c"])
STARTERS = st.sampled_from(["", PROMPT, CLASS, "\n", "def add("])


@given(TEXTS, ENTRIES | st.text(max_size=5), STARTERS | st.text(max_size=9))
def test_any_text_has_a_program(text, entry_point, starter):
    program = extract_program(text, entry_point=entry_point, starter=starter)
    assert (program is None) == (not text.replace("\ufeff", "").replace("\u200b", "").strip())
    assert program is None or program.strip()
    assert program_key(text) is None or isinstance(program_key(text), str)


@given(TEXTS, ENTRIES, STARTERS)
def test_what_was_taken_out_stays_as_it_is(text, entry_point, starter):
    program = extract_program(text, entry_point=entry_point, starter=starter)
    if program_key(program) is not None:
        assert extract_program(program, entry_point=entry_point, starter=starter) == program


PROGRAMS = [
    (ADD, "add"),
    (IMPORTING, "root"),
    (METHOD, "Solution().twoSum"),
    (SCRIPT, ""),
    (READER, ""),
    (
        'def f(s):\n    """Count `a`.\n\n    >>> f("a")\n    1\n    """\n    return len(s) + len(\'\'\'\n  b\n\'\'\')',
        "f",
    ),
    ("from collections import deque as D\n\n\ndef f(n):\n    if n:\n        return D([n])\n\n    return D()", "f"),
    ("@decorated\nasync def f(x: int = 3) -> 'int':  # so\n    async with x as y:\n        return await y", "f"),
    (
        "import sys\n\ndef main():\n    for x in sys.stdin:\n        print(x)\n\nif __name__ != 'main':\n    main()",
        "",
    ),
    ("a, b = map(int, input().split())\nwhile b:\n\n    a, b = b, a % b\nprint(f'{a:>5}')", ""),
]
FENCES = [
    "{}",
    "```python\n{}\n```",
    "```\n{}\n```",
    "~~~py\n{}\n~~~",
    "`````Python3\n{}\n`````",
    "```python\n{}```",
    "```python\n{}",
]
BEFORE = [
    "",
    "Here it is:\n\n",
    "It's easy. Let's go!\n\n1. First.\n2. Then `f`.\n\n",
    "<think>x = 1, or 2?</think>\n",
    "### Answer\n",
]
AFTER = ["", "\n\nThat's all (I think).", "\n\nIt takes O(n) time.\nDone!\n", "\n\n- It's short;\n- it's right.\n"]


@given(
    st.sampled_from(PROGRAMS),
    st.sampled_from(FENCES),
    st.sampled_from(BEFORE),
    st.sampled_from(AFTER),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "    ", "  "]),
)
def test_wrapping_changes_nothing(item, fence, before, after, line_end, margin):
    program, entry_point = item
    if "'''" in program:  # whose text is its own
        margin = ""
    text = before + textwrap.indent(fence.format(program), margin) + after
    found = extract_program(text.replace("\n", line_end), entry_point=entry_point)
    assert program_key(found) == program_key(program)


SAME = [
    (ADD, "def add(a, b):  # adds\n\n\treturn (a + b)"),  # layout, comments, brackets
    (ADD, 'def add(a: int, b: "int" = 0 or 1) -> int:\n    """Add."""\n    return a + b'.replace(" = 0 or 1", "")),
    ("x = 'a'", 'x = "a"'),
    ("x = u'a'", "x = 'a'"),
    ("def f():\n    'a'", "def f():\n    'b'"),  # nothing but a docstring
    ("def f():\n    'a'", "def f():\n    pass"),
    ("class A:\n    'a'\n    async def f(*a: int, **b: int): 'c'", "class A:\n    async def f(*a, **b): pass"),
    ('"""A module."""\nx = 1', "x = 1;"),
    ("x = 1_000", "x = 1000"),
]
DIFFERENT = [
    (ADD, ADD.replace("+", "-")),
    (ADD, ADD.replace("a, b", "b, a")),
    ("x = 'a'", "x = b'a'"),
    ("x = 1", "x = 1.0"),
    ("x = 1", "x = True"),
    ("class A:\n    x: int = 1", "class A:\n    x: str = 1"),  # a field of a dataclass
    ("def f():\n    return 'a'", "def f():\n    'a'"),  # only a docstring is left out
    ("def f():\n    1\n    'a'", "def f():\n    1"),
    ("@a\ndef f(): pass", "def f(): pass"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_programs_have_one_key(one, other):
    assert program_key(one) == program_key(other) is not None


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_programs_have_other_keys(one, other):
    assert program_key(one) != program_key(other)


@pytest.mark.parametrize("bad", [None, "def f(", "x = '\ud800", "\x00", "(" * 9_000, "-" * 99_999 + "1", "x" * 10**6])
def test_what_cannot_be_read_has_no_key(bad):
    assert program_key(bad) is None


def rows(path):
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_every_humaneval_reference_is_found_as_a_model_would_write_it(data_dir):
    for row in rows(data_dir / "humaneval" / "HumanEval.jsonl"):
        prompt, body, name = row["prompt"], row["canonical_solution"], row["entry_point"]
        key = program_key(prompt + body)
        for text in (prompt + body, body, body.strip(), textwrap.dedent(body), f"```python\n{body}\n```"):
            assert program_key(extract_program(text, entry_point=name, starter=prompt)) == key, text
        text = f"It's this:\n\n{prompt}{body}\n\nThat's it."
        assert program_key(extract_program(text, entry_point=name, starter=prompt)) == key, text


@pytest.mark.slow
def test_every_leetcode_reference_is_found_as_a_model_would_write_it(data_dir):
    for row in rows(data_dir / "leetcode_newfacade" / "v0.3.1-test.jsonl"):
        program, starter, name = row["completion"], row["starter_code"], row["entry_point"]
        body = program.rpartition("class Solution:\n")[2]
        for text in (
            program,
            f"It's this:\n\n{program}\n\nThat's it.",
            f"So:\n```python\n{program}\n```\n```\n[1]\n```",
        ):
            assert program_key(extract_program(text, entry_point=name, starter=starter)) == program_key(program), text
        method = extract_program(f"```python\n{body}\n```", entry_point=name, starter=starter)
        assert EntryPoint.of(name).defined(Reader(10**6).read(method)), method


HOSTILE = {
    "fences": "```\n" * 12_500,
    "fences of Python": "```python\nx = 1\n" * 3_000,
    "blocks": "```python\ndef add(a, b):\n    return helper\n```\n" * 1_000,
    "ticks": "`" * 50_000,
    "ticks and a letter": "`" * 49_999 + "x`",
    "ticks apart": "``` " * 12_500,
    "tildes": "~" * 50_000,
    "blanks in a fence": "```" + " " * 49_500 + "x``",
    "a long tag": "```" + "a" * 49_500 + "`",
    "blanks": "x" + " " * 49_999 + "x",
    "blank lines": "x" + "\n" * 49_999 + "(",
    "blank lines in front": " \n" * 25_000 + "(",
    "no-break blanks": "\u00a0" * 49_999 + "x",
    "brackets": "(" * 50_000,
    "braces": "{" * 50_000,
    "pairs": "x = " + "[" * 199 + "]" * 199,
    "signs": "-" * 49_999 + "1",
    "a sum": "x = 1" + "+1" * 24_500,
    "attributes": "x = a" + ".b" * 24_500,
    "calls": "x = f" + "()" * 24_500,
    "nots": "x = " + "not " * 12_000 + "1",
    "lambdas": "x = " + "lambda: " * 6_000 + "1",
    "conditions": "x = " + "1 if 1 else " * 4_000 + "1",
    "elifs": "if x:\n pass\n" + "elif x:\n pass\n" * 3_000,
    "deep blocks": "".join(" " * i + "if x:\n" for i in range(400)),
    "definitions": "def f(\n" * 7_000,
    "wrong lines": "x = = 1\n" * 6_000,
    "wrong ends": "x = 1\n" * 4_000 + "y = (\n" * 4_000,
    "one more wrong line each": "x = 1\nIt's = wrong\n" * 2_000,
    "statements": "x=1\n" * 12_500,
    "semicolons": "x;" * 25_000,
    "quotes": '"' * 50_000,
    "quotes of three": '"""' * 16_500 + "x",
    "escapes": "\\n" * 25_000,
    "escaped escapes": '"' + "\\\\n" * 16_500,
    "a number": "x = " + "9" * 49_500,
    "a hexadecimal number": "x = 0x" + "f" * 49_500,
    "zeros": "x = 1\x00" * 10_000,
    "surrogates": "x = '\ud800'\n" * 4_500,
    "thoughts": "<think></think>" * 3_500,
    "indented bodies": "    return a\n" * 3_500,
    "bodies in fences": "```\n    return a\n```\n" * 2_250,
    "words": "def class import " * 3_000,
    "a long text": ADD + "\n" + "# more\n" * 500_000,
    "names": "\n".join(f"def f{i}(): return g{i}" for i in range(1_750)),
    "blocks that want each other": "".join(f"```\nx{i} = x{i - 1}\n```\n" for i in range(2_000)),
}


def seconds(text, **given):
    start = time.thread_time()
    extract_program(text, **given)
    return time.thread_time() - start


@pytest.mark.parametrize("name", [name if n % 3 == 0 else slow(name)[0] for n, name in enumerate(HOSTILE)])
def test_hostile_texts_take_seconds_at_most(name):
    """Half a second on an idle core; the bound leaves room for a busy one, and none for what grows with the square."""
    with ThreadPoolExecutor(1) as thread:  # whose stack is smaller
        assert thread.submit(seconds, HOSTILE[name], entry_point="add", starter=PROMPT).result() < 4
        assert thread.submit(seconds, HOSTILE[name]).result() < 4


def test_nothing_is_run():
    assert extract_program("raise SystemExit(1)\n") == "raise SystemExit(1)"


def test_threads_agree_and_no_warning_is_made_or_left():
    texts = [
        f"```python\nimport re\n\ndef add(a, b):\n    return re.sub('\\d', a, b) or {n} is 1\n```" for n in range(200)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ThreadPoolExecutor(8) as threads:
            programs = list(threads.map(lambda text: extract_program(text, entry_point="plus"), texts))
        with pytest.raises(UserWarning, match="still heard"):
            warnings.warn("still heard", stacklevel=1)
    assert programs == [text[10:-4] + "\n\n\nplus = add" for text in texts]
