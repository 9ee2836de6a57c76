"""Rows of MBPP (Austin et al. 2021, arXiv 2108.07732; CC BY 4.0), and of APPS (Hendrycks et al. 2021; MIT)."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from lbt_dspy.benchmarks.tasks.code.fields import (
    CALLABLE,
    Case,
    Fields,
    LeftOutError,
    parsed,
    source_of,
    tags_of,
    text_of,
    texts_of,
    wrong_kind,
)
from lbt_dspy.benchmarks.tasks.tables import Row
from lbt_dspy.errors import UserError

DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
NO_TESTS = "problems without tests"
WHOLE = re.compile(r"-?[0-9]{1,18}")
LONG_NUMBERS = "problems with whole numbers of more than 4300 digits"
"""Python reads no longer ones from text, to be safe from slow conversions."""
IMPORTS = """\
import collections, fractions, heapq, itertools, math, random, sys, time
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from functools import lru_cache
from heapq import *
from itertools import accumulate, combinations, permutations, product
from math import ceil, cos, exp, fabs, floor, gcd, log, log2, sin, sqrt, tan
from typing import List, Tuple
"""
"""What the authors' harness of APPS imports before a function, but NumPy."""
SAME_KIND = """\
def plain(value):
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value
"""


def mbpp(row: Row, place: str) -> Fields:
    """Return the fields of a row of MBPP.

    The first test is visible, the others are hidden, and those of `challenge_test_list`. An only test is both. Imports
    and definitions of the set-up are the preamble; what else there is (it may call the program) precedes each test.
    """
    text = text_of(row, "text" if row.get("text") is not None else "prompt", place, needed=True)
    code = text_of(row, "code", place)
    tests = [*texts_of(row, "test_list", place), *texts_of(row, "challenge_test_list", place)]
    if not tests:
        raise LeftOutError(NO_TESTS)
    set_up = "\n".join([*texts_of(row, "test_imports", place), text_of(row, "test_setup_code", place)])
    lines = parsed(set_up, "the set-up of the tests", place).body
    first, later = ([n for n in lines if isinstance(n, DEFINITIONS) == wanted] for wanted in (True, False))
    before = source_of(later, "the set-up of the tests", place)
    snippets = tuple("\n".join([*before, test]) for test in tests)
    return {
        "question": f"{text}\n\nYour program should pass this test:\n{tests[0]}",
        "program": code,
        "visible": snippets[:1],
        "hidden": snippets[1:] or snippets,
        "entry_point": _tested(code, snippets, place),
        "preamble": "\n".join(source_of(first, "the set-up of the tests", place)),
        "tags": tags_of(row, place),
    }


def apps(row: Row, place: str) -> Fields:
    """Return the fields of a row of APPS.

    Visible are the cases whose input stands in the question, in lines of its own; where none does (or a function is
    called) and there are two cases at least, the first. The others are hidden; all are, where there is no other.
    """
    question, starter = text_of(row, "question", place, needed=True), text_of(row, "starter_code", place)
    told = _json(row, "input_output", place)
    if not told:
        raise LeftOutError(NO_TESTS)
    if not isinstance(told, dict):
        raise wrong_kind(told, "input_output", place, "an object with inputs and outputs")
    name = told.get("fn_name")
    if name is not None and not (isinstance(name, str) and CALLABLE.fullmatch(name)):
        raise wrong_kind(name, "fn_name", place, "the name of a function")
    entry_point = "" if name is None else f"Solution().{name}" if "class Solution" in starter else name
    pairs = _pairs(told, place)
    tests: list[Any] = [_case(*pair, place) if name is None else _call(*pair, entry_point, place) for pair in pairs]
    shown = [test for test in tests if name is None and _stands_in(test[0], question)]
    if not shown and len(tests) > 1:
        shown = tests[:1]
    return {
        "question": f"{question}\n\n{starter}" if starter.strip() else question,
        "program": next(iter(_solutions(row, place)), ""),
        "visible": tuple(shown),
        "hidden": tuple(test for test in tests if test not in shown) or tuple(tests),
        "entry_point": entry_point,
        "preamble": IMPORTS if entry_point else "",
        "starter": starter,
        "tags": tags_of(row, place),
    }


