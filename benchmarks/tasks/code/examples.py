"""Examples in the text of a problem: doctests, and what people write instead of them."""

from __future__ import annotations

import ast
import builtins
import doctest
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from lbt_dspy.benchmarks.tasks.code.checks import key_of, literal_of
from lbt_dspy.benchmarks.tasks.code.fields import NO_PYTHON

LONGEST = 1000
"""Characters of a call, and of a value."""
JOINT = re.compile(
    r"""\s*\#?\s*(?:=+>|-+>|={1,3}|[➞→⇒]|(?:
    (?:(?:should|will|must|would)\s+)?(?:returns?|equals?|gives?|outputs?|evaluates?\s+to)|
    (?:should|will|must|would)\s+be(?:\s+equal\s+to)?|
    is(?:\s+equal\s+to)?)\b)\s*:?\s*""",
    re.VERBOSE,
)
"""What stands between a call and its value."""
FOR = re.compile(
    r"\bfor\s+(?=\w+\s*=)(.{1,1000}?)[\s,]+the\s+(?:output|result|answer)\s+(?:should|will|must)\s+be\s+", re.IGNORECASE
)
INPUT = re.compile(r"\bInput\s*:\s*((?:(?!\bInput\s*:).){1,2000}?)\s*\bOutput\s*:\s*", re.DOTALL)
FIELD = re.compile(r"^\s*(\w+)\s*:\s*", re.MULTILINE)
SUM = re.compile(r"(?:[-+*/ ().\d]*\d[-+*/ ().\d]*=\s*)+")
"""The steps of a calculation before its result: `1 + 9 = `."""
NO_END = re.compile(r"\w|[\"'(\[{]|\.\w|[ \t]*[-+*/%=<>&|^]")
"""What cannot follow a value: then it is part of something else."""
BRACKET = re.compile(r"""\"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[()\[\]{}]""")
"""A bracket, or a text with whatever is in it."""
TERM = re.compile(r"[\w)\]][ \t]*[-+*/%][ \t]*\Z")
"""What stands before a call that is part of a calculation."""
NAMES = frozenset(dir(builtins))
WORDS = {"true": True, "false": False, "null": None, "none": None}
"""Literals of other languages."""


class Stated(NamedTuple):
    """An example."""

    test: str
    """As a snippet."""
    arguments: str | None
    """Of its call, as `key_of` gives them, where there is no more than a call on the left."""
    value: ast.expr
    """The literal on the right."""


def examples(text: str, name: str, parameters: Sequence[str]) -> list[Stated]:
    r"""Return the examples in a docstring, each once: doctests first.

    Read are doctests whose output is a literal; calls of the function, with literals, that are followed by `==`, `=>`,
    `->`, "returns", "should be" and the like and a literal; "For x = 1, y = 2 the output should be 3"; and "Input: x =
    1, y = 2", "Output: 3". What cannot be read for sure is left out: `f(a) => 1`, `f(1) => 2 + g(1)`, exceptions.

    Args:
        text: The docstring as the source has it, so that `\n` in a call is two characters.
        name: Of the function. Where it is never called, calls of other names are read as calls of it.
        parameters: Of the function, in order: named arguments are put into it.
    """
    try:
        pieces = doctest.DocTestParser().parse(text)
    except ValueError:  # some lines look like doctests and are none
        pieces = [text]
    prose = [piece if isinstance(piece, str) else piece.source for piece in pieces if not _has_output(piece)]
    found = [e for piece in pieces if isinstance(piece, doctest.Example) for e in _doctest(piece, name)]
    found += [e for piece in prose for e in _called(piece, name, re.escape(name), parameters)]
    found += [e for piece in prose for e in _named(piece, name, parameters)]
    if not found:
        found = [e for piece in prose for e in _called(piece, name, r"\w+", parameters)]
    return list({example.test: example for example in found}.values())


def inputs(text: str) -> Iterator[tuple[ast.Call, str]]:
    """Yield the arguments of each "Input: ... Output: ...", as those of a call, and what follows "Output:"."""
    for match in INPUT.finditer(text):
        fields = FIELD.sub(r"\1 = ", match[1])
        lines = ", ".join(line.strip().rstrip(",") for line in fields.splitlines() if line.strip())
        call = _call(f"f({fields})") or _call(f"f({lines})")
        if call is not None:
            yield call, text[match.end() :]


