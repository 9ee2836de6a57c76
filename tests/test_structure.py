"""The floor plan: which folder may import which, no circles, small rooms, and imports inside functions by name only."""

import ast
import functools
import importlib.machinery
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOPS = {"lbt_dspy": "lbt_dspy", "metrics": "lbt_dspy.metrics", "programs": "lbt_dspy.programs",
        "benchmarks": "lbt_dspy.benchmarks"}  # fmt: skip
FILES = {
    ".".join((name, *(part for part in path.relative_to(ROOT / top).with_suffix("").parts if part != "__init__"))): path
    for top, name in TOPS.items()
    for path in sorted((ROOT / top).rglob("*.py"))
}
STAIR = (
    ("lbt_dspy.lms", "lbt_dspy.ledger", "lbt_dspy.exam", "lbt_dspy.teleprompters", "lbt_dspy.testing"),
    ("lbt_dspy.benchmarks.tasks", "lbt_dspy.benchmarks.shared",
     ("lbt_dspy.benchmarks.m1", "lbt_dspy.benchmarks.m3"), "lbt_dspy.benchmarks.m2",
     ("lbt_dspy.benchmarks.cli", "lbt_dspy.benchmarks.studies")),
)  # fmt: skip
"""Each may import what stands before it; what stands on no step is the ground, and may import none of them."""
FACES = {"lbt_dspy", "lbt_dspy.lazy", "lbt_dspy.moved"}
MOST = 16
MAY_IMPORT = {
    "lbt_dspy": {"lbt_dspy"},
    "metrics": {"lbt_dspy", "metrics"},
    "programs": {"lbt_dspy", "programs"},
    "benchmarks": {"lbt_dspy", "metrics", "programs", "benchmarks"},
}


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(node):
    """The modules of ours that an import statement names."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names} & set(FILES)
    assert node.level == 0, "relative import"
    names = {f"{node.module}.{alias.name}" for alias in node.names}
    return (names & set(FILES)) or ({node.module} & set(FILES))


def statements(tree):
    """All import statements, each with whether it stands in a function; those for the type checker alone are none."""

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and getattr(child.test, "id", None) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield child, inside
            yield from walk(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    return walk(tree, False)


@functools.cache
def arrows_of(name):
    """The modules of ours that a module imports."""
    return {target for node, _ in statements(tree_of(FILES[name])) for target in imported(node)} - {name}


def top_of(name):
    return next(
        (top for top, root in TOPS.items() if top != "lbt_dspy" and f"{name}.".startswith(f"{root}.")), "lbt_dspy"
    )


def step_of(name):
    """Staircase, and step in it, of a module; `None`: the ground."""
    for number, steps in enumerate(STAIR):
        for height, folders in enumerate(steps):
            for folder in folders if isinstance(folders, tuple) else (folders,):
                if f"{name}.".startswith(f"{folder}."):
                    return number, height, folder
    return None


@pytest.mark.parametrize("name", sorted(FILES))
def test_arrows_point_down(name):
    targets = arrows_of(name)
    assert {top_of(target) for target in targets} <= MAY_IMPORT[top_of(name)]
    if name in FACES:
        return
    here = step_of(name)
    for target in targets:
        there = step_of(target)
        if there is None or (here is not None and here[0] != there[0]):
            continue
        if here is None:
            assert top_of(name) != top_of(target) or name.count(".") == 2, f"the ground imports {target}"
        else:
            assert here[1] > there[1] or here[2] == there[2], f"{name} imports {target}"


def test_there_is_no_circle():
    """Imports inside of functions count."""
    seen, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in seen:
            return
        path.append(name)
        for target in sorted(arrows_of(name)):
            visit(target)
        path.pop()
        seen.add(name)

    for name in sorted(set(FILES) - FACES):
        visit(name)


TESTS = sorted({path.parent for path in (ROOT / "tests").rglob("*.py")})


@pytest.mark.parametrize(
    "folder", sorted({str(folder.relative_to(ROOT)) for folder in (*(p.parent for p in FILES.values()), *TESTS)})
)
def test_no_folder_has_many_modules(folder):
    modules = [path for path in (ROOT / folder).glob("*.py") if path.stem not in ("__init__", "conftest")]
    assert len(modules) <= MOST


def test_tests_mirror_the_folders():
    beside = {"", "contract", "doubles", "live"}
    for folder in TESTS:
        name = folder.relative_to(ROOT / "tests").as_posix().removeprefix(".")
        assert name in beside or (ROOT / "lbt_dspy" / name).is_dir() or (ROOT / name).is_dir(), name


LAZY = {
    "lbt_dspy.exam.students": "names are looked up when they are first asked: a saved program may hold unknown ones",
    "lbt_dspy.lms.embedded": "scikit-learn, and the classroom's models",
    "lbt_dspy.lms.deployed": "LiteLLM",
    "lbt_dspy.lms.roles": "LiteLLM and its Router",
    "lbt_dspy.teleprompters.dpo.steps": "the classroom's models",
    "lbt_dspy.benchmarks": "--help and a mistake in a flag are answered at once",
}
"""Where our own modules are imported inside of functions, and why."""


def test_imports_inside_of_functions_are_few():
    lazy = {
        name for name, path in FILES.items() for node, inside in statements(tree_of(path)) if inside and imported(node)
    }
    allowed = {name for name in lazy for listed in LAZY if name == listed or listed == "lbt_dspy.benchmarks" in name}
    assert lazy == allowed
    assert {listed for listed in LAZY if listed in FILES} - {"lbt_dspy.benchmarks"} <= lazy


def test_adapters_are_touched_in_one_module_only():
    touching = {
        name
        for name, path in FILES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute)
        and node.attr in ("format", "parse")
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "adapter"
    }
    assert touching == {"lbt_dspy.exam.render"}


def foreign(name):
    """What a module imports that is not ours."""
    for node, _ in statements(tree_of(FILES[name])):
        yield from ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module])


def test_lm15_is_imported_only_where_requests_are_made_and_sent():
    users = {name for name in FILES if any(module.startswith("dspy.lm15") for module in foreign(name))}
    allowed = {"lbt_dspy.exam.render", "lbt_dspy.dspy_private", "lbt_dspy.ledger.calls", "lbt_dspy.ledger.in_process"}
    allowed |= {"lbt_dspy.testing.doubles"}
    assert {name for name in users if not name.startswith("lbt_dspy.lms.")} <= allowed


def test_one_module_alone_trains():
    """PyTorch is imported by `trainer.py`, where it is used, and by two scripts that no wheel has (see setup.py)."""
    users = {name for name in FILES if any(module.split(".")[0] == "torch" for module in foreign(name))}
    scripts = {f"lbt_dspy.benchmarks.tasks.classroom.{name}" for name in ("train", "measure")}
    assert users - scripts == {"lbt_dspy.teleprompters.dpo.trainer"}
    left_out = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert all(f'"{script.rpartition(".")[2]}"' in left_out for script in scripts)
    trainer = tree_of(FILES["lbt_dspy.teleprompters.dpo.trainer"])
    assert not any(
        alias.name == "torch" for node in trainer.body if isinstance(node, ast.Import) for alias in node.names
    )


def test_no_script_hides_another_module():
    """`python benchmarks/run.py` puts benchmarks/ first on sys.path; other scripts, their own folder."""
    scripts = [path for path in (ROOT / "benchmarks").rglob("*.py") if "__main__" in path.read_text(encoding="utf-8")]
    for folder in {path.parent for path in scripts}:
        here = [path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
        here = [name for name in here if name != "__init__"]
        paths = [p for p in sys.path if Path(p or ".").resolve() != folder.resolve()]
        found = {name: importlib.machinery.PathFinder.find_spec(name, paths) for name in here}
        assert not [name for name, spec in found.items() if spec is not None and spec.origin is not None]
        assert not set(here) & set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", sorted(FILES))
def test_files_stay_small(name):
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= 325
