"""Python source that nobody has run: reads it without side effects, and makes it define what a test will call."""

from __future__ import annotations

import ast
import builtins
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

FILE = "<a model's program>"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda)
_BUILTINS = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """Source that parses."""

    text: str
    tree: ast.Module

    @cached_property
    def bound(self) -> frozenset[str]:
        """Names of the module, those imported from somebody's own modules left out."""
        return frozenset(_bound(self.tree.body))

    @cached_property
    def wanted(self) -> frozenset[str]:
        """Names that are used and nowhere bound."""
        loads, stores = set[str](), set[str]()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name):
                (loads if isinstance(node.ctx, ast.Load) else stores).add(node.id)
            elif isinstance(node, ast.arg):
                stores.add(node.arg)
        return frozenset(loads - stores - self.bound - _BUILTINS)

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """Classes of the module."""
        return {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
        """Functions of the module."""
        return {node.name: node for node in self.tree.body if isinstance(node, _FUNCTIONS)}

    @cached_property
    def returns(self) -> bool:
        """Whether it returns or yields outside of any function, as the body of one does."""
        return any(isinstance(node, (ast.Return, ast.Yield, ast.YieldFrom)) for node in _outside(self.tree.body))

    @cached_property
    def acts(self) -> bool:
        """Whether it does anything but define names."""
        quiet = (*_FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
        return any(not isinstance(node, quiet) and not _is_text(node) for node in self.tree.body)


class Reader:
    r"""Parses, up to a number of characters in all, after which nothing parses: what bounds the time.

    Never raises and never warns: a literal such as `"\d"` makes the parser warn, or raise under `-W error`.
    """

    def __init__(self, characters: int) -> None:
        self.left = characters
        self._known: dict[str, tuple[Source | None, int]] = {}

    def read(self, text: str) -> Source | None:
        """Return the source, or `None` where it does not parse."""
        return self.attempt(text)[0]

    def attempt(self, text: str) -> tuple[Source | None, int]:
        """Return the source, or `None` and the line of its error, from 1; 0 where that is unknown."""
        if text not in self._known:
            self.left -= len(text) + 1
            self._known[text] = _parsed(text) if self.left >= 0 else (None, 0)
        return self._known[text]


def _parsed(text: str) -> tuple[Source | None, int]:
    _never_warn()
    try:
        return Source(text=text, tree=ast.parse(text, filename=FILE)), 0
    except SyntaxError as error:
        return None, error.lineno or 0
    except (ValueError, RecursionError, MemoryError):
        return None, 0


def _never_warn() -> None:
    """Silence this file alone: `warnings.catch_warnings` would silence, and restore, those of other threads."""
    filters = warnings.filters
    if not filters or getattr(filters[0][3], "pattern", None) != re.escape(FILE):
        warnings.filterwarnings("ignore", module=re.escape(FILE))


@dataclass(frozen=True, kw_only=True)
class EntryPoint:
    """What a test calls: a name of the module, and the method of the class of that name if it has a dot."""

    root: str
    method: str

    @classmethod
    def of(cls, entry_point: str) -> EntryPoint:
        """Read "add", "Solution().twoSum", or "" for none."""
        names = re.findall(r"[^\W\d]\w*", re.sub(r"\([^()]*\)", "()", entry_point))
        return cls(root=names[0] if names else "", method=names[-1] if len(names) > 1 else "")

    def defined(self, source: Source) -> bool:
        """Whether the source binds it; always for none."""
        if not self.root:
            return True
        owner = source.classes.get(self.root)
        if not self.method or owner is None:
            return self.root in source.bound
        return bool(owner.bases) or self.method in _bound(owner.body)

    def used(self, source: Source) -> bool:
        """Whether the source takes it from elsewhere: usage, or a test."""
        return self.root in source.wanted

    def worked_out(self, source: Source) -> bool:
        """Whether its function has more of a body than a docstring, `pass`, `...`, a `raise` or inner definitions."""
        body = source.classes[self.root].body if self.method and self.root in source.classes else source.tree.body
        name = self.method or self.root
        found = [node for node in body if isinstance(node, _FUNCTIONS) and node.name == name]
        return not found or any(_works(node) for node in found[-1].body)

    def adapted(self, source: Source) -> str | None:
        """Return the source with what is missing appended, if it defines the entry point under other names."""
        if self.defined(source):
            return source.text
        more = self._method(source) if self.method else self._function(source)
        return f"{source.text}\n\n{more}" if more and not self.used(source) else None

    def _method(self, source: Source) -> str:
        owners = [name for name, node in source.classes.items() if self.method in _bound(node.body)]
        if owners:
            return f"\n{self.root} = {owners[-1]}"
        name = self.method if self.method in source.bound else _only(source)
        if not name:
            return ""
        methods = [other for other, function in source.functions.items() if _takes_self(function)]
        lines = [f"{other} = {other}" for other in methods if other != name]
        lines.append(f"{self.method} = {name}" if name in methods else f"{self.method} = staticmethod({name})")
        return "\n    ".join([f"\nclass {self.root}:", *lines])

    def _function(self, source: Source) -> str:
        owners = [name for name, node in source.classes.items() if self.root in _bound(node.body)]
        if owners:
            call = f"return {owners[-1]}().{self.root}(*args, **kwargs)"
            return f"\ndef {self.root}(*args, **kwargs):\n    {call}"
        name = _only(source)
        return f"\n{self.root} = {name}" if name else ""


def _only(source: Source) -> str:
    """Return the name of the module's only function, if it has no class; a test or `main` is not what tests call."""
    names = [name for name in source.functions if name != "main" and not name.startswith("test")]
    return names[0] if len(source.functions) == len(names) == 1 and not source.classes else ""


def _takes_self(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return [a.arg for a in (*function.args.posonlyargs, *function.args.args)][:1] == ["self"]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _works(node: ast.stmt) -> bool:
    idle = (ast.Pass, ast.Import, ast.ImportFrom, ast.ClassDef, *_FUNCTIONS)
    return not (isinstance(node, (*idle, ast.Raise)) or _is_text(node))


def _outside(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Walk the nodes that no function, lambda or class holds."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting.extend(ast.iter_child_nodes(node))


def _bound(body: Iterable[ast.AST]) -> set[str]:
    names = set()
    for node in _outside(body):
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(_imported(node))
    return names


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield the names; `from solution import add` is a test that wants the program from elsewhere."""
    for alias in node.names:
        module = (node.module or "" if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
        if module in sys.stdlib_module_names or isinstance(node, ast.Import):
            yield (alias.asname or alias.name).split(".")[0]
