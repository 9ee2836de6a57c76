"""The tests' side: it runs the tests, which call the program through the border, and tells what came of each.

No code of the program ever runs here, and what comes from it is data: its tests cannot be read, and a comparison asks
nothing of it. A test passes when it runs to its end and the border still stands.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import reprlib
import socket
import symtable
import sys
import traceback
from collections.abc import Iterator
from types import CodeType
from typing import Any

from border import BorderError, Side, Writer, read, receive, records, send

NAME = "tests"
LONGEST = 500
ENDS_LOOPS = (StopIteration, StopAsyncIteration)
LONG_NUMBER = 10_000
"""Bits of a number whose digits are not worked out for a message: that could take longer than the test."""


class _Short(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if x.bit_length() <= LONG_NUMBER else f"a number of {x.bit_length()} bits"


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 20


class ProgramExit(BaseException):
    """The program raised what is no error: SystemExit, KeyboardInterrupt, GeneratorExit, or a class of its own."""


class ProgramGone(BaseException):
    """The program has ended, or its replies cannot be read; a test cannot take this for an expected error."""


class Uncrossable(BaseException):
    """A test wants to give the program what cannot cross the border: nothing is known of the program."""


class Handle:
    """Stands for an object of the program: its methods, items and attributes are asked for over the border.

    Two handles are equal when they stand for the same object: the program is not asked.
    """

    __slots__ = ("_ask", "_number")

    def __init__(self, number: int, ask: Any) -> None:
        object.__setattr__(self, "_ask", ask)
        object.__setattr__(self, "_number", number)

    def __call__(self, *args: Any, **named: Any) -> Any:  # noqa: D102
        return self._ask("call", self, args, named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("set", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._ask("item", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._ask("set item", self, key, value)

    def __len__(self) -> int:
        return self._ask("length", self)

    def __contains__(self, value: Any) -> bool:
        return self._ask("has", self, value)

    def __bool__(self) -> bool:
        return self._ask("true", self)

    def __str__(self) -> str:
        return self._ask("text", self)

    def __repr__(self) -> str:
        return "<an object of the program>"

    def __iter__(self) -> Iterator[Any]:
        iterator = self._ask("iterate", self)
        while (found := self._ask("next", iterator))[0]:
            yield found[1]

    def __next__(self) -> Any:
        found = self._ask("next", self)
        if not found[0]:
            raise StopIteration
        return found[1]


class Program(Side):
    """The program, as the tests see it."""

    def __init__(self, link: socket.socket, most: int) -> None:
        super().__init__()
        self.link, self.most = link, most
        self.handles: dict[int, Handle] = {}
        self.gone: str | None = None
        self.last: object = None

    def handle_parts(self, value: object) -> list[Any]:
        """Return the parts of a handle."""
        if type(value) is not Handle:
            raise Uncrossable(f"a test gives the program a value of type {type(value).__name__}, which cannot cross")
        return ["handle", value._number]

    def handle(self, number: int) -> Handle:
        """Return the one handle of that number."""
        return self.handles.setdefault(number, Handle(number, self.ask))

    def ask(self, deed: str, *parts: object) -> Any:
        """Have something done, and return its result or raise its error."""
        if self.gone is not None:
            raise ProgramGone(self.gone)
        writer = Writer(self)
        message = writer.write((deed, *parts))
        try:
            send(self.link, message)
            (tag, *rest), _ = read(receive(self.link, self.most), self, writer.objects)
        except (OSError, EOFError):
            self.gone = "the program has ended"
        except BorderError as error:
            self.gone = str(error)
        else:
            return self._done(tag, *rest)
        raise ProgramGone(self.gone)

    def _done(self, tag: object, *rest: Any) -> Any:
        if tag == "value" and len(rest) == 1:
            self.last = rest[0]
            return rest[0]
        if tag == "error" and len(rest) == 3:
            raise _error(*rest)
        if tag == "refused" and len(rest) == 1:
            raise ProgramExit(str(rest[0])[:LONGEST])
        self.gone = "a reply of another form"
        raise ProgramGone(self.gone)


def _error(names: list[Any], args: list[Any], text: str) -> BaseException:
    """Return the error that was raised in the program, as the nearest of Python's own classes.

    None that ends a loop: `all(map(f, ...))` would take it for the end.
    """
    for name in filter(lambda name: isinstance(name, str), names):
        cls = getattr(builtins, name, None)
        if isinstance(cls, type) and issubclass(cls, Exception) and not issubclass(cls, (*ENDS_LOOPS, ExceptionGroup)):
            error = cls.__new__(cls, *args)
            error.add_note(f"{names[0]}: {text}")
            return error
    return ProgramExit(f"{names[0] if names else 'an error'}: {text}"[:LONGEST])


def main(desk: socket.socket, extra: socket.socket, limits: dict[str, float]) -> None:
    """Take jobs from the desk, each with its end of a border, and tell there what comes of them."""
    while (found := socket.recv_fds(desk, 1, 1))[0]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=found[1][0]) as link:
            _do(json.loads(receive(desk, sys.maxsize)), link, desk, limits)


def _do(job: dict[str, Any], link: socket.socket, desk: socket.socket, limits: dict[str, float]) -> None:
    try:
        codes = [_compiled(test, number) for number, test in enumerate(job["tests"])]
        base: dict[str, Any] = {"__name__": NAME, "__builtins__": builtins}
        exec(compile(job["preamble"], "<preamble>", "exec", dont_inherit=True), base)
    except Exception as error:
        _tell(desk, mistake=f"{error}" if isinstance(error, _MistakeError) else f"the preamble fails: {error!r}")
        return
    program = Program(link, (int(limits["output_mib"]) << 20) + 1024)
    program.classes = records(base, NAME)
    names = job["names"] if job["names"] is not None else _wanted(job["tests"], base)
    try:
        _examine(desk, program, job, codes, base, names)
    except Uncrossable as error:
        _tell(desk, fault=str(error))


def _examine(
    desk: socket.socket, program: Program, job: Any, codes: list[CodeType], base: dict[str, Any], names: list[str]
) -> None:
    try:
        found = program.ask("load", job["preamble"], job["program"], tuple(names))  # a list could come back longer
        if not isinstance(found, dict):
            raise ProgramGone("a reply of another form")
        base.update((name, found[name]) for name in names if name in found)
    except (Exception, ProgramExit, ProgramGone) as error:
        for _ in codes:
            _tell(desk, error=f"the program does not load: {_text(error)}")
        return
    for code, test in zip(codes, job["tests"], strict=True):
        _tell(desk, error=_outcome(program, code, test, dict(base)))


def _outcome(program: Program, code: CodeType, test: str, namespace: dict[str, Any]) -> str | None:
    """Return why a test fails, `None` when it passes."""
    program.last = None
    try:
        exec(code, namespace)
    except Uncrossable:
        raise
    except BaseException as error:
        return program.gone or _why(error, test, program.last)
    return program.gone


def _why(error: BaseException, test: str, last: object) -> str:
    text = _text(error)
    with contextlib.suppress(Exception):
        at = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<test>"]
        if isinstance(error, AssertionError) and at:
            line = test.splitlines()[(at[-1] or 1) - 1].strip()
            text = f"{text}: {line[: LONGEST // 2]} (the program gave {_SHORT.repr(last)})"
    return text[:LONGEST]


def _text(error: BaseException) -> str:
    """Return an error in one line: of the program's own, the name and text it had there."""
    with contextlib.suppress(Exception):
        notes = getattr(error, "__notes__", None)
        text = str(error)
        own = f"{type(error).__name__}: {text}" if text else type(error).__name__
        if isinstance(error, (ProgramExit, ProgramGone)):
            own = text
        return (notes[0] if notes else own)[:LONGEST].rstrip(": ")
    return type(error).__name__


class _MistakeError(Exception):
    """A test is no Python."""


def _compiled(test: str, number: int) -> CodeType:
    try:
        return compile(test, "<test>", "exec", dont_inherit=True)
    except Exception as error:
        raise _MistakeError(f"test {number} is not Python: {error}") from None


def _wanted(tests: list[str], base: dict[str, Any]) -> list[str]:
    """Return the names that the tests take from elsewhere, and that neither Python nor the preamble has."""
    names: set[str] = set()
    for test in tests:
        top = symtable.symtable(test, "<test>", "exec")
        own = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
        names |= set(_global_names(top)) - own
    return sorted(name for name in names if name not in base and not hasattr(builtins, name))


def _global_names(table: symtable.SymbolTable) -> Iterator[str]:
    yield from (symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced())
    for child in table.get_children():
        yield from _global_names(child)


def _tell(desk: socket.socket, **said: Any) -> None:
    send(desk, json.dumps(said).encode())
