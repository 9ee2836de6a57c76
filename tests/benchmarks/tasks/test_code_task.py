"""Code problems: every format, the folders they lie in, and the real data, whose references pass."""

import concurrent.futures
import json
import subprocess
import sys
import textwrap

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy import UserError
from lbt_dspy.benchmarks.tasks.code import task as code_task
from lbt_dspy.benchmarks.tasks.code.checks import split_check
from lbt_dspy.benchmarks.tasks.code.examples import examples
from lbt_dspy.benchmarks.tasks.code.rows import FORMATS, problems_of
from lbt_dspy.benchmarks.tasks.code.task import load_code
from lbt_dspy.metrics.sandbox import Limits, run_program, run_script

FIELDS = {
    "question", "program", "visible", "hidden", "entry_point", "preamble", "starter", "tags", "difficulty", "unique_id",
}  # fmt: skip

HUMANEVAL = {
    "task_id": "Own/0",
    "prompt": "import math\n\n\ndef half(x):\n    return x / 2\n\n\ndef twice(x):\n"
    '    """Double a number.\n    >>> twice(2)\n    4\n    >>> twice(half(3))\n    3.0\n    """\n',
    "entry_point": "twice",
    "canonical_solution": "    return 2 * x\n",
    "test": "METADATA = {'author': 'us'}\n\n\ndef check(candidate):\n    assert candidate(1) == 2\n"
    "    big = 10 ** 3\n    assert candidate(big) == 2000\n    for n in range(3):\n"
    "        assert half(candidate(n)) == n\n\ncheck(twice)\n",
}
LEETCODE = {
    "task_id": "sum-of-ends",
    "difficulty": "Easy",
    "tags": ["Array", "Tree"],
    "problem_description": "Add the first and the last value.\n\nExample 1:\n\nInput: root = [1,null,2], k = 1\n"
    "Output: 3\n\nExample 2:\n\nInput: root = [5], k = 0\nOutput: 10\n",
    "starter_code": "class Solution:\n    def ends(self, root: List[int], k):\n        ",
    "prompt": "from typing import *\n\ndef tree_node(values):\n    return values\n",
    "completion": "class Solution:\n    def ends(self, root: List[int], k):\n        return root[0] + root[-1]\n",
    "entry_point": "Solution().ends",
    "test": "def check(candidate):\n    assert candidate(root = tree_node([1, None, 2]),k = 1) == 3\n"
    "    assert candidate(root = tree_node([7, 8]),k = 1) == 15\n"
    "    assert candidate(k = 0, root = tree_node([5])) == 10\n"
    "    assert candidate(root = tree_node([1]),k = 1) == 2\n",
}
MBPP = {
    "task_id": 7,
    "text": "Write a function to add one.",
    "code": "def one():\n    return 1\n\ndef add_one(x):\n    return x + one()",
    "test_list": ["assert str(add_one(1)) == '2'", "assert add_one(start) == 6"],
    "test_setup_code": "import math\nstart = 5",
    "challenge_test_list": ["assert add_one(math.floor(9.5)) == 10"],
}
APPS = {
    "problem_id": 3,
    "question": "Double the number.\n\n-----Sample Input-----\n21\n4\n\n-----Sample Output-----\n42\n8\n",
    "input_output": json.dumps({"inputs": ["1\n2\n", "21 \r\n4\r\n"], "outputs": ["2\n4\n", "42\n8\n"]}),
    "solutions": json.dumps(["import sys\nfor line in sys.stdin:\n    print(2 * int(line))\n", "pass"]),
    "starter_code": "",
    "difficulty": "interview",
}
CALLS = {  # a tuple for a list, a list of one that holds it, whole numbers as keys of an object
    "fn_name": "pair",
    "inputs": [[1, 2], [3, 4], ["a", [5]], [{"1": 2}, {"x": 3}]],
    "outputs": [[1, 2], [[3, 4]], [["a", [5]]], [{"1": 2}, {"x": 3}]],
}
APPS_CALL = APPS | {
    "input_output": json.dumps(CALLS),
    "solutions": ["class Solution:\n    def pair(self, a, b) -> List[int]:\n        return (a, b)"],
    "starter_code": "class Solution:\n    def pair(self, a, b):\n",
}
OWN = {
    "question": "Write `add(a, b)`.",
    "visible": ["assert add(1, 2) == 3"],
    "hidden": ["assert add(-1, 1) == 0"],
    "program": "def add(a, b):\n    return a + b",
    "entry_point": "add",
    "tags": "Math, Easy ones",
}
OWN_SCRIPT = {
    "question": "Echo a line.",
    "visible": [{"stdin": "a\n", "stdout": "a\n"}],
    "hidden": [["b\n", "b\n"]],
    "program": "print(input())",
    "unique_id": "echo",
}
ROWS = [HUMANEVAL, LEETCODE, MBPP, APPS, APPS_CALL, OWN, OWN_SCRIPT]
NAMES = ["HumanEval", "LeetCodeDataset", "MBPP", "APPS", "APPS, a function", "own", "own script"]


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read(row):
    (found,), dropped = problems_of([row], "rows.jsonl")
    assert not dropped
    return found


