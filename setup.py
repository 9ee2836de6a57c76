"""Leaves out of the wheel what only a checkout needs: the scripts that train and measure the classroom's models."""

from __future__ import annotations

from setuptools import setup
from setuptools.command.build_py import build_py

CLASSROOM = "lbt_dspy.benchmarks.classroom"
ONLY_HERE = {(CLASSROOM, "train"), (CLASSROOM, "measure")}


class BuildPy(build_py):
    """Builds without them."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Return the modules of a package."""
        found = super().find_package_modules(package, package_dir)
        return [module for module in found if module[:2] not in ONLY_HERE]


setup(cmdclass={"build_py": BuildPy})
