import math

import dspy
import numpy as np
import pytest
from dspy.lm15 import request_from_openai_chat
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB

from lbt_dspy import UserError, classification
from lbt_dspy.benchmarks.tasks.classification.data import load_data
from lbt_dspy.lms.embedded import STUDENTS, TEACHER, embedded_lm, fitting
from lbt_dspy.lms.embedded.classifiers import TextClassifier, text_features
from lbt_dspy.lms.embedded.engines import reflect, swap_cases
from lbt_dspy.lms.logprobs import decode
from lbt_dspy.lms.prompt import read_question
from lbt_dspy.lms.user_lm import engine_of
from lbt_dspy.sampling import stream
from lbt_dspy.signatures import Reflect, Revise


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter(), dspy.JSONAdapter()], ids=["chat", "json"])
@pytest.mark.parametrize("name", [*STUDENTS, TEACHER])
def test_students_learn_what_the_demonstrations_teach(name, adapter, program, examples):
    """Through plain DSPy: with demonstrations they answer well, with swapped labels they answer as taught."""
    swap = {"Yes": "No", "No": "Yes"}
    swapped = [e.copy(label=swap[e.label]) for e in examples]
    with dspy.context(lm=embedded_lm(name), adapter=adapter):
        for teaching, expected in ((examples, "Yes"), (swapped, "No")):
            program.demos = teaching[::3]
            answers = [program(text=e.text).label for e in examples[1:30:3]]
            assert answers.count(expected) >= 9


@pytest.mark.parametrize("name", [*STUDENTS, TEACHER])
def test_without_demonstrations_they_toss_a_seeded_coin(name, program, examples):
    with dspy.context(lm=embedded_lm(name)):
        tosses = [[program(text=e.text, config={"seed": s}).label for e in examples] for s in (1, 1, 2)]
    assert tosses[0] == tosses[1] != tosses[2]
    assert 15 <= tosses[0].count("Yes") <= 45


def test_demonstrations_of_one_label_teach_nothing(program, examples):
    program.demos = examples[:5]
    with dspy.context(lm=embedded_lm("embedded/words")):
        assert {program(text=e.text).label for e in examples} == {"Yes", "No"}


def test_students_err_differently():
    data = load_data("fallacy", None, ())
    program = data.task.program()
    program.demos = list(data.train[:12])
    answers = {}
    for name in STUDENTS:
        with dspy.context(lm=embedded_lm(name)):
            answers[name] = tuple(program(text=e.text).label for e in data.test[:60])
    assert len(set(answers.values())) == len(STUDENTS)


def test_the_hashed_classifier_is_scikit_learns(examples):
    lessons = tuple((e.text, e.label) for e in examples[::4])
    mine = TextClassifier("words").fit(lessons)
    pipeline = TfidfVectorizer().fit([text for text, _ in lessons])
    theirs = LogisticRegression(class_weight="balanced")
    theirs.fit(pipeline.transform([t for t, _ in lessons]), [label for _, label in lessons])
    for example in examples:
        expected = theirs.decision_function(pipeline.transform([example.text]))[0]
        assert mine.scores(text_features("word").texts((example.text,)))[0][1] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("number", [2, 3])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=25)
