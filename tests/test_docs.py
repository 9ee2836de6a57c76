"""The code of the README and of the docs runs as it stands."""

import doctest
import io
import json
import re
import shlex
import sys

import pytest
from conftest import ROOT

from lbt_dspy import Examiner, LbTDPO, LbTExemplars, LbTRerank, Predictor, within_calls
from lbt_dspy.benchmarks.cli import compare as compare_runs
from lbt_dspy.benchmarks.cli import parser, predict
from lbt_dspy.benchmarks.cli.main import main
from lbt_dspy.benchmarks.shared.format import comparison_cells
from lbt_dspy.benchmarks.studies.race.results import report as race_report
from lbt_dspy.errors import UserError
from lbt_dspy.metrics import LbTScore, compare_programs
from lbt_dspy.testing import scripted_lm

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_code_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
    try:
        exec(compile(code, str(page), "exec"), {"__name__": "page"})
    except UserError as error:
        if "bubblewrap does not work here" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_flag_that_the_docs_name_exists():
    parsers = {"lbt predict": predict.parser(), "lbt compare": compare_runs.parser(), "lbt --": parser.parser()}
    known = {name: {f for a in p._actions for f in a.option_strings} for name, p in parsers.items()}
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            if "lbt " in line or "run.py" in line:
                named = [flags for name, flags in known.items() if name in line] or [known["lbt --"]]
                assert set(re.findall(r"(?<!\S)--[a-z-]+", line)) <= set().union(*named), line