@pytest.fixture
def sandbox():
    try:
        run_program("", ["pass"])
    except UserError as error:
        pytest.skip(str(error))


def grade(problem, limits=None):
    """Grade a reference on all tests; those the students see and those they do not."""
    tests, limits = [*problem["visible"], *problem["hidden"]], limits or Limits()
    if isinstance(tests[0], tuple):
        return run_script(problem["program"], tests, limits=limits)
    names = [problem["entry_point"].split("(")[0]] if problem["entry_point"] else None
    return run_program(problem["program"], tests, preamble=problem["preamble"], names=names, limits=limits)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_every_format_gives_the_same_fields_and_its_reference_passes(row, tmp_path, sandbox):
    data = load_code(write(tmp_path / "rows.jsonl", row))
    (problem,) = data.teaching
    assert data.bank == data.teaching
    assert set(problem.keys()) == FIELDS
    assert set(problem.inputs().keys()) == {"question"}
    assert {type(problem[name]) for name in ("visible", "hidden", "tags")} == {tuple}
    verdict = grade(problem)
    assert (verdict.passed, verdict.error) == (True, None)
    wrong = grade(dict(problem) | {"program": "def twice(x): pass\ndef add(a, b): pass\ndef add_one(x): pass"})
    assert (wrong.measured, wrong.share) == (True, 0)


def test_humaneval():
    problem = read(HUMANEVAL)
    assert problem["question"] == HUMANEVAL["prompt"]
    assert problem["program"] == HUMANEVAL["prompt"] + HUMANEVAL["canonical_solution"]
    assert problem["visible"] == ("assert twice(2) == 4",)  # half is not the program's
    assert problem["hidden"] == (
        "candidate = twice\nassert candidate(1) == 2",
        "candidate = twice\nbig = 10 ** 3\nassert candidate(big) == 2000",
        "candidate = twice\nbig = 10 ** 3\nfor n in range(3):\n    assert half(candidate(n)) == n",
    )
    assert problem["preamble"] == "import math\n\ndef half(x):\n    return x / 2"
    assert (problem["unique_id"], problem["tags"], problem["difficulty"]) == ("Own/0", (), "")
    assert read(HUMANEVAL | {"canonical_solution": ""})["program"] == ""


def test_examples_that_the_hidden_tests_contradict_are_left_out():
    def visible(docstring):
        prompt = f'def twice(x):\n    """{docstring}\n    """\n'
        return read(HUMANEVAL | {"prompt": prompt, "test": HUMANEVAL["test"].replace("half", "0.5 * ")})["visible"]

    assert visible("twice(1) == 2, twice(3) == 6") == ("assert twice(1) == 2", "assert twice(3) == 6")
    assert visible("twice(1) == 3, twice(3) == 6") == ("assert twice(3) == 6",)  # another value for the same call
    assert visible("twice(1) == 2.0") == ("assert twice(1) == 2.0",)
    assert visible("twice(3) == '6'") == ()  # no test expects text
    assert visible("twice('') == None") == ("assert twice('') == None",)


