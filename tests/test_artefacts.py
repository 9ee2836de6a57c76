"""What commit 64df86f wrote: runs resume without a request, programs load and say the same, no flag is gone."""

import gzip
import importlib
import json
import re
import shutil
import sqlite3
import sys
from pathlib import Path

import dspy
import pytest

from lbt_dspy import metrics
from lbt_dspy.benchmarks.cli import compare, parser, predict
from lbt_dspy.benchmarks.cli.main import main
from lbt_dspy.lms.roles import LMRoles
from lbt_dspy.metrics import MathAnswer
from lbt_dspy.moved import HOMES
from lbt_dspy.signatures import classification

KEPT = Path(__file__).parent / "artefacts"
RUNS = ["m1-classroom", "m1-server", "m2", "m3", "m3-beam"]
LONG = ("m1-classroom", "m2", "m3-beam")
pickled_here = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="whole programs are of one Python version")


@pytest.fixture
def kept(tmp_path):
    """A copy of all that was written, where it can be gone on with."""
    folder = tmp_path / "kept"
    shutil.copytree(KEPT, folder)
    for path in folder.rglob("*.json"):
        path.write_text(path.read_text(encoding="utf-8").replace("@HERE@", str(folder)), encoding="utf-8")
    for path in folder.rglob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    return folder


def requests(folder):
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        return journal.execute("SELECT role, lm, requests FROM sent ORDER BY role, lm").fetchall()


def results(folder):
    found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return {name: value for name, value in found.items() if name not in ("seconds", "versions")}


@pytest.mark.parametrize("client", ["lean", pytest.param("litellm", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in RUNS])
def test_a_run_is_gone_on_with_for_free(name, client, kept):
    if client == "litellm" and name != "m1-server":
        pytest.skip("its models are in process")
    folder = kept / name
    before, told = requests(folder), None if name == "m2" else results(folder)
    assert main(["--resume", str(folder), "--quiet", "--client", client]) == 0
    assert requests(folder) == before
    if name == "m2":
        made = folder / "seed-0" / "pairs" / "round-1"
        for file in ("lessons.jsonl", "pairs.jsonl"):
            assert (made / file).read_text(encoding="utf-8") == (folder / file).read_text(encoding="utf-8")
    else:
        assert results(folder) == told


def says():
    return json.loads((KEPT / "says.json").read_text(encoding="utf-8"))


def texts():
    return [line.rsplit(",", 1)[0].strip('"') for line in (KEPT / "data" / "test.csv").read_text().splitlines()[1:]]


def test_a_saved_state_says_the_same():
    program = dspy.Predict(classification("Is this praise or blame?", ("praise", "blame")))
    program.load(KEPT / "exemplars.json", allow_unsafe_lm_state=True)
    program.set_lm(LMRoles().lms(["embedded/teacher"])[0])
    assert [program(text=text).label for text in texts()] == says()["exemplars"]


@pickled_here
def test_a_whole_classifier_says_the_same():
    program = dspy.load(KEPT / "exemplars-whole", allow_pickle=True)
    program.set_lm(LMRoles().lms(["embedded/teacher"])[0])
    assert [program(text=text).label for text in texts()] == says()["exemplars"]


@pickled_here
def test_a_whole_reranked_program_says_the_same():
    """It holds modules by the paths that they had."""
    program = dspy.load(KEPT / "reranked-whole", allow_pickle=True)
    program.program.set_lm(LMRoles().lms(["embedded/classroom-teacher"])[0])
    for expected in says()["reranked"]:
        found = program(**expected["asked"])
        assert found[program.answer_field] == expected["answer"]
        assert (found.lbt_score, found.votes) == (expected["lbt_score"], expected["votes"])


def test_no_flag_is_gone(capsys):
    told = json.loads((KEPT / "help.json").read_text(encoding="utf-8"))
    parsers = {"lbt": parser.parser(), "lbt predict": predict.parser(), "lbt compare": compare.parser()}
    for name, text in told.items():
        flags = set(re.findall(r"(?<![\w`-])--[a-z][a-z0-9-]+", text))
        if name in parsers:
            assert flags <= {flag for action in parsers[name]._actions for flag in action.option_strings}, name
        else:
            script = importlib.import_module(f"lbt_dspy.benchmarks.{Path(name).stem}")
            with pytest.raises(SystemExit):
                script.main(["--help"])
            assert flags <= set(re.findall(r"--[a-z][a-z0-9-]+", capsys.readouterr().out)), name


def test_moved_modules_are_found_by_their_old_names():
    for old, new in HOMES.items():
        if not new.endswith((".train", ".measure")):
            found = importlib.import_module(f"lbt_dspy.{old}")
            assert found is sys.modules[f"lbt_dspy.{new}"]
            assert (found.__name__, found.__spec__.name) == (f"lbt_dspy.{new}",) * 2


def test_a_function_is_not_hidden_by_the_module_that_had_its_name():
    old = importlib.import_module("lbt_dspy.metrics.math_answer")
    assert old.MathAnswer is MathAnswer
    assert callable(metrics.math_answer)
