"""JSON and lines of it, read with errors that name the file and the line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from intervalchange.errors import SourceError

LONGEST_LINE = 1 << 24
"""Bytes of a line; a longer one is not an answer, and is refused before it fills the memory."""


def decoded(content: bytes, where: str | Path) -> str:
    """UTF-8 bytes, with or without a byte order mark, as text. Raises SourceError saying where it is something else."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte {content[error.start]:#04x}" + (f" in line {line}" if content.count(b"\n") > 1 else "")
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        raise SourceError(
            f"is not UTF-8 ({'it looks like UTF-16' if wide else byte}).",
            where=where,
            remedy=f"Convert it: iconv -f {'UTF-16' if wide else 'LATIN1'} -t UTF-8 OLD > NEW.",
        ) from None


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number, bytes with their end) of each line of a file, one at a time. Raises SourceError on one that is longer
    than LONGEST_LINE or where the file cannot be read."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise SourceError(
                        f"the line is longer than {LONGEST_LINE:,} bytes.",
                        where=f"{path}, line {number}",
                        remedy="Write one answer a line; a file that is one JSON list is read with --format coco.",
                    )
                yield number, line
    except OSError as error:
        raise SourceError(
            f"cannot be read ({error.strerror}).", where=path, remedy="Give the file that `predict --out` wrote."
        ) from None


def drop_torn_line(path: Path, openings: tuple[bytes, ...]) -> None:
    """Cut off a last line without its end, which an interrupted write left. Raises SourceError where no line of
    ours begins so: the file is not ours, and is left as it is."""
    content = path.read_bytes()
    number, end = content.count(b"\n") + 1, content.rfind(b"\n") + 1
    torn = content[end:]
    if not any(opening.startswith(torn[: len(opening)]) for opening in openings):
        raise SourceError(
            "the last line was not written by this command.",
            where=f"{path}, line {number}",
            remedy="Give another --out, or remove the file.",
        )
    if torn:
        with path.open("rb+") as file:
            file.truncate(end)


def _refused(constant: str) -> NoReturn:
    raise ValueError(f'{constant} is not JSON; an empty answer is written as ""')


_DECODER = json.JSONDecoder(parse_constant=_refused)
"""One for all lines: `json.loads` with an option would make one per line."""


def json_value(text: str, where: str | Path, remedy: str = "") -> Any:
    """A JSON document, NaN and Infinity refused. Raises SourceError."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"not valid JSON ({error}).", where=where, remedy=remedy) from None


def json_line(line: bytes, where: str) -> dict[str, Any]:
    """The object of one line. Raises SourceError."""
    torn = not line.endswith(b"\n")
    remedy = "The last line is cut off: rerun `predict` to resume." if torn else ""
    plain = json_value(decoded(line, where), where, remedy)
    if not isinstance(plain, dict):
        raise SourceError("a line must be a JSON object.", where=where, remedy="Write one object per answer.")
    return plain