@pytest.mark.slow
def test_the_commands_of_the_page_on_new_tasks_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "desk", raising=False)
    page = (ROOT / "docs" / "new_task.md").read_text(encoding="utf-8")
    for kind, block in re.findall(r"^```(python|bash)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        if kind == "python":
            exec(block, {"__name__": "page"})
    for block in re.findall(r"^```bash\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            code = main(shlex.split(line)[1:])
            _, err = capsys.readouterr()
            assert code == 0 or (code == 2 and err.strip() in page), err
    assert (tmp_path / "answers.csv").read_text().startswith("subject,message,topic,prediction\n")
    assert (tmp_path / "answers.jsonl").read_text().count("\n") == 18


def test_the_tables_of_the_docs_are_those_of_the_committed_results():
    results = ROOT / "benchmarks" / "results"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    report = (results / "fallacy_edu.md").read_text(encoding="utf-8")
    rows = readme[readme.index("| row | F1 [95%]") :].split("\n\n")[0].splitlines()
    assert len(rows) == 9
    assert all(row in report for row in rows)
    shipped = json.loads((results / "fallacy_shipped.json").read_text())
    for cells in comparison_cells(shipped):
        assert re.search(r"\s+".join(map(re.escape, filter(None, cells))), readme), cells
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for name, examples in (("fallacy_edu_57", 57), ("fallacy_edu_200", 200), ("fallacy_edu", 800)):
        cells = {row[0]: row for row in comparison_cells(json.loads((results / f"{name}.json").read_text()))}
        values = [cells[row][1].split()[0] for row in ("random-search", "m3-self", "m3-one", "m3-several")]
        line = next(line for line in page.splitlines() if line.startswith(f"| [{examples}]"))
        assert line.endswith(f"| {' | '.join(values)} | {cells['m3-several'][3]} |")


def test_the_table_of_the_schedules_is_that_of_the_committed_results():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = json.loads((ROOT / "benchmarks" / "results" / "schedules.json").read_text())["rows"]
    wanted = [r for r in rows if (r["N"], r["selection"], r["in_flight"]) == (24, "sum", 64)]
    for schedule, form in (("lossless", "{saving:.1f}x"), ("confident", "{saving:.1f}x ({agreement:.1f})")):
        own = [r | {"agreement": 100 * r["agreement"]} for r in wanted if r["schedule"] == schedule]
        assert f"| {schedule} | {' | '.join(form.format(**r) for r in own)} |" in readme


def test_the_tables_of_the_race_are_those_of_the_committed_results():
    results = ROOT / "benchmarks" / "results"
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").splitlines()
    report = (results / "race.md").read_text(encoding="utf-8")
    tables = [line for line in report.splitlines() if line.startswith("|")]
    assert len(tables) == 4 * (2 + 7)
    assert all(line in page for line in tables)
    assert race_report(json.loads((results / "race.json").read_text())) == report


def test_the_tables_of_the_classroom_are_those_of_the_committed_results():
    report = (ROOT / "benchmarks" / "results" / "classroom.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in report if line.startswith("|")]
    assert len(rows) == (2 + 8) + (2 + 8) + (2 + 6) + (2 + 3)
    page = (ROOT / "docs" / "classroom.md").read_text(encoding="utf-8").splitlines()
    assert set(rows) <= set(page)
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in readme if line in rows[:10]] == rows[:10]


def test_the_committed_results_of_the_classroom_are_those_that_are_promised():
    results = json.loads((ROOT / "benchmarks" / "results" / "classroom.json").read_text())
    against = next(e for e in results["results"] if e["name"] == "sum")["vs"][0]
    assert (against["baseline"], against["diff"] >= 0.05, against["ci95"][0] > 0) == ("sc", True, True)
    entries = {(e["name"], e["schedule"]): e for e in results["schedules"]}
    assert all(e["same"] == 1 for (_, schedule), e in entries.items() if schedule == "lossless")
    full, lossless, confident = (entries["sum", schedule] for schedule in ("full", "lossless", "confident"))
    assert lossless["share"] <= 0.5
    assert confident["share"] <= 0.3
    assert abs(confident["value"] - full["value"]) <= 0.005


def test_the_tables_of_m2_are_those_of_the_committed_results_and_these_are_what_is_promised():
    report = (ROOT / "benchmarks" / "results" / "m2.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in report if line.startswith("|")]
    assert len(rows) == (2 + 4) + (2 + 3)
    for page in (ROOT / "README.md", ROOT / "docs" / "m2.md"):
        assert set(rows) <= set(page.read_text(encoding="utf-8").splitlines())
    results = json.loads((ROOT / "benchmarks" / "results" / "m2.json").read_text())
    lbt = next(entry for entry in results["results"] if entry["name"] == "dpo-lbt")
    assert (lbt["n"] >= 600, len(lbt["each_seed"]), results["seconds"] <= 1200) == (True, 3, True)
    assert all(seed["diff"] >= 0.05 and seed["ci95"][0] > 0 for seed in lbt["each_seed"])


@pytest.mark.parametrize("name", ["throughput", "exam_size", "under_faults"])
def test_the_tables_of_throughput_are_those_of_the_committed_results(name):
    report = (ROOT / "benchmarks" / "results" / f"{name}.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in report if line.startswith("|")]
    assert len(rows) >= 4
    assert set(rows) <= set((ROOT / "docs" / "throughput.md").read_text(encoding="utf-8").splitlines())


def test_the_readme_says_how_fast_exams_are_held():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = json.loads((ROOT / "benchmarks" / "results" / "throughput.json").read_text())["rows"]
    at_64 = {row["client"]: row for row in rows if row["concurrency"] == 64}
    for client in ("aiohttp", "dspy-evaluate", "litellm", "lbt-lean", "lbt-lean-3"):
        row = at_64[client]
        cpu, ratio = row["cpu_ms_per_sitting"], row["ratio_to_dspy_evaluate"]
        figures = f"{row['sittings_per_s']:,.0f} | {cpu:.2f} | {ratio:.1f}x"
        assert f"| `{client}` | " in readme
        assert f" | {figures} |" in readme


SHOWN = [LbTExemplars, LbTRerank, LbTDPO, LbTScore, Examiner, Predictor, compare_programs, within_calls, scripted_lm]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: shown.__name__)
def test_examples_of_docstrings_print_what_they_say(shown):
    tests = [test for test in doctest.DocTestFinder(recurse=False).find(shown, shown.__name__) if test.examples]
    assert tests
    for test in tests:
        said = io.StringIO()
        assert not doctest.DocTestRunner().run(test, out=said.write).failed, said.getvalue()
