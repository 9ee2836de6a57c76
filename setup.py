"""Every folder with an `__init__.py` is a package of lbt_dspy; left out is what only a checkout needs."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOTS = {
    "lbt_dspy": "lbt_dspy",
    "lbt_dspy.metrics": "metrics",
    "lbt_dspy.programs": "programs",
    "lbt_dspy.benchmarks": "benchmarks",
}
FOLDERS = {
    ".".join((name, *file.parent.relative_to(root).parts)): file.parent.as_posix()
    for name, root in ROOTS.items()
    for file in Path(root).rglob("__init__.py")
}
CLASSROOM = "lbt_dspy.benchmarks.tasks.classroom"
ONLY_HERE = {(CLASSROOM, "train"), (CLASSROOM, "measure")}


class BuildPy(build_py):
    """Builds without them."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Return the modules of a package."""
        found = super().find_package_modules(package, package_dir)
        return [module for module in found if module[:2] not in ONLY_HERE]


setup(cmdclass={"build_py": BuildPy}, packages=sorted(FOLDERS), package_dir=FOLDERS)
