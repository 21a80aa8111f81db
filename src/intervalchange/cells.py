"""What a cell of anyone's table means, whoever reads it: the words for a missing value, and ids."""

from __future__ import annotations

import re
from decimal import Decimal

MISSING = frozenset(
    {"", "-", "--", "na", "#na", "n/a", "#n/a", "n.a.", "nan", "-nan", "nat", "none", "null", "<na>", "<null>"}
)
"""Words for a value that is not there, in lower case: those of pandas, NumPy, R, Excel and SQL. They are whole cells:
a patient called NA01 is a patient."""
_LONGEST = max(map(len, MISSING))
_WHOLE = re.compile(r"\d+\.0+", re.ASCII)
_SCIENTIFIC = re.compile(r"[1-9](\.\d+)?[eE]\+?\d{1,2}", re.ASCII)
MOST_DIGITS = 18
"""Of a whole number that a spreadsheet writes with an exponent; beyond, its digits are gone anyway."""


def present(cell: str) -> str:
    """The text of a cell without blanks around it; "" where it is missing."""
    text = cell.strip()
    return "" if len(text) <= _LONGEST and text.lower() in MISSING else text


def plain_id(cell: str) -> str:
    """An id as text, as it was before a float column or a spreadsheet: 7, 7.0, 7.00 are one, and so are 10000003 and
    1.0000003E+07. Leading zeros are part of an id: 0007 is another. "" where it is missing."""
    text = present(cell)
    if text.isdigit():
        return text
    if _WHOLE.fullmatch(text):
        return text.partition(".")[0]
    if _SCIENTIFIC.fullmatch(text):
        number = Decimal(text)
        if number == number.to_integral_value() and number.adjusted() < MOST_DIGITS:
            return str(int(number))
    return text