def test_leetcode():
    problem = read(LEETCODE)
    assert problem["question"] == LEETCODE["problem_description"].strip() + "\n\n" + LEETCODE["starter_code"]
    assert (problem["program"], problem["preamble"]) == (LEETCODE["completion"], LEETCODE["prompt"])
    assert [test.splitlines()[1] for test in problem["visible"]] == [
        "assert candidate(root=tree_node([1, None, 2]), k=1) == 3",
        "assert candidate(k=0, root=tree_node([5])) == 10",
    ]
    assert len(problem["hidden"]) == 2
    assert {test.splitlines()[0] for test in problem["hidden"]} == {"candidate = Solution().ends"}
    assert (problem["tags"], problem["difficulty"]) == (("Array", "Tree"), "Easy")


def test_mbpp():
    problem = read(MBPP)
    assert problem["question"] == (
        "Write a function to add one.\n\nYour program should pass this test:\nassert str(add_one(1)) == '2'"
    )
    assert problem["visible"] == ("start = 5\nassert str(add_one(1)) == '2'",)
    assert len(problem["hidden"]) == 2
    assert (problem["entry_point"], problem["preamble"], problem["unique_id"]) == ("add_one", "import math", "7")
    one = {k: v for k, v in MBPP.items() if k not in ("text", "test_setup_code", "challenge_test_list")}
    one |= {"prompt": "Add one.", "test_list": MBPP["test_list"][:1], "test_imports": ["import re", "import os"]}
    assert read(one)["hidden"] == read(one)["visible"] == (MBPP["test_list"][0],)
    assert read(one)["preamble"] == "import re\nimport os"
    pairs = "class Pair:\n    pass\n\ndef swap(pair):\n    return pair"
    two = read(MBPP | {"code": pairs, "test_list": ["assert swap(Pair())"], "challenge_test_list": None})
    assert two["entry_point"] == ""  # a test needs the class too


def test_apps():
    problem = read(APPS)
    assert problem["visible"] == (("21 \r\n4\r\n", "42\n8\n"),)  # it stands in the question
    assert problem["hidden"] == (("1\n2\n", "2\n4\n"),)
    assert (problem["entry_point"], problem["unique_id"], problem["difficulty"]) == ("", "3", "interview")
    cases = {"inputs": [["1", "2"], ["9"], ""], "outputs": [["2", "4"], ["18"], ""]}
    problem = read(APPS | {"input_output": cases, "starter_code": "# here"})
    assert problem["visible"] == (("1\n2", "2\n4"),)  # none stands there, lines are joined
    assert problem["hidden"] == (("9", "18"), ("", ""))
    assert problem["question"].endswith("8\n\n\n# here")
    only = read(APPS | {"input_output": {"inputs": ["21\n4"], "outputs": ["42\n8"]}})
    assert only["visible"] == only["hidden"] == (("21\n4", "42\n8"),)
    one = read(APPS | {"input_output": {"inputs": ["2"], "outputs": ["4"]}})
    assert (one["visible"], one["hidden"]) == ((), (("2", "4"),))  # there is a 2 in the question, in a line with more
    assert read(APPS | {"solutions": ""})["program"] == ""
    assert read(APPS_CALL)["entry_point"] == "Solution().pair"
    assert "candidate(*[{1: 2}, {'x': 3}])" in read(APPS_CALL)["hidden"][-1]
    assert read(APPS_CALL | {"starter_code": "def pair(a, b):"})["entry_point"] == "pair"


def test_own():
    problem = read(OWN)
    assert (problem["visible"], problem["hidden"]) == (("assert add(1, 2) == 3",), ("assert add(-1, 1) == 0",))
    assert (problem["unique_id"], problem["tags"]) == ("1", ("Math", "Easy ones"))
    script = read(OWN_SCRIPT)
    assert (script["visible"], script["hidden"]) == ((("a\n", "a\n"),), (("b\n", "b\n"),))
    shown = code_task.__doc__.split("A row: ")[1].split("\n\n")[0]
    assert read(json.loads(" ".join(shown.split())))["program"] == OWN["program"].replace("    ", " ")


