"""The arrows of the architecture: benchmarks -> programs, metrics -> lbt_dspy -> dspy, litellm."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "lbt_dspy": {"lbt_dspy"},
    "metrics": {"lbt_dspy", "metrics"},
    "programs": {"lbt_dspy", "programs"},
    "benchmarks": {"lbt_dspy", "metrics", "programs", "benchmarks"},
}
OUTER = ("metrics", "programs", "benchmarks")
FILES = [(folder, path) for folder in MAY_IMPORT for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module):
    parts = module.split(".")
    if parts[0] != "lbt_dspy":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in OUTER else "lbt_dspy"


@pytest.mark.parametrize(("folder", "path"), FILES, ids=[str(path.relative_to(ROOT)) for _, path in FILES])
def test_arrows_point_down(folder, path):
    rooms = {room(module) for module in imports(path)} - {None}
    assert rooms <= MAY_IMPORT[folder]


def test_adapters_are_touched_in_one_module_only():
    touching = {
        str(path.relative_to(ROOT))
        for _, path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in ("format", "parse")
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "adapter"
    }
    assert touching == {"lbt_dspy/exam/render.py"}


def test_lm15_is_imported_only_in_render_and_lms():
    users = {p.relative_to(ROOT) for f, p in FILES for m in imports(p) if m.startswith("dspy.lm15")}
    allowed = {"lbt_dspy/exam/render.py", "lbt_dspy/dspy_private.py"}
    assert {str(p) for p in users if "lms" not in p.parts} <= allowed


def test_one_module_alone_trains():
    """PyTorch is imported by `dpo.py`, where it is used, and by two scripts that no wheel has (see setup.py)."""
    users = {str(path.relative_to(ROOT)) for _, path in FILES for m in imports(path) if m.split(".")[0] == "torch"}
    scripts = {"benchmarks/tasks/classroom/train.py", "benchmarks/tasks/classroom/measure.py"}
    assert users - scripts == {"lbt_dspy/teleprompters/dpo/optimizer.py"}
    left_out = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert all(f'"{Path(script).stem}"' in left_out for script in scripts)
    trainer = ast.parse((ROOT / "lbt_dspy" / "teleprompters" / "dpo.py").read_text(encoding="utf-8"))
    assert not any(
        alias.name == "torch" for node in trainer.body if isinstance(node, ast.Import) for alias in node.names
    )


def test_no_benchmark_file_hides_another_module():
    """`python benchmarks/run.py` puts benchmarks/ first on sys.path; its packages' scripts, their own folder."""
    here = [p.stem for p in (ROOT / "benchmarks").rglob("*.py") if p.stem != "__init__"]
    paths = [p for p in sys.path if Path(p or ".").resolve() != (ROOT / "benchmarks").resolve()]
    taken = [name for name in here if importlib.machinery.PathFinder.find_spec(name, paths)]
    assert not taken
    assert not set(here) & set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", [p for _, p in FILES], ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 325
