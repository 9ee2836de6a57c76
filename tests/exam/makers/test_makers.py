"""Exam makers: which problems make the exam of a teaching problem, and that it is never among them."""

import logging
import pickle

import dspy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbt_dspy import Fixed, Nearest, SameKind, UserError, Variants


def problem(question, answer="1", inputs=("question",), **fields):
    return dspy.Example(question=question, answer=answer, **fields).with_inputs(*inputs)


BANK = [
    problem("What is 2 + 3?", unique_id="add", subject="sums", level=1),
    problem("What is 4 + 5?", unique_id="add", subject="sums", level=2),
    problem("What is 6 + 7?", unique_id="add", subject="sums", level=3),
    problem("How many legs has a dog?", unique_id="legs", subject="life", level=1),
    problem("How many legs has an ant?", unique_id="legs", subject="life", level=3),
    problem("Name the root of x = 9.", unique_id="root", subject="sums", level=2),
]
MAKERS = {
    "fixed": lambda bank=BANK, **options: Fixed(bank, **options),
    "variants": lambda bank=BANK, **options: Variants(bank, **options),
    "nearest": lambda bank=BANK, **options: Nearest(bank, **{"k": 20, **options}),
    "same kind": lambda bank=BANK, **options: SameKind(bank, level=None, **options),
}
every_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def questions(maker, teaching):
    return [p.example.question for p in maker.problems(teaching)]


def asked(question, **fields):
    """As the reranked program gives a teaching problem to the maker: no answer, only the program's inputs marked."""
    return dspy.Example(question=question, **fields).with_inputs("question")


NEW = asked("What is 8 + 9?", unique_id="add", subject="sums", level=2)


@pytest.mark.parametrize(
    ("maker", "numbers"),
    [
        (Fixed(BANK), [0, 1, 2, 3, 4, 5]),
        (Fixed(BANK, problems=2), [0, 1]),
        (Variants(BANK), [0, 1, 2]),
        (Variants(BANK, key="subject"), [0, 1, 2, 5]),
        (Variants(BANK, problems=1), [0]),
        (Nearest(BANK, k=3), [0, 1, 2]),
        (Nearest(BANK, k=3, problems=2), [0, 1]),
        (SameKind(BANK), [1, 5]),  # the same subject and level
        (SameKind(BANK, level="<"), [0]),  # easier exams; in the reference both branches tested ">"
        (SameKind(BANK, level=">"), [2]),
        (SameKind(BANK, level="<="), [0, 1, 5]),
        (SameKind(BANK, level=">="), [1, 2, 5]),
        (SameKind(BANK, level=1), [0]),
        (SameKind(BANK, level=None), [0, 1, 2, 5]),
        (SameKind(BANK, fields=()), [1, 5]),  # any subject, the same level
        (SameKind(BANK, fields="unique_id", level=None), [0, 1, 2]),  # one name is as good as a tuple
    ],
)
def test_what_fits(maker, numbers):
    assert questions(maker, NEW) == [BANK[i].question for i in numbers]


COPIES = [
    "What is 2 + 3?",
    "what is 2 + 3?",  # case
    "  What is\n2  +\t3? ",  # layout
    "What is \N{FULLWIDTH DIGIT TWO} + 3?",  # compatibility forms
    "What is\N{NO-BREAK SPACE}2 + 3?",
]


@every_maker
@pytest.mark.parametrize("copy", COPIES)
def test_the_teaching_problem_and_its_copies_are_never_in_the_exam(make, copy):
    kind = {"unique_id": "add", "subject": "sums"}
    bank = [*BANK, *(problem(text, **kind) for text in COPIES)]
    found = questions(make(bank), asked(copy, **kind))
    assert found
    assert not set(found) & set(COPIES)


@every_maker
def test_inputs_that_only_the_maker_asks_for_make_no_copy_another_problem(make):
    """`dspy.Evaluate` calls a program with the marked inputs, so `unique_id` is often marked in a bank as well."""
    marked = ("question", *make().about)
    bank = [e.with_inputs(*marked) for e in BANK]
    exam = make(bank).problems(asked("what is 2 + 3?", unique_id="add", subject="sums"))
    assert exam
    assert "What is 2 + 3?" not in [p.example.question for p in exam]
    assert {tuple(p.example.inputs().keys()) for p in exam} == {("question",)}


