"""Blocks of code in a model's text: those in fences, and the stretches of lines between prose that parse."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lbt_dspy.metrics.programs.source import Reader, Source

MOST_BLOCKS = 200
"""Blocks that are looked at, from the last."""
MOST_CUTS = 8
"""Times that the rest of a stretch is cut off at the line of its error."""

_PYTHON = frozenset({"", "python", "py", "python2", "python3", "py3", "ipython", "ipython3"})
_OPENING = re.compile(
    r"(?P<before>(?:(?!```).)*?)(?P<fence>(?<!`)`{3,}+|(?<!~)~{3,}+)[ \t]*+(?P<tag>[\w+#.-]*+)[^`\n]*+$"
)
_ONE_LINE = re.compile(r"(?<!`)(`{3,}+)([^`\n]++)\1(?!`)")
_LANGUAGE = re.compile(r"\s*(?:python[23]?|py)\s")
_START = re.compile(
    r"[ \t]*(?:#|@\w|import \w|from [\w.]+ import\b|async[ \t]+def[ \t]+\w|def[ \t]+\w|class[ \t]+\w"
    r"|(?:if|for|while|with)\b.*:|try:|[\w.]+\(|[A-Za-z_][^=]{0,80}=)"
)
_DEFINITION = re.compile(r"[ \t]*(?:(?:async[ \t]+)?def[ \t]+\w+[ \t]*\(|class[ \t]+\w+[ \t]*[:(])")
_IMPORT = re.compile(r"import \w|from [\w.]+ import\b")
_QUOTES = ('"""', "'''")
_TEXT = re.compile(r"""\"{3}|'{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\#""")
_TEXT_END = {quote: re.compile(rf"\\.|{quote}") for quote in _QUOTES}
_LIST_ITEM = re.compile(r"[\s>*+.)\d-]*$")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "", '"': '"', "'": "'", "\\": "\\", "/": "/"}
_INDENTATION = re.compile(
    r"^[ \t]*[\u00a0\u2000-\u200a\u202f\u3000][ \t\u00a0\u2000-\u200a\u202f\u3000]*", re.MULTILINE
)
_LEAD = re.compile(r"^(?:[ \t]*\n)+")


@dataclass(frozen=True, kw_only=True)
class Block:
    """Text that may be code."""

    text: str
    python: bool = True
    """Whether its fence names Python, or nothing."""
    fenced: bool = True
    closed: bool = True


def cleaned(text: str) -> str:
    """Return the text with line ends of Unix, indentation of blanks and tabs, and no byte order mark."""
    text = text.replace("\ufeff", "").replace("\u200b", "").replace("\r\n", "\n").replace("\r", "\n")
    return _INDENTATION.sub(lambda found: re.sub(r"[^\t]", " ", found.group()), text)


def stripped(text: str) -> str:
    """Return the text without empty lines around it."""
    return _LEAD.sub("", text).rstrip()


def unquoted(text: str, reader: Reader) -> str | None:
    r"""Return what is in quotes as a whole, or was written with `\n` for each line end; `None` where nothing is."""
    text = text.strip()
    source = reader.read(text) if text[-1:] in ("'", '"') else None
    if source:
        return _literal(source)
    inner = re.fullmatch(r"""("(?:"")?|'(?:'')?|`)(?!`)(.*)(?<!`)\1""", text, re.DOTALL)
    if inner:
        text = inner[2]
    if "\n" not in text and "\\n" in text:
        return _unescaped(text)
    return text if inner else None


def _literal(source: Source) -> str | None:
    match source.tree.body:
        case [ast.Expr(value=ast.Constant(value=str(inside)))]:
            return inside
    return None


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except (ValueError, RecursionError):
        return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[0]), text)


