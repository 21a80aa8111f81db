"""The comparisons with the golden numbers of the originals as a table in Markdown: how far we are from each today.

PYTHONPATH=tests/golden python tests/golden/parity_table.py > tests/golden/parity/today.md
"""

from __future__ import annotations

import parity_answering  # noqa: F401
import parity_ekaid  # noqa: F401
import parity_pairs  # noqa: F401
import parity_pretraining  # noqa: F401
import parity_tasks  # noqa: F401
from parity_golden import CASES, Case, Missing, compared, difference


def cells(case: Case) -> tuple[str, str, str]:
    """How far, what is allowed, and why it may be more."""
    z, values = compared(case.file)
    value = values[case.name]
    if isinstance(value, Missing):
        return "no counterpart", "", case.reason
    off = difference(z, case.name, value)
    exact = off.allowed == 0.0 and float(off.largest).is_integer()
    far = (f"{off.beyond} of {off.elements} differ" if off.beyond else "equal") if exact else f"{off.largest:.1e}"
    return far, "" if exact else f"{off.allowed:.0e}", case.reason or "agrees"


def main() -> None:
    declared = sum(bool(case.reason) for case in CASES)
    print("# The golden numbers, today\n")
    print(f"{len(CASES)} comparisons: {len(CASES) - declared} agree, {declared} differ as declared. Written by")
    print("`PYTHONPATH=tests/golden python tests/golden/parity_table.py > tests/golden/parity/today.md`;")
    print("`tests/golden/test_parity.py` is a test of each.\n")
    print("| file | number | largest absolute difference | allowed | |\n|---|---|---|---|---|")
    for case in CASES:
        print(f"| `{case.file}` | {case.name} | {' | '.join(cells(case))} |")


if __name__ == "__main__":
    main()