def test_an_input_that_the_bank_leaves_out_makes_no_copy_another_problem():
    teaching = dspy.Example(question="what is 2 + 3?", hint="Count.").with_inputs("question", "hint")
    assert "What is 2 + 3?" not in questions(Fixed(BANK), teaching)


def test_a_bank_of_something_else_is_refused():
    with pytest.raises(UserError, match="inputs question but the program is called with text; name them alike"):
        Fixed(BANK).problems(dspy.Example(text="What is 8 + 9?").with_inputs("text"))


@every_maker
def test_no_problem_comes_twice(make):
    found = questions(make(BANK + BANK), NEW)
    assert sorted(found) == sorted(set(found))
    assert set(found) == set(questions(make(), NEW))


def test_two_families_may_share_a_text():
    """The same text under another key is that family's variant too."""
    bank = [problem("Is it 7?", unique_id="a"), problem("Is it 7?", unique_id="b"), problem("Is it 8?", unique_id="b")]
    assert questions(Variants(bank), asked("Is it 9?", unique_id="b")) == ["Is it 7?", "Is it 8?"]


@every_maker
def test_a_random_order_is_drawn_for_each_problem_and_repeats(make):
    bank = [problem(f"What is {i} + {i}?", unique_id="add", subject="sums") for i in range(12)]
    asks = [asked(f"What is 1{i} + 2?", unique_id="add", subject="sums") for i in range(3)]
    first, again, other = (make(bank, order="random", problems=6, seed=seed) for seed in (0, 0, 1))
    drawn = [questions(first, teaching) for teaching in asks]
    assert [questions(again, teaching) for teaching in reversed(asks)] == drawn[::-1]
    assert len({tuple(found) for found in drawn}) == 3
    assert drawn != [questions(other, teaching) for teaching in asks]
    assert all(len(set(found)) == 6 for found in drawn)


TAGGED = [
    ("a", ["Array", "Graph"]),
    ("b", ["Array", "Math"]),
    ("c", ["Array", "Math"]),
    ("d", ["Graph"]),
    ("e", {"Array", "Math"}),
    ("f", "Array"),
]
SHARED = [  # tags of the teaching problem, problems wanted, which fit
    (["Array", "Math"], 3, "bce"),  # the rarest tag that gives enough
    (["Array", "Math"], 4, "abcef"),  # there are too few of the rarer one
    (["Array", "Graph"], 2, "ad"),
    (["Graph", "Array"], None, "ad"),
    (["Trie", "Graph"], 2, "ad"),  # nobody has the rarest
    (["Trie", "Graph"], 9, "ad"),  # never enough: as many as there are
    ({"Math", "Array"}, 3, "bce"),
    ("Math", None, "bce"),  # one value, among several
    (["Trie"], 2, ""),
    ([], 2, ""),
]


@pytest.mark.parametrize(("tags", "wanted", "fit"), SHARED)
def test_of_several_tags_the_rarest_that_gives_enough_is_shared(tags, wanted, fit):
    bank = [dspy.Example(question=name, tags=held).with_inputs("question") for name, held in TAGGED]
    maker = SameKind(bank, ("tags",), None, problems=wanted)
    teaching = dspy.Example(question="new", tags=tags).with_inputs("question")
    others = range(len(bank))
    assert "".join(TAGGED[i][0] for i in maker.fitting(teaching, others)) == fit


@every_maker
def test_too_few_are_said_once_or_refused(make, caplog):
    maker = make(problems=10)
    with caplog.at_level(logging.WARNING, logger="lbt_dspy"):
        for _ in range(3):
            assert 3 <= len(maker.problems(NEW)) < 10
    assert len(caplog.records) == 1
    assert "10 asked for" in caplog.text
    with pytest.raises(UserError, match=r"10 asked for.*give a larger bank or ask for fewer problems"):
        make(problems=10, strict=True).problems(NEW)


def test_no_problem_at_all_is_too_few(caplog):
    lonely = asked("What is 8 + 9?", unique_id="none")
    with caplog.at_level(logging.WARNING, logger="lbt_dspy"):
        assert Variants(BANK).problems(lonely) == []
    assert "0 exam problems" in caplog.text
    with pytest.raises(UserError, match="0 exam problems"):
        Variants(BANK, strict=True).problems(lonely)


