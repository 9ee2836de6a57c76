import subprocess
import sys

import pytest

import lbt_dspy

SURFACE = [
    "Account", "Budget", "BudgetSpentError", "Exam", "ExamMaker", "ExamProblem", "ExamReport", "Examiner", "ExactMatch",
    "Fixed", "Grader", "Journal", "LMRoles", "LbTDPO", "LbTError", "LbTExemplars", "LbTRerank", "Ledger", "Mark",
    "Nearest", "Predicted", "Predictor", "SameKind", "UserError", "Variants", "__version__", "classification",
    "teaching_plans", "within_calls",
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