def lines_of(value: object, name: str, place: str) -> str:
    """Return the text of an input or an output: text, or a list of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise wrong_kind(value, name, place, "text or a list of lines")
    return value


def _tested(code: str, tests: Sequence[str], place: str) -> str:
    """Return the function of a program that its tests use; "" where there is none, or a class beside it."""
    nodes = parsed(code, "'code'", place).body
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    inside = [node for test in tests for node in ast.walk(parsed(test, "'test_list'", place))]
    used = {node.id for node in inside if isinstance(node, ast.Name)} & defined
    return used.pop() if len(used) == 1 else ""


def _json(row: Row, name: str, place: str) -> Any:
    """Return what a field holds, as JSON text or as it stands."""
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        return value or None
    try:
        found = json.loads(value)
        if "\\ud" in value.casefold():
            json.dumps(found, ensure_ascii=False).encode()  # half of a character cannot be written again
    except (ValueError, RecursionError) as error:
        if "integer string conversion" in str(error):
            raise LeftOutError(LONG_NUMBERS) from None
        reason = "too deep" if isinstance(error, RecursionError) else str(error)[:120]
        raise UserError(f"{name!r} of {place} is no JSON ({reason}); mend it or leave the row out") from None
    return found


def _pairs(told: dict[str, Any], place: str) -> list[tuple[Any, Any]]:
    both = told.get("inputs"), told.get("outputs")
    for name, value in zip(("inputs", "outputs"), both, strict=True):
        if value is not None and not isinstance(value, list):
            raise wrong_kind(value, name, place, "a list")
    given, expected = (value or [] for value in both)
    if len(given) != len(expected):
        raise UserError(f"{place} has {len(given)} inputs but {len(expected)} outputs; each input needs its output")
    if not given:
        raise LeftOutError(NO_TESTS)
    return list(zip(given, expected, strict=True))


def _solutions(row: Row, place: str) -> list[str]:
    found = _json(row, "solutions", place)
    return texts_of({"solutions": found}, "solutions", place)


def _case(given: object, expected: object, place: str) -> Case:
    return lines_of(given, "inputs", place), lines_of(expected, "outputs", place)


def _call(given: object, expected: object, entry_point: str, place: str) -> str:
    """Return a snippet that compares as the authors' harness does: an expected list of one may be its item."""
    if not isinstance(given, list):
        raise wrong_kind(given, "inputs", place, "lists of arguments")
    several = [_whole_keys(each) for each in expected] if isinstance(expected, list) else []
    wanted = [several or _whole_keys(expected), *(several if len(several) == 1 else [])]
    arguments = _literal([_whole_keys(each) for each in given], "inputs", place)
    return (
        f"{SAME_KIND}\ncandidate = {entry_point}\ngot = plain(candidate(*{arguments}))\n"
        f"assert got in {_literal(wanted, 'outputs', place)}"
    )


def _whole_keys(value: object) -> object:
    """Return a dictionary with whole numbers as keys where they all read so: JSON has made them text."""
    if not isinstance(value, dict) or not all(isinstance(key, str) and WHOLE.fullmatch(key) for key in value):
        return value
    return {int(key): each for key, each in value.items()}


def _literal(value: object, name: str, place: str) -> str:
    """Return the Python source of JSON data."""
    try:
        text = repr(value)
        ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise wrong_kind(value, name, place, "plain data, finite and not too deep,") from None
    return text


def _stands_in(text: str, question: str) -> bool:
    """Whether a text stands in lines of its own; line ends and the space around lines do not matter."""
    part, whole = ("\n".join(line.strip() for line in each.strip().splitlines()) for each in (text, question))
    return bool(part) and f"\n{part}\n" in f"\n{whole}\n"