SPLITS = [
    # (body of check, snippets without "candidate = f")
    ("assert candidate(1)\nassert candidate(2)", ["assert candidate(1)", "assert candidate(2)"]),
    ("assert candidate(1)\nassert candidate(1)", ["assert candidate(1)"]),  # LeetCodeDataset has a few twice
    ("'Tests.'\nprint\npass\nassert candidate(1)", ["assert candidate(1)"]),  # HumanEval/129 names print
    ("import math\nassert candidate(1)\nx = 2\nassert candidate(x)",
     ["import math\nassert candidate(1)", "import math\nx = 2\nassert candidate(x)"]),  # HumanEval/151
    ("for x in range(3):\n    assert candidate(x)", ["for x in range(3):\n    assert candidate(x)"]),
    ("def same(a, b):\n    assert a == b\nsame(candidate(1), 2)",
     ["def same(a, b):\n    assert a == b\nsame(candidate(1), 2)"]),  # a helper that asserts is set-up
    ("try:\n    candidate(-1)\n    assert False\nexcept ValueError:\n    pass",
     ["try:\n    candidate(-1)\n    assert False\nexcept ValueError:\n    pass"]),
    ("candidate(1)", []),
    ("assert True, 'prints if this fails'\nassert candidate(1)", ["assert candidate(1)"]),  # HumanEval/100: no test
    ("got = candidate(1)\nassert got == 2", ["got = candidate(1)\nassert got == 2"]),
]  # fmt: skip


@pytest.mark.parametrize(("body", "snippets"), SPLITS)
def test_check_is_split_by_what_asserts(body, snippets):
    found = split_check("METADATA = {}\ndef check(candidate):\n" + textwrap.indent(body, "    "), "f", "row 1")
    assert [check.snippet for check in found] == [f"candidate = f\n{snippet}" for snippet in snippets]


def test_what_stands_outside_of_check_goes_first():
    (check,) = split_check("import os\nN = 3\ndef check(c):\n    assert c(N) == 1\ncheck(f)", "A().f", "row 1")
    assert check.snippet == "c = A().f\nimport os\nN = 3\nassert c(N) == 1"


EXAMPLES = [
    # (text, tests without "assert "), of the function f(a, b)
    (">>> f(1, 2)\n3\n", ["f(1, 2) == 3"]),
    (">>> f(1,2) # the sum\n3", ["f(1, 2) == 3"]),
    (">>> round(f(1, 2), 2)\n3.0", ["round(f(1, 2), 2) == 3.0"]),
    (">>> f('a')\n['a',\n 'b']", ["f('a') == ['a', 'b']"]),
    (">>> f([])\n\n>>> f([1])\n1", ["f([]) == None", "f([1]) == 1"]),  # nothing is printed for None
    (">>> f(0)\nTraceback (most recent call last):\nValueError", []),
    (">>> f(0)\n<object at 0x1>", []),
    (">>> x = f(0)\n>>> x\n3", []),
    (">>> g(f(0))\n3", []),  # g is unknown
    (">>> f(1) == 2\n>>> f(2) == 3", ["f(1) == 2", "f(2) == 3"]),
    (">>> f(1) [2]", []),  # the sign is missing
    (">>>f(1)\n2\n\nf(2) == 3", ["f(2) == 3"]),  # no doctest: there is no space
    ("f(1) == 2", ["f(1) == 2"]),
    ("f(1) => 2\n f(2) ==> 3\n f(3) -> 4\n f(4) ➞ 5", ["f(1) == 2", "f(2) == 3", "f(3) == 4", "f(4) == 5"]),
    ("* f(1) = [2]\n* f(2) = [3]", ["f(1) == [2]", "f(2) == [3]"]),
    ("assert f(1) => 'a'", ["f(1) == 'a'"]),
    ("for f(1) ==True", ["f(1) == True"]),
    ("f(1) # => 'Yes' (the reason)", ["f(1) == 'Yes'"]),
    ("f(1)  # returns 'a'", ["f(1) == 'a'"]),
    ("f(1) should return True.", ["f(1) == True"]),
    ("f(1) should return 16.", ["f(1) == 16"]),
    ("f(1) should be equal to 1.5, f(2) is 2.", ["f(1) == 1.5", "f(2) == 2"]),
    ("f(1) returns -1", ["f(1) == -1"]),
    ("f(1) should\n    return 2 and f(2) should return 3.", ["f(1) == 2", "f(2) == 3"]),
    ("f(1) => true\nf(2) => null", ["f(1) == True", "f(2) == None"]),
    ("f('a)', \"(b\") == ')('", ["f('a)', '(b') == ')('"]),  # brackets in texts
    ("f([\n [1],\n [2]\n], 1) == [(0, 0),\n (1, 1)]", ["f([[1], [2]], 1) == [(0, 0), (1, 1)]"]),
    ("f(b=1, a=2) == 3", ["f(2, 1) == 3"]),
    ("f(1) -> 5 - 3 - 1 = 1", ["f(1) == 1"]),  # how it comes about
    ("f(1) == 1 + 9 + 0 = 10", ["f(1) == 10"]),
    ("f(1) == 1 + 9", []),
    ("f(3) = f(2) + f(1)", []),
    ("f(3) = f(2) + f(1)\n   = 2 + 3 = 5", []),  # f(1) stands in a sum
    ("f(n) = 2", []),
    ("f(a) => False", []),  # is that the text 'a'?
    ("f(1) == \"\"aaa\"", []),
    ("f(1) == 2x", []),
    ("f(1) is small", []),
    ("f(1) and f(2)", []),
    ("h(1) ==> 2", ["f(1) == 2"]),  # the function goes by another name
    ("h(1) ==> 2\nf(2) ==> 3", ["f(2) == 3"]),
    ("For a = 'x, y', b = 2, the result should be ('z', False)", ["f('x, y', 2) == ('z', False)"]),
    ("For n = 150, the sum will be 6 the output should be \"110\".", ["f(150) == '110'"]),
    ("For lst = []  the output should be 0", ["f([]) == 0"]),
    ("Input: a = [1], b = 2\n  Output: [1, 2]\n  Explanation: 1 = 1", ["f([1], 2) == [1, 2]"]),
    ("Input: 3\n Output: (1, 2)\n Input: 4\n Output: 24 # a sum", ["f(3) == (1, 2)", "f(4) == 24"]),
    ("Input:\n  a : [[1,2], [3]]\n  size : 1\n Output: 6", ["f([[1, 2], [3]], 1) == 6"]),
    ("Input: a list\nOutput: a number\nInput: 1\nOutput: 2", ["f(1) == 2"]),
    ("f(1) == 2\nf(1) == 2", ["f(1) == 2"]),
    (r"f('a\nb') == 'a\n'", [r"f('a\nb') == 'a\n'"]),
    ("f(1) == " + "9" * 5000, []),  # more digits than Python reads
    ("f(" * 300 + ")" * 300 + " == 1", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "tests"), EXAMPLES, ids=[str(n) for n in range(len(EXAMPLES))])