class _Words(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(WORDS[node.id]) if node.id in WORDS else node


def _expression(source: str) -> ast.expr:
    """Return an expression, with `True` for `true`.

    Raises:
        ValueError: It is none.
    """
    try:
        node = ast.parse(source.strip(), mode="eval").body
        return cast(ast.expr, _Words().visit(node))
    except NO_PYTHON as error:
        raise ValueError(str(error)) from None


def _has_output(piece: str | doctest.Example) -> bool:
    return isinstance(piece, doctest.Example) and bool(piece.want.strip())


def _doctest(example: doctest.Example, name: str) -> Iterator[Stated]:
    """Yield the example if it is one of the function, and its output a literal; a call alone has the output `None`."""
    source = example.source.strip()
    try:
        expression = _expression(source)
        value = _expression(example.want.strip() or "None")
    except ValueError:
        return
    used = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
    alone = isinstance(expression, ast.Call) and ast.get_source_segment(source, expression) == source
    if name in used <= {name, *NAMES} and (alone or example.want.strip()):
        yield from _equal(expression, value)


def _called(text: str, name: str, word: str, parameters: Sequence[str]) -> Iterator[Stated]:
    """Yield the examples that are a call and a value."""
    for match in re.finditer(rf"(?<![\w.]){word}\(", text):
        call, end = _call_at(text, match.start())
        joint = JOINT.match(text, end) if call is not None else None
        if call is not None and joint is not None and not TERM.search(text[: match.start()][-80:]):
            yield from _stated(call, text[joint.end() :], name, parameters)


def _named(text: str, name: str, parameters: Sequence[str]) -> Iterator[Stated]:
    """Yield the examples that give the arguments by their names."""
    for call, rest in inputs(text):
        yield from _stated(call, rest, name, parameters)
    for match in FOR.finditer(text):
        parts = match[1].split(",")
        calls = (_call(f"f({','.join(parts[:size])})") for size in range(len(parts), 0, -1))
        longest = next(filter(None, calls), None)
        if longest is not None:
            yield from _stated(longest, text[match.end() :], name, parameters)


def _stated(call: ast.Call, rest: str, name: str, parameters: Sequence[str]) -> Iterator[Stated]:
    value, arguments = _value_at(rest), _in_order(call, parameters)
    if value is not None and arguments is not None:
        yield from _equal(ast.Call(func=ast.Name(name), args=arguments, keywords=[]), value)


def _equal(left: ast.expr, right: ast.expr) -> Iterator[Stated]:
    """Yield the example, if it has a literal on its right."""
    try:
        literal_of(right)
        test = f"assert {ast.unparse(left)} == {ast.unparse(right)}"
    except NO_PYTHON:
        return
    yield Stated(test, key_of(left) if isinstance(left, ast.Call) else None, right)


def _call_at(text: str, start: int) -> tuple[ast.Call | None, int]:
    """Return the call of literals that starts there, and where it ends."""
    depth = 0
    for match in BRACKET.finditer(text, start, start + LONGEST):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(match[0], 0)
        if depth == 0 and match[0] == ")":
            return _call(text[start : match.end()]), match.end()
    return None, start


def _call(source: str) -> ast.Call | None:
    """Return a call if the source is one, with literals only."""
    try:
        node = _expression(source)
    except ValueError:
        return None
    return node if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and key_of(node) else None


def _in_order(call: ast.Call, parameters: Sequence[str]) -> list[ast.expr] | None:
    """Return the arguments in the order of the parameters; of names that are none of these, as they stand."""
    named = {str(keyword.arg): keyword.value for keyword in call.keywords}
    if not set(named) <= set(parameters):
        return [*call.args, *named.values()]
    wanted = parameters[len(call.args) :][: len(named)]
    return [*call.args, *(named[name] for name in wanted)] if set(wanted) == set(named) else None


def _value_at(text: str) -> ast.expr | None:
    """Return the longest literal that the text starts with, unless it goes on as something else."""
    steps = SUM.match(text[:LONGEST])
    start = steps.end() if steps else 0
    for match in reversed(list(re.finditer(r"[\w)\]}\"']", text[start : start + LONGEST]))):
        end = start + match.end()
        try:
            value = _expression(text[start:end])
            literal_of(value)
        except ValueError:
            continue
        return None if NO_END.match(text, end) else value
    return None
