"""The border between a program and its tests: values cross it as closed data, and nothing that crosses is ever run.

A message is JSON, `{"root": item, "nodes": [[kind, item, ...], ...]}`. An item is a scalar or `[n]`, the n-th node:
thus shared and cyclic values keep their shape, and no depth of nesting needs a deep stack. A reply's first nodes are
those of the request, as the call has left them: so changed arguments come back.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import socket
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

BIG = 1 << 63
DEEPEST = 100
"""Levels of tuples in tuples; comparing and hashing them takes a stack."""
MUTABLE = {"list": list, "dict": dict, "set": set, "deque": deque, "bytearray": bytearray}
BUILT = {"tuple": tuple, "frozenset": frozenset}
KINDS = {**MUTABLE, **BUILT, "bytes": bytes, "complex": complex, "int": int}
WRITTEN: dict[type, Callable[[Any], list[Any]]] = {
    range: lambda value: [value.start, value.stop, value.step],
    Decimal: lambda value: [str(value)],
    Fraction: lambda value: [str(value)],
    date: lambda value: [value.isoformat()],
    datetime: lambda value: [value.isoformat()],
    timedelta: lambda value: [value.days, value.seconds, value.microseconds],
}
"""What the nodes of further kinds, which are named like their classes, hold; none of these has parts."""
IMMUTABLE = (tuple, frozenset, bytes, complex, int, str, float)
NAMES = {base: kind for kind, base in KINDS.items()}
SCALARS = {bool, str, float, type(None)}
REFERENCES = {list, dict}
_ABSENT = object()


class BorderError(Exception):
    """Something came, or was to go, that is no closed data."""


class Side:
    """What one side of the border knows of values that are not of Python's own types.

    Args:
        classes: Classes by name that both sides have; their instances cross as records of their attributes.
    """

    def __init__(self, classes: Mapping[str, type] | None = None) -> None:
        self.classes = dict(classes or {})

    def parts(self, value: object) -> list[Any]:
        """Return `[kind, raw item, ...]` of a value that is none of Python's closed types."""
        name = type(value).__name__
        if type(value) is not self.classes.get(name):
            return self.handle_parts(value)
        return ["record", name, *(part for pair in vars(value).items() for part in pair)]

    def handle_parts(self, value: object) -> list[Any]:
        """Return the parts of a reference to an object that stays.

        Raises:
            BorderError: This side gives none.
        """
        raise BorderError(f"a value of type {type(value).__name__} cannot be given to the program")

    def handle(self, number: int) -> object:
        """Return what stands for the object of that number."""
        raise BorderError("a reference to an object of the other side")


class Writer:
    """Writes messages.

    Args:
        side: What to do with values that are not of Python's own types.
        known: Objects that the other side knows as its nodes 0, 1, ...
    """

    def __init__(self, side: Side, known: Iterable[object] = ()) -> None:
        self.side = side
        self.objects = list(known)
        self.known = len(self.objects)
        self.places = {id(value): place for place, value in enumerate(self.objects)}

    def write(self, value: object, *, changes: bool = True) -> bytes:
        """Return the message of a value, and of what has become of the known objects unless that is not wanted."""
        root = self._item(value)
        nodes: list[list[Any] | None] = [] if changes else [None] * self.known
        with _uncollected():
            for value in itertools.islice(self.objects, len(nodes), None):  # grows while it is worked through
                unchanged = len(nodes) < self.known and isinstance(value, IMMUTABLE)
                nodes.append(None if unchanged else self._node(value))
        return json.dumps({"root": root, "nodes": nodes}, separators=(",", ":")).encode()

    def _item(self, value: object) -> object:
        kind = type(value)
        if value is None or kind in (bool, str, float) or (kind is int and -BIG < value < BIG):  # type: ignore[operator]
            return value
        place = self.places.get(id(value))
        if place is None:
            place = self.places[id(value)] = len(self.objects)
            self.objects.append(value)
        return [place]

    def _items(self, values: Collection[Any]) -> Iterable[object]:
        kinds = set(map(type, values))
        if kinds <= SCALARS or (kinds == {int} and -BIG < min(values) and max(values) < BIG):
            return values  # the same, sooner
        return map(self._item, values)

    def _node(self, value: Any) -> list[Any]:
        if isinstance(value, (list, tuple, set, frozenset, deque, bytearray)):
            kind = NAMES.get(type(value)) or next(kind for kind, base in KINDS.items() if isinstance(value, base))
            return [kind, *self._items(value)]
        if isinstance(value, dict):
            return ["dict", *self._items(list(itertools.chain.from_iterable(dict.items(value))))]
        if isinstance(value, bytes):
            return ["bytes", bytes.hex(value)]
        if isinstance(value, complex):
            return ["complex", value.real, value.imag]
        if isinstance(value, int):  # a large one, or of a subclass such as an enumeration
            return ["int", hex(int.__int__(value))]
        if isinstance(value, (str, float)):
            return ["same", str.__str__(value) if isinstance(value, str) else float.__float__(value)]
        if type(value) in WRITTEN:
            return [type(value).__name__, *WRITTEN[type(value)](value)]
        kind, *items = self.side.parts(value)
        return [kind, *map(self._item, items)]


