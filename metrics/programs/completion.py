"""Code that goes on where a starter ends."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from lbt_dspy.metrics.programs.blocks import is_remark, longest, stripped
from lbt_dspy.metrics.programs.source import EntryPoint, Reader

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_AT_MARGIN = re.compile(r"^(?:def|class|async|if|for|while|print|import|from|@)", re.MULTILINE)


def up_to_fence(text: str) -> str:
    """Return what stands before the first fence."""
    return _FENCE.split(text, maxsplit=1)[0]


class Completion:
    """Reads texts as what follows a starter.

    Args:
        entry: What has to be defined in the end.
        starter: The code that is completed, "" for none.
        reader: Parses.
    """

    def __init__(self, entry: EntryPoint, starter: str, reader: Reader) -> None:
        self.entry, self.starter, self.reader = entry, starter, reader
        name = re.escape(entry.root)
        self.again = re.compile(rf"^(?:@.*\n)*(?:async[ \t]+)?(?:def|class)[ \t]+{name}\b", re.MULTILINE)

    def went_on(self, text: str) -> str | None:
        """Return the starter and a text that begins where it ends, as base models write; `None` for any other text."""
        if not (self.starter and self.entry.root):
            return None
        rest = text.removeprefix(self.starter.strip())
        head = up_to_fence(rest)
        again = self.again.search(head)
        alone = self.reader.read(textwrap.dedent(head[: again.start()] if again else head))
        if alone and (self.entry.defined(alone) or all(map(is_remark, alone.tree.body))):
            return None
        begins = rest != text or rest[:1].isspace() or (alone is not None and alone.returns)
        return self.of(head) if begins else None

    def of(self, text: str) -> str | None:
        """Return the starter and the text, if that is the body of the entry point."""
        text = stripped(text)
        if not (self.starter and self.entry.root and text):
            return None
        alone = self.reader.read(text)
        if alone and not alone.returns and (alone.functions or alone.classes or self.entry.used(alone)):
            return None
        for part in self._cut(text):
            for lines in self._continued(part):
                source, _ = longest(lines, self.reader)
                if source and not source.returns and self.entry.defined(source) and self.entry.worked_out(source):
                    return source.text
        return None

    def _cut(self, text: str) -> Iterator[str]:
        """Yield a completion up to where it defines its name again, all of it, and without an end that is cut off."""
        again = self.again.search(text)
        if again and text[: again.start()].strip():
            yield text[: again.start()]
        yield text
        starts = [found.start() for found in _AT_MARGIN.finditer(text)]
        yield from dict.fromkeys(text[:start] for start in (starts[-1:] + starts[:1]) if text[:start].strip())

    def _continued(self, text: str) -> Iterator[list[str]]:
        """Yield the starter's lines and the text's: as it is, indented, and with its first line indented."""
        start = self.starter.rstrip().split("\n")
        indentation = self._indentation(start[-1])
        yield [*start, *text.split("\n")]
        body, _ = longest(textwrap.dedent(text).split("\n"), self.reader)
        if body:
            yield [*start, *textwrap.indent(body.text, indentation).split("\n")]
        yield [*start, *(indentation + text.lstrip()).split("\n")]

    def _indentation(self, last: str) -> str:
        given = self.starter.rpartition("\n")[2]
        if given and not given.strip():
            return given
        deeper = "    " if last.endswith(":") else ""
        return last[: len(last) - len(last.lstrip())] + deeper
