"""Values of declared types: what is equal, what is not, and which label a value is."""

import dataclasses
import datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum

import dspy
import pydantic
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lbt_dspy import ExactMatch
from lbt_dspy.values import Labels, as_declared, declared_label, label_text, plain_value, same_value


class Verdict(Enum):
    YES = "spam"
    NO = "ham"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Tone(StrEnum):
    KIND = "kind"
    HARSH = "harsh"


class Place(pydantic.BaseModel):
    town: str
    number: int = 0


@dataclasses.dataclass
class Point:
    x: float
    y: float


SAME = [  # reference, answer
    (42, 42.0),
    ("42", 42.0),
    ("42.0", 42),
    (42.0, 42),
    (" 42 ", 42.0),
    ("1e3", 1000.0),
    (10**22, 1e22),
    (0.1, 0.1),
    ("nan", float("nan")),
    (float("inf"), float("inf")),
    (Decimal("2.50"), 2.5),
    ("2.5", Decimal("2.50")),
    # truth values
    (0, False),
    (1, True),
    ("0", False),
    ("true", True),
    ("FALSE", False),
    (1.0, True),
    ("yes", True),
    (True, 1),
    # Enums
    (Verdict.YES, Verdict.YES),
    ("spam", Verdict.YES),
    ("Spam", Verdict.YES),
    ("YES", Verdict.YES),
    (Verdict.YES, "spam"),
    (2, Level.HIGH),
    ("2", Level.HIGH),
    ("HIGH", Level.HIGH),
    (Level.HIGH, 2),
    ("kind", Tone.KIND),
    (Tone.KIND, "kind"),
    # several
    ((1, 2), [1, 2]),
    ([1, 2], (1, 2)),
    (["1", "2"], [1, 2]),
    ("[1, 2.0]", [1, 2]),
    ("['a', 'B']", ["A", "b"]),
    ('["a", "b"]', ["a", "b"]),
    (["a", "b"], {"b", "a"}),
    ({2, 1}, {1, 2}),
    ([[1], [2, 3]], ((1,), (2, 3))),
    ([True, 0], [True, False]),
    ([], []),
    # records
    ({"b": 2, "a": 1}, {"a": 1, "b": 2.0}),
    ('{"a": 1}', {"a": 1}),
    ({1: "x"}, {"1": "x"}),
    ({"town": "Rome"}, Place(town="rome")),
    ('{"town": "Rome", "number": "3"}', Place(town="Rome", number=3)),
    (Place(town="Rome"), {"town": "Rome", "number": 0}),
    ({"x": 1, "y": "2"}, Point(1.0, 2.0)),
    (Point(1, 2), Point(1.0, 2.0)),
    ("2026-01-02", datetime.date(2026, 1, 2)),
    # texts, and nothing
    ("Rome", " rome "),
    (42, "42"),
    (None, None),
    ("None", None),
]
OTHER = [
    ("1", 1.5),
    ("1.5", 1),
    (1.5, 1),
    (42, 42.5),
    (42, 421),
    ("forty-two", 42),
    (2**53 + 1, 2**53),
    (0.3, 0.30000000000000004),
    # texts stay texts
    (0, "False"),
    (False, "0"),
    (42, "42.0"),
    (42.0, "42"),
    (1, "True"),
    ("[1, 2]", "[1,2]"),
    # truth values
    (0, True),
    (2, True),
    ("spam", True),
    ("", False),
    (None, False),
    ("true", 1),
    # Enums
    ("ham", Verdict.YES),
    ("NO", Verdict.YES),
    (Verdict.NO, Verdict.YES),
    ("1", Level.HIGH),
    ("Verdict", Verdict.YES),
    # several
    ([1, 2], [2, 1]),
    ([1], [1, 2]),
    ([1, 2, 3], [1, 2]),
    (["a, b"], ["a", "b"]),
    (["1"], ["1.0"]),
    ({1, 2}, {1, 2, 3}),
    ([1, 1], [1]),
    ("[1, 2", [1, 2]),
    ("12", [1, 2]),
    ([[1, 2]], [1, 2]),
    # records
    ({"a": 1}, {"a": 1, "b": None}),
    ({"a": 1}, {"a": "1.5"}),
    ({"town": "Rome", "number": 1}, Place(town="Rome")),
    ({"town": ["Rome"]}, Place(town="Rome")),
    ("Rome", Place(town="Rome")),
    ({"x": 1, "y": 3}, Point(1.0, 2.0)),
    ("2026-01-03", datetime.date(2026, 1, 2)),
    (0, None),
    ("", 0),
]


