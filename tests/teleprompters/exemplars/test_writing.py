"""A teacher that writes: first lists from the question alone, and paraphrases."""

import json
import re

import dspy
import pytest
from conftest import slow

from lbt_dspy import LbTExemplars, Ledger, classification
from lbt_dspy.lms.embedded import embedded_lm
from lbt_dspy.lms.engine import Answer, ModelEngine, lm_of
from lbt_dspy.metrics import BinaryF1, MacroF1

GOOD, BAD = ("bright", "kind", "calm", "sweet", "fresh"), ("sour", "dull", "harsh", "stale", "grim")


class Author(ModelEngine):
    """A rule in the place of a language model: it writes exemplars, says them in other words, and reads a lexicon."""

    in_process = True

    def __init__(self):
        super().__init__("test/author", "test/author")
        self.asked = []

    def answer(self, request, faults=()):
        text = request.messages[-1].text
        wish = re.findall(r"\[\[ ## (\w+) ## \]\]", text.rpartition("Respond with")[2])[0]
        self.asked.append(wish)
        if wish == "written_exemplars" and "[[ ## answers ## ]]" in text:
            written = [{"text": f"A {w} thing.", "label": "Yes"} for w in GOOD]
            written += [
                {"text": "A middling thing.", "label": "Perhaps"},
                {"text": f"A {BAD[0]} thing.", "label": "No"},
            ]
            value = json.dumps(written)
        elif wish == "written_exemplars":
            shown = json.loads(re.search(r"\[\[ ## exemplars ## \]\]\n(.*)\n", text).group(1))
            value = json.dumps([{**e, "text": "In other words: " + e["text"]} for e in shown])
        elif wish == "revised_exemplars":
            value = json.dumps([{"text": f"A {w} revision {len(self.asked)}.", "label": "No"} for w in BAD[:4]])
        elif wish == "reflection":
            value = "The exemplars do not show enough of the bad words."
        else:
            value = "Yes" if any(w in text for w in GOOD) and "revision" not in text else "No"
        return Answer(f"[[ ## {wish} ## ]]\n{value}\n\n[[ ## completed ## ]]")


@pytest.fixture
def examples():
    """60 texts that differ in one word only, so that students who read four of them fail on many."""
    nouns = ["soup", "day", "song", "room", "talk", "walk"]
    return [
        dspy.Example(text=f"We had a {w} {n} today.", label=label).with_inputs("text")
        for label, words in (("Yes", GOOD), ("No", BAD))
        for w in words
        for n in nouns
    ]


@pytest.fixture
def author():
    program = dspy.Predict(classification("Is it good?", ("Yes", "No")))
    program.lm = lm_of(Author())
    return program


def optimizer(**options):
    given = {
        "metric": BinaryF1("Yes", ("Yes", "No")), "exam_students": [embedded_lm("embedded/words")], "exemplars": 4,
        "rounds": 1, "selection_examples": 20, "minibatch": 12, "reflections": 2,
    }  # fmt: skip
    return LbTExemplars(**{**given, **options})


@pytest.mark.parametrize("search", ["utility", "beam", "tpe"])
def test_round_0_is_written_from_the_question_alone(search, author, examples):
    """What is refused (no such label) and what is missing (a label) is filled from the training set."""
    found = optimizer(search=search, init="generate", rounds=0).optimize(author, trainset=examples)
    first = found.best.exemplar_set
    assert first.origin == "generated from the question, 1 refused"
    assert [e.text for e in first.exemplars[:3]] == ["A bright thing.", "A kind thing.", "A calm thing."]
    assert {e.label for e in first.exemplars} == {"Yes", "No"}
    assert author.lm.engine.asked.count("written_exemplars") == 1


@pytest.mark.parametrize("search", ["utility", *slow("beam", "tpe")])
def test_a_search_goes_on_from_what_was_written(search, author, examples):
    found = optimizer(search=search, init="generate", rounds=2, evaluations=2000).optimize(author, trainset=examples)
    assert found.rounds[0].beam[0].exemplar_set.origin.startswith("generated")
    if search == "utility":
        origins = {v.origin for v in found.values}
        assert any(origin.startswith("generated") for origin in origins)
        assert any("written by the teacher" in origin for origin in origins)


def test_a_label_that_no_training_example_has_may_be_written(author, examples):
    """The signature allows it, so the teacher may give an exemplar of it."""
    author.signature = classification("Is it good?", ("Yes", "No", "Perhaps"))
    opt = optimizer(metric=MacroF1(("Yes", "No", "Perhaps")), init="generate", exemplars=7, rounds=0)
    assert "Perhaps" in {e.label for e in opt.optimize(author, trainset=examples).best.exemplar_set.exemplars}


def test_paraphrases_are_further_sets_of_the_beam(author, examples):
    found = optimizer(search="beam", paraphrases=2, ledger=Ledger()).optimize(author, trainset=examples)
    origins = [s.exemplar_set.origin for s in found.rounds[1].scored]
    assert [o for o in origins if o.endswith("paraphrase 1")]
    said = [s.exemplar_set for s in found.rounds[1].scored if "paraphrase" in s.exemplar_set.origin]
    assert all(e.text.startswith("In other words: ") for s in said for e in s.exemplars)
    assert found.sets_scored > len(optimizer(search="beam").optimize(author, trainset=examples).rounds[1].scored)
