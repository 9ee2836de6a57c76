"""What a script prints beside what is expected: what is the same, and what is never."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy.metrics.sandbox import run_program, run_script
from lbt_dspy.metrics.sandbox.printed import same_output

SAME = [
    # numbers with a fraction: rounding, other notation, the noise of arithmetic
    ("0.30000000000000004", "0.3"),
    ("0.3333333333333333", "0.333333"),
    ("0.6666666666666666", "0.666666"),  # cut off, not rounded
    ("0.166667", "0.1666666667"),  # as %f prints it
    ("2.5000000000", "2.5"),
    ("3", "3.0"),
    ("-0.0", "0.0"),
    ("1.2e-17", "0.0"),
    (".5", "0.5"),
    ("+0.5", "0.5"),
    ("1e-07", "0.0000001"),
    ("12345.6789", "12345.678901234"),
    ("1e+22", "1.0000000000000001e+22"),
    ("nan", "nan"),
    ("-inf", "-inf"),
    # in lines and lists
    ("0.30000000000000004 yes 2\n0.1", "0.3 yes 2\n0.1"),
    ("[0.30000000000000004, 1]", "[0.3, 1]"),
    ("(1.1000000000000001, -2.0)", "(1.1, -2.0)"),
    ("x=0.30000000000000004", "x=0.3"),
    ("Case #1: 0.30000000000000004", "Case #1: 0.3"),
    ("The sum is 0.30000000000000004.", "The sum is 0.3."),
    ("33.33333333333333%", "33.333333%"),
    # tokens
    ("1  2", "1 2"),
    (" 1", "1"),
    ("1\t2", "1 2"),
    ("1 2 ", "1 2"),
    ("1\n\n2\n\n", "1\n2"),
    ("\n1", "1"),
    ("0.5\r\n0.25\r\n", "0.5\n0.25"),
    ("", "\n"),
    (" *\n***", " *\n***"),
]
OTHER = [
    # whole numbers and words are exact
    ("1000001", "1000000"),
    ("3.0", "3"),
    ("3.0000001", "3"),
    ("10000000000000000000001", "10000000000000000000000"),
    ("yes", "Yes"),
    ("True", "1"),
    # a tolerance that takes no wrong answer
    ("1.51", "1.5"),
    ("0.33", "0.333333"),
    ("0", "1e-7"),  # a small number is not nothing
    ("0.000002", "0.0000012"),
    ("1000001", "1000000.0"),
    ("1000001", "1e6"),
    ("1000000999", "1e9"),
    ("2000000001", "2000000000.0"),
    ("123456.79", "123456.78"),  # two amounts of money
    ("1000000.0", "1000000.5"),
    ("0.5", "-0.5"),
    ("0.1 0.2", "0.1"),
    ("0.1", "0.1 0.2"),
    # neither numbers nor words
    ("nan", "0.5"),
    ("0.5", "nan"),
    ("inf", "1e308"),
    ("1e309", "inf"),
    ("-inf", "inf"),
    ("1.2.4", "1.2.3"),
    ("v1.50", "v1.5"),
    ("'0.50'", "'0.5'"),
    ("0.5x", "0.5"),
    ("1_0.5", "10.5"),
    ("\u0660.\u0665", "0.5"),
    # tokens and lines
    ("12", "1 2"),
    ("1\n2", "1 2"),
    ("1 2 3 4", "1 2\n3 4"),
    ("1", "1\n2"),
    ("", "1"),
    ("1", ""),
    # where spacing is the answer
    ("*\n***", " *\n***"),
    ("* *\n***", "*   *\n***"),
    ("a\nb", "a\n\nb"),
    ("b a", "b  a"),
    ("1 1\n1221", "1  1\n1221"),
]


@pytest.mark.parametrize(("got", "expected"), SAME)
def test_the_same_answer(got, expected):
    assert same_output(got, expected)


@pytest.mark.parametrize(("got", "expected"), OTHER)
def test_another_answer(got, expected):
    assert not same_output(got, expected)


def test_spacing_counts_where_the_input_has_any():
    assert not same_output("a  b\n", "a b\n", "a  b\n")
    assert not same_output("a\n\nb\n", "a\nb\n", "a\n\nb\n")
    assert same_output("a  b\n", "a b\n", "a b \n\n")


@given(st.integers(), st.integers())
def test_two_whole_numbers_are_never_one(one, other):
    assert same_output(f"{one}\n", f"{other}") == (one == other)


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12), st.integers(1, 6))
def test_numbers_that_differ_as_they_are_written_are_never_one(one, other, places):
    got, expected = (str(Decimal(number).scaleb(-places)) for number in (one, other))
    if "." in expected and one != other and places < 6:
        assert not same_output(got, expected)
    assert same_output(got, got)


@given(st.floats(-1e9, 1e9).filter(lambda x: abs(x) > 1e-3))
def test_a_number_is_the_same_with_six_places_as_with_all(number):
    assert same_output(f"{number:.6f}", repr(number))
    assert same_output(repr(number), repr(number + 1e-13))


@given(st.text(), st.text(), st.text())
def test_any_texts_can_be_compared(got, expected, stdin):
    assert same_output(expected, expected, stdin)
    assert isinstance(same_output(got, expected, stdin), bool)


SCRIPTS = [
    ("print(2 ** 20000 % 10 ** 9, len(str(2 ** 20000)))", "", f"{2**20000 % 10**9} 6021"),
    ("print(int(input()) % 97)", "9" * 9000, f"{(10**9000 - 1) % 97}"),
    ("print(len(str(eval(input()))))", "1" * 5000, "5000"),
    ("import sys\nprint(sum(map(int, sys.stdin.read().split())) % 7)", "9" * 6000 + "\n1", "1"),
    ("print(len(f'{10 ** 5000}'))", "", "5001"),
    ("from decimal import Decimal\nprint(len(str(int(Decimal(10) ** 6000))))", "", "6001"),
    # a script is a file
    ("import os\nprint(os.path.basename(__file__))", "", "program.py"),
    ("from pathlib import Path\nprint(Path(__file__).parent.is_dir())", "", "True"),
    ("print(len(open(__file__).readlines()))", "", "1"),
    ("import sys, os\nprint(os.path.abspath(sys.argv[0]) == __file__)", "", "True"),
    ("import os\nos.chdir(os.path.dirname(os.path.abspath(__file__)))\nprint(1)", "", "1"),
    ("print(open(__file__).read())", "", "print(open(__file__).read())"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "stdin", "stdout"), SCRIPTS)
def test_what_scripts_may_do(held, program, stdin, stdout):
    verdict = run_script(program, [(stdin, stdout)], isolation=held)
    assert verdict.passed, verdict.error


FUNCTIONS = [
    ("def f(n): return str(2 ** n)", "assert len(f(20000)) == 6021", None),
    ("def f(text): return int(text)", "assert f('9' * 5000) == 10 ** 5000 - 1", None),
    ("def f(): return 10 ** 5000", f"assert f() == {10**4000} ** 1 * 10 ** 1000 and str(f())[-1] == '0'", None),
    ("def f(): return 10 ** 4999", f"assert f() == 1{'0' * 4999}", None),  # a long number in a test
    ("def f(): return 2 ** 10 ** 6", "assert f() == 1", "the program gave a number of 1000001 bits"),
    ("import os\ndef f(): return os.path.isabs(__file__)", "assert f()", None),
]


@pytest.mark.parametrize(("program", "test", "error"), FUNCTIONS)
def test_what_functions_may_do(held, program, test, error):
    found = run_program(program, [test], isolation=held).error
    assert found == error if error is None else error in found