@pytest.mark.parametrize(("reference", "answer"), SAME)
def test_the_same_value(reference, answer):
    assert same_value(reference, answer)
    mark = ExactMatch("a").grade(dspy.Example(a=reference), {"a": answer})
    assert mark.value == 1


@pytest.mark.parametrize(("reference", "answer"), OTHER)
def test_another_value(reference, answer):
    assert not same_value(reference, answer)
    assert ExactMatch("a").grade(dspy.Example(a=reference), {"a": answer}).value == 0


def test_an_empty_text_is_no_answer():
    assert ExactMatch("a").key({"a": " "}) is None
    assert ExactMatch("a").grade(dspy.Example(a=""), {"a": ""}).value == 0


KEYS = [
    (42, 42.0), ((1, 2), [1, 2]), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({3, 1, 2}, {2, 3, 1}), ("Rome", "rome "),
    (Place(town="Rome"), Place(town="ROME", number=0)), (Decimal("1.50"), Decimal("1.5")), ([1.0], [1]),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), KEYS)
def test_equal_answers_have_one_key(one, other):
    assert plain_value(one) == plain_value(other)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(VALUES, VALUES)
def test_any_two_values_can_be_compared(one, other):
    assert same_value(one, one)
    assert isinstance(same_value(one, other), bool)
    assert plain_value(one) == plain_value(one)


@given(st.integers() | st.floats(allow_nan=False), st.integers() | st.floats(allow_nan=False))
def test_numbers_are_equal_when_python_says_so(one, other):
    assume(isinstance(one, float) or isinstance(other, int))  # a long whole number is rounded to a declared float
    assert same_value(one, other) == (one == other)


FOUND = [  # the labels, a value, the label that it is
    (("0", "1"), True, "1"),
    (("0", "1"), False, "0"),
    (("0", "1"), 1, "1"),
    (("0", "1"), 1.0, "1"),
    (("0", "1"), "True", None),
    (("0", "1"), "1.0", None),
    (("False", "True"), True, "True"),
    (("no", "yes"), True, "yes"),
    (("No", "Yes"), "no", "No"),
    (("ham", "spam"), True, None),
    (("ham", "spam"), Verdict.YES, "spam"),
    (("NO", "YES"), Verdict.YES, "YES"),
    (("Verdict.NO", "Verdict.YES"), Verdict.NO, "Verdict.NO"),
    (Verdict, "spam", "spam"),
    (Verdict, Verdict.NO, "ham"),
    (Level, 2, "2"),
    (("1", "1.0"), 1, "1"),
    (("1.0", "01"), 1, None),  # which of them?
    ((True, False), "true", "True"),
    (("C", "c"), "c", "c"),
    (("caf\u00e9", "tea"), "cafe\u0301", "caf\u00e9"),
    (("a", "b"), None, None),
    (("a", "b"), ["a"], None),
]


@pytest.mark.parametrize(("names", "value", "label"), FOUND)
def test_the_label_that_a_value_is(names, value, label):
    assert Labels(names).find(value) == label


def test_labels_as_declared():
    assert [declared_label(v, bool) for v in (0, "1", True, "maybe")] == ["False", "True", "True", "maybe"]
    assert [declared_label(v, Verdict) for v in ("spam", "NO", Verdict.NO, "?")] == ["spam", "ham", "ham", "?"]
    assert [declared_label(v, str) for v in (0, "1", True, Verdict.YES)] == ["0", "1", "True", "spam"]
    assert as_declared("7", int) == 7
    assert label_text(Level.LOW) == "1"
