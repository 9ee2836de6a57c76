"""A process that reads LaTeX and answers what it is worth; run by path, so that it imports nothing of the package.

It reads lines of JSON, `[number, latex]`, and writes as many, `[number, {"key": ...}]`. Each expression is worked out
in a fork of its own, which the kernel ends when it has used up its processor time or its memory, so none can hang the
process or harm the next.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import signal
import sys
from fractions import Fraction
from math import gcd
from typing import Any

CPU_SECONDS = 0.3
MEMORY = 2 << 30
DIGITS = 130
KEPT = 100
"""Digits that are worked out, and that count: e^{-100} + 1 is not 1."""
MOST_DIGITS = 1000
SHOWN = 15
ROUNDING = Fraction(1, 10**110)
"""More than what is left, of values at points, where all cancels."""
WARMING = (
    r"\frac{x+1}{2} \cdot \sqrt{2} + \tan 3",
    r"-\frac{19\pi}{6}",
    "2-3i",
    "5x^2y(a+18)",
    r"(x-3)/2-\frac{\sqrt{3}}{3}",
    r"\pi(r_{00}^2-r^2)+\frac{r_{00}}{x_1}|x-1|",
    r"t_{00}-e^{-t}",
)
"""Worked out at the start, so that each fork inherits the tables of the parser."""


def fingerprint(latex: str) -> str | None:
    """Return a text that is equal for equal expressions in like form, `None` when this is no expression.

    A rational number is "p/q", any other number its digits; an expression in variables is its values at two fixed
    points, and at more where it is not of one piece (|x|). What is left to be worked out ("3 * 4 + 1", or a tangent in
    a sum) is marked, as it is another form.
    """
    expression = _parse(latex)
    if expression is None:
        return None
    import sympy

    symbols = [s for s in expression.free_symbols if s.name != "i"]
    exact = expression.xreplace(
        {s: sympy.I for s in expression.free_symbols if s.name == "i"}
        | {decimal: sympy.Rational(str(decimal)) for decimal in expression.atoms(sympy.Float)}
    )
    if symbols:
        values = [_digits(exact.xreplace({s: _point(s.name, n) for s in symbols}), ROUNDING) for n in (0, 1)]
        if None in values:
            return None
        if _is_of_pieces(exact):
            far = [{s: _far_point(s.name, n) for s in symbols} for n in range(len(_SPREAD))]
            values += [_digits(exact.xreplace(points), ROUNDING) for points in far]
        return f"{_shape(expression)}[{'; '.join(map(str, values))}]"
    worked = exact.doit()
    value = str(worked) if worked.is_Rational else _digits(exact)
    return None if value is None else f"{_form(expression, value)}{value}"


def _parse(latex: str) -> Any:
    import sympy
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    how = LatexExtractionConfig(normalization_config=NormalizationConfig(basic_latex=True, malformed_operators=True))
    found = parse(f"${latex}$", [how], parsing_timeout=None, fallback_mode="no_fallback")
    return found[0] if found and isinstance(found[0], sympy.Expr) else None


def _point(name: str, n: int) -> Any:
    """Return a number from 1 to 2."""
    import sympy

    return sympy.Float(1 + int.from_bytes(_digest(name, n)[:6], "big") / (1 << 48), DIGITS)


def _far_point(name: str, n: int) -> Any:
    """Return a number of either sign, large or small."""
    digest = _digest(name, 0)
    return _SPREAD[(n + digest[7]) % len(_SPREAD)] * _point(name, n)


def _digest(name: str, n: int) -> bytes:
    return hashlib.sha256(f"{n} {name.lower()}".encode()).digest()


_SPREAD = (-60, -8, -2, -1, 2, 4, 10, 50)


def _is_of_pieces(expression: Any) -> bool:
    """Whether there is an absolute value or the like left, so that what holds from 1 to 2 need not hold elsewhere."""
    if not any(node.func.__name__ in _PIECES or _is_root(node) for node in _nodes(expression)):
        return False
    return any(node.func.__name__ in _PIECES for node in _nodes(expression.doit()))


_PIECES = frozenset("Abs floor ceiling Max Min sign Mod".split())


def _digits(expression: Any, rounding: Fraction = Fraction(0)) -> str | None:
    """Return real and imaginary part, or "p/q" where the value is that of a plain fraction; `None` for no number.

    Args:
        expression: Without variables.
        rounding: What is less in size is 0.
    """
    import sympy

    value = expression.evalf(DIGITS, maxn=3 * DIGITS)
    if value in (sympy.oo, -sympy.oo):
        return str(value)
    if not value.is_number or value.has(sympy.nan, sympy.zoo):
        return None
    size = int(sympy.log(abs(value), 10).evalf(5)) if abs(value) > 10**KEPT else 0
    if 0 < size < MOST_DIGITS:
        value = expression.evalf(DIGITS + size, maxn=3 * (DIGITS + size))
    parts = [_one(part, KEPT + size, rounding) for part in value.as_real_imag()]
    if None in parts:
        return None
    return str(parts[0]) if parts[1] == "0" else f"{parts[0]}+{parts[1]}i"


def _one(part: Any, kept: int, rounding: Fraction) -> str | None:
    if not (part.is_Float or part.is_Integer or part.is_Rational):
        return None
    if part.is_Float and (part._prec < _BITS_OF_NONE or abs(part) < rounding):
        return "0"
    if abs(part) < 10**KEPT:
        exact = Fraction(str(part))
        near = exact.limit_denominator(10**4)
        if abs(exact - near) < abs(exact) / 10 ** (DIGITS - 10):
            return str(near)
    return _abridged(part, kept) if part.is_Float else str(part)


def _abridged(part: Any, kept: int) -> str:
    """Return the first digits, and a digest of those that count, without the sign."""
    digits = f"{abs(part):.{min(kept, MOST_DIGITS)}e}"
    return f"{part:.{SHOWN}e}#{hashlib.sha256(digits.encode()).hexdigest()[:12]}"


_BITS_OF_NONE = 10
"""SymPy knows fewer than these of a number of which all digits cancelled."""


def _form(number: Any, value: str) -> str:
    """Return "" for a number that is worked out, else a mark."""
    nodes = list(_nodes(number))
    if any(node.func.__name__ in _TO_WORK_OUT for node in nodes):
        return "" if _is_logarithm(number) and _is_fraction(value) else "function:"
    products = [_factors(node) for node in nodes if node.is_Mul]
    if any(_cancels(factors) or sum(map(_is_number, factors)) > 1 for factors in products):
        return "unworked:"
    parts = 1 + ("i" in value)
    roots = [node for node in nodes if _is_root(node)]
    quotients = sum(_is_inverse(node) or (node.is_Rational and not node.is_Integer) for node in nodes) - len(roots)
    terms = 1 + sum(len(node.args) - 1 for node in nodes if node.is_Add)
    times_root = any(any(map(_is_root, factors)) and any(map(_is_number, factors)) for factors in products)
    open_ = len(roots) > 1 or quotients > parts or terms > parts or times_root
    return "unworked:" if open_ and not set(value) - set("0123456789/-+i") else ""


def _is_logarithm(number: Any) -> bool:
    """Whether this is one logarithm, of some base, of a number."""
    factors = _factors(number)
    logs = [factor.base if _is_inverse(factor) else factor for factor in factors]
    nested = any(node.func.__name__ in _TO_WORK_OUT for log in logs for arg in log.args for node in _nodes(arg))
    return len(logs) <= 2 and all(log.func.__name__ == "log" for log in logs) and not nested


def _is_fraction(value: str) -> bool:
    return not set(value) - set("0123456789/-")


_TO_WORK_OUT = frozenset("sin cos tan cot sec csc log asin acos atan floor ceiling Mod Abs Sum Integral".split())


def _shape(expression: Any) -> str:
    """Return "factored" for a product of parts that vary, "open" for a sum with more to be done, else "plain"."""
    products = [_factors(node) for node in _nodes(expression) if node.is_Mul]
    if any(sum(map(_is_number, factors)) > 1 for factors in products):
        return "open"
    if expression.is_Add:
        terms = [term for term in _terms(expression) if not term.is_zero]
        nested = any(_is_sum(factor) for term in terms for factor in _factors(term))
        trigonometric = any(node.func.__name__ in _TO_WORK_OUT for node in _nodes(expression))
        return "open" if nested or trigonometric or len(terms) > len(_terms(expression.doit())) else "plain"
    factors = _factors(expression)
    varying = sum(bool(factor.free_symbols) for factor in factors if not _is_inverse(factor))
    sums = [factor for factor in factors if _is_sum(factor)]
    return "factored" if sums and (varying > 1 or any(factor.is_Pow for factor in sums)) else "plain"


def _nodes(expression: Any) -> Any:
    import sympy

    return sympy.preorder_traversal(expression)


def _factors(product: Any) -> list[Any]:
    return [f for arg in product.args for f in _factors(arg)] if product.is_Mul else [product]


def _terms(total: Any) -> list[Any]:
    return [t for arg in total.args for t in _terms(arg)] if total.is_Add else [total]


def _is_number(node: Any) -> bool:
    """Whether this is a number other than 1 and -1, or a power of one other than ten."""
    if node.is_Pow and node.exp.is_Integer and not _is_inverse(node) and node.base != 10:
        return _is_number(node.base)
    return bool(node.is_Number and abs(node) != 1)


def _is_root(node: Any) -> bool:
    return bool(node.is_Pow and node.exp.is_Rational and not node.exp.is_Integer)


def _is_inverse(node: Any) -> bool:
    return bool(node.is_Pow and node.exp.is_negative)


def _is_sum(node: Any) -> bool:
    base = node.base if node.is_Pow and node.exp.is_Integer and not node.exp.is_negative else node
    return bool(base.is_Add and base.free_symbols)


def _cancels(factors: list[Any]) -> bool:
    """Whether a whole number stands before a root of a fraction with which it has a factor in common."""
    whole = [int(a) for a in factors if a.is_Integer and abs(a) > 1]
    under = [a.base.doit() for a in factors if _is_root(a)]
    return any(gcd(w, int(u.q)) > 1 for w in whole for u in under if u.is_Rational)


def answer_lines() -> None:
    """Answer line by line until the input ends, in no order."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin.buffer:
        if not os.fork():
            _answer(*json.loads(line))


def _answer(number: int, latex: str) -> None:
    """Write the reply of a fork, or that it was ended, and end this process."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        reply = _in_fork(latex)
        os.write(1, b"[%d, %b]\n" % (number, reply))
    finally:
        os._exit(0)


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
    try:
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        with contextlib.suppress(ValueError, OSError):  # not every system can limit memory
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        reply = {"key": fingerprint(latex)}
    except BaseException:  # whatever a parser raises, the expression is none
        reply = {"key": None}
    try:
        os.write(there, json.dumps(reply).encode())
    finally:
        os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for expression in WARMING:
        fingerprint(expression)
    answer_lines()