def test_examples_in_texts(text, tests):
    assert [e.test.removeprefix("assert ") for e in examples(text, "f", ("a", "b"))] == tests


BAD_ROWS = [
    (HUMANEVAL, {"prompt": 3}, "row 1 of rows.jsonl needs text in 'prompt', not 3"),
    (HUMANEVAL, {"prompt": "def twice(x"}, "'prompt' and 'canonical_solution' of row 1 .* is no Python"),
    (HUMANEVAL, {"entry_point": "thrice"}, "no function thrice, which 'entry_point' names"),
    (HUMANEVAL, {"entry_point": "import os"}, "needs a name such as"),
    (HUMANEVAL, {"test": "assert True"}, r"has no function check\(candidate\)"),
    (HUMANEVAL, {"test": "def check(candidate):\n    return\n    assert candidate(1)"}, "'hidden' .*: 'return'"),
    (HUMANEVAL, {"task_id": [1]}, "text or a whole number in 'task_id'"),
    (LEETCODE, {"problem_description": " "}, "has no 'problem_description'"),
    (LEETCODE, {"tags": {"a": 1}}, "a list of texts in 'tags'"),
    (LEETCODE, {"prompt": "from typing import"}, "the preamble of row 1"),
    (LEETCODE, {"difficulty": 2}, "needs text in 'difficulty'"),
    (MBPP, {"test_list": "assert True"}, "a list of texts in 'test_list'"),
    (MBPP, {"test_list": ["assert ("]}, "'test_list' of row 1 .* is no Python"),
    (MBPP, {"test_setup_code": "1 +"}, "the set-up of the tests of row 1"),
    (APPS, {"input_output": "{"}, "'input_output' of row 1 .* is no JSON"),
    (APPS, {"input_output": "[" * 100000}, "is no JSON"),
    (APPS, {"input_output": "[1]"}, "an object with inputs and outputs"),
    (APPS, {"input_output": {"inputs": "1", "outputs": ["1"]}}, "a list in 'inputs'"),
    (APPS, {"input_output": {"inputs": ["1"], "outputs": []}}, "1 inputs but 0 outputs"),
    (APPS, {"input_output": {"inputs": [1], "outputs": ["1"]}}, "text or a list of lines in 'inputs'"),
    (APPS_CALL, {"input_output": {"fn_name": "f", "inputs": [1], "outputs": [1]}}, "lists of arguments in 'inputs'"),
    (APPS_CALL, {"input_output": {"fn_name": "f g", "inputs": [], "outputs": []}}, "name of a function"),
    (APPS_CALL, {"input_output": '{"fn_name": "f", "inputs": [[NaN]], "outputs": [1]}'}, "plain data"),
    (OWN, {"visible": "assert True"}, "a list of tests in 'visible'"),
    (OWN, {"visible": ["assert ("]}, "'visible' of row 1 .* is no Python"),
    (OWN, {"hidden": ["pass", "assert \0"]}, "'hidden', number 2, of row 1"),
    (OWN, {"hidden": [["a", "b"]]}, "one kind in a problem"),
    (OWN, {"hidden": [["a"]]}, "pairs of stdin and stdout"),
    (OWN, {"hidden": [3]}, "pairs of stdin and stdout"),
    (OWN, {"hidden": [{"stdin": "a"}]}, "pairs of stdin and stdout"),
    (OWN, {"question": ""}, "has no 'question'"),
    (OWN, {"preamble": "1 +"}, "the preamble of row 1"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "change", "message"), BAD_ROWS, ids=[str(n) for n in range(len(BAD_ROWS))])
