"""The Python program in a model's text, and a key that is equal for equal programs."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass
from enum import IntEnum

from lbt_dspy.lms.replies.thoughts import answer_in
from lbt_dspy.metrics.programs.blocks import (
    Block,
    cleaned,
    is_remark,
    longest,
    readings,
    stripped,
    unquoted,
)
from lbt_dspy.metrics.programs.completion import Completion, up_to_fence
from lbt_dspy.metrics.programs.source import EntryPoint, Reader, Source
from lbt_dspy.metrics.programs.wrapping import unescaped_html, unwrapped

LONGEST_TEXT = 50_000
"""Characters that are read, from the end."""
PARSED = 4 * LONGEST_TEXT
"""Characters that are parsed in all."""
QUOTED = 2
"""Quotes around quotes that are taken off."""


class Rank(IntEnum):
    """How far a block is from the program, the best last."""

    NOTHING = 0
    USAGE = 1
    CODE = 2
    STUB = 3
    ADAPTED = 4
    BROKEN = 5
    COMPLETES = 6
    DEFINES = 7


@dataclass(frozen=True, kw_only=True)
class Found:
    """A program that a text may mean."""

    rank: Rank
    text: str


def extract_program(text: str | None, *, entry_point: str = "", starter: str = "") -> str | None:
    r"""Return the Python program in a model's text; nothing is run.

    The last block that defines the root of the entry point wins, after those that define names it uses. Where none
    does, the text may complete the starter, or define the entry point under another name: an alias is appended. Imports
    and helpers of the starter that the program uses go before it.
    Usage, tests, output and other languages lose. Without an entry point it is the last block that is more than usage.
    Text that is Python as a whole is returned as it is. Thread-safe; never raises or warns; takes less than a second.

    Args:
        text: All that a model wrote: with fences, prose, thoughts before the answer, quotes, or as a completion.
            The last 50,000 characters are read.
        entry_point: What the tests call, such as "add" or "Solution().twoSum"; "" for scripts.
        starter: The code that a completion continues, such as a HumanEval prompt; "" for none.

    Returns:
        The program; the best guess where nothing parses (the last fenced block, else all of the text), so that its
        error can be told; `None` when there is no text.

    >>> extract_program("Sure!\n```python\ndef add(a, b):\n    return a + b\n```\nIt adds.", entry_point="add")
    'def add(a, b):\n    return a + b'
    >>> print(extract_program("def plus(a, b):\n    return a + b", entry_point="add"))
    def plus(a, b):
        return a + b
    <BLANKLINE>
    <BLANKLINE>
    add = plus
    >>> extract_program("    return a + b", entry_point="add", starter="def add(a, b):\n")
    'def add(a, b):\n    return a + b'
    """
    text = stripped(cleaned((text or "")[-LONGEST_TEXT:]))
    if not text.strip():
        return None
    search = _Search(EntryPoint.of(entry_point), cleaned(starter[-LONGEST_TEXT:]))
    if search.is_code(text):
        return search.best(text).text
    answer = stripped(answer_in(text)) or text
    found = search.best_part(answer)
    if found.rank < Rank.CODE and answer != text:
        whole = search.best_part(text)
        found = whole if whole.rank >= Rank.CODE else found
    return found.text


def program_key(program: str | None) -> str | None:
    r"""Return a key of the program: equal keys are one program, but for what does not change what it does.

    Comments, layout, quotes, docstrings and the annotations of arguments and results are left out. Never raises.

    Returns:
        The key; `None` when the program does not parse, or is too large or too deep to be read.

    >>> program_key("def f(x: int) -> int:\n    '''Same.'''\n    return x") == program_key("def f(x): return (x)  # x")
    True
    >>> program_key("def f(") is None
    True
    """
    source = Reader(PARSED).read(program) if program is not None and len(program) <= PARSED else None
    if source is None:
        return None
    for node in ast.walk(source.tree):
        _plain(node)
    try:
        return ast.dump(source.tree)
    except (ValueError, RecursionError, MemoryError):
        return None


def _plain(node: ast.AST) -> None:
    """Remove from the node what does not change what it does."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        node.returns = None
    elif isinstance(node, ast.arg):
        node.annotation = None
    elif isinstance(node, ast.Constant):
        node.kind = None
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)):
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        node.body = node.body or ([] if isinstance(node, ast.Module) else [ast.Pass()])