@pytest.mark.parametrize(("maker", "field"), [(Variants(BANK), "unique_id"), (SameKind(BANK), "subject")])
def test_a_field_that_nobody_knows_is_asked_for(maker, field):
    with pytest.raises(UserError, match=f"call the program with {field}=.* or give .* as teaching="):
        maker.problems(asked("What is 8 + 9?"))


@every_maker
def test_fields_may_come_from_teaching(make):
    known = [problem("What is 8 + 9?", unique_id="add", subject="sums")]
    assert questions(make(teaching=known), asked("what is 8 + 9?")) == questions(make(), NEW)


def test_what_the_call_says_wins_over_teaching():
    maker = Variants(BANK, teaching=[problem("What is 8 + 9?", unique_id="add")])
    assert questions(maker, asked("What is 8 + 9?", unique_id="root")) == ["Name the root of x = 9."]


def test_levels_that_cannot_be_compared_are_refused():
    with pytest.raises(UserError, match="level is '2' in the teaching problem and 1 in the bank; give numbers"):
        SameKind(BANK, level="<").problems(asked("What is 8 + 9?", subject="sums", level="2"))


def lengths(texts):
    return np.array([[len(text), 10.0] for text in texts])


def test_any_embedder_finds_neighbours():
    bank = [problem("x" * n) for n in (3, 12, 30, 90)]
    teaching = asked("y" * 33)
    for embedder in (lengths, dspy.Embedder(lengths)):
        assert [len(q) for q in questions(Nearest(bank, k=2, embedder=embedder), teaching)] == [30, 90]


def test_the_default_embedder_goes_by_words():
    bank = [problem("The train leaves at nine."), problem("A dog has four legs."), problem("Trains carry coal.")]
    assert questions(Nearest(bank, k=1), asked("How many legs has a spider?")) == ["A dog has four legs."]
    assert len(questions(Nearest(bank, k=2), asked("\N{SNOWMAN}"))) == 2  # nothing in common: the first ones


@every_maker
def test_makers_can_be_pickled(make):
    maker = make()
    expected = questions(maker, NEW)
    assert questions(pickle.loads(pickle.dumps(maker)), NEW) == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fixed([]), "the bank of Fixed is empty; give problems"),
        (lambda: Fixed(BANK, problems=0), "problems must be a whole number of at least 1 but got 0; leave it out"),
        (lambda: Fixed(BANK, problems=1.5), "problems must be a whole number of at least 1 but got 1.5"),
        (lambda: Fixed(BANK, order="last"), "order must be one of first, random but got 'last'"),
        (lambda: Fixed([dspy.Example(question="q")]), r"problem 0 of the bank has no inputs; call .with_inputs\(...\)"),
        (lambda: Fixed([problem("q", inputs=())]), "problem 0 of the bank has no inputs"),
        (lambda: Variants([*BANK, problem("q")]), "problem 6 of the bank has no field 'unique_id', only question"),
        (lambda: SameKind(BANK, level="=="), "level must be one of =, <, >, <=, >= but got '=='"),
        (lambda: SameKind([problem("q", level=1)]), "problem 0 of the bank has no field 'subject'"),
        (lambda: SameKind([problem("q", subject="s")]), "problem 0 of the bank has no field 'level'"),
        (lambda: Nearest(BANK, k=0), "k must be a whole number of at least 1 but got 0"),
    ],
)
def test_options_out_of_bounds(make, message):
    with pytest.raises(UserError, match=message):
        make()


@given(
    texts=st.lists(st.sampled_from(["a", "A", " b", "b ", "c", "d", "e"]), min_size=1, max_size=8),
    teaching=st.sampled_from(["a", "B", "c", "z"]),
    most=st.integers(1, 5),
    order=st.sampled_from(["first", "random"]),
)
def test_an_exam_has_no_copies_and_at_most_so_many_problems(texts, teaching, most, order):
    found = questions(Fixed([problem(t) for t in texts], problems=most, order=order), asked(teaching))
    plain = [text.strip().casefold() for text in found]
    assert len(plain) == len(set(plain))
    assert teaching.casefold() not in plain
    assert len(plain) == min(most, len({t.strip().casefold() for t in texts} - {teaching.casefold()}))