def test_rows_that_cannot_be_used(row, change, message):
    with pytest.raises(UserError, match=message) as error:
        problems_of([row | change], "rows.jsonl")
    assert "\n" not in str(error.value)


def test_formats_are_told_by_their_columns():
    with pytest.raises(UserError, match=r"no known format, it has: a, b; known are HumanEval \(prompt, .*ours \("):
        problems_of([{"a": 1, "b": 2}], "rows.jsonl")
    with pytest.raises(UserError, match=r"row 2 of rows\.jsonl is in the format MBPP, row 1 in ours"):
        problems_of([OWN, MBPP], "rows.jsonl")


def test_what_is_left_out_is_counted(tmp_path):
    long = '{"fn_name": "f", "inputs": [[' + "9" * 5000 + ']], "outputs": [1]}'
    rows = [APPS | {"question": f"Number {n}", "problem_id": n} for n in range(5)]
    rows[0] |= {"input_output": ""}
    rows[1] |= {"input_output": {"inputs": [], "outputs": []}}
    rows[2] |= {"input_output": long}
    rows[3] |= {"input_output": {"inputs": ["1"], "outputs": ["2"]}}
    data = load_code(write(tmp_path / "rows.jsonl", *rows))
    assert data.dropped == {
        "problems without tests": 2,
        "problems with whole numbers of more than 4300 digits": 1,
        "exam problems without visible tests": 1,
    }
    assert [len(data.teaching), len(data.bank)] == [2, 1]


def test_teaching_problems_need_hidden_tests_and_exam_problems_visible_ones(tmp_path):
    more = OWN | {"question": "Write add.", "unique_id": "more"}
    write(tmp_path / "teaching.jsonl", OWN | {"visible": []}, more | {"hidden": None})
    write(tmp_path / "exam.jsonl", OWN | {"hidden": []}, more | {"visible": []}, more)
    data = load_code(str(tmp_path))
    assert [p.unique_id for p in data.teaching] == ["1"]
    assert [p.unique_id for p in data.bank] == ["1", "more"]
    assert data.dropped == {"teaching problems without hidden tests": 1, "exam problems without visible tests": 1}
    write(tmp_path / "exam.jsonl", OWN | {"visible": []})
    with pytest.raises(UserError, match="has no exam problem with a visible test"):
        load_code(str(tmp_path))
    write(tmp_path / "teaching.jsonl", OWN | {"hidden": []})
    with pytest.raises(UserError, match="has no teaching problem with a hidden test"):
        load_code(str(tmp_path))


