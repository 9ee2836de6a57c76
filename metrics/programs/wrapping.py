"""What stands around and between a program's characters and is no Python: models' tokens, tags, blanks of typesetters.

Outside of texts none of it can be Python, so that it can be taken off without knowing what the program is.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

MOST_PARTS = 50
_BAR = r"[|\uff5c]"
_WORD = r"[^|\uff5c<>\n]{0,40}"
_TAG = r"[A-Za-z][\w-]*"
_MARK = re.compile(
    rf"""
    (?P<text> \\. | \"{{3}}(?:\\.|[^"\\]|"(?!""))*+(?:\"{{3}})? | '{{3}}(?:\\.|[^'\\]|'(?!''))*+(?:'{{3}})?
      | "(?:\\.|[^"\\\n])*+" | '(?:\\.|[^'\\\n])*+' )
    | (?P<end> <{_BAR}(?:{_WORD}(?:end|eo[stm]|file_sep){_WORD}|return|call){_BAR}>
      | \[/[A-Z]+\] | </s> | <(?:eos|EOT|EOD|end_of_turn|endoftext|file_sep)> )
    | (?P<line> <{_BAR}{_WORD}{_BAR}> | </{_TAG}\s*> | <(?i:pre|code)\b[^<>\n]*>
      | <!\[CDATA\[ | \]\]>(?=\s*<) )
    | (?P<nothing> [\u00ad\u200b-\u200d\u2060\ufeff]
      | ^[ \t]*(?:<{_TAG}(?:[ \t][^<>\n]*)?>)+
      | ^[ \t]*\[(?:PYTHON|CODE|ANSWER|SOLUTION|PROGRAM|TESTS?|INST)\](?![ \t]*=) )
    | (?P<blank> [\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000] )
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_HTML_CODE = re.compile(r"<(?:pre|code)\b[^<>\n]*>", re.IGNORECASE)


def unwrapped(text: str) -> list[str]:
    """Return the text without what is no Python, cut where a model has ended: what follows is another document."""
    parts = [part for part in _parts(text) if part.strip()][:MOST_PARTS] or [text]
    return list(map(html.unescape, parts)) if _HTML_CODE.search(text) and "```" not in text else parts


def unescaped_html(text: str) -> str:
    """Return the text with characters for entities, such as `<` for `&lt;`."""
    return html.unescape(text)


def _parts(text: str) -> Iterator[str]:
    part, done = "", 0
    for mark in _MARK.finditer(text):
        kind = str(mark.lastgroup)
        part += text[done : mark.start()] + {"text": mark.group(), "line": "\n", "blank": " "}.get(kind, "")
        done = mark.end()
        if kind == "end":
            yield part
            part = ""
    yield part + text[done:]
