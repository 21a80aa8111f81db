"""Tables of Markdown, HTML and tabs -> headed pieces of text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from intervalchange.answers.tokens import tokens_of
from intervalchange.answers.units import Unit
from intervalchange.lazy_patterns import lazily

_RULE = lazily(r"^[\s|:+=-]*-[\s|:+=-]*$")
_HTML_ROW = lazily(r"<tr[^>]*>(.*?)(?=</tr>|<tr|$)", re.DOTALL | re.IGNORECASE)
_HTML_CELL = lazily(r"<t[hd][^>]*>(.*?)(?=</t[hd]>|<t[hd]|$)", re.DOTALL | re.IGNORECASE)
_TAG = lazily(r"<[^>]+>")
_YES = lazily(
    r"^(?:yes|y|present|\u2713|\u2714\ufe0f?|\u2714|\u2705|\+|x|true|1|p|pos(?:itive)?|seen|\u25cf|\u2611)$",
    re.IGNORECASE,
)
_NO = lazily(
    r"^(?:no|n|absent|none|nil|\u2717|\u2718|\u274c|\u00d7|[-\u2010-\u2015\u2212]+|false|0|a|neg(?:ative)?|not seen"
    r"|not present|\u25cb|\u2610|nothing|\u2205)$",
    re.IGNORECASE,
)
_MARKS = (
    *((mark, " increased ") for mark in ("\u2191", "\u2b06\ufe0f", "\u2b06", "\u2197")),
    *((mark, " decreased ") for mark in ("\u2193", "\u2b07\ufe0f", "\u2b07", "\u2198")),
    *((mark, " unchanged ") for mark in ("\u2194", "\u2192")),
    ("\U0001f195", " new "),
)
_CODES = lazily(r"^\s*([A-Za-z+-])\s*/\s*([A-Za-z+-])\s*$")
_EMPTY = lazily(r"^(?:|[-\u2010-\u2015\u2212]+|n/?a|none|nil|nothing(?: of note)?|no)$", re.IGNORECASE)
_TIMES = {"before": "P", "after": "C", "pre": "P", "post": "C", "first": "P", "second": "C", "t0": "P", "t1": "C"}
_SIDE = lazily(r"^(?:side|laterality|location|site|place|region|zone)$", re.IGNORECASE)


def table_of(text: str) -> tuple[list[list[str]], list[str]] | None:
    """(rows, what stands around them); None where there is no table."""
    if "<t" in text.lower() and (rows := _HTML_ROW.findall(text)):
        cells = [[_TAG.sub(" ", cell).strip() for cell in _HTML_CELL.findall(row)] for row in rows]
        outside = re.sub(r"<table.*?(?:</table>|$)", "\n", text, flags=re.DOTALL | re.IGNORECASE)
        return [row for row in cells if row], _TAG.sub(" ", outside).splitlines()
    mark = "|" if text.count("|") > 1 else "\t" if "\t" in text else ""
    if not mark:
        return None
    rows, around = [], []
    for line in text.splitlines():
        if mark in line and not (mark == "|" and _RULE.match(line)):
            body = line.strip()
            body = body[1:] if mark == "|" and body.startswith("|") else body
            body = body[:-1] if mark == "|" and body.endswith("|") else body
            rows.append([cell.strip(" *`_") for cell in body.split(mark)])
        elif not (mark == "|" and _RULE.match(line)):
            around.append(line)
    return (rows, around) if len(rows) > 1 else None


def table_units(rows: Sequence[Sequence[str]]) -> list[Unit]:
    """Each row, or each column of a table that has a list under each heading, as text."""
    header, body = list(rows[0]), [list(row) for row in rows[1:]]
    if re.fullmatch(r"#|no\.?|nr\.?|\d+", header[0].strip().lower()) and len(header) > 2:
        header, body = header[1:], [row[1:] for row in body]
    tags = ["".join(token.tag for token in tokens_of(cell)) for cell in header]
    lists = [bool(set(tag) & set("NGWBSE")) and "F" not in tag for tag in tags]
    if sum(lists) > 1 or (lists[0] and len(header) > 1 and any(lists[1:])):
        return [
            Unit(cell, name) for row in body for name, cell in zip(header, row, strict=False) if not _EMPTY.match(cell)
        ]
    units = []
    for row in body:
        first = "".join(token.tag for token in tokens_of(row[0]))
        if set(first) & set("NGWBSE") and "F" not in first:
            units += [Unit(cell, row[0]) for cell in row[1:] if not _EMPTY.match(cell)]
        else:
            units.append(Unit(_row(header, tags, row)))
    return units


def _row(header: Sequence[str], tags: Sequence[str], row: Sequence[str]) -> str:
    """ "Effusion: prior absent, current present"; a heading that names a finding gives its cell the name."""
    found = []
    name = row[0]
    for title, tag, cell in list(zip(header, tags, row, strict=False))[1:]:
        if title.strip().lower() in _TIMES:
            tag = _TIMES[title.strip().lower()]
        film = "prior" if "P" in tag and "C" not in tag else "current" if "C" in tag and "P" not in tag else ""
        if "F" in tag and name and "F" not in "".join(token.tag for token in tokens_of(name)):
            name = f"{name} {next(token.word for token in tokens_of(title) if token.tag == 'F')}"
        if "P" in tag and "C" in tag and (codes := _CODES.match(cell)):
            first, second = codes.groups() if tag.index("P") < tag.index("C") else reversed(codes.groups())
            found += [f"prior {_value(first, True)}", f"current {_value(second, True)}"]
            continue
        value = _value(cell, bool(film))
        if value:
            found.append(f"{film} {value}".strip())
    return f"{name}: {', '.join(found)}"


def _value(cell: str, of_film: bool) -> str:
    """A mark or code in words."""
    cell = cell.strip()
    if _YES.match(cell):
        return "present"
    if _NO.match(cell):
        return "absent" if of_film or cell.strip("-\u2010\u2011\u2012\u2013\u2014\u2015\u2212") else ""
    for mark, word in _MARKS:
        cell = cell.replace(mark, word)
    if cell.startswith("="):
        cell = f"unchanged {cell[1:]}"
    return "possible" if cell == "?" else cell
