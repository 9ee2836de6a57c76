r"""Programs in models' texts: a table that grows with each mistake seen.

A row is (text, entry point, starter, what the program is): its exact text, or an expression of it and the value.
"""

import textwrap

import pytest
from program_samples import ADD, BROKEN, CLASS, IMPORTING, METHOD, PROMPT, READER, SCRIPT

from lbt_dspy.metrics.programs.text import extract_program

SUM = ("add(1, 2)", 3)
TWO = ("Solution().twoSum(1, 2)", 3)

ROWS = [
    # the whole text is code
    (ADD, "add", "", ADD),  # returned as it is
    ("\n\n" + ADD + "\n\n\n", "add", "", ADD),  # but for empty lines around it
    (SCRIPT, "", "", SCRIPT),
    (ADD + "\n\nprint(add(1, 2))", "add", "", ADD + "\n\nprint(add(1, 2))"),  # usage inside of the program stays
    ('def f():\n    """```python\n    1\n    ```"""\n    return 4', "f", "", ("f()", 4)),  # a fence in a docstring
    ("# Adds.\n" + ADD, "add", "", "# Adds.\n" + ADD),
    ("@staticmethod\n" + ADD, "add", "", "@staticmethod\n" + ADD),
    ("async " + ADD, "add", "", "async " + ADD),
    ("add = lambda a, b: a + b", "add", "", "add = lambda a, b: a + b"),  # an assignment defines
    ("from operator import add", "add", "", "from operator import add"),  # and so does an import of the library
    ("if True:\n    " + ADD.replace("\n", "\n    "), "add", "", SUM),  # defined under a condition
    # fences
    (f"```python\n{ADD}\n```", "add", "", ADD),
    (f"```\n{ADD}\n```", "add", "", ADD),  # no tag
    (f"```Python\n{ADD}\n```", "add", "", ADD),
    (f"``` python\n{ADD}\n```", "add", "", ADD),  # a blank before the tag
    (f'```python title="a.py"\n{ADD}\n```', "add", "", ADD),  # attributes after it
    (f"~~~python\n{ADD}\n~~~", "add", "", ADD),
    (f"````python\n{ADD}\n````", "add", "", ADD),
    (f'````python\n{ADD}\n\nS = """\n```\n"""\n````', "add", "", ("S", "\n```\n")),  # a shorter fence inside
    (f"```text\n{ADD}\n```", "add", "", ADD),  # a wrong tag
    (f"Sure! Here it is:\n\n```python\n{ADD}\n```\n\nIt adds `a` and `b`.", "add", "", ADD),
    (f"Here it is: ```python\n{ADD}\n```", "add", "", ADD),  # the fence opens at the end of a line
    (f"```python\n{ADD}```", "add", "", ADD),  # and closes at the end of the last
    ("1. Add:\n   ```python\n" + textwrap.indent(ADD, "   ") + "\n   ```\n2. Done.", "add", "", ADD),  # in a list
    ("- ```python\n" + textwrap.indent(ADD, "  ") + "\n  ```", "add", "", ADD),  # opens on the item's own line
    ("```python\n" + textwrap.indent(ADD, "    ") + "\n```", "add", "", ADD),  # all of it indented
    (f"The code:\n```python\n{ADD}", "add", "", ADD),  # never closed
    (f"```python\n{ADD}\n\nThis function adds two numbers.", "add", "", SUM),  # nor closed, with prose after it
    ("```python def add(a, b): return a + b```", "add", "", "def add(a, b): return a + b"),  # all on one line
    ("Try ```def add(a, b): return a + b``` now.", "add", "", SUM),
    ("`def add(a, b): return a + b`", "add", "", "def add(a, b): return a + b"),  # in single ticks
    ('```python\ndef f():\n    """\n    ```\n    f()\n    ```\n    """\n    return 5\n```', "f", "", ("f()", 5)),
    (f"```python\nx = 1\n```python\n{ADD}\n```", "add", "", ADD),  # a fence that opens while one is open
    (f"```python\n{BROKEN}\n```", "add", "", BROKEN),  # its error is for the model to read
    (f"```python\n{BROKEN}\n```\nUsage:\n```python\nprint(add(1, 2))\n```", "add", "", BROKEN),
    (
        "```python\ndef add(a, b):\n    c = a + b\n    retrun c c\n```",
        "add",
        "",
        None,
    ),  # wrong code is not cut to parse
    ("def add(a, b):\n    c = a + b\n    retrun c c", "add", "", None),  # without a fence too
    # several blocks
    (f"```python\n{ADD.replace('+', '-')}\n```\nNo:\n```python\n{ADD}\n```", "add", "", ADD),  # the last that defines
    (f"```python\n{ADD}\n```\n```python\nprint(add(1, 2))\n```", "add", "", ADD),  # usage
    (f"```python\n{ADD}\n```\n```python\n>>> add(1, 2)\n3\n```", "add", "", ADD),  # a session
    (f"```python\n{ADD}\n```\n```\n3\n```", "add", "", ADD),  # output
    (f"```python\n{ADD}\n```\n```python\ndef test_add():\n    assert add(1, 2) == 3\n```", "add", "", ADD),
    (f"```python\n{ADD}\n```\n```python\nfrom solution import add\nassert add(1, 2) == 3\n```", "add", "", ADD),
    (f"```python\n{ADD}\n```\n```python\nassert add(1, 2) == 3\nassert add(0, 0) == 0\n```", "add", "", ADD),
    (f"```python\n{ADD}\n```\n```javascript\nadd = 7\n```", "add", "", ADD),  # another language that parses
    (f"```bash\npip install add\n```\n```python\n{ADD}\n```\n```bash\npython add.py\n```", "add", "", ADD),
    (
        "```java\nclass Solution { int f() { return 1; } }\n```\n```python\n" + METHOD + "\n```",
        "Solution().twoSum",
        "",
        METHOD,
    ),
    (f"```python\ndef add(a, b):\n    ...\n```\n```python\n{ADD}\n```", "add", "", ADD),
    (f"```python\n{ADD}\n```\nThe signature was:\n```python\ndef add(a, b):\n    pass\n```", "add", "", ADD),  # a stub
    (f"```python\nimport math\n```\n```python\n{IMPORTING[13:]}\n```", "root", "", ("root(10)", 3)),  # imports before
    (
        "```python\ndef inc(a):\n    return a + 1\n```\n```python\ndef two(a):\n    return inc(inc(a))\n```",
        "two",
        "",
        ("two(1)", 3),
    ),
    (
        "```python\ndef two(a):\n    return inc(inc(a))\n```\nwith\n```python\ndef inc(a):\n    return a + 1\n```",
        "two",
        "",
        ("two(1)", 3),
    ),
    (
        "```\nN = 1\n```\n```\ndef inc(a):\n    return a + N\n```\n```\ndef f(a):\n    return inc(a)\n```",
        "f",
        "",
        ("f(1)", 2),
    ),
    (f"```python\nx = 1\n```\n```python\n{ADD}\n```", "add", "", ADD),  # what it does not use stays away
    (
        "```python\ndef inc(a):\n    return a + 1\n```\n```python\ndef dec(a):\n    return a - 1\n```",
        "inc",
        "",
        ("inc(1)", 2),
    ),
    # scripts
    (f"```python\n{SCRIPT}\n```\nFor 3 it prints:\n```\n6\n```", "", "", SCRIPT),
    (f"```python\n{SCRIPT}\n```\n```text\n[1, 2, 3]\n```", "", "", SCRIPT),
    (f"```python\n{SCRIPT}\n```\n```bash\npython3 main.py < input.txt\n```", "", "", SCRIPT),
    (f"```python\n{READER}\n```\n```python\nprint(solve())\n```", "", "", READER),  # usage of a script that runs
    (
        "```python\ndef main():\n    return 7\n```\n```python\nX = main()\n```",
        "",
        "",
        ("X", 7),
    ),  # the rest of one that does not
    (
        f"```python\n{READER}\n```\n```python\nimport unittest\nclass T(unittest.TestCase):\n    pass\n```",
        "",
        "",
        READER,
    ),
    (f"```python\nprint(1)\n```\nBetter:\n```python\n{SCRIPT}\n```", "", "", SCRIPT),  # the last one
    (f"Read it, double it.\n\n{SCRIPT}\n\nThat is all.", "", "", SCRIPT),
    # prose around code without fences
    (f"Here is the function.\n\n{ADD}\n\nIt returns the sum of both.", "add", "", ADD),
    (f"Python\n\n{ADD}", "add", "", ADD),  # what a copied fence leaves
    (f"{ADD}\n\nNote: recursion", "add", "", ADD),  # prose that parses as an annotation
    (f"Here's it:\n\n{ADD}\n\nIt's simple, isn't it?\nDon't worry; it's fine.", "add", "", ADD),  # apostrophes
    (f"Solution:\n{IMPORTING}\n\nDone (in O(1)).", "root", "", IMPORTING),
    (f"The class:\n\n@dataclass_\n{METHOD}\nIt is short.", "Solution().twoSum", "", "@dataclass_\n" + METHOD),
    (f"So:\n\n# add two\nasync {ADD}\n\nGood.", "add", "", f"# add two\nasync {ADD}"),
    ("The code:\n\n" + textwrap.indent(ADD, "    ") + "\n\nThat adds.", "add", "", ADD),  # Markdown's indented code
    ("First:\n\nimport math\n\nand then\n\n" + IMPORTING[13:] + "\n\nDone.", "root", "", ("root(10)", 3)),
    (
        "So x = a + (b and\nthat's = it.\n" * 300 + f"```python\n{ADD.replace('add', 'plus')}\n```",
        "add",
        "",
        SUM,
    ),  # formulas
    ("So x = that = is it.\n\n" * 900 + ADD, "add", "", ADD),  # must not use up what may be parsed
    ("print('</think>')\nx = 1", "", "", "print('</think>')\nx = 1"),  # a tag in a string
    ("def check():\n    assert add(1, 2) == 3", "add", "", "def check():\n    assert add(1, 2) == 3"),  # a test
    (
        "```\ndef i(a):\n    return a\n```\n```\ni = add(1, 2)\n```\n```\ndef add(a, b):\n    return i(a) + b\n```",
        "add",
        "",
        SUM,  # usage helps nobody, whatever it defines
    ),
    (
        "```\ndef f(n):\n    return n\n\nprint(f(3))\n```\nand from the input:\n```\nprint(f(input()))\n```",
        "",
        "",
        "def f(n):\n    return n\n\nprint(f(3))\n\nprint(f(input()))",  # what reads the input is more than usage
    ),
    (ADD + "\n\nprint('</think>')", "add", "", ADD + "\n\nprint('</think>')"),  # a tag in a string
    ("I cannot solve this.", "add", "", "I cannot solve this."),  # nothing parses
    ("Note = that I cannot do it.\nx = 1", "add", "", "Note = that I cannot do it.\nx = 1"),
    ("42", "add", "", "42"),
    # escapes, thoughts, bytes
    ("def add(a, b):\\n    return a + b", "add", "", ADD),  # JSON without its quotes
    ('"def add(a, b):\\n    return a + b"', "add", "", ADD),
    ('def f():\\n    return \\"a\\\\n\\"', "f", "", ("f()", "a\n")),  # an escaped escape stays one
    ("```python\\ndef add(a, b):\\n    return a + b\\n```", "add", "", ADD),  # the fence is escaped too
    ("print('a\\nb')", "", "", "print('a\\nb')"),  # an escape of Python
    (f"'''{ADD}'''", "add", "", ADD),
    (f'"{ADD}"', "add", "", ADD),  # quotes round several lines
    (f"<think>```python\n{ADD.replace('+', '-')}\n```</think>\n```python\n{ADD}\n```", "add", "", ADD),
    (f"Perhaps add = 1?\n</think>\n\n{ADD}", "add", "", ADD),  # the template wrote <think>
    (f"<think>\n```python\n{ADD}\n```\n</think>\nAs above.", "add", "", ADD),  # only the thoughts have it
    (f"<think>Hm.\n```python\n{ADD}\n```", "add", "", ADD),  # no end of them
    (ADD.replace("\n", "\r\n"), "add", "", ADD),
    (f"```python\r\n{ADD}\r\n```\r\n".replace("):\n", "):\r\n"), "add", "", ADD),
    (ADD.replace("    ", "\t"), "add", "", ADD.replace("    ", "\t")),
    ("```python\ndef add(a, b):\n\tc = a\n        return c + b\n```", "add", "", SUM),  # tabs and blanks
    ("\ufeff" + ADD, "add", "", ADD),
    (ADD.replace("    ", "\u00a0\u00a0\u00a0\u00a0"), "add", "", ADD),
    (
        "def add(a, b):\n    s = '\u00a0'\n    return a + b + len(s)",
        "add",
        "",
        ("add(1, 2)", 4),
    ),  # one in a string stays
    # completions
    ("    return a + b", "add", PROMPT, SUM),
    ("return a + b", "add", PROMPT, SUM),  # stripped on its way
    ("c = a\n    return c + b", "add", PROMPT, SUM),  # its first line only
    ("c = a\nreturn c + b", "add", PROMPT, SUM),
    ("  return a + b", "add", PROMPT, SUM),  # of another width
    ("```python\n    return a + b\n```", "add", PROMPT, SUM),
    ("    return a + b\n```\nThat adds.", "add", PROMPT, SUM),  # the prompt had opened the fence
    ("    return a + b\n\nThis adds the numbers.", "add", PROMPT, SUM),
    ("    return inc(a) + b - 1\n\n\ndef inc(a):\n    return a + 1", "add", PROMPT, SUM),  # a helper after the body
    ("    def inc(a):\n        return a + 1\n    return inc(a) + b - 1", "add", PROMPT, SUM),  # a helper in the body
    ("return a + b", "Solution().twoSum", CLASS, TWO),
    ("        c = a\n        return c + b", "Solution().twoSum", CLASS, TWO),
    ("c = a\n        return c + b", "Solution().twoSum", CLASS, TWO),  # it goes on where the starter ends
    ("    return 1 if a == 0 else add(a - 1, b) + 1", "add", PROMPT, ("add(2, 0)", 3)),  # recursion is no usage
    (ADD, "add", PROMPT, ADD),  # the whole function needs no starter
    ("def plus(a, b):\n    return a + b", "add", PROMPT, SUM),  # nor does one of another name
    ("print(add(1, 2))", "add", PROMPT, "print(add(1, 2))"),  # usage is no body
    ("I cannot do it.", "add", PROMPT, "I cannot do it."),
    # other names
    ("def twoSum(self, a, b):\n    return a + b", "Solution().twoSum", "", TWO),
    ("def twoSum(a, b):\n    return a + b", "Solution().twoSum", "", TWO),  # without self
    ("twoSum = lambda a, b: a + b", "Solution().twoSum", "", TWO),
    ("def two_sum(a, b):\n    return a + b", "Solution().twoSum", "", TWO),
    (METHOD.replace("Solution", "Answer"), "Solution().twoSum", "", TWO),
    (
        "class Base:\n    def twoSum(self, a, b):\n        return a + b\n\nclass Solution(Base):\n    pass",
        "Solution().twoSum",
        "",
        TWO,
    ),
    (METHOD, "twoSum", "", ("twoSum(1, 2)", 3)),  # a method where a function is called
    (ADD.replace("add", "plus"), "add", "", ADD.replace("add", "plus") + "\n\n\nadd = plus"),
    (f"```python\n{ADD.replace('add', 'plus')}\n```", "add", "", SUM),
    (ADD.replace("add", "x") + "\n\n" + ADD.replace("add", "y"), "add", "", None),  # which of them?
    ("def test():\n    assert add(1, 2) == 3", "add", "", "def test():\n    assert add(1, 2) == 3"),  # a test is not it
    (
        f"```python\n{ADD.replace('add', 'plus')}\n```\n```python\ndef test_plus():\n    assert plus(1, 2) == 3\n```",
        "add",
        "",
        SUM,
    ),
    (
        f"```python\n{ADD.replace('add', 'plus')}\n```\n```python\ndef main():\n    print(plus(1, 2))\n```",
        "add",
        "",
        SUM,
    ),
    (
        METHOD[16:].replace("\n    ", "\n").lstrip().replace("a +", "self.one(a) +")
        + "\n\ndef one(self, a):\n    return a",
        "Solution().twoSum",
        "",
        TWO,
    ),
    ("    def twoSum(self, a, b):\n        return a + b", "Solution().twoSum", CLASS, TWO),  # the method alone
    (ADD.replace("(a, b)", "(a: List[int], b)"), "add", PROMPT, SUM),  # an import of the starter
    ("class Solution:\n    def other(self):\n        return 1", "Solution().twoSum", "", None),
]


@pytest.mark.parametrize(("text", "entry_point", "starter", "wanted"), ROWS, ids=range(len(ROWS)))
def test_table(text, entry_point, starter, wanted):
    program = extract_program(text, entry_point=entry_point, starter=starter)
    assert extract_program(program, entry_point=entry_point, starter=starter) == program
    if wanted is None:  # nothing is to be had: the text, or its block, as it is
        assert program in text
        assert len(program) > 0.7 * len(text)
    elif isinstance(wanted, str):
        assert program == wanted
    else:
        names = {"__name__": "program"}
        exec(program, names)
        assert eval(wanted[0], names) == wanted[1]


@pytest.mark.parametrize("nothing", [None, "", " \n\t\n", "\ufeff"])
def test_no_text_is_no_program(nothing):
    assert extract_program(nothing, entry_point="add", starter=PROMPT) is None


@pytest.mark.parametrize("quoted", ["x = 1", "def f():\n    return 'a'", "class A:\n    '''B'''"])
def test_quotes_around_quotes(quoted):
    assert extract_program(repr(repr(quoted))) == quoted
