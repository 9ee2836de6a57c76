"""Fixtures: tiny data, embedded models, and the fault-injecting server where it is at hand."""

import functools
import importlib.util
import json
import os
import sys
import urllib.request
from pathlib import Path

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import dspy
import hypothesis
import pytest

from lbt_dspy import UserError, classification
from lbt_dspy.metrics.sandbox import run_program, strongest

sys.dont_write_bytecode = False  # else each process that a test starts compiles all that it imports, for seconds
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("steady")

ROOT = Path(__file__).parent.parent
SERVER = Path(os.environ.get("LBT_TEST_SERVER", ROOT.parent / "shared" / "tools" / "llm_server.py"))
DATA = Path(os.environ.get("LBT_DATA_DIR", ROOT.parent / "shared" / "data"))


PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
"""How many of these tests run at once, and share the folder of temporary files."""


def slow(*values):
    """Parameters of a test that are tried with the slow ones."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


@functools.cache
def why_not(isolation):
    """Why that sandbox does not work here."""
    try:
        run_program("", ["pass"], isolation=isolation)
    except UserError as error:
        return f"{isolation}: {error}"
    return None


@pytest.fixture(params=["bubblewrap", "weak"])
def isolation(request):
    """Each sandbox that works here."""
    if why := why_not(request.param):
        pytest.skip(why)
    return request.param


@pytest.fixture
def held():
    """The stronger of the sandboxes that work here."""
    if why_not("bubblewrap") and (why := why_not("weak")):
        pytest.skip(why)
    return strongest(allow_weak=True)


@pytest.fixture
def program():
    return dspy.Predict(classification("Is it good?", ("Yes", "No")))


@pytest.fixture
def examples():
    """60 short texts whose label can be learned from their words."""
    good, bad = ["bright", "kind", "calm", "sweet", "fresh"], ["sour", "dull", "harsh", "stale", "grim"]
    nouns = ["soup", "day", "song", "room", "talk", "walk"]
    rows = [(f"A {w} {n}, we thought.", "Yes") for w in good for n in nouns]
    rows += [(f"The {w} {n} again, they said.", "No") for w in bad for n in nouns]
    return [dspy.Example(text=text, label=label).with_inputs("text") for text, label in rows]


def load_server_module():
    spec = importlib.util.spec_from_file_location("llm_server", SERVER)
    module = importlib.util.module_from_spec(spec)
    sys.modules["llm_server"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server():
    """Start the real server process with options; gives its base URL as a context manager."""
    if not SERVER.is_file():
        pytest.skip("the fault-injecting server is not at hand; name it with LBT_TEST_SERVER")
    return load_server_module().running_server


def stats(base_url):
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/stats") as response:
        return json.load(response)


@pytest.fixture
def data_dir():
    if not DATA.is_dir():
        pytest.skip("the data folder is not at hand; name it with LBT_DATA_DIR")
    return DATA


@pytest.fixture
def short_waits(monkeypatch):
    """Retries come soon, unless a server asks for more."""
    from lbt_dspy.ledger import payment

    monkeypatch.setattr(payment, "FIRST_WAIT", 0.01)


def pytest_xdist_auto_num_workers():
    """One more than there are cores: a test that waits for a server leaves its core to others."""
    return (os.cpu_count() or 1) + 1


LONGEST = (
    "test_classroom_command.py::test_teaching_beats", "test_exam_size.py::test_a_third", "test_kill.py",
    "test_command.py::test_a_run_that_is_killed", "test_schedule.py::test_lossless_is_the_full_exam_on_2000",
    "test_study.py", "test_under_faults.py::test_thousands", "test_sandbox_data.py", "test_code_task.py::test_every",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """The longest first: else one process is still at work on them when the others have nothing left to do."""
    items.sort(key=lambda item: not any(name in item.nodeid for name in LONGEST))


OURS = tuple(str(ROOT / folder) for folder in ("lbt_dspy", "metrics", "programs", "benchmarks"))
_warned = []


def pytest_warning_recorded(warning_message, nodeid):
    """Keep what dependencies say of how we use them: inside of calls it is shown, never raised (`lbt_dspy.warned`)."""
    if warning_message.filename.startswith(OURS):
        said = f"{warning_message.category.__name__}: {warning_message.message}"
        _warned.append(f"{warning_message.filename}:{warning_message.lineno}: {said} (in {nodeid})")


def pytest_sessionfinish(session):
    if _warned and not hasattr(session.config, "workerinput"):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    for line in _warned:
        terminalreporter.write_line(f"FAILED: our code was warned: {line}", red=True)
