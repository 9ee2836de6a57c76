"""Programs that the tests of their extraction share."""

ADD = "def add(a, b):\n    return a + b"
IMPORTING = "import math\n\ndef root(n):\n    return math.isqrt(n)"
METHOD = "class Solution:\n    def twoSum(self, a, b):\n        return a + b"
SCRIPT = "n = int(input())\nprint(n * 2)"
READER = "def solve():\n    return input()[::-1]\n\nprint(solve())"
PROMPT = (
    'from typing import List\n\n\ndef add(a: int, b: int) -> int:\n    """Add.\n    >>> add(1, 2)\n    3\n    """\n'
)
CLASS = "class Solution:\n    def twoSum(self, a: int, b: int) -> int:\n        "
BROKEN = "def add(a, b)\n    return a + b"
