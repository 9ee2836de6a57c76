"""A process that reads LaTeX and answers what it is worth; run by path, so that it imports nothing of the package.

It reads one JSON string a line and writes one JSON value a line. Each expression is worked out in a fork of its own,
which the kernel ends when it has used up its processor time or its memory, so none can hang or harm the next.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sys
from fractions import Fraction
from math import gcd
from typing import Any

CPU_SECONDS = 0.5
MEMORY = 2 << 30
DIGITS = 40
KEPT = 15


def fingerprint(latex: str) -> str | None:
    """Return a text that is equal for equal expressions in like form, `None` when this is no expression.

    A rational number is "p/q", any other number its digits; an expression in variables is its values at two fixed
    points. What is left to be worked out ("3 * 4 + 1", or a tangent in a sum) is marked, as it is another form.
    """
    expression = _parse(latex)
    if expression is None:
        return None
    import sympy

    symbols = sorted(expression.free_symbols, key=str)
    expression = expression.xreplace({s: sympy.I for s in symbols if s.name == "i"})
    symbols = [s for s in symbols if s.name != "i"]
    if symbols:
        values = [_digits(expression.xreplace({s: _point(s.name, n) for s in symbols})) for n in (0, 1)]
        return None if None in values else f"{_shape(expression)}[{'; '.join(map(str, values))}]"
    exact = expression.doit()
    value = str(exact) if exact.is_Rational else _digits(expression)
    return None if value is None else f"{_form(expression, value)}{value}"


def _parse(latex: str) -> Any:
    import sympy
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    how = LatexExtractionConfig(normalization_config=NormalizationConfig(basic_latex=True, malformed_operators=True))
    found = parse(f"${latex}$", [how], parsing_timeout=None, fallback_mode="no_fallback")
    return found[0] if found and isinstance(found[0], sympy.Expr) else None


def _point(name: str, n: int) -> Any:
    import sympy

    digest = hashlib.sha256(f"{n} {name.lower()}".encode()).digest()
    return sympy.Float(1 + int.from_bytes(digest[:6], "big") / (1 << 48), DIGITS)


def _digits(expression: Any) -> str | None:
    """Return real and imaginary part to 15 digits, or "p/q" where the value is that of a plain fraction."""
    import sympy

    value = expression.evalf(DIGITS)
    if value in (sympy.oo, -sympy.oo):
        return str(value)
    if not value.is_number or value.has(sympy.nan, sympy.zoo):
        return None
    real, imaginary = value.as_real_imag()
    parts = [_one(part) for part in (real, imaginary)]
    if None in parts:
        return None
    return str(parts[0]) if parts[1] == "0" else f"{parts[0]}+{parts[1]}i"


def _one(part: Any) -> str | None:
    if not (part.is_Float or part.is_Integer or part.is_Rational):
        return None
    if abs(part) < 10 ** (KEPT - DIGITS):
        return "0"
    if abs(part) < 10**KEPT:
        exact = Fraction(str(part))
        near = exact.limit_denominator(10**4)
        if abs(exact - near) < abs(exact) / 10 ** (DIGITS - 10):
            return str(near)
    return f"{part:.{KEPT}e}" if part.is_Float else str(part)


def _form(number: Any, value: str) -> str:
    """Return "" for a number that is worked out, else a mark."""
    import sympy

    nodes = list(sympy.preorder_traversal(number))
    if any(isinstance(n, sympy.Function) and n.func.__name__ in _TO_WORK_OUT for n in nodes):
        return "function:"
    roots = sum(_is_root(n) for n in nodes)
    quotients = sum(_is_inverse(n) or (n.is_Rational and not n.is_Integer) for n in nodes) - roots
    terms = sum(len(n.args) - 1 for n in nodes if n.is_Add)
    open_ = roots > 1 or quotients > 1 + ("i" in value) or terms > ("i" in value) or any(_multiplies(n) for n in nodes)
    rational = not set(value) - set("0123456789/-+i")
    return "unworked:" if (rational and open_) or any(_cancels(n) for n in nodes if n.is_Mul) else ""


_TO_WORK_OUT = {"sin", "cos", "tan", "cot", "sec", "csc", "log", "asin", "acos", "atan", "floor", "ceiling", "Mod"}


def _multiplies(node: Any) -> bool:
    """Whether two numbers, or a number and a root, are left to be multiplied."""
    return bool(node.is_Mul and sum((a.is_Number and abs(a) != 1) or _is_root(a) for a in node.args) > 1)


def _is_root(node: Any) -> bool:
    return bool(node.is_Pow and node.exp.is_Rational and not node.exp.is_Integer)


def _cancels(product: Any) -> bool:
    """Whether a whole number stands before a root of a fraction with which it has a factor in common."""
    whole = [int(a) for a in product.args if a.is_Integer and abs(a) > 1]
    under = [a.base.doit() for a in product.args if _is_root(a)]
    return any(gcd(w, int(u.q)) > 1 for w in whole for u in under if u.is_Rational)


def _shape(expression: Any) -> str:
    """Return "factored" for a product of parts that vary, "open" for a sum of products of sums, else "plain"."""
    import sympy

    parts = sympy.Mul.make_args(expression)
    sums = [p for p in parts if _is_sum(p)]
    if sums:
        varying = sum(bool(p.free_symbols) for p in parts if not _is_inverse(p))
        return "factored" if varying > 1 or any(p.is_Pow and not _is_inverse(p) for p in sums) else "plain"
    terms = sympy.Add.make_args(expression)
    nested = any(_is_sum(p) for t in terms for p in sympy.Mul.make_args(t) if p is not expression)
    numbers = any(
        n.is_Mul and sum(a.is_Number and abs(a) != 1 for a in n.args) > 1 for n in sympy.preorder_traversal(expression)
    )
    return "open" if nested or numbers else "plain"


def _is_inverse(part: Any) -> bool:
    return bool(part.is_Pow and part.exp.is_negative)


def _is_sum(part: Any) -> bool:
    base = part.base if part.is_Pow and part.exp.is_Integer and not part.exp.is_negative else part
    return bool(base.is_Add and base.free_symbols)


def answer_lines() -> None:
    """Answer line by line until the input ends."""
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(_in_fork(json.loads(line)) + b"\n")
        sys.stdout.buffer.flush()


def _in_fork(latex: str) -> bytes:
    here, there = os.pipe()
    child = os.fork()
    if not child:
        os.close(here)
        _work(latex, there)
    os.close(there)
    with os.fdopen(here, "rb") as pipe:
        reply = pipe.read()
    os.waitpid(child, 0)
    return reply or json.dumps({"late": True}).encode()


def _work(latex: str, there: int) -> None:
    """Write the reply and end this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        reply = {"key": fingerprint(latex)}
    except BaseException:  # whatever a parser raises, the expression is none
        reply = {"key": None}
    os.write(there, json.dumps(reply).encode())
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    fingerprint(r"\frac{x+1}{2} \cdot \sqrt{2} + \tan 3")
    answer_lines()