class _Search:
    """Looks for one program."""

    def __init__(self, entry: EntryPoint, starter: str) -> None:
        self.entry, self.starter = entry, starter
        self.reader = Reader(PARSED)
        self.completion = Completion(entry, starter, self.reader)
        name = re.escape(entry.root)
        self.names_it = re.compile(rf"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+{name}\b", re.MULTILINE)

    def is_code(self, text: str) -> bool:
        whole = self.reader.read(text)
        return whole is not None and not any(map(is_remark, whole.tree.body)) and _does(whole)

    def best_part(self, text: str) -> Found:
        """Return the best of the documents that a text holds, the first of equals."""
        texts = dict.fromkeys((text, unescaped_html(text)))
        return max((self.best(part) for each in texts for part in unwrapped(each)), key=_worth)

    def best(self, text: str, quotes: int = QUOTED) -> Found:
        text = stripped(text)
        if completed := self.completion.went_on(text):
            return Found(rank=Rank.COMPLETES, text=completed)
        if self.is_code(text):
            return self._chosen([Block(text=text)])
        inner = unquoted(text, self.reader) if quotes else None
        if inner and inner.strip():
            found = self.best(inner, quotes - 1)
            if found.rank >= Rank.CODE:
                return found
        found = max(map(self._chosen, readings(text, self.reader)), key=_worth)
        if found.rank < Rank.BROKEN:
            completed = self.completion.of(up_to_fence(text))
            found = Found(rank=Rank.COMPLETES, text=completed) if completed else found
        return found if found.rank > Rank.NOTHING or found.text else Found(rank=Rank.NOTHING, text=text.strip())

    def _chosen(self, candidates: list[Block]) -> Found:
        """Return the best of the blocks, after those whose names it uses."""
        sources = [self._source(block) for block in candidates]
        best, key, chosen = Found(rank=Rank.NOTHING, text=""), (0, 0, -1), 0
        for place, (block, source) in enumerate(zip(candidates, sources, strict=True)):
            found = self._found(block, source, [s for s in sources[:place] if s])
            mine = (found.rank, block.fenced + (block.fenced and block.python), place)
            least = Rank.NOTHING if block.fenced else Rank.ADAPTED if self.entry.root else Rank.CODE
            if found.rank >= least and mine > key:
                best, key, chosen = found, mine, place
        if best.rank in (Rank.NOTHING, Rank.BROKEN, Rank.COMPLETES):
            return best
        others = [*reversed(sources[:chosen]), *sources[chosen + 1 :]]
        if self.starter and best.rank >= Rank.ADAPTED:
            others.append(self.reader.read(self.starter) or self.reader.read(self.starter + "pass"))
        return Found(rank=best.rank, text=self._helped(best.text, sources[chosen], others))

    def _source(self, block: Block) -> Source | None:
        """Read the block: as it is, moved to the margin, with blanks for tabs, up to the prose after an open fence."""
        texts = [block.text, textwrap.dedent(block.text), block.text.expandtabs(4), block.text.expandtabs(8)]
        for text in dict.fromkeys(texts):
            source = self.reader.read(text)
            if source:
                return source
        return None if block.closed else longest(block.text.split("\n"), self.reader)[0]

    def _found(self, block: Block, source: Source | None, earlier: list[Source]) -> Found:
        entry = self.entry
        defined = source is not None and bool(entry.root) and entry.defined(source)
        if source and defined and not source.returns and entry.worked_out(source):
            return Found(rank=Rank.DEFINES, text=source.text)
        completed = self.completion.of(block.text) if block.fenced else None
        if completed:
            return Found(rank=Rank.COMPLETES, text=completed)
        if source is None:
            broken = block.fenced and entry.root and self.names_it.search(block.text)
            return Found(rank=Rank.BROKEN if broken else Rank.NOTHING, text=block.text)
        if defined:
            return Found(rank=Rank.STUB, text=source.text)
        adapted = entry.adapted(source) if entry.root else None
        if adapted:
            return Found(rank=Rank.ADAPTED, text=adapted)
        less = not _does(source) or _is_usage(source, earlier) or entry.used(source)
        return Found(rank=Rank.USAGE if less else Rank.CODE, text=source.text)

    def _helped(self, text: str, source: Source | None, others: list[Source | None]) -> str:
        """Return the text after those of the others that define names which it uses."""
        wanted = set(source.wanted) if source else set()
        for other in others:
            if other and other.bound & wanted and not self.entry.used(other):
                text = f"{other.text}\n\n{text}"
                wanted = (wanted - other.bound) | other.wanted
        return text


def _worth(found: Found) -> Rank:
    """Return the rank; a completion that comes first is as good as a program that stands after it."""
    return min(found.rank, Rank.COMPLETES)


def _does(source: Source) -> bool:
    """Whether it is more than text, output and remarks."""
    return any(
        not is_remark(node) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in source.tree.body
    )


def _is_usage(source: Source, earlier: list[Source]) -> bool:
    """Whether it shows or tests what an earlier block does by itself."""
    imported = {a.name for n in source.tree.body if isinstance(n, ast.Import) for a in n.names}
    tests = {"unittest", "pytest"} & imported
    asks = {"input", "sys", "open"} & {n.id for n in ast.walk(source.tree) if isinstance(n, ast.Name)}
    return bool(tests) or (not asks and any(other.acts and other.bound & source.wanted for other in earlier))
