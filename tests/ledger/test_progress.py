from lbt_dspy.ledger.progress import Progress
from lbt_dspy.types import Reply


def test_the_line_says_what_was_made_reused_failed_and_spent():
    progress = Progress(total=10, quiet=True)
    progress.tell("seed 0: zero")
    progress.replied("teacher", [Reply("a", cost=0.5), Reply(None, "timeout", cost=0.25)], from_journal=0)
    progress.replied("teacher", [Reply("b"), Reply("c"), Reply("d")], from_journal=3)
    line = progress.line()
    assert line.startswith("seed 0: zero | 2 calls | ")
    for part in ("3 already paid for", "1 failed", "$0.7500", "left at most"):
        assert part in line
