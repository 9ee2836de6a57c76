"""Rows of HumanEval (Chen et al. 2021, arXiv 2107.03374; MIT), and of LeetCodeDataset (Xia et al. 2025; MIT)."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from lbt_dspy.benchmarks.tasks.code.checks import Check, key_of, literal_of, split_check
from lbt_dspy.benchmarks.tasks.code.examples import Stated, examples, inputs
from lbt_dspy.benchmarks.tasks.code.fields import Fields, entry_point_of, parsed, source_of, tags_of, text_of
from lbt_dspy.benchmarks.tasks.tables import Row
from lbt_dspy.errors import UserError


def humaneval(row: Row, place: str) -> Fields:
    """Return the fields of a row of HumanEval.

    The visible tests are the examples of the docstring. Left out are those that the hidden tests contradict: the same
    arguments with another value, or a value of another kind than any of theirs (`("Venus")` for a tuple).
    """
    prompt = text_of(row, "prompt", place, needed=True)
    solution = text_of(row, "canonical_solution", place)
    entry_point = entry_point_of(row, place, needed=True)
    tree = parsed(prompt + (solution or "\n    pass\n"), "'prompt' and 'canonical_solution'", place)
    function = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == entry_point), None)
    if function is None:
        raise UserError(f"'prompt' of {place} has no function {entry_point}, which 'entry_point' names")
    ends = len(prompt.splitlines())
    around = [node for node in tree.body if node is not function and node.lineno <= ends]
    checks = split_check(text_of(row, "test", place, needed=True), entry_point, place)
    parameters = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    stated = examples(_docstring(prompt + solution, function), entry_point, parameters)
    return {
        "question": prompt,
        "program": prompt + solution if solution else "",
        "visible": tuple(example.test for example in stated if _agrees(example, checks)),
        "hidden": tuple(check.snippet for check in checks),
        "entry_point": entry_point,
        "preamble": "\n\n".join(source_of(around, "'prompt'", place)),
        "starter": prompt,
        "tags": tags_of(row, place),
    }


def leetcode(row: Row, place: str) -> Fields:
    """Return the fields of a row of LeetCodeDataset.

    The visible tests are those of the asserts whose arguments are an example's of the statement.
    """
    description = text_of(row, "problem_description", place, needed=True)
    entry_point = entry_point_of(row, place, needed=True)
    shown = {key_of(call) for call, _ in inputs(description)} - {None}
    checks = split_check(text_of(row, "test", place, needed=True), entry_point, place)
    return {
        "question": f"{description.strip()}\n\n{text_of(row, 'starter_code', place)}",
        "program": text_of(row, "completion", place),
        "visible": tuple(check.snippet for check in checks if check.arguments in shown),
        "hidden": tuple(check.snippet for check in checks if check.arguments not in shown),
        "entry_point": entry_point,
        "preamble": text_of(row, "prompt", place),
        "starter": text_of(row, "starter_code", place),
        "tags": tags_of(row, place),
    }


def _docstring(source: str, function: ast.FunctionDef) -> str:
    """Return the texts that stand alone in a function as they are written; HumanEval/115 imports before its own."""
    alone = [n.value for n in function.body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
    written = [ast.get_source_segment(source, node) or "" for node in alone if isinstance(node.value, str)]
    return "\n\n".join(text.lstrip("rRuU").strip("\"'") for text in written)


def _agrees(example: Stated, checks: Sequence[Check]) -> bool:
    """Whether no test contradicts an example."""
    value = literal_of(example.value)
    told = [(check.arguments, known) for check in checks for known in _literal(check.value)]
    same = [known for arguments, known in told if arguments is not None and arguments == example.arguments]
    kinds = {_kind(known) for _, known in told}
    alike = example.arguments is None or value is None or not kinds or _kind(value) in kinds
    return alike and all(known == value for known in same)


def _literal(node: ast.expr | None) -> list[object]:
    try:
        return [] if node is None else [literal_of(node)]
    except ValueError:
        return []


def _kind(value: object) -> type:
    return float if isinstance(value, int | float) else type(value)
