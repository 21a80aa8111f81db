"""The tables of a report, in any typesetting -> lines "name: value"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from intervalchange.data.extraction.fields import subject_of
from intervalchange.data.extraction.names import named, plain

_RULE = re.compile(r"[\s|:=+_*-]*$")
MAY_BE = re.compile(r"[|\t]| {3}|\.{3}")
"""Text without this has no table."""
GAP = re.compile(r"\s*\|\s*|\t+|\s{3,}|\s*\.{3,}\s*")
_HEAD = re.compile(
    r"(?:findings?|observations?|features?|abnormalit(?:y|ies)|signs?|structures?|patholog(?:y|ies)|items?|names?|labels?"
    r"|categor(?:y|ies)|regions?|conditions?|diagnos[ie]s|parameters?|anatomy|organs?|site|disease|#|no\.)$",
    re.IGNORECASE,
)
_EARLIER = re.compile(r"prior|previous|baseline|earlier|old|last|before", re.IGNORECASE)
_NUMBERS = re.compile(r"score|confidence|prob|code|#|no\.$|id$", re.IGNORECASE)
_SIDE = re.compile(r"(?:right|left)$", re.IGNORECASE)
_TICK = re.compile(r"(?:\[?[xX\u2713\u2714\u2611\u2612]\]?|\[?\*\]?|\u25cf)$")
_WITH_WORD = re.compile(r"\D+ (?:yes|no|none|present|absent|positive|negative)", re.IGNORECASE)
_NOTHING = re.compile(r"(?:-+|\[ ?\]|\u2610|/|\.)?$")


def flattened(lines: Sequence[str]) -> list[str]:
    """The lines with each row of a table as "name: value"; what an earlier film showed is left out."""
    out: list[str] = []
    header: list[str] = []
    for line in lines:
        if pieces := _several(line):
            out += pieces
            continue
        cells = _cells(line)
        if not cells:
            if not ("|" in line and _RULE.match(line)):
                out.append(line)
                header = header if line.strip() == "" and header else []
            continue
        if _is_header(cells):
            header = cells
        elif header and len(header) == len(cells) and all(subject_of(name) for name in header):
            out += [f"{name}: {cell}" for name, cell in zip(header, cells, strict=True)]
        elif len(cells) > 1 and all(subject_of(cell) for cell in cells):
            header = cells
        else:
            out.append(_row(cells, header))
    return out


def _cells(line: str) -> list[str]:
    """The cells of a row; none where a line is not one."""
    stripped = line.strip()
    if not stripped or _RULE.match(stripped) or not GAP.search(stripped):
        return []
    ruled = "|" in stripped
    body = stripped.removeprefix("|")
    body = body[:-1] if ruled and body.endswith("|") else body
    cells = [cell.strip(" *`") for cell in GAP.split(body)]
    if len(cells) > 2 and re.fullmatch(r"\d{1,2}[.)]?", cells[0]):
        cells = cells[1:]
    if len(cells) < 2 or ":" in cells[0].rstrip(" :"):
        return []
    subject = subject_of(cells[0].rstrip(" :"))
    if ruled or _is_header(cells) or (subject and not subject.denying):
        return [cells[0].rstrip(" :"), *cells[1:]]
    return []


def _several(line: str) -> list[str]:
    """The parts of "Edema NO   Effusion YES", each a name with its word; none where a line is not of that kind."""
    cells = [cell for cell in re.split(r"\t+|\s{3,}", line.strip()) if cell]
    return (
        cells if len(cells) > 1 and all(_WITH_WORD.fullmatch(cell) and named(plain(cell))[1] for cell in cells) else []
    )


def _is_header(cells: Sequence[str]) -> bool:
    return len(cells) > 1 and (bool(_HEAD.match(cells[0])) or cells[0] == "")


def _row(cells: Sequence[str], header: Sequence[str]) -> str:
    names = [*header[1:], *[""] * len(cells)]
    found = []
    for cell, name in zip(cells[1:], names, strict=False):
        if _EARLIER.search(name) or _NUMBERS.match(name) or _NOTHING.match(cell):
            continue
        if _TICK.match(cell):
            found.append(name or "yes")
        else:
            found.append(f"{name} {cell}" if _SIDE.match(name) else cell)
    return f"{cells[0]}: {', '.join(found)}"
