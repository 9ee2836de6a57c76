"""Tests that are written as one function, `check(candidate)`, split into snippets that pass or fail on their own."""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

from lbt_dspy.benchmarks.tasks.code.fields import parsed, source_of
from lbt_dspy.errors import UserError

BUILDERS = ("list_node", "tree_node")
"""Helpers of LeetCode's tests that make an object of a plain list."""
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Check(NamedTuple):
    """One test."""

    snippet: str
    arguments: str | None
    """Of its only call of the candidate, as `key_of` gives them; `None` where that cannot be told."""
    value: ast.expr | None
    """The literal that the call must equal, where the test says no more than that."""


def literal_of(node: ast.expr) -> Any:
    """Return the value of a literal; `tree_node([1])` is that of the list.

    Raises:
        ValueError: It is none.
    """
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BUILDERS and node.args:
        node = node.args[0]
    try:
        return ast.literal_eval(node)
    except (TypeError, SyntaxError, MemoryError, RecursionError) as error:  # a list as a key, a text that is too deep
        raise ValueError(str(error)) from None


def key_of(call: ast.Call) -> str | None:
    """Return the arguments of a call such that equal ones are equal texts; `None` where one is no literal."""
    try:
        named = sorted((str(keyword.arg), repr(literal_of(keyword.value))) for keyword in call.keywords)
        return repr(([repr(literal_of(argument)) for argument in call.args], named))
    except (ValueError, RecursionError):
        return None


def split_check(test: str, entry_point: str, place: str) -> list[Check]:
    """Split a function `check(candidate)` into one snippet for each statement that asserts something, each once.

    Statements that do not are set-up, and stand before each later test, as does all that is outside the function but
    METADATA and calls of the function. An assert to which the candidate has not come yet (`assert True`, in 37 checks
    of HumanEval) is no test.

    Args:
        test: Python source with the function.
        entry_point: What the candidate stands for.
        place: What the row is called in messages.

    Raises:
        UserError: The source is no Python or has no such function.
    """
    body = parsed(test, "'test'", place).body
    check = next((n for n in reversed(body) if isinstance(n, ast.FunctionDef) and n.name == "check"), None)
    if check is None or len(check.args.args) != 1:
        raise UserError(f"'test' of {place} has no function check(candidate); its asserts must stand in one")
    candidate = check.args.args[0].arg
    outside = [node for node in body if node is not check and not _is_idle(node)]
    set_up = [f"{candidate} = {entry_point}", *source_of(outside, "'test'", place)]
    texts = source_of(check.body, "'test'", place)  # raises for what is too deep to walk
    helpers = {n.name for n in (*outside, *check.body) if isinstance(n, DEFINITIONS) and _asserts(n, set())}
    found, is_used = [], False
    for node, text in zip(check.body, texts, strict=True):
        asserts = not isinstance(node, DEFINITIONS) and _asserts(node, helpers)
        inside = list(ast.walk(node))
        uses = is_used or any(isinstance(n, ast.Name) and n.id == candidate for n in inside)
        if asserts and uses:
            found.append(Check("\n".join([*set_up, text]), *_stated(node, inside, candidate)))
        elif not asserts and not _is_idle(node):
            set_up.append(text)
            is_used = uses
    return list({check.snippet: check for check in found}.values())


def _is_idle(node: ast.stmt) -> bool:
    """Tell what no test needs: METADATA, a call of `check`, a text or a name that stands alone, `pass`."""
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Name) and target.id == "METADATA" for target in node.targets)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return isinstance(node.value.func, ast.Name) and node.value.func.id == "check"
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant | ast.Name)
    )


def _asserts(node: ast.AST, helpers: set[str]) -> bool:
    """Whether something is asserted, here or in a helper that is called."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in helpers:
        return True
    return isinstance(node, ast.Assert) or any(_asserts(child, helpers) for child in ast.iter_child_nodes(node))


def _stated(node: ast.stmt, inside: list[ast.AST], candidate: str) -> tuple[str | None, ast.expr | None]:
    """Return the arguments of a test's only call of the candidate, and the literal that it must equal."""
    if not isinstance(node, ast.Assert):
        return None, None
    called = [n for n in inside if isinstance(n, ast.Name) and n.id == candidate]
    calls = [n for n in inside if isinstance(n, ast.Call) and n.func in called]
    if len(called) != 1 or len(calls) != 1:
        return None, None
    test = node.test
    equal = isinstance(test, ast.Compare) and test.left is calls[0] and isinstance(test.ops[0], ast.Eq)
    value = test.comparators[0] if isinstance(test, ast.Compare) and equal and len(test.ops) == 1 else None
    return key_of(calls[0]), value