def test_nothing_is_taught_twice(tmp_path):
    for change, field in (({"unique_id": "x"}, "question"), ({"question": "Another."}, "unique_id")):
        rows = [OWN | {"unique_id": "y"}, OWN | {"unique_id": "y"} | change]
        with pytest.raises(UserError, match=f"teaching problems 1 and 2 of rows.jsonl have the same {field}"):
            load_code(write(tmp_path / "rows.jsonl", *rows))


def test_files_and_folders(tmp_path):
    def message(data):
        with pytest.raises(UserError) as error:
            load_code(str(data))
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "does not exist; give --data a file" in message(tmp_path / "nowhere")
    assert "has no data; give --data a file" in message(tmp_path)
    (tmp_path / "rows.jsonl.gz").write_bytes(b"")
    assert "unpack it" in message(tmp_path)
    assert "unpack it" in message(tmp_path / "rows.jsonl.gz")
    (tmp_path / "rows.txt").write_bytes(b"")
    assert "unknown ending" in message(tmp_path / "rows.txt")
    write(tmp_path / "rows.jsonl", OWN)
    one, same = load_code(str(tmp_path)), load_code(str(tmp_path / "rows.jsonl"))
    assert (one.teaching, one.bank, one.dropped) == (same.teaching, same.bank, same.dropped)
    assert (one.source, same.source) == (tmp_path.name, "rows.jsonl")
    datasets.Dataset.from_list([MBPP | {"text": None, "prompt": "Add one."}]).to_parquet(tmp_path / "more.parquet")
    assert "has more.parquet, rows.jsonl; name the one" in message(tmp_path)
    assert load_code(str(tmp_path / "more.parquet")).teaching[0].entry_point == "add_one"
    write(tmp_path / "exam.jsonl", OWN)
    assert "has exam.jsonl but no teaching.jsonl; it needs both" in message(tmp_path)


def test_the_folder_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("LBT_DATA_DIR", raising=False)
    with pytest.raises(UserError, match=r"ships no data; give --data a file .* LBT_DATA_DIR must name"):
        load_code(None)
    monkeypatch.setenv("LBT_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match="ships no data"):
        load_code(None)
    (tmp_path / "humaneval").mkdir()
    write(tmp_path / "humaneval" / "HumanEval.jsonl", HUMANEVAL)
    assert load_code(None).source == "humaneval"


def test_the_hub(monkeypatch):
    asked = []

    def load_dataset(name, split):
        asked.append((name, split))
        return datasets.Dataset.from_list([HUMANEVAL])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert load_code("hf").source == "openai/openai_humaneval"
    assert asked == [("openai/openai_humaneval", "test")]
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: 1 / 0)
    with pytest.raises(UserError, match=r"cannot be loaded .* check the network, or give --data a file"):
        load_code("hf")


SOURCES = ["def f(x): pass", "def check(c):\n    assert c(1) == 2", "f", '{"inputs": [], "outputs": [1]}']
KEYS = ["inputs", "outputs", "fn_name", "stdin", "stdout"]
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(SOURCES)
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
COLUMNS = sorted({name for known in FORMATS for column in known.columns for name in column.split("|")})
OPTIONAL = ["task_id", "tags", "difficulty", "unique_id", "solutions", "program", "preamble", "test_setup_code"]


def read_or_refuse(row):
    """Return the error's text, "" where the row is read or counted as left out."""
    try:
        found, dropped = problems_of([row], "rows.jsonl")
    except UserError as error:
        return str(error)
    assert len(found) + dropped.total() == 1
    assert all(set(problem) == FIELDS for problem in found)
    return ""


@given(st.sampled_from([*ROWS, {}]), st.dictionaries(st.sampled_from(COLUMNS + OPTIONAL), JSON, min_size=1, max_size=3))
def test_any_row_is_read_or_refused_in_one_line(row, changes):
    assert "\n" not in read_or_refuse(row | changes)


DEEP = ["-" * 3000 + "1", "+".join("1" * 5000), "[" * 150 + "]" * 150, "(" * 5000, "a" + ".b" * 3000, "1" * 5000]