def readings(text: str, reader: Reader) -> Iterator[list[Block]]:
    """Yield the blocks in their order: with fences in docstrings as text, then, where that differs, as fences.

    Half of what the reader has left may be spent on prose.
    """
    reader = Reader(reader.left // 2)
    for docstrings in (True, False):
        lines = _Lines(reader, docstrings=docstrings)
        yield [block for block in lines.blocks(text) if block.text.strip()][-MOST_BLOCKS:]
        if not lines.kept_fence:
            return


class _Lines:
    """Goes through the lines of a text, and finds its blocks.

    Args:
        reader: Parses the prose.
        docstrings: Whether a fence in a text of three quotes belongs to that text.
    """

    def __init__(self, reader: Reader, *, docstrings: bool) -> None:
        self.reader, self.docstrings = reader, docstrings
        self.kept_fence = False
        """Whether a fence was taken for text."""
        self._quote, self._header = "", False

    def blocks(self, text: str) -> Iterator[Block]:
        """Yield them in their order."""
        prose: list[str] = []
        inside: list[str] = []
        opening: re.Match[str] | None = None
        for line in text.split("\n"):
            is_text = self._in_text(line, opening)
            found = None if is_text else _OPENING.match(line)
            if opening is None:
                if found and (found["fence"][0] == "`" or _LIST_ITEM.match(found["before"])):
                    yield from _between(prose, self.reader)
                    prose, inside, opening = [], _first_line(found), found
                else:
                    prose.append(line)
            elif not is_text and _closes(line, opening):
                inside.append(line.partition(opening["fence"])[0].rstrip())
                yield _fenced(inside, opening, closed=True)
                opening = None
            elif found and found["tag"] in _PYTHON - {""} and not found["before"].strip() and _as_long(found, opening):
                yield _fenced(inside, opening, closed=True)
                inside, opening = _first_line(found), found
            else:
                inside.append(line)
        if opening is not None:
            yield _fenced(inside, opening, closed=False)
        yield from _between(prose, self.reader)

    def _in_text(self, line: str, opening: re.Match[str] | None) -> bool:
        """Whether a line begins in a text of three quotes; between the fences only a docstring is one."""
        was_open = self._quote
        fence = "```" in line or "~~~" in line
        if not self.docstrings or (fence and not was_open):
            self._quote = ""
        elif was_open or opening is not None or (self._header and line.lstrip(" \trRuU").startswith(_QUOTES)):
            self._quote = _open_after(line, was_open)
        self.kept_fence |= fence and bool(was_open)
        self._header = line.rstrip().endswith(":") if line.strip() else self._header
        return bool(was_open)


def _open_after(line: str, quote: str) -> str:
    """Return the three quotes that are open after a line, "" for none."""
    at = 0
    while found := (_TEXT if not quote else _TEXT_END[quote]).search(line, at):
        at = found.end()
        if quote:
            quote = "" if found.group() == quote else quote
        elif found.group() in _QUOTES:
            quote = found.group()
        elif found.group() == "#":
            break
    return quote


def _first_line(opening: re.Match[str]) -> list[str]:
    """Return the code that stands in the line of a fence, if there is any."""
    rest = opening.string[opening.end("tag") :].strip()
    return [rest] if _DEFINITION.match(rest) or _IMPORT.match(rest) else []


def _as_long(found: re.Match[str], opening: re.Match[str]) -> bool:
    return found["fence"].startswith(opening["fence"])


def _closes(line: str, opening: re.Match[str]) -> bool:
    """Whether the line ends the fence, alone, before prose or after the last code; one that is deeper does not."""
    bare = line.strip()
    if bare.startswith(opening["fence"]):
        deeper = len(line) - len(line.lstrip()) > len(opening["before"]) + 3
        return not deeper and not _opens_another(bare)
    return opening["fence"][0] == "`" and bare.endswith(opening["fence"]) and bare.count("```") == 1


def _opens_another(bare: str) -> bool:
    """Whether a fence names a language: one word, or Python's name and more."""
    tag = re.match(r"[`~]+([\w+#.-]+)(.*)", bare)
    return tag is not None and (not tag[2].strip() or tag[1].lower() in _PYTHON)


def _fenced(lines: list[str], opening: re.Match[str], *, closed: bool) -> Block:
    margin = re.match(r"[ \t]*", opening["before"])
    width = len(margin.group()) if margin else 0
    text = "\n".join(line[width:] if not line[:width].strip() else line for line in lines)
    python = opening["tag"].lower() in _PYTHON
    return Block(text=stripped(text), python=python, closed=closed)


def _between(lines: list[str], reader: Reader) -> Iterator[Block]:
    """Yield the code between the fences: on one line with its own, and the stretches that parse."""
    for found in _ONE_LINE.finditer("\n".join(lines)):
        inside = _LANGUAGE.sub("", found[2], count=1).strip()
        yield Block(text=inside, fenced=" " in inside)
    yield from (Block(text=inside, fenced=False) for inside in _stretches(lines, reader))


def _stretches(lines: list[str], reader: Reader) -> Iterator[str]:
    """Yield what parses from a line that looks like code on; a definition that does not parse ends the search."""
    at = 0
    while at < len(lines) and reader.left > 0:
        if not (_START.match(lines[at]) and _opens(lines[at].strip(), reader)):
            at += 1
            continue
        margin = len(lines[at]) - len(lines[at].lstrip())
        rest = _dedented(lines[at:], margin)
        source, end = longest(rest, reader)
        if source:
            yield source.text
        elif _DEFINITION.match(lines[at]):
            return
        at += max(end, 1)


def _opens(line: str, reader: Reader) -> bool:
    """Whether the line can be the first of a statement: spares most prose the parsing of all that follows."""
    unfinished = sum(map(line.count, "([{")) > sum(map(line.count, ")]}")) or '"""' in line or "'''" in line
    whole = unfinished or line.endswith("\\") or line.startswith(("#", "@", "try:"))
    return whole or reader.read(line) is not None or reader.read(line + "\n pass") is not None


def _dedented(lines: list[str], margin: int) -> list[str]:
    if not margin:
        return lines
    inside = []
    for line in lines:
        if line[:margin].strip():
            break
        inside.append(line[margin:])
    return inside


def longest(lines: list[str], reader: Reader) -> tuple[Source | None, int]:
    """Return the code that the lines start with, prose after it cut off, and how many lines that are.

    Cuts at the line of the error and tries again. Prose starts at the margin: where the error is deeper, or is in a
    definition, the code itself is wrong, and the source is `None`.
    """
    count = len(lines)
    for _ in range(MOST_CUTS):
        while count > 1 and not lines[count - 1].strip():
            count -= 1
        source, error = reader.attempt("\n".join(lines[:count]))
        if source:
            wrong = _is_code(next(filter(str.strip, lines[count:]), ""))
            return (None if wrong else _without_remarks(source, reader)), count
        count = min(error or 1, count) - 1
        if not count:
            break
    return None, max(count, 1)


def _is_code(line: str) -> bool:
    return line[:1].isspace() or _DEFINITION.match(line) is not None


def is_remark(node: ast.stmt) -> bool:
    """Whether a statement is prose or output that happens to parse: `Note: recursion`, `True`, `[1, 2]`."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    if not isinstance(node, ast.Expr) or (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):
        return False
    acts = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)
    return not any(isinstance(inner, acts) for inner in ast.walk(node))


def _without_remarks(source: Source, reader: Reader) -> Source | None:
    """Return the source without remarks at its start and end; `None` where nothing is left."""
    kept = [node for node in source.tree.body if not is_remark(node)]
    if len(kept) == len(source.tree.body):
        return source if kept else None
    if not kept:
        return None
    decorators = getattr(kept[0], "decorator_list", None) or [kept[0]]
    lines = source.text.split("\n")
    return reader.read("\n".join(lines[decorators[0].lineno - 1 : kept[-1].end_lineno]))
