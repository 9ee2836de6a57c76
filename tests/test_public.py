import builtins
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import typing
from types import SimpleNamespace

import dspy
import pytest

import lbt_dspy

SURFACE = [
    "Account", "Budget", "BudgetSpentError", "CallPlan", "ExactMatch", "Exam", "ExamMaker", "ExamProblem",
    "ExamReport", "Examiner", "Fixed", "Grader", "Journal", "LMRoles", "LbTDPO", "LbTError", "LbTExemplars",
    "LbTRerank", "Ledger", "Mark", "ModelRejectedError", "ModelUnreachableError", "Nearest", "NoAnswerError",
    "NoCandidateError", "PlannedCalls", "Predicted", "Predictor", "Reply", "SameKind", "SearchWithinCalls",
    "Sitting", "StoppedError", "UserError", "Variants", "__version__", "classification", "teaching_plans",
    "within_calls",
]  # fmt: skip


def test_the_public_surface_is_pinned():
    assert sorted(lbt_dspy.__all__) == sorted(SURFACE)
    assert all(getattr(lbt_dspy, name) is not None for name in SURFACE)
    assert set(SURFACE) <= set(dir(lbt_dspy))


@pytest.mark.parametrize("command", [[], ["predict"], ["compare"]], ids=" ".join)
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys\n"
        "from lbt_dspy.benchmarks.cli.main import main\n"
        f"try: main({[*command, '--help']})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'dspy', 'litellm', 'sklearn', 'numpy', 'matplotlib', 'rich', 'datasets', 'pyarrow'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("--rows" if command == ["compare"] else "--max-calls") in done.stdout


def faces():
    """Every package that says what is public in it, with those names."""
    packages = [info.name for info in pkgutil.walk_packages(lbt_dspy.__path__, "lbt_dspy.") if info.ispkg]
    for name in ("lbt_dspy", *packages):
        if "benchmarks" not in name:
            package = importlib.import_module(name)
            yield from ((name, getattr(package, shown)) for shown in getattr(package, "__all__", ()))


def methods_of(thing):
    """Its public functions and properties, if they are ours."""
    found = [thing]
    if inspect.isclass(thing):
        found = [value for name, value in inspect.getmembers(thing) if not name.startswith("_")]
    functions = [f.fget if isinstance(f, property) else f for f in found]
    return [f for f in functions if inspect.isfunction(f) and f.__module__.startswith("lbt_dspy")]


def classes_in(hint):
    if inspect.isclass(hint) and hint.__module__.startswith("lbt_dspy"):
        yield hint
    for part in typing.get_args(hint):
        yield from classes_in(part)


def returned_by(function):
    known = {"dspy": dspy, "Material": typing.Any, **vars(sys.modules[function.__module__])}
    known["datasets"] = SimpleNamespace(Dataset=object)
    hint = typing.get_type_hints(function, known).get("return")
    return list(classes_in(hint))


def test_what_public_methods_return_and_raise_is_public():
    shown = list(faces())
    public = {id(thing) for _, thing in shown}
    names = {thing.__name__ for _, thing in shown if inspect.isclass(thing)}
    hidden = set()
    for package, thing in shown:
        for function in methods_of(thing):
            place = f"{package}: {function.__qualname__}"
            hidden |= {(place, c.__name__) for c in returned_by(function) if id(c) not in public}
            raised = re.findall(r"^ +(\w+Error): ", inspect.getdoc(function) or "", re.MULTILINE)
            hidden |= {(place, name) for name in raised if name not in names and not hasattr(builtins, name)}
    assert not hidden