def test_fits_are_scikit_learns(number, seed):
    """On counts of any kind, features that no text has and classes of unequal size among them."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.4, (int(rng.integers(number, 13)), int(rng.integers(1, 40)))).astype(float)
    classes = rng.permutation(np.arange(len(counts)) % number)
    tfidf = TfidfTransformer()
    rows = tfidf.fit_transform(counts).toarray()
    assert fitting.inverse_frequencies(counts) == pytest.approx(tfidf.idf_)
    assert fitting.unit_rows(counts * fitting.inverse_frequencies(counts)) == pytest.approx(rows)
    assert fitting.complement_bayes(counts, classes) == pytest.approx(
        ComplementNB().fit(counts, classes).feature_log_prob_
    )
    theirs = LogisticRegression(class_weight="balanced").fit(rows, classes)
    mine = rows @ (fitted := fitting.logistic(rows, classes))[0].T + fitted[1]
    margins = theirs.decision_function(rows)
    assert (mine if number > 2 else mine[:, 1]) == pytest.approx(margins, abs=1e-3)


@pytest.mark.parametrize("name", [*STUDENTS, TEACHER])
def test_a_question_has_one_answer_alone_and_among_others(name, program, examples):
    """Whatever stands beside it: questions after other demonstrations, with other settings, repeated, unknown words."""
    engine = engine_of(embedded_lm(name))
    texts = [e.text for e in examples[::7]] + ["Zzyzx.", "Zzyzx.", "..."]
    requests = [
        request_from_openai_chat(
            {"model": name, "messages": dspy.ChatAdapter().format(program.signature, demos, {"text": t}), **more}
        )
        for demos in (examples[:40:5], examples[:6], [], examples[::9])
        for more in ({}, {"logprobs": True, "top_logprobs": 5}, {"seed": 3})
        for t in texts
    ]
    together = list(engine.answer_many(requests))
    assert together == [engine.answer(request) for request in requests]
    mixed = stream(0, "order").permutation(len(requests))
    assert list(engine.answer_many([requests[i] for i in mixed])) == [together[i] for i in mixed]
    decoded = [decode(answer.logprobs) for answer in together if answer.logprobs]
    assert decoded
    assert all(
        sum(map(math.exp, dict(top).values())) == pytest.approx(1, abs=1e-3)
        for tokens in decoded
        for _, _, top in tokens[1:2]
    )


def test_three_labels(program):
    task = dspy.Predict("text -> label")
    words = {"red": "warm", "blue": "cold", "grey": "none"}
    task.demos = [dspy.Example(text=f"{w} {x}", label=label) for w, label in words.items() for x in ("sky", "wall")]
    with dspy.context(lm=embedded_lm("embedded/teacher")):
        assert [task(text=f"a {w} door").label for w in words] == ["warm", "cold", "none"]


def test_the_teacher_reflects_and_revises_through_plain_dspy(examples):
    exemplars = [{"text": e.text, "label": e.label} for e in (examples[0], examples[40])]
    cases = [
        {"inputs": {"text": "A gloomy cellar."}, "answer": {"label": "No"}, "students_answered": {"student 1": "Yes"}}
    ]
    with dspy.context(lm=embedded_lm("embedded/teacher", seed=4)):
        reflection = dspy.Predict(Reflect)(task="t", exemplars=exemplars, failure_cases=cases).reflection
        assert "gloomy" in reflection
        revised = dspy.Predict(Revise)(
            task="t", exemplars=exemplars, failure_cases=cases, reflection=reflection, number=2
        ).revised_exemplars
    assert revised == [exemplars[0], {"text": "A gloomy cellar.", "label": "No"}]


def test_swaps_keep_size_and_label_balance(examples):
    exemplars = [{"text": e.text, "label": e.label} for e in examples[::8]]
    cases = [{"inputs": {"text": f"case {i}"}, "answer": {"label": "Yes"}} for i in range(4)]
    for number in range(20):
        revised = swap_cases(exemplars, cases, stream(0, "t", number))
        assert [e["label"] for e in revised] == [e["label"] for e in exemplars]
        assert 1 <= sum(old != new for old, new in zip(exemplars, revised, strict=True)) <= 4


def test_reflect_names_words_that_the_exemplars_lack():
    text = reflect([{"text": "old words", "label": "No"}], [{"inputs": {"text": "old news travels"}}])
    assert "news, travels" in text
    assert "old" not in text


def test_prompts_that_cannot_be_read_fail_loudly(program, examples):
    with dspy.context(lm=embedded_lm("embedded/words"), adapter=dspy.XMLAdapter()):
        with pytest.raises(Exception, match="understands dspy"):
            program(text="x")
    with pytest.raises(UserError, match="unknown embedded model"):
        embedded_lm("embedded/wrods")
    open_question = dspy.Predict("text -> story")
    with dspy.context(lm=embedded_lm("embedded/words")), pytest.raises(Exception, match="classifies"):
        open_question(text="x")


def test_questions_are_read_back_from_both_layouts(program):
    for adapter in (dspy.ChatAdapter(), dspy.JSONAdapter()):
        text = adapter.format(program.signature, [], {"text": "a [[ ## odd ## ]] text\n\nwith lines"})[-1]["content"]
        inputs, names, as_json = read_question(text)
        assert inputs == {"text": "a [[ ## odd ## ]] text\n\nwith lines"}
        assert names == ("label",)
        assert as_json is isinstance(adapter, dspy.JSONAdapter)


@pytest.mark.parametrize("name", [*STUDENTS, TEACHER])
def test_a_program_with_an_embedded_model_is_saved_and_loaded(name, program, examples, tmp_path):
    program.lm = embedded_lm(name)
    program.demos = examples[::6]
    program.save(str(tmp_path / "p.json"))
    loaded = dspy.Predict(program.signature)
    loaded.load(str(tmp_path / "p.json"), allow_unsafe_lm_state=True)
    assert loaded(text=examples[1].text).label == program(text=examples[1].text).label


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter(), dspy.JSONAdapter()], ids=["chat", "json"])
def test_labels_with_quotes_and_commas_are_read_from_the_prompt(adapter):
    labels = ('billing, "money"', "delivery / post", 'say "x"')
    program = dspy.Predict(classification("What?", labels))
    with dspy.context(lm=embedded_lm("embedded/teacher"), adapter=adapter):
        assert {program(text=f"t {i}").label for i in range(20)} == set(labels)
