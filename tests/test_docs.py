"""The code of the README and of the docs runs as it stands."""

import re

import pytest
from conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
    exec(compile(code, str(page), "exec"), {"__name__": "page"})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_flag_that_the_docs_name_exists():
    from lbt_dspy.benchmarks.settings import parser

    known = {flag for action in parser()._actions for flag in action.option_strings}
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            if "lbt " in line or "run.py" in line:
                assert set(re.findall(r"(?<!\S)--[a-z-]+", line)) <= known, line
