"""The committed versions: exact, within the ranges of pyproject.toml, and used wherever the project installs itself."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LINES = [
    line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
]
PINS = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in LINES)}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = {n: wanted for n, wanted in PROJECT["project"]["optional-dependencies"].items() if n != "vllm"}
"""A GPU's vLLM brings its own versions."""
WANTED = [
    Requirement(r) for r in (*PROJECT["project"]["dependencies"], *(r for wanted in EXTRAS.values() for r in wanted))
]


def test_every_line_is_one_exact_version():
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in LINES)
    assert len(PINS) == len(LINES)
    assert sorted(LINES, key=lambda line: line.partition("==")[0].lower()) == LINES


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_what_is_wanted_is_pinned_within_its_range(wanted):
    pinned = PINS[canonicalize_name(wanted.name)]
    assert wanted.specifier.contains(Version(pinned))
    assert wanted.specifier != SpecifierSet(f"=={pinned}"), "ranges stand in pyproject.toml, versions here"


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_ranges_have_an_end(wanted):
    """The next major version may break anything."""
    assert any(part.operator in ("<", "<=", "==") for part in wanted.specifier)


def test_what_builds_the_package_has_a_range_too():
    """pip does not apply constraints there."""
    for wanted in map(Requirement, PROJECT["build-system"]["requires"]):
        assert {part.operator for part in wanted.specifier} == {">=", "<"}


@pytest.mark.parametrize("place", ["README.md", ".ci/run", "CONTRIBUTING.md"])
def test_a_checkout_is_installed_with_them(place):
    """Every install from a checkout, but for the canary's, which is there to try others."""
    text = (ROOT / place).read_text(encoding="utf-8")
    installs = [line for line in re.findall(r"(?m)^.*\binstall\b.* -e .*$", text) if "$(readme " not in line]
    assert installs
    without = [line for line in installs if "constraints.txt" not in line]
    assert all("canary" in line for line in without), without
