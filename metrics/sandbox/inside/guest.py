"""The program's side: it loads the program, and then does what the other side asks of its functions and objects."""

from __future__ import annotations

import itertools
import operator
import os
import socket
import sys
import types
from collections.abc import Callable
from typing import Any

from border import Side, Writer, read, receive, records, send

NAME = "program"


class Objects(Side):
    """The objects of the program that the other side has references to."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[object] = []
        self.numbers: dict[int, int] = {}

    def handle_parts(self, value: object) -> list[Any]:
        """Hold the object, so that its number stays its own."""
        number = self.numbers.setdefault(id(value), len(self.held))
        if number == len(self.held):
            self.held.append(value)
        return ["handle", number]

    def handle(self, number: int) -> object:
        """Return the object of that number."""
        return self.held[number]


_END = object()


def _next(iterator: Any) -> tuple[bool, object]:
    """Return whether there is one more, and which."""
    value = next(iterator, _END)
    return (False, None) if value is _END else (True, value)


DEEDS: dict[str, Callable[..., object]] = {
    "call": lambda target, args, named: target(*args, **named),
    "get": getattr,
    "set": setattr,
    "item": operator.getitem,
    "set item": operator.setitem,
    "length": len,
    "has": operator.contains,
    "iterate": iter,
    "next": _next,
    "text": str,
    "true": bool,
}


def main(link: socket.socket, extra: socket.socket, limits: dict[str, float]) -> None:
    """Answer until the other side has gone."""
    most = int(limits["output_mib"]) << 20
    objects = Objects()
    deeds = {**DEEDS, "load": lambda *parts: _load(objects, *parts)}
    while True:
        try:
            (deed, *parts), known = read(receive(link, sys.maxsize), objects)
        except EOFError:
            return
        try:
            reply: tuple[Any, ...] = "value", deeds[deed](*parts)
        except BaseException as error:
            reply = _told(error)
        send(link, _written(objects, known, reply, most))


def _load(objects: Objects, preamble: str, program: str, names: list[str]) -> dict[str, Any]:
    """Run the program; return those of the names that it has, with what they stand for."""
    module = types.ModuleType(NAME)
    module.__file__ = os.path.abspath(f"{NAME}.py")
    sys.modules[NAME] = module
    namespace = module.__dict__
    exec(compile(preamble, "<preamble>", "exec", dont_inherit=True), namespace)
    shared = records(namespace, NAME)
    exec(compile(program, "<program>", "exec", dont_inherit=True), namespace)
    objects.classes = {name: cls for name, cls in records(namespace, NAME).items() if name in shared}
    return {name: namespace[name] for name in names if name in namespace}


def _told(error: BaseException) -> tuple[str, list[str], list[object], str]:
    """Return an exception as data: the names of its classes, its arguments where they are scalars, its text."""
    names = [cls.__name__ for cls in type(error).__mro__]
    args = list(itertools.islice(error.args, 10))
    plain = all(type(arg) in (str, int, float, bool, type(None)) for arg in args)
    try:
        text = str(error)[:2000]
    except BaseException:
        text = ""
    return "error", names, args if plain else [text], text


def _written(objects: Objects, known: list[Any], reply: object, most: int) -> bytes:
    """Return the reply as a message, or one that says why it cannot be."""
    try:
        message = Writer(objects, known).write(reply)
        if len(message) <= most:
            return message
        text = f"a result of {len(message) >> 20} MiB: more than the {most >> 20} MiB of output_mib"
    except BaseException as error:
        text = f"a result that cannot be sent: {type(error).__name__}"
    return Writer(objects, known).write(("refused", text), changes=False)