@pytest.mark.parametrize("source", DEEP, ids=range(len(DEEP)))
def test_sources_that_are_too_deep_are_no_tracebacks(source):
    changes = [
        OWN | {"hidden": [f"assert {source}"]},
        MBPP | {"test_list": [f"assert add_one({source}) == {source}"]},
        MBPP | {"test_setup_code": f"y = {source}"},
        MBPP | {"code": f"y = {source}"},
        HUMANEVAL | {"test": f"def check(candidate):\n    assert candidate({source}) == {source}"},
        HUMANEVAL | {"prompt": f"x = {source}\n{HUMANEVAL['prompt']}"},
        HUMANEVAL | {"prompt": HUMANEVAL["prompt"].replace("4", f"4\n\n    twice({source}) == {source}")},
        LEETCODE | {"problem_description": f"Input: a = {source}\nOutput: {source}"},
        APPS | {"input_output": f'{{"fn_name": "f", "inputs": [[{source}]], "outputs": [{source}]}}'},
    ]
    for row in changes:
        assert "\n" not in read_or_refuse(row)


def test_loading_runs_nothing(tmp_path):
    mark = tmp_path / "ran"
    spell = f"open({str(mark)!r}, 'w')"
    rows = [OWN | {"program": spell, "preamble": spell, "hidden": [spell], "visible": [spell]}]
    assert len(load_code(write(tmp_path / "rows.jsonl", *rows)).bank) == 1
    assert not mark.exists()


def test_warnings_of_strange_sources_stay_out(tmp_path):
    path = write(tmp_path / "rows.jsonl", OWN | {"hidden": ["assert add(1, 2) is 3", "assert '\\d'"]})
    code = f"from lbt_dspy.benchmarks.tasks.code.task import load_code; load_code({path!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_humaneval_as_it_is_published(data_dir):
    data = load_code(str(data_dir / "humaneval"))
    assert (len(data.teaching), len(data.bank)) == (164, 156)
    assert data.dropped == {"exam problems without visible tests": 8}
    assert sum(len(problem.visible) for problem in data.bank) == 446
    assert sum(len(problem.hidden) for problem in data.teaching) == 1131
    rows = (data_dir / "humaneval" / "HumanEval.jsonl").read_text(encoding="utf-8").splitlines()
    assert [p.question for p in data.teaching] == [json.loads(row)["prompt"] for row in rows]
    assert {p.unique_id for p in data.teaching if p.preamble and "def " in p.preamble} == {
        f"HumanEval/{number}" for number in (10, 32, 38, 50)
    }


@pytest.mark.slow
def test_leetcode_as_it_is_published(data_dir):
    data = load_code(str(data_dir / "leetcode_newfacade"))
    assert (len(data.teaching), len(data.bank)) == (228, 226)
    path = data_dir / "leetcode_newfacade" / "v0.3.1-test.jsonl"
    rows = [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]
    odd = {
        p.unique_id: (len(p.visible), len(row["visible_idx"]))
        for p, row in zip(data.teaching, rows, strict=True)
        if len(p.visible) != len(row["visible_idx"])
    }
    assert odd == {
        "final-array-state-after-k-multiplication-operations-ii": (0, 2),  # the set has no assert for its examples,
        "count-the-number-of-arrays-with-k-matching-adjacent-elements": (0, 3),  # on which its own answer broke down
        "apply-substitutions": (2, 0),  # the indices lack what the test has
    }


def graded(problems, limits):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        verdicts = pool.map(lambda problem: grade(problem, limits), problems)
        return {problem["unique_id"]: verdict for problem, verdict in zip(problems, verdicts, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["humaneval", "leetcode_newfacade"])
def test_every_reference_passes_all_its_tests_visible_and_hidden(folder, data_dir, sandbox):
    limits = Limits(wall_seconds=90, cpu_seconds=90, memory_mib=2048)
    problems = load_code(str(data_dir / folder)).teaching
    step = 4 if folder == "leetcode_newfacade" else 1  # tests/metrics/sandbox/test_sandbox_data.py grades all of them
    verdicts = graded(problems[::step], limits)
    assert {name: v.error or v.fault for name, v in verdicts.items() if not v.passed} == {}


@pytest.mark.slow
def test_no_test_of_humaneval_passes_without_a_program(data_dir, sandbox):
    problems = load_code(str(data_dir / "humaneval")).teaching
    stubs = [{**p, "program": f"def {p.entry_point}(*args):\n    raise ValueError"} for p in problems]
    verdicts = graded(stubs, Limits())
    assert {name: v.share for name, v in verdicts.items() if v.share != 0 or v.fault} == {}
