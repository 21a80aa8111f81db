"""The lines of a report -> units in which sentences can be split: prose, a "label: value", a row of a table.

Prose wraps, so its lines are joined. A structured report does not: a label begins a unit, and its value may stand on
the same line, after a dash, in the next cell, or on the lines below. Each comes out as "label: value".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from intervalchange.data.extraction import tables, values
from intervalchange.data.extraction.fields import group_label, subject_of
from intervalchange.data.extraction.names import named, plain

BULLET = re.compile(
    r"^(?:[(]?\d{1,2}[.)]|[-*+>\u2022\u00b7\u2023\u25aa\u25cf\u25e6\u2219]"
    r"|[a-hA-H][)])[ \t]+(?=[A-Za-z_\[(\u2610-\u2612])"
)
_NUMBER = re.compile(r"(?<=\s)[(]?\d{1,2}[.)][ \t]+(?=[A-Za-z_])")
"""The number of an item inside a line."""
_MARKUP = re.compile(r"^[ \t]*(?:#{1,6}[ \t]*|\*\*|__)(?=\w)")
_BREAK = re.compile(r"<br ?/?>|</(?:p|div|li|tr|h\d)>", re.IGNORECASE)
_CELL = re.compile(r"</t[dh]>\s*(?=<t[dh])", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:b|i|u|p|div|span|li|ul|ol|t[dhr]|table|tbody|thead|strong|em|h\d|font|html|body)(?: [^<>]*)?/?>",
    re.IGNORECASE,
)
_ASKING = re.compile(r"\bQ(?:uestion)?[:.]\s*|(?<=\?)\s*A(?:nswer)?[:.](?=\s)")
_TITLE = re.compile(
    r"^(?:(?:findings?|observation|abnormality|name|pathology)\s*[:=]\s*)?(?P<name>[^;,|:=]+?)\s*[;,|]\s*(?=(?:status|present|presence|result|value)\s*[:=])",
    re.IGNORECASE,
)
"""What stands before a name that has its value in parts: "Finding: effusion; status: present"."""
_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys(
            "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "
        ),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", ""),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2014\u2015", " - "),
        **dict.fromkeys("\uff1a\ufe55\u2236", ":"),
        **dict.fromkeys("\u2502\uff5c\u00a6\u2503", "|"),
        **dict.fromkeys("\u2028\u2029\u0085\v\f", "\n"),
        **dict.fromkeys("\u2022\u2023\u25aa\u25cf\u2219\u00b7", "\n\u2022"),
        **{
            "\uff1d": "=",
            "\u2026": "...",
            "\uff08": "(",
            "\uff09": ")",
            "\uff1f": "? ",
            "\uff0c": ", ",
            "\uff1b": "; ",
        },
        **{
            "\uff0e": ".",
            "\u3002": ". ",
            "\u2192": "->",
            "\u21d2": "->",
            "\u2260": "not ",
            "\uff0b": "+",
            "\u00d8": "none",
        },
    }
)
_MARK = re.compile(
    r";(?=\s*(?:none|absent|nil|negative|no)\s*(?:[;.,]|$))|(?<!\d):|:(?!\d)|\s*[-=]+>\s*|\s>>\s|\s~+\s"
    r"|\s*=+\s*|\s-+\s|\?(?=\s)|-(?=(?:none|absent|no|nil|negative|present|yes|free)\b)"
)
_STRUCTURE = re.compile(
    r";\s*(?:none|absent|nil|negative|no)\b|[:=|\t\[?>~{\u2610-\u2612\u2713-\u2718\u25a0-\u25ef]|\s-+\s"
    r"|[(\[][yY]|[(][-+xX ][)]|   |\.{3}|-(?:none|absent|no|nil|negative|present|yes|free)\b"
)
_ASKED = re.compile(r"\s*[(\[](?:y ?/ ?n|yes ?/ ?no)[)\]]\s*(?![:=?\s]|$)", re.IGNORECASE)
_SIGN = re.compile(r"[ \t]*[(]([-+])(?:ve)?[)]")
_START = re.compile(r"\b[\w(]")
_SIDES = re.compile(
    r"(?:on the |the )?(?:right|left|both|bilateral)(?: (?:side|lung|hemithorax|base|apex|upper|mid|middle"
    r"|lower|zone|lobe))*",
    re.IGNORECASE,
)
_GENERIC = re.compile(r"(?:^|(?<=\s))[A-Z][\w/&]*(?: [a-z/&]+){0,3}$")
_UNFINISHED = re.compile(
    r"(?:[,/&-]|\b(?:the|a|an|of|in|at|on|and|or|with|no|to|is|are|from|for|by|which|that|than|left|right|small"
    r"|mild|moderate))$",
    re.IGNORECASE,
)
SHORT_LINE = 45
"""Prose is wrapped at more characters than this; a shorter line before one that begins with a capital stands alone."""
_JOINS = re.compile(r"(?:and|n?or)\b")
_LOOK_BACK = 200
"""How far before a mark, in characters, a label is looked for."""
_LOOK_AHEAD = 300
"""How far after a dash, in characters, a value is."""
_WORDS_BELOW = 6
"""The longest value, in words, that may stand under its heading after an empty line."""


def typography(report: str) -> str:
    """The report with plain blanks, dashes, colons and line ends, and without the tags of a web page."""
    if "<" in report:
        report = _TAG.sub("", _CELL.sub(" | ", _BREAK.sub("\n", report)))
    if "\r" in report:
        report = report.replace("\r\n", "\n").replace("\r", "\n")
    return report if report.isascii() and "\f" not in report and "\v" not in report else report.translate(_TYPOGRAPHY)


def units(text: str) -> Iterator[str]:
    """The units of a text, white space joined, numbers of lists removed."""
    for unit in _joined(text):
        line = _NUMBER.sub("", BULLET.sub("", unit))
        yield from fields(line) if _STRUCTURE.search(line) else [" ".join(line.split())]


# --- lines ----------------------------------------------------------------------------------------------------------


def _joined(text: str) -> list[str]:
    """Lines joined to units, each label with the value under it."""
    if "Q" in text and "?" in text:
        text = _ASKING.sub(" ", text)
    lines = tables.flattened(text.split("\n")) if tables.MAY_BE.search(text) else text.split("\n")
    unit, after_blank = "", False
    shouts = text.isupper()
    closed: list[str] = []
    headings = False  # whether names in capitals have a value under them
    for line in lines:
        stripped = line.strip()
        if not stripped:
            after_blank = True
            continue
        if unit and _continues(unit, line, after_blank, shouts):
            label = _open_label(unit, shouts)
            below = not label and _is_value_below(unit, line)
            body = BULLET.sub("", stripped) if label or below else stripped
            headings |= bool(label) and unit.isupper()
            unit = f"{label}: {body}" if label else f"{unit}{', ' if below else ' '}{body}"
        else:
            closed.append(unit)
            unit = stripped
        after_blank = False
    closed.append(unit)
    return [_closed(unit, shouts or not headings) for unit in closed if unit]


def _closed(unit: str, shouts: bool) -> str:
    """A unit without markup; a heading that has nothing under it keeps its colon, as it states nothing."""
    label = _open_label(unit, shouts)
    return f"{label}:" if label and _is_heading(unit, shouts) else _unmarked(unit)


def _unmarked(line: str) -> str:
    return line.replace("**", "").replace("__ ", " ").lstrip("# \t") if _MARKUP.match(line) else line


def _open_label(unit: str, shouts: bool) -> str:
    """The label that a unit consists of, without colon and markup; empty where it is more than that, or prose."""
    if len(unit) > values.LONGEST_LABEL or unit.endswith((".", ";", ",")):
        return ""
    label = BULLET.sub("", _unmarked(unit.strip())).rstrip(" :=-*_#?")
    return label if label and (subject_of(label) or (unit.endswith(":") and group_label(label))) else ""


def _is_heading(unit: str, shouts: bool) -> bool:
    """Whether a label on a line of its own is typeset as a heading: it does not state the finding."""
    return (
        unit.rstrip(" *_").endswith((":", "="))
        or bool(_MARKUP.match(unit))
        or (unit.isupper() and not shouts and not BULLET.match(unit))
    )


def _continues(unit: str, line: str, after_blank: bool, shouts: bool) -> bool:
    """Whether a line goes on with the unit before it."""
    stripped = line.strip()
    if label := _open_label(unit, shouts):
        grouped = subject_of(label) is None
        return (grouped or not _begins(BULLET.sub("", stripped))) and _belongs(
            label, unit, stripped, after_blank, shouts
        )
    if after_blank:
        return False
    if _is_value_below(unit, line):
        return True
    if BULLET.match(stripped) or _MARKUP.match(stripped) or _begins(stripped) or _is_another(unit, stripped):
        return False
    return not (stripped[0].isupper() and len(unit) < SHORT_LINE and not _UNFINISHED.search(unit))


def _begins(line: str) -> bool:
    """Whether a line begins with a label, or is one."""
    if _MARKUP.match(line):
        return True
    if _JOINS.match(line):
        return False
    mark = _MARK.search(line)
    if mark and mark.start() <= values.LONGEST_LABEL:
        label = line[: mark.start()].strip()
        if _SIDES.fullmatch(label) or values.DETAIL.match(f"{label}:"):
            return False
        if subject_of(label) or (mark.group() == ":" and _GENERIC.match(label)):
            return True
    return len(line) < values.LONGEST_LABEL and not line.endswith(".") and subject_of(line) is not None


def _belongs(label: str, unit: str, line: str, after_blank: bool, shouts: bool) -> bool:
    """Whether a line is the value of the label above it."""
    body = BULLET.sub("", line)
    if after_blank and len(body.split()) > _WORDS_BELOW:
        return False
    subject = subject_of(label)
    if subject is None:  # a group
        return not after_blank and not _MARK.search(body) and bool(named(plain(body))[1])
    if _is_heading(unit, shouts) or (_SIDES.match(body) and ":" in body) or values.DETAIL.match(body):
        return True
    findings = {finding for _, _, finding in subject.names}
    inside = {finding for _, _, finding in named(plain(body))[0]}
    return bool(findings & inside) if inside else subject.region is not None or values.read(body) is not None


def _is_another(unit: str, line: str) -> bool:
    """Whether a line names another finding than the complete "name: value" before it."""
    label, colon, value = unit.partition(":")
    subject = subject_of(BULLET.sub("", label)) if colon else None
    if subject is None or not subject.names or values.read(value) is None or _JOINS.match(line):
        return False
    return not {name for _, _, name in subject.names}.intersection(
        name for _, _, name in named(plain(line))[0]
    ) and bool(named(plain(line))[0])


def _is_value_below(unit: str, line: str) -> bool:
    """Whether a line is one more line of a value: an indented one, a box or one side of the chest."""
    mark = _MARK.search(unit)
    body = BULLET.sub("", line.strip())
    label = BULLET.sub("", unit[: mark.start()]) if mark else ""
    if label and group_label(label):
        return (body != line.strip() or subject_of(body) is not None) and not _MARK.search(body)
    if not label or subject_of(label) is None:
        return False
    side = _SIDES.match(body)
    part = values.DETAIL.match(body) or (side and _MARK.match(body, side.end()))
    return bool(part) or bool(values.BOX.match(body) and not named(plain(body))[1])


# --- fields in one line ---------------------------------------------------------------------------------------------


def fields(line: str) -> list[str]:
    """The "label: value" of a line, each alone; a line without labels, or prose, stays as it is."""
    if '":' in line:
        line = line.replace('"', "")
    line = _TITLE.sub(_titled, line.replace("{", "").replace("}", ""))
    if values.BOX.search(line):
        line = values.boxes(line)
        if line.lstrip().startswith("[") and named(plain(line))[1]:
            return [" ".join(part.split()) for part in re.split(r"(?=\[[x ]\])", line) if part.strip(" ,;")]
        if (box := line.rstrip()).endswith("]") and subject_of(box[: -len(values.EMPTY)].rstrip(" :")):
            line = f"{box[: -len(values.EMPTY)].rstrip(' :')}: {box[-len(values.EMPTY) :]}"
    line = _ASKED.sub(": ", line)
    line = _SIGN.sub(r": (\1)", " ".join(line.split()))
    found, start, position = [], 0, 0
    for mark in list(_MARK.finditer(line)):
        if mark.start() < position:
            continue
        label, begin = _label_before(line, position, mark)
        if label is None or not _separates(label, mark, line):
            continue
        if line[start:begin].strip(" ,;"):
            found.append(line[start:begin].strip(" ,;"))
        start, position = begin, mark.end()
        if mark.group() != ":":
            line = f"{line[: mark.start()]}{':':<{max(1, mark.end() - mark.start())}}{line[mark.end() :]}"
    found.append(line[start:].strip())
    return [_sides(one) for one in found]


def _titled(match: re.Match[str]) -> str:
    return f"{match['name']}: " if subject_of(match["name"]) else match.group()


def _separates(label: str, mark: re.Match[str], line: str) -> bool:
    """Whether a mark stands between a label and its value: a dash only before a value that can be read."""
    if "-" not in mark.group() or ">" in mark.group():
        return True
    subject = subject_of(label)
    value = re.split(r"[.;] ", line[mark.end() : mark.end() + _LOOK_AHEAD])[0]
    return subject is not None and (
        subject.region is not None or values.read(value) is not None or not value.strip(" -")
    )


def _label_before(line: str, position: int, mark: re.Match[str]) -> tuple[str | None, int]:
    """The label that ends at a mark and where it begins; none where there is none, or only one side of the chest."""
    position = max(position, mark.start() - _LOOK_BACK)
    text = line[position : mark.start()]
    stop = max((found.end() for found in re.finditer(r"[.;!](?:\s+|$)", text)), default=0)
    last = max((found.end() for found in re.finditer(r",(?:\s+|$)", text)), default=0)
    if last > stop and not (
        (position == 0 or stop) and subject_of(text[stop:])
    ):  # not "effusion, edema and hernia: none"
        stop = last
    whole = text[stop:].strip()
    begin = position + stop + len(text[stop:]) - len(text[stop:].lstrip())
    if not whole:
        return None, -1
    if _SIDES.fullmatch(whole) or (position and values.DETAIL.match(f"{whole}:")):
        return None, -1
    ends_a_value = position > 0 and not stop and re.match(r"(?:no|without)\b", whole, re.IGNORECASE)
    if (subject_of(whole) and not ends_a_value) or (position == 0 and stop == 0 and mark.group() == ":"):
        return whole, begin
    for start in _START.finditer(whole, 1):
        if subject_of(suffix := whole[start.start() :]) and not _takes_a_side(whole, start.start(), suffix):
            return suffix, begin + start.start()
    generic = _GENERIC.search(whole)
    if generic and mark.group() == ":" and values.read(generic.group()) is None:
        return generic.group(), begin + generic.start()
    return None, -1


def _takes_a_side(whole: str, start: int, suffix: str) -> bool:
    """Whether a side before a label may end the value before it: "small left Effusion:"."""
    first = suffix.split()[0]
    rest = suffix[len(first) :].strip()
    return (
        bool(rest)
        and ((first[0].islower() and rest[0].isupper()) or bool(_SIDES.fullmatch(first)))
        and subject_of(rest) is not None
    )


def _sides(field: str) -> str:
    """ "Effusion: left: small. Right: none" -> "Effusion: left small; Right none"."""
    label, colon, value = field.partition(":")
    if not colon or ":" not in value:
        return field
    return (
        label + colon + re.sub(rf"(?:[.] +)?(?P<side>\b{_SIDES.pattern})\s*[:=] *", _side, value, flags=re.IGNORECASE)
    )


def _side(match: re.Match[str]) -> str:
    return f"{'; ' if match.group().startswith('.') else ''}{match['side']} "


def labelled_line(line: str) -> bool:
    """Whether a line is "label: value", in whatever typesetting, of a finding or of a part of the chest."""
    body = BULLET.sub("", line.strip())
    mark = _MARK.search(body) or tables.GAP.search(body)
    return bool(mark and mark.start() and subject_of(body[: mark.start()]))
