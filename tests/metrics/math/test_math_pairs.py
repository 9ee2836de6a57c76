r"""Two answers side by side, each in turn as the reference: a table that grows with each mistake seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.metrics import math_answer

SAME = [
    # percentages
    (r"50\%", "0.5"),  # was right in one direction only
    (r"50\%", r"\frac12"),
    (r"10\%", "10 percent"),
    (r"12.5\%", "12.5"),  # the sign is a unit
    (r"0.5\%", "0.005"),
    (r"33\frac13\%", r"\frac13"),
    # points, with and without names
    ("x=3,y=4", "(3,4)"),  # was right in one direction only
    ("x = 3 and y = 4", "(x,y) = (3,4)"),
    ("y=4, x=3", "x=3, y=4"),
    ("(3; 4)", "3, 4"),
    ("x_1 = 1, x_2 = 2", "x = 2 or x = 1"),  # the values of one variable are no point
    # equations turned around
    ("2x+3=y", "y=2x+3"),
    ("5=x", "x=5"),
    ("x^2+y^2=4", "4=x^2+y^2"),
    # times and ratios
    ("12:30", "12:30 PM"),
    ("12:30 p.m.", r"12:30\text{ PM}"),
    ("8:00", "8 a.m."),
    ("4:25", r"\frac{4}{25}"),  # reads like a time
    ("1:2", "1 to 2"),
    ("3:4:5", "6:8:10"),
    # names of sets and of what there is none of
    (r"\emptyset", r"\varnothing"),
    (r"\emptyset", r"\{\}"),
    (r"\emptyset", r"\text{the empty set}"),
    ("∅", r"\text{no real solutions}"),
    (r"\text{no integer solutions}", "no solution"),
    ("DNE", r"\text{does not exist}"),
    (r"\mathbb{R}", r"(-\infty, \infty)"),
    ("\u211d", "all real numbers"),
    (r"\mathbb{R}\setminus\{0\}", r"x \neq 0"),
    (r"(-\infty,0)\cup(0,\infty)", r"x \ne 0"),
    (r"\{x \mid x > 2\}", r"(2, \infty)"),
    (r"\{ x \in \mathbb{R} : 1 < x \le 2 \}", "(1, 2]"),
    (r"(-\infty, 3]", "(-infinity, 3]"),
    (r"-\infty", "negative infinity"),
    # one operation
    (r"\log_2 8", "3"),
    (r"\log_4 8", r"\frac32"),
    (r"\ln e^2", "2"),
    (r"\sqrt[3]{8}", "2"),
    (r"{5 \choose 2}", "10"),
    (r"3 \pm 2", "1, 5"),
    ("+/- 3", r"3, -3"),
    # decorations
    (r"7 \text{ (seven)}", "7"),
    ("<b>3</b>", "3"),
    ("**3**", "3"),
    ("_3_", "3"),
    (r"**\frac12**", "0.5"),
    (r"3\ \checkmark", "3"),
    ("3 ✅", "3"),
    (r"3 \blacksquare", "3"),
    (r"\underline{\textbf{3}}", "3"),
    (r"\boldsymbol{\frac12}", r"\textcolor{red}{\frac{1}{2}}"),  # braces in braces
    (r"\large 3", r"\bf{3}"),
    # numbers
    (r"0.\overline{3}", r"\frac13"),
    (r"0.1\overline{6}", "1/6"),
    (r"-1.\bar{3}", r"-\frac43"),
    (r"1\frac12", "1 1/2"),
    ("1½", "3/2"),
    (r"1\,000", "1{,}000"),
    ("3.0 x 10^5", r"3 \cdot 10^{5}"),
    ("3⋅10^5", "3e5"),
    ("minus 7", "-7"),  # was accepted for 7
    ("twenty-one", "21"),
    ("third", "3rd"),
    ("3 million", "3,000,000"),
    ("3 million", "3"),  # in millions
    ("101_2", "101"),
    (r"4 \text{ R } 2", "4 remainder 2"),
    # units
    ("5 cm", "5"),
    (r"15 \text{ cm}^2", "15 square cm"),
    (r"15 \text{ cm}^2", "15"),
    ("5 m/s", r"5 \frac{m}{s}"),
    (r"25^\circ\text{C}", "25"),
    ("US$5", "5.00"),
    ("7 cents", "$7$"),  # dollar signs around mathematics
    ("5 in total", "5 cm"),
    ("1/8 of 2 feet", "1/8"),  # one quantity and not two
    ("2 feet 3 inches", "2 ft and 3 in"),
    # matrices
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\left[\begin{array}{c}1\\2\end{array}\right]"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{smallmatrix}1&2\\3&4\end{smallmatrix}"),
    # words
    (r"\text{East}", "east!"),
    ("a circle", "Circle."),
]
OTHER = [
    (r"50\%", "0.05"),
    (r"0.5\%", "50"),
    (r"1\%", "100"),
    ("x=3,y=4", "x=4,y=3"),  # one key before
    ("x=1, x=3", "(1,3)"),
    ("x=1 or y=2", "(1,2)"),
    ("2x+3=y", "y=2x+4"),
    ("y=2x", "x=2y"),
    ("12:30 AM", "12:30 PM"),
    ("12:30", "4:10"),  # one ratio
    ("12:30", "12:31 PM"),
    ("1:2:3", "1:3:2"),  # one product of quotients before
    (r"\emptyset", "0"),
    (r"\emptyset", r"\{0\}"),
    ("no solution", "cannot be determined"),
    ("no solution", "infinitely many solutions"),
    ("DNE", "no solution"),
    (r"\mathbb{R}", r"\mathbb{Z}"),
    (r"x \ne 3", r"x \ne -3"),
    (r"\{x \mid x > 2\}", r"[2, \infty)"),
    (r"\log_2 8", "4"),
    (r"\log_2 3", "1.585"),
    (r"2\log_2 8", "6"),  # left to be worked out
    (r"\pi", "3.14"),
    (r"\pm 3", "3"),
    (r"0.\overline{3}", "0.3"),
    (r"0.\overline{3}", "0.333"),
    ("minus 7", "7"),
    ("3 billion", "3 million"),
    ("12,34", "1234"),
    ("101_2", "101_3"),
    ("4 R 2", "4 R 3"),
    ("5 cm", "5 m"),
    (r"15 \text{ cm}^2", "15 cm"),  # was the same: a length is no area
    (r"5 \text{ hours}", "5 minutes"),
    (r"\$7", "7 cents"),
    ("2 feet 3 inches", "2"),
    ("2 feet 3 inches", "3 feet 2 inches"),
    ("3 apples and 2 oranges", "2 apples and 3 oranges"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}^T", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}+t\begin{pmatrix}3\\4\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    ("(x+1)^2", "x^2+2x+1"),  # factored or expanded: the problem asks for one of them
    (r"2^3 \cdot 3", "24"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}\times\begin{pmatrix}3\\4\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
]
ONE_WAY = [
    ("2600", "2600g"),  # the letter is a unit where the reference has none, and else it may be a variable
    ("even", "even for every whole number"),
    ("(E)", "Plane (E)"),
]
MORE_THAN_A_KEY = [
    ("5 cm", "5 m"),
    (r"15 \text{ cm}^2", "15 cm"),
    ("15 square cm", "15 cm"),
    (r"5 \text{ hours}", "5 minutes"),
    (r"\$7", "7 cents"),
]


def mark(expected, output):
    return math_answer(expected, f"\\boxed{{{output}}}").value


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same(one, other):
    assert (mark(one, other), mark(other, one)) == (1, 1)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_not_the_same(one, other):
    assert (mark(one, other), mark(other, one)) == (0, 0)


@pytest.mark.parametrize(("expected", "output"), ONE_WAY)
def test_an_answer_may_say_more_than_the_reference_but_not_less(expected, output):
    assert (mark(expected, output), mark(output, expected)) == (1, 0)


ANSWERS = sorted({answer for pair in SAME + OTHER for answer in pair})


@pytest.mark.parametrize("answer", ANSWERS)
def test_each_is_the_same_as_itself(answer):
    assert mark(answer, answer) == 1


@given(st.sampled_from(ANSWERS), st.sampled_from(ANSWERS))
def test_the_mark_is_the_same_in_both_directions_and_follows_the_key(one, other):
    assert mark(one, other) == mark(other, one)
    if math_answer.key(f"\\boxed{{{one}}}") == math_answer.key(f"\\boxed{{{other}}}"):
        assert mark(one, other) == 1 or (one, other) in MORE_THAN_A_KEY or (other, one) in MORE_THAN_A_KEY


@pytest.mark.parametrize(
    ("expected", "output", "value"),
    [(7, "7", 1), ("7", 7, 1), (0, 0, 1), (0.5, r"\frac12", 1), (7, 8, 0), (None, 7, 0), (7, None, 0), (None, None, 0)],
)
def test_numbers_are_taken_as_they_are(expected, output, value):
    assert math_answer(expected, output).value == value
    assert math_answer.key(7) == math_answer.key("7")


@given(st.sampled_from(ANSWERS), st.integers(0, 30), st.integers(0, 30))
def test_a_piece_of_an_answer_has_a_mark(answer, start, length):
    assert mark("3", answer[start : start + length]) in (0, 1)


@pytest.mark.parametrize("answer", [r"x \ne", r"x^2\%, 3"])
def test_signs_out_of_place_have_a_mark(answer):
    assert mark("3", answer) == 0