def read(message: bytes, side: Side, known: Iterable[object] = ()) -> tuple[Any, list[Any]]:
    """Return the value of a message, and the objects of its nodes.

    Args:
        message: From the other side; nothing about it is believed.
        side: Gives the classes of records, and what stands for references.
        known: Objects of the request that this replies to; the message's first nodes are their new contents.

    Raises:
        BorderError: The message is malformed.
    """
    try:
        with _uncollected():
            return _Reader(message, side, known).value()
    except BorderError:
        raise
    except Exception as error:
        raise BorderError(f"a malformed message: {type(error).__name__}") from None


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Put garbage collection off: going again and again through many new objects takes as long as making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Reader:
    def __init__(self, message: bytes, side: Side, known: Iterable[object]) -> None:
        parsed = json.loads(message)
        self.root, self.nodes = parsed["root"], parsed["nodes"]
        self.side = side
        self.objects = list(known)
        self.known = len(self.objects)
        self.objects += [_ABSENT] * (len(self.nodes) - self.known)

    def value(self) -> tuple[Any, list[Any]]:
        for place, node in enumerate(self.nodes):
            if place >= self.known and node[0] in (*MUTABLE, "record"):
                self.objects[place] = self._shell(node)
        for place in range(len(self.nodes)):
            self._built(place, 0)
        for place, node in enumerate(self.nodes):
            if node is not None:
                self._fill(self.objects[place], node)
        return self._item(self.root), self.objects

    def _shell(self, node: list[Any]) -> object:
        if node[0] in MUTABLE:
            return MUTABLE[node[0]]()
        cls: Any = self.side.classes[node[1]]
        return cls.__new__(cls)

    def _built(self, place: int, depth: int) -> object:
        """Return the object of a place; what cannot change is built from its parts, not filled later."""
        if self.objects[place] is _ABSENT:
            if depth > DEEPEST:
                raise BorderError(f"tuples nested deeper than {DEEPEST}")
            kind, *items = self.nodes[place]
            if kind in BUILT:
                parts = (self._built(_place(i), depth + 1) if isinstance(i, list) else _scalar(i) for i in items)
                self.objects[place] = BUILT[kind](parts)
            else:
                self.objects[place] = self._leaf(kind, items)
        return self.objects[place]

    def _leaf(self, kind: str, items: list[Any]) -> object:
        if kind == "handle":
            return self.side.handle(items[0])
        return _LEAVES[kind](*items)

    def _item(self, item: object) -> object:
        return self.objects[_place(item)] if isinstance(item, list) else _scalar(item)

    def _fill(self, value: Any, node: list[Any]) -> None:
        kind, *items = node
        if kind not in (*MUTABLE, "record"):
            return
        if kind == "record":
            _check_methods(type(value), items[1::2])
            value, items = vars(value), items[1:]
        elif not isinstance(value, MUTABLE[kind]):
            raise BorderError("an argument of another type came back")
        values = items if REFERENCES.isdisjoint(map(type, items)) else [self._item(item) for item in items]
        value.clear()
        if kind in ("list", "deque", "bytearray"):
            value.extend(values)
        elif kind == "set":
            value.update(values)
        else:
            value.update(zip(values[::2], values[1::2], strict=True))


def _check_methods(cls: type, names: Iterable[Any]) -> None:
    """Have no attribute of a record stand before a method of its class."""
    for name in names:
        if callable(getattr(cls, name, None)):
            raise BorderError(f"a record with an attribute in the place of its method {name}")


def _place(item: Any) -> int:
    (place,) = item
    if type(place) is not int or place < 0:
        raise BorderError("a malformed reference")
    return place


def _scalar(item: Any) -> Any:
    if isinstance(item, dict):
        raise BorderError("a malformed item")
    return item


_LEAVES: dict[str, Callable[..., object]] = {
    "bytes": bytes.fromhex,
    "complex": complex,
    "int": lambda digits: int(digits, 16),
    "range": range,
    "Decimal": Decimal,
    "Fraction": Fraction,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "timedelta": timedelta,
    "same": _scalar,
}


def records(namespace: Mapping[str, object], module: str) -> dict[str, type]:
    """Return the classes of a module whose instances can cross as records of their attributes."""
    found = {name: cls for name, cls in namespace.items() if isinstance(cls, type) and cls.__module__ == module}
    plain: object = object.__new__
    return {n: cls for n, cls in found.items() if cls.__dictoffset__ and cls.__new__ is plain}


def send(link: socket.socket, message: bytes) -> None:
    """Send a message with its length before it."""
    link.sendall(len(message).to_bytes(8, "big") + message)


def receive(link: socket.socket, most: int) -> bytes:
    """Return the next message.

    Raises:
        EOFError: The other side has ended.
        BorderError: The message is longer than `most` bytes.
    """
    size = int.from_bytes(_exactly(link, 8), "big")
    if size > most:
        raise BorderError(f"a message of {size >> 20} MiB: more than the {most >> 20} MiB of output_mib")
    return _exactly(link, size)


def _exactly(link: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = link.recv(min(size - len(data), 1 << 20))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
