"""The command line as tests call it, and a small task of one's own for it."""

import csv
import json

from lbt_dspy.benchmarks.cli.main import main

ROW_NAMES = ["zero", "random", "round-0", "random-search", "m3-self", "m3-one", "m3-several"]

SMALL = "--exemplars 4 --selection-examples 12 --minibatch 6 --beam 2 --reflections 1 --rounds 1 --seeds 0".split()

TOPICS = {"food": ("soup", "bread", "oven"), "sport": ("match", "goal", "coach"), "tech": ("chip", "cloud", "code")}

ASK = ("--question", "What is it about?")

OWN = ("--train", "train.csv", "--test", "test.csv", *ASK)

PROGRAMS = """
import dspy
from lbt_dspy import classification

TOPICS = ("food", "sport", "tech")

class Desk(dspy.Module):
    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict(classification("What is it about?", TOPICS))
        self.urgency = dspy.Predict(classification("Is it urgent?", ("soon", "later"), label_field="urgency"))

    def forward(self, text):
        return dspy.Prediction(label=self.classify(text=text).label, urgency=self.urgency(text=text).urgency)

class Single(dspy.Module):
    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict(classification("What is it about?", TOPICS))

    def forward(self, text):
        return self.classify(text=text)

class Titled(Single):
    def forward(self, title):
        return self.classify(text=title)

class Greedy(Single):
    def forward(self, text, user):
        return self.classify(text=text)

class Blind(Single):
    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict(classification("What?", TOPICS, text_field="summary"))

class Nameless(Single):
    def __init__(self):
        super().__init__()
        self.classify = dspy.Predict(classification("What?", TOPICS, label_field="topic"))

class Silent(Single):
    def forward(self, text):
        return dspy.Prediction(topic=self.classify(text=text).label)

class Demanding(Single):
    def __init__(self, colour):
        super().__init__()

class Still(dspy.Module):
    def __init__(self):
        super().__init__()
        self.classify = ready.classify

class Empty(dspy.Module):
    def forward(self, text):
        return dspy.Prediction(label="food")

ready = Single()
plain = dspy.Predict(classification("Which topic?", TOPICS))
number = 3
"""


def run(*words, capsys=None):
    """Run in this process; return exit code, standard output and error."""
    try:
        code = main(list(words))
    except SystemExit as end:
        code = end.code
    out = capsys.readouterr()
    return code, out.out, out.err


def without_times(path):
    results = json.loads(path.read_text())
    results.pop("seconds")
    return results


def rows_of(tag, count, topics=tuple(TOPICS)):
    return [
        {"text": f"{tag} {i}: the {TOPICS[topic][i % 3]} and, the {TOPICS[topic][(i + 1) % 3]}", "label": topic}
        for i in range(count)
        for topic in topics
    ]


def write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
