"""Make 24 of four numbers with + - * /, each number once: Game of 24, a task with exact marks.

From "Tree of Thoughts" (Yao et al., arXiv 2305.10601), github.com/princeton-nlp/tree-of-thought-llm, MIT; its hundred
puzzles are numbers 900 to 999 of 1362, and it publishes GPT-4's outputs, which `recorded/DIR` replays.

A row: {"idx": 900, "puzzle": "4 5 6 10", "sample": 0, "output": "Answer: (10 - 6) * (5 - 4) * 4 = 24"}
"""

from __future__ import annotations

import ast
import re
from collections.abc import Hashable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import dspy

from lbt_dspy.errors import UserError
from lbt_dspy.types import Mark

TARGET, CARDS = 24, 4
PUZZLE = ("puzzle", "question")
LONGEST = 100
"""Characters of an expression that is read; four cards need fewer."""
ANSWER = re.compile(r"\banswer(?: is)?\s*:|\banswer is\b", re.IGNORECASE)
STEP = "(left:"
"""Ends the lines of a solution that are no answer yet, in the prompt of the paper."""
RUN = re.compile(r"(?<!\w)(?:[0-9 ()+*/.,^%√-]|!(?!=))+(?!\w)")
"""What may be an expression; signs that the game does not have are taken along, so that it is refused with them."""
SIGNS = str.maketrans("\u00d7\u00b7\u22c5\u00f7\u2215\u2212\u2013[]", "***//--()")
SPELLED = ((r"\*\*", " "), (r"\\times|\\cdot", "*"), (r"\\div", "/"), (r"(?<=[0-9)])\s*x\s*(?=[0-9(])", "*"))
"""Bold print, and other ways to write a product or a quotient (SIGNS: those of one character)."""


class Game24:
    """Mark 1 when the final expression makes 24 of the puzzle's four cards, each used once; else 0 with the reason.

    The final expression is the first one in the line of the last "Answer:", or in the last line where there is none and
    it is no step; what it is said to equal is not believed. The reference is a field `puzzle` or `question` of four
    whole numbers.

    Args:
        field: Name of the output field; it may hold a whole solution.
    """

    def __init__(self, field: str = "answer") -> None:
        self.field = self.reference = field

    def grade(self, expected: dspy.Example, output: Mapping[str, Any]) -> Mark:
        """Evaluate the expression exactly.

        Raises:
            UserError: The puzzle is not four whole numbers, or the program gives no such field.
        """
        cards = cards_of(expected)
        node = self._expression(output)
        if node is None:
            return Mark(value=0.0, reason="no expression")
        if sorted(_numbers(node)) != cards:
            return Mark(value=0.0, reason=f"does not use each of {', '.join(map(str, cards))} once")
        try:
            value = _value(node)
        except ZeroDivisionError:
            return Mark(value=0.0, reason="divides by zero")
        return Mark(value=1.0) if value == TARGET else Mark(value=0.0, reason=f"makes {value}")

    def key(self, output: Mapping[str, Any]) -> Hashable | None:
        """Return the expression with its sums and products flattened and sorted, `None` where there is none.

        Raises:
            UserError: The program gives no such field.
        """
        node = self._expression(output)
        return None if node is None else _canonical(node)

    def _expression(self, output: Mapping[str, Any]) -> ast.BinOp | None:
        if self.field not in output:
            known = ", ".join(map(str, output.keys())) or "nothing"
            raise UserError(f"the program's prediction has no field {self.field!r}, only {known}; return it too")
        return final_expression(str(output[self.field]))


def cards_of(expected: dspy.Example) -> list[int]:
    """Return the four numbers of a puzzle, sorted.

    Raises:
        UserError: It has no puzzle, or not four whole numbers.
    """
    text = next((str(expected[name]) for name in PUZZLE if name in expected), "")
    words = text.replace(",", " ").split()
    if len(words) != CARDS or not all(re.fullmatch("[0-9]{1,9}", word) for word in words):
        raise UserError(
            f"a puzzle must be {CARDS} whole numbers in a field {' or '.join(PUZZLE)}, such as '4 5 6 10', but got "
            f"{text[:60]!r}"
        )
    return sorted(map(int, words))


def final_expression(text: str) -> ast.BinOp | None:
    """Return the first expression after the last "Answer:", or in the last line; `None` where there is none."""
    line = _final_line(text).translate(SIGNS)
    for pattern, sign in SPELLED:
        line = re.sub(pattern, sign, line)
    found = (_parsed(run[0].strip(" .,")) for run in RUN.finditer(line))
    return next((node for node in found if node is not None), None)


def _final_line(text: str) -> str:
    *_, after = ANSWER.split(text)
    lines = [line for line in after.splitlines() if line.strip()]
    if lines and ANSWER.search(text):
        return lines[0]
    return lines[-1] if lines and STEP not in lines[-1] else ""


def _parsed(run: str) -> ast.BinOp | None:
    """Return the tree of an expression of whole numbers, + - * / and brackets; `None` when it is anything else."""
    if len(run) > LONGEST:
        return None
    try:
        node = ast.parse(run, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return node if isinstance(node, ast.BinOp) and _allowed(node) else None


def _allowed(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        known = isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div)
        return known and _allowed(node.left) and _allowed(node.right)
    return isinstance(node, ast.Constant) and type(node.value) is int


def _operation(node: ast.expr) -> ast.BinOp:
    if not isinstance(node, ast.BinOp):
        raise TypeError(f"no operation: {ast.dump(node)}")
    return node


def _numbers(node: ast.expr) -> Iterator[int]:
    return (leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant))  # type: ignore[misc]


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant):
        return Fraction(node.value)  # type: ignore[arg-type]  # a whole number, see _allowed
    node = _operation(node)
    left, right = _value(node.left), _value(node.right)
    match node.op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case _:
            return left / right


def _canonical(node: ast.expr) -> str:
    """Write an expression so that the order of its sums and products does not matter."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    node = _operation(node)
    direct, inverse = ((ast.Add, ast.Sub), (ast.Mult, ast.Div))[isinstance(node.op, ast.Mult | ast.Div)]
    parts = sorted(_flat(node, direct, inverse, positive=True))
    return f"({' '.join(parts)})"


def _flat(node: ast.expr, direct: type[ast.operator], inverse: type[ast.operator], *, positive: bool) -> Iterator[str]:
    """Give the terms of a sum, or the factors of a product, each with its sign."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, direct | inverse):
        yield from _flat(node.left, direct, inverse, positive=positive)
        yield from _flat(node.right, direct, inverse, positive=positive == isinstance(node.op, direct))
    else:
        signs = "+-" if direct is ast.Add else "*/"
        yield f"{signs[not positive]}{_canonical(node)}"
