r"""Grading of mathematical answers: a table that grows with each mistake seen, invariants, recorded outputs, and abuse.

The rows are judged by hand. Rules: the last stated answer counts; units, currency, degree and percent signs, `x =`,
case, bracketed letters, a left-out base subscript and unicode are fine; another exact form is fine, but not one that is
left to be worked out; a loop or a cut before any statement is no answer.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.errors import UserError
from lbt_dspy.metrics import MathAnswer, math_answer
from lbt_dspy.types import Mark

RIGHT = [
    # units, currency, percent, degrees
    ("2000", "The answer is: 2000 calories"),
    ("2600", "The answer is: 2600 calories fulfill a person's daily need."),  # a clause after the unit
    ("4", "The answer is: 4 customers would buy a set that costs $59645 according to the theory."),  # a second number
    ("90", "The largest angle is also 90°.\n\nThe answer is: 90°"),
    ("46", "The answer is: 46 degrees"),
    ("30^\\circ", "The answer is: 30 degrees"),
    ("36^\\circ", "The answer is: 36"),
    ("684^\\circ", "$19 \\cdot 36^\\circ = 684^\\circ$"),
    ("\\frac{270}7\\text{ degrees}", "The answer is: \\frac{270}{7}"),
    ("\\$48.60", "The answer is: $48.60"),
    ("\\$48.60", "The answer is: 48.6"),
    ("\\$32,\\!348", "It is worth \\$32,348. The answer is: \\$32,348"),
    ("78", "The answer is:  $\\$78$ dollars"),  # a dollar sign inside of mathematics
    ("7", "Therefore, the pie cost \\boxed{$7.00}."),
    ("-252.51", "The answer is: -$252.51"),
    ("5.4 \\text{ cents}", "The answer is: 5.4"),
    ("31", "The answer is: 31 cents."),
    ("15\\mbox{ cm}^2", "The answer is: 15 cm^2"),
    ("15\\mbox{ cm}^2", "The answer is: 15 square cm"),
    ("864 \\mbox{ inches}^2", "The answer is: $864$ square inches"),
    ("56", "The answer is: 56 inches per second"),
    ("12\\pi", "The answer is: 12π inches/second"),
    ("\\frac{20000}{\\pi}", "The largest area is 20,000/π square meters.\n\nThe answer is: 20,000/π square meters"),
    ("72", "Therefore, her speed is \\boxed{72Mb/hour}."),
    ("2600", "That is 1000g + 1600g = 2600g. The answer is 2600g."),  # grams and no variable
    ("156", "The marbles weigh 78 * 2 = 156kgs."),
    ("25", "Percentage = (25 / 100) * 100 = 25%\n\nTherefore, 25% of the plants in Mrs. Smith's garden are in bloom."),
    ("45", "The answer is: 0.45, or 45%"),
    ("\\frac14", "The answer is: 25%"),
    ("\\dfrac{33}{100}", "The answer is: 0.33 or 33%"),
    ("\\frac{37}{105}", "The answer is: $\\frac{37}{105}$ of the pie."),
    ("12", "The answer is: $12^{\\mathrm{th}}$ grade"),
    ("2304", "There are 12 months in a year, so he pays $192 * 12 = $2,304 a year."),
    ("175", "In conclusion, she gave 75 + 100 = 175 kilograms of rice to her cousin and brother."),
    # numbers
    ("57500", "Her salary is \\boxed{57,500} dollars."),
    ("10,\\!080", "The answer is: 10,080"),
    ("10{,}000", "Therefore, the value is \\(\\boxed{10000}\\)."),
    ("118000", "The net proceeds are 400 000 - 282 000 = 118 000. The answer is 118 000."),
    (".0000672", "The answer is: 0.0000672"),
    ("2", "\\boxed{2.0}"),
    ("\\frac{1}{2}", "0.5"),
    ("\\frac{85}{2}", "The smallest $x$ in the domain is $42.5$. The answer is: 42.5"),
    ("\\frac{639}{40}", "The answer is: 15975/1000"),
    ("\\frac{5}{13}", "The answer is: \\frac{65}{169}"),
    ("\\frac43", "The answer is: 4/3."),
    ("\\frac9{19}", "The answer is: x = ₉/₁₉"),
    ("137 \\frac{1}{2}", "The answer is: 137\\frac{1}{2} miles"),
    ("\\frac{639}{40}", "The distance is 15 39/40 inches."),
    ("81", "The answer is: $3^4$"),
    ("35345263800", "The answer is: \\binom{38}{19}"),
    ("1250", "The answer is: 1,000,000 \u00d7 $0.00125 ≈ $1250"),
    ("\\frac{83}{27}", "The answer is: 83/27 or approximately 3.074 (when rounded to three decimal places)"),
    ("\\sqrt{43}", "Thus $x = \\sqrt{43} \\approx 6.56$."),
    ("123", "\\boxed{\u0661\u0662\u0663}"),
    # statements and chains
    ("36", "He has 12 * 3 = 36 left.\nA: 36"),
    ("18", "Some work.\n#### 18"),
    ("20", "They earn $11.50 - $10.50 = $<<11.5-10.5=1>>1 more.\nAnswer: \\boxed{20}."),
    ("57500", "Therefore, the salary is $<<57500=57500>>57,500."),
    ("13", "C = 13\n\nFinal Answer: How old are you?\nYou are 13 years old."),
    ("125", "Final Answer: If he is looking to gain this month, the profit would be $125 by choosing the first plan."),
    ("7", "He needs to buy whole packs.\n\nFinal Answer: Mr. Jackson needs to buy 7 packs of glue sticks."),
    ("16", "Therefore, \\boxed{Seth is 16 years old}."),
    ("4005", "The 2003rd term of the sequence 1, 3, 5, 7, $\\dots$ is 4005."),
    ("7", "Therefore, the value of $g(f(5)-1)$ is 7."),  # the last formula is not the answer
    ("3", "A robe takes 2 bolts of blue, which is 2 / 2 = 1 bolt of white. In total, it takes 2 + 1 = 3 bolts."),
    ("30", "The answer is: √(1156-256) = √900 = 30"),
    ("6+9i", "The answer is: 6+12i-3i=6+9i"),
    ("2k+2", "The answer is: -k + 3k + 4 - 2, which is 2k + 2."),
    ("2k", "The answer is: $a+b+c+d+e+f=2k$"),
    ("x=11", "Therefore, the answer is: $x = 11$."),
    ("2", "Therefore, $\\tan A = 2$."),
    ("-256", "so $a = -8\\cdot 32 = -\\boxed{256}$."),  # the sign is left before the box
    ("-256", "$a = -\\boxed{256}$.\nFinal Answer: The final answer is $-256$. I hope it is correct."),
    ("2", "First \\boxed{7}, then again:\n\\boxed{2}"),  # the last box counts
    ("\\frac{11+9a}{20}", "So, the answer is \\[\\frac{11+9a}{20}\\]."),
    ("\\frac{11+9a}{20}", "Simplifying further:\n\n\\[\\frac{11+9a}{20}\\]\n\nThe answer is:"),  # nothing after it
    ("78", "Their profit was $93 - $15 = $78. Answer:"),
    ("12", "\\boxed{12"),  # cut in the box
    ("9", "This makes 4 ways, and not 5.\n\nSo the answer is 9"),
    ("0.0000672", "The answer is: 6.72 \\times 10^{-5}"),
    ("120", "The answer is: 5! = 120"),
    ("120", "The answer is: 5!"),  # no end of a sentence
    ("326.5", "326.5\n\nConfidence: 100%"),
    ("44", "44\n~~~"),
    ("9", "```output\n9\n```\nBy this theory, $\\boxed{9}$ would buy one that costs $\\$$2500$."),
    ("6", "The answer is: 6\nThe answer is: 6\nThe answer is: 6\nThe answer is: 6\nThe answer is: 6\nThe answer is: 6"),
    ("29", "2. We have 2P = 58.\n3. Therefore, P = 29 cent"),  # cut after the statement
    # expressions
    ("2\\sqrt{5}", "The answer is: 2sqrt(5)"),
    ("\\sqrt{10}", "The radius is sqrt(10).\nThe answer is: sqrt(10)"),
    ("\\sqrt{5}", "The answer is: r = √5 meters."),
    ("\\frac{\\sqrt{3}}{3}", "The answer is: 1/√3"),
    ("\\sqrt{53}", "The answer is: $\\sqrt{53}$ is already in simplest radical form."),
    ("12\\pi", "The speed is $12\\\\pi$ inches per second.\nFinal Answer: The final answer is $12\\\\pi$."),
    ("-\\frac{19\\pi}{6}", "The answer is: -19pi/6"),
    ("-2 + 7i", "The answer is: $7i - 2$"),
    ("18+2\\pi", "The answer is: Perimeter of S = 18 + 2 * pi"),
    ("\\frac{3\\sqrt{3}}{4}", "The answer is $\\displaystyle\\frac{3\\sqrt{3}}{4}$"),
    ("119002r^656", "The answer is: 119002r^{656}"),  # the reference lacks its braces
    ("(a+18)(b+2)", "The answer is: (b + 2)(a + 18)"),
    ("-13x+3", "The remainder is $\\boxed{3 - 13x}$."),
    ("x^8 + x + 1", "The answer is: $1 + x + x^8$"),
    ("y = -2x", "The answer is: y = -2x + 0."),
    ("y = -83x", "This simplifies to $y = -\\frac{5810}{70} x$."),
    ("5x - 7y + 11z + 4 = 0", "The answer is: $-5x + 7y - 11z - 4 = 0$"),
    ("384R^2", "The answer is: $384r^2$"),
    # sets, tuples, intervals, matrices
    ("3 \\pm 2 \\sqrt{2}", "The answer is: 3+2\\sqrt{2},3-2\\sqrt{2}"),
    ("1,-2", "The answer is: -2 and 1"),
    ("\\{1\\pm\\sqrt{5},-2\\}", "\\boxed{-2, 1+\\sqrt{5}, 1-\\sqrt{5}}"),
    ("3, 5, 7", "The answer is: 3, 7, 5"),
    ("(264,1118)", "The answer is: (264, 1118)"),
    ("\\left( 3, \\frac{\\pi}{2} \\right)", "The answer is: (3,π/2)"),
    ("\\left( 3, \\frac{\\pi}{2} \\right)", "$r = 3, \\theta = \\frac{\\pi}{2}$"),
    ("(5,\\infty)", "In interval notation this is $(5, \\\\infty)$."),
    ("(233,\\infty)", "The answer is: (233, inf)."),
    ("(233,\\infty)", "The answer is: x > 233"),
    ("x \\in [-2,7]", "The answer is: $-2 \\le x \\le 7$"),
    ("(-\\infty, 2) \\cup (3, \\infty)", "The answer is: x < 2 or x > 3"),
    ("\\begin{pmatrix} 1/3 \\\\ 2/3 \\end{pmatrix}", "\\begin{pmatrix} \\frac{1}{3} \\\\ \\frac{2}{3} \\end{pmatrix}"),
    ("\\begin{pmatrix} -2 \\\\ -14 \\\\ -7 \\end{pmatrix}", "The answer is: (-2, -14, -7)"),
    # letters, words, bases
    ("\\text{(C)}", "The answer is $\\text{(C)}.$"),
    ("\\text{(C)}", "The answer is: (C) Plane"),
    ("\\text{(E)}", "The answer is: E"),
    ("\\text{Evelyn}", "Final Answer: The final answer is Evelyn. I hope it is correct."),
    ("\\text{Navin}", "The answer is: Navin would earn the most after an eight-hour day"),
    ("\\text{ellipse}", "The graph of the equation is an ellipse"),
    ("\\text{even}", "The answer is: Even"),
    ("40_9", "The answer is: 40_{9}"),
    ("40_9", "The answer is: 40"),
    ("4210_{5}", "The answer is: 4210 (in base 5)"),
]  # fmt: skip
WRONG = [
    ("\\frac{3}{2}", "The answer is $\\boxed{\\frac{1}{2}}$."),
    ("75", "The answer is: 7.5"),
    ("56", "The blouses cost 4*$56 = $224\nA: 224"),
    ("2", "First \\boxed{2}, but then \\boxed{3}."),  # the last box counts
    ("2", "The answer is \\boxed{2}. No: \\boxed{}"),  # and an empty one is no answer
    ("5", "4=5"),
    ("4", "The answer is: 4 = 5"),
    (".8165625", "The answer is: 2613/3200 = 0.815625"),  # and this is no rounding
    ("\\frac{2}{3}", "The answer is: 0.67"),
    ("7\\pi", "The answer is: 21.99"),
    ("326.5", "\\boxed{326.53}"),
    ("\\dfrac{33}{100}", "The probability is 33/100, which simplifies to 1/3."),
    ("-10", "The answer is: 10%"),
    ("124k", "The answer is: 124"),
    ("166", "The answer is: x - 166"),
    ("17", "The answer is: 7 cm and 17 cm"),
    ("5", "The answer is: x > 5"),
    ("7374", "The answer is: 1 to 7374"),
    ("3", "The trip took 3 hours and 20 minutes. The answer is: 3 hours and 20 minutes"),
    # more or fewer solutions
    ("-4", "The answer is: -4 and 5"),
    ("-4", "x = -4, x = 1, x = -5, x = -4"),  # the last of a list is no answer of its own
    ("x=11", "The answer is: 11, 5"),
    ("x=11", "The answer is:  $x = 5$ or $x = 11$"),
    ("1,-2", "The only such integer is $\\boxed{1}.$"),
    ("1", "The answer is: 1, -1, \\frac{-1+i\\sqrt{3}}{2}"),
    ("37", "The answer is: 37, -37"),
    ("10", "The answer is: \\pm 10"),
    # left to be worked out
    ("\\frac{8}{21}", "The answer is:  $\\frac{1}{5}\\cdot \\frac{8}{7}\\div \\frac{12}{20}$"),
    ("1210", "The answer is: \\sqrt{1771561} - \\sqrt[3]{1771561}"),
    ("-\\sqrt{3}", "The expression is $\\boxed{- \\tan(4\\pi/9) + 4\\cos(\\pi/18)}$."),
    ("119002r^656", "The answer is:  $299r^660 \\times 181488r^469 \\div 456r^473$"),
    ("119002r^656", "\\frac{299 \\cdot 181488 \\cdot r^{656}}{456}"),
    ("\\sqrt{53}", "The answer is: 7\\sqrt{\\frac{53}{49}}"),
    ("16", "|(1-i)^8|"),
    ("864", "6*(12^2)"),
    ("12\\pi", "2*pi*9*2/3"),
    ("65", "30*6.5/3"),
    ("\\frac{11+9a}{20}", "\\frac{4+6a}{5}-\\frac{1+3a}{4}"),
    ("\\frac{11+9a}{20}", "4/5+6a/5-1/4-3a/4"),
    ("(a+5)(b+2)", "The answer is: ab + 2a + 5b + 10"),
    ("x^3+3x-6", "The answer is: x(2x+x^2) - 2x^2 + 3x - 6"),
    ("\\cot x", "1/(sin(x)cos(x)) - tan(x)"),
    ("5x - 7y + 11z + 4 = 0", "The answer is: $20x - 28y + 44z + 16 = 0$"),
    ("12", "5\\sqrt{5.76}"),
    # near in form
    ("(233,\\infty)", "The answer is: [233, inf)."),
    ("(-\\infty, 0]", "The answer is: [-\\infty,0]"),
    ("(3,4)", "The answer is: (4,3)"),
    ("\\left(\\frac{3}{5},\\frac{8}{3}\\right]", "The answer is: [3/5, 8/3]"),
    ("(233,\\infty)", "The answer is: (-\\infty, 233) \\cup (233, \\infty)"),
    ("y = -2x", "The answer is: y = -2x + 2"),
    ("52_8", "The answer is: 52_7"),
    ("\\text{(E)}", "So the correct option is (B) Circle"),
    ("\\text{(B)}", "The answer is: $\\textbf{(D)}$"),
    ("\\text{east}", "The answer is: west"),
    ("\\text{Navin}", "The answer is: Luka"),
    ("\\text{even}", "The answer is: The function is not even"),
    ("\\text{Evelyn}", "The answer is: Evelyn and Carla"),
    # no answer, or withdrawn
    ("4700", "This gives 4700. But that is an error in the problem.\nThe answer is: NO_SOLUTION"),
    ("166", "There are two: 164 and 166.\n\nTherefore, NO_SOLUTION is the appropriate answer."),
    ("1", "$1$\nNO_SOLUTION"),
    ("\\frac{85}{2}", "The answer is: -∞."),
    ("2304", "Simplifying, we get: \n(x + y + sqrt(2304 - y^2) + sqrt(2304"),
    ("2", "To simplify it, we can use the identity $F_{n+2} = F_{"),
    ("85", "He needs 85 at least.\nAny fewer, and he could have put the rest into the bags."),
    ("284", "<model>: 284 = 2^2 * 71\n" * 30),
    ("1600", "$441+2(21)(19)+361=x$\n" * 30 + "$441"),
    (".0000672", "The decimal is 0." + "0" * 1500),
    ("10", "We subtract 6 from both sides, and get a sum of two terms, which is 10. " * 9 + "We subtract 6 from"),
    ("144", "3) The area of this triangle can be calculated using the determinant form"),
]  # fmt: skip
TABLE = [(*row, 1.0) for row in RIGHT] + [(*row, 0.0) for row in WRONG]


@pytest.mark.parametrize(("expected", "output", "mark"), TABLE)
def test_table(expected, output, mark):
    assert math_answer(expected, output).value == mark


@pytest.mark.parametrize("nothing", [None, "", " \n", "\\boxed{}", "...", "$$"])
def test_nothing_is_never_right(nothing):
    assert math_answer(nothing, "The answer is 3").value == 0
    assert math_answer("3", nothing).value == 0
    assert math_answer(nothing, nothing).value == 0
    assert math_answer.key(nothing) is None
    assert math_answer("3", nothing).reason == "no final answer found"


SAME = [
    ("2", "2.0", "\\frac{4}{2}", "2 dollars", "\\boxed{2}", "The answer is: x = 2.", "$2", "two", "1 + 1 = 2"),
    ("\\sqrt{20}", "2\\sqrt{5}", "2sqrt(5)", "\\frac{10}{\\sqrt{5}}", "x = 2√5 cm"),
    ("2k+2", "$2 + 2k$", "2(k+1)", "a + b = 2k+2"),
    ("{1, 2}", "\\{2, 1\\}", "1 and 2", "x = 1 or x = 2", "2, 1, 2"),
    ("(5, \\infty)", "x > 5", "5 < x", "$x \\in (5,+\\infty)$"),
    ("1,000", "1000", "1 000", "10^3", "\\$1{,}000"),
    ("40_9", "40_{9}", "40 base 9", "40 (in base nine)"),
    ("(C)", "C", "\\text{(C)}", "C) Plane"),
    ("an ellipse", "Ellipse", "\\text{ellipse}."),
    ("NO_SOLUTION", "There is no solution."),
]
OTHER = [
    "12",
    "2",
    "-2",
    "0.2",
    "2%",
    "2k",
    "x^2",
    "(1, 2)",
    "{1, 2}",
    "[1, 2]",
    "40_8",
    "40",
    "(A)",
    "east",
    "2 + 3i",
    "3i",
]


@pytest.mark.parametrize("group", SAME)
def test_the_same_answer_has_one_key(group):
    assert len({math_answer.key(answer) for answer in group}) == 1


def test_other_answers_have_other_keys():
    keys = [math_answer.key(answer) for answer in OTHER if answer != "2%"]
    assert None not in keys
    assert len(set(keys)) == len(keys)


NUMBERS = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=999)
ANSWERS = st.sampled_from([*(answer for group in SAME for answer in group), *OTHER, *(row[0] for row in TABLE)])


@given(ANSWERS, ANSWERS)
def test_a_key_like_that_of_the_reference_is_right(expected, output):
    if math_answer.key(expected) == math_answer.key(output):
        assert math_answer(expected, output).value == 1


@given(NUMBERS)
def test_a_number_is_the_same_in_any_writing(value):
    upper, lower = value.numerator, value.denominator
    writings = [
        f"{upper}/{lower}",
        f"The answer is $\\frac{{{upper}}}{{{lower}}}$.",
        f"\\boxed{{{2 * upper}/{2 * lower}}}",
        f"So she pays x = {upper}/{lower} dollars.",
    ]
    assert {math_answer.key(text) for text in writings} == {math_answer.key(writings[0])}
    assert all(math_answer(writings[0], text).value == 1 for text in writings)
    assert math_answer(str(value + Fraction(1, 7)), writings[0]).value == 0


@given(st.text(max_size=60))
def test_any_text_has_a_mark(text):
    assert math_answer("3", text).value in (0, 1)
    assert math_answer(text, f"\\boxed{{{text}}}").value in (0, 1)


def rows(path):
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def references(data_dir):
    for name in ("math181/teaching", "math181/exam", "math500/test", "gsm8k/train", "gsm8k/test"):
        for row in rows(data_dir / f"{name}.jsonl"):
            yield str(row["answer"]).split("####")[-1].strip()


@pytest.mark.slow
def test_references_are_right_answers_to_themselves(data_dir):
    answers = set(references(data_dir))
    assert len(answers) > 1000
    wrong = [a for a in answers for text in (a, f"\\boxed{{{a}}}") if math_answer(a, text).value != 1]
    assert not wrong


def test_hand_graded_outputs(data_dir):
    graded = [row for row in rows(data_dir / "graded_math" / "rows.jsonl") if row["correct"] is not None]
    marks = [(math_answer(row["gold"], row["output"]).value == 1, row["correct"]) for row in graded]
    assert sum(mark == correct for mark, correct in marks) >= 0.94 * len(graded)
    assert sum(mark and not correct for mark, correct in marks) <= 1


@pytest.mark.slow
def test_votes_on_recorded_word_problems(data_dir):
    answers, gold = defaultdict(Counter), {}
    for path in sorted((data_dir / "recorded_gsm8k").glob("*.jsonl")):
        for row in rows(path):
            gold[row["id"]] = math_answer.key(str(row["gold"]))
            answers[row["id"]][math_answer.key(row["output"])] += 1
    for votes in answers.values():
        votes.pop(None, None)
    assert len(gold) == 1319
    assert sum(answers[q].most_common(1)[0][0] == gold[q] for q in gold) >= 0.915 * len(gold)
    assert sum(gold[q] in answers[q] for q in gold) >= 0.988 * len(gold)


ABUSE = [
    "\\boxed{9^{9^{9^{9^{9}}}}}",
    "9^9^9^9^9",
    "\\boxed{(((9^{99})^{99})^{99})^{99}}",
    "\\boxed{2^{1000000000}}",
    "\\boxed{2^{9999} \\cdot 3^{9999} + \\sqrt{7^{9999}}}",
    "\\boxed{" + "{" * 100_000 + "1" + "}" * 100_000 + "}",
    "\\boxed{" * 100_000,
    "The answer is: " + "(" * 900 + "1" + ")" * 900,
    "a b 1 " * 170_000,
    "1" * 1_000_000,
    "\\boxed{" + "1+" * 500_000 + "1}",
    "\x00" * 1000 + "\\boxed{\x007}",
    "\\boxed{99999999999!}",
    "\\boxed{((9!)!)!}",
    "\\boxed{\\binom{10000000}{5000000}}",
    "\\boxed{\\log_{10} (10^{10^{10}})}",
    "\\boxed{}",
    "\\boxed{\u0661\u0662/\u0660}",
    "\\boxed{" + "\\frac{1}{1+" * 80 + "1" + "}" * 80 + "}",
    "\\boxed{\\sum_{k=1}^{100000000} \\frac{1}{k^2}}",
    "\\boxed{(x+y+z+w+1)^{9999}}",
    "\\boxed{\\frac{1}{0}}",
    "\\boxed{\ud800}",
    "\\boxed{" + "\\pm 1" * 100 + "}",
    "the answer is " * 40_000,
    "answer is" + " " * 200_000,
    "$" * 20_000,
    "\\boxed{\\begin{pmatrix} " + "&".join(["\\sqrt{2}"] * 60) + "\\end{pmatrix}}",
]


def timed(text):
    start = time.monotonic()
    mark = math_answer("3", text)
    return time.monotonic() - start, mark, math_answer.key(text)


def test_abuse_ends_in_two_seconds_and_leaves_all_well():
    assert math_answer("3", "\\sqrt{9} + 0 i").value in (0, 1)  # starts a process
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(timed, ABUSE))
    assert max(seconds for seconds, _, _ in results) <= 2
    assert all(mark.value == 0 for _, mark, _ in results)
    assert math_answer("\\sqrt{8}", "\\boxed{2\\sqrt{2}}").value == 1


def test_what_takes_too_long_says_so():
    assert math_answer("3", "\\boxed{9^{9^{9^{9}}}}").reason == "took too long"
    assert math_answer.key("\\boxed{9^{9^{9^{9}}}}") != math_answer.key("\\boxed{8^{9^{9^{9}}}}")


def run(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_the_import_is_light():
    assert run("import sys, lbt_dspy.metrics; sys.exit('sympy' in sys.modules)").returncode == 0


ASKS = "from lbt_dspy.metrics import math_answer as m; from lbt_dspy.metrics.math.pool import workers as w\n"


@pytest.mark.slow
def test_processes_end_with_the_program():
    done = run(ASKS + "m.key('2\\\\sqrt{2}'); print(w.server.process.pid)")
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids, done.stderr
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.slow
def test_a_killed_process_is_replaced():
    done = run(ASKS + "a = m.key('\\\\sqrt{8}'); w.server.process.kill(); print(a, m.key('2\\\\sqrt{2}'))")
    one, other = done.stdout.split()
    assert one == other


@pytest.mark.slow
def test_a_fork_asks_processes_of_its_own():
    script = (
        "import os; a = m.key('\\\\sqrt{8}'); p = os.fork(); b = m.key('2\\\\sqrt{2}'); print(a == b)\nif p: os.wait()"
    )
    assert run(ASKS + script).stdout.split() == ["True", "True"]


def test_threads_agree():
    texts = [f"\\sqrt{{{n}}}" for n in (8, 12, 18, 20)] * 8
    before = threading.active_count()
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(math_answer.key, texts)) == [math_answer.key(text) for text in texts]
    assert threading.active_count() <= before + 2  # the grader's processes have two readers at most


def test_the_grader_reads_one_field():
    grader = MathAnswer("solution")
    expected = dspy.Example(question="1 + 1?", solution="2").with_inputs("question")
    assert grader.grade(expected, {"solution": "It is \\boxed{2.0}."}) == Mark(value=1.0)
    assert grader.grade(expected, {"solution": 2}).value == 1
    assert grader.grade(expected, {"solution": None}).reason == "no final answer found"
    assert grader.key({"solution": "\\frac{4}{2}"}) == grader.key({"solution": "2"})
    with pytest.raises(UserError, match="has no field 'solution'"):
        grader.grade(expected, {"answer": "2"})
