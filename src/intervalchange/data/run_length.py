"""Masks as COCO's compressed run-length strings, without a compiled extension.

Runs are counted down the columns and begin with the zeros. From the third run on, the difference to the run two
before is written, six bits a character: five of value and one that says more follow, offset by 48.
"""

from __future__ import annotations

import numpy as np

from intervalchange.errors import SourceError


def encode(mask: np.ndarray) -> str:
    """(h, w) bool -> the `counts` string of COCO."""
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    if flat.size and flat[0]:
        runs.insert(0, 0)
    return _written(runs)


def encode_part(part: np.ndarray, left: int, top: int, height: int, width: int) -> str:
    """`encode` of a mask that is empty but for `part`, without making all of it.

    part: (h, w) bool, wholly on the film, its first pixel at (left, top). height, width: pixels of the film.
    """
    # Column by column, so that a run ends where its column does.
    steps = np.diff(np.asarray(part, dtype=np.int8).T, axis=1, prepend=0, append=0)
    starts, ends = (
        (columns + left) * height + rows + top for columns, rows in (np.nonzero(steps == 1), np.nonzero(steps == -1))
    )
    apart = starts[1:] != ends[:-1]
    starts, ends = starts[np.append(True, apart)[: len(starts)]], ends[np.append(apart, True)[: len(ends)]]
    edges = np.stack((starts, ends), axis=1).ravel()
    runs = np.diff(np.concatenate(([0], edges, [height * width]))).tolist()
    return _written(runs[:-1] if runs[-1] == 0 and len(runs) > 1 else runs)


def _written(runs: list[int]) -> str:
    """Lengths of runs, of which the first is of zeros -> text."""
    text = bytearray()
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text.append(48 + (bits | 32 if more else bits))
    return text.decode("ascii")


def decode(counts: str, height: int, width: int) -> np.ndarray:
    """The `counts` string of COCO -> (h, w) bool.

    Raises SourceError where the text is not such a string, or not of a mask of this size.
    """
    runs: list[int] = []
    value, shift = 0, 0
    for code in counts.encode("utf-8", "surrogatepass"):
        bits = code - 48
        # Beyond 60 bits there is no film, and without a limit a long text would make an endless number.
        if not 0 <= bits < 64 or shift > 60:
            raise SourceError("the mask is no run-length string of COCO")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        if runs[-1] < 0:
            raise SourceError("a run of the mask is shorter than nothing")
        value, shift = 0, 0
    if shift:
        raise SourceError("the mask is cut short")
    if sum(runs) != height * width:
        raise SourceError(f"the mask holds {sum(runs)} pixels, not {height} x {width}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")


# --- the form of SIIM-ACR ------------------------------------------------------------------------------------------


def encode_gaps(mask: np.ndarray) -> str:
    """(h, w) bool -> pairs of `gap length` down the columns, each gap counted from the end of the run before it.

    Empty where the mask is.
    """
    flat = np.asarray(mask, dtype=np.int8).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=0))
    starts, ends = edges[0::2], edges[1::2]
    gaps = starts - np.concatenate(([0], ends))[: len(starts)]
    return " ".join(map(str, np.stack((gaps, ends - starts), axis=1).ravel().tolist()))


def decode_gaps(text: str, height: int, width: int, absolute: bool = False) -> np.ndarray:
    """Pairs of `gap length` down the columns -> (h, w) bool.

    absolute: each first number is the position of its run, counted from 0 at the top left, not the gap before it.
    Raises SourceError where the text is not a list of pairs, runs overlap, or one leaves the film.
    """
    try:
        numbers = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise SourceError("the mask is not a list of whole numbers") from error
    if len(numbers) % 2:
        raise SourceError(f"the mask has {len(numbers)} numbers, which are no pairs")
    firsts, lengths = numbers[0::2], numbers[1::2]
    if (numbers < 0).any() or (numbers > height * width).any() or not lengths.all():
        raise SourceError("a run of the mask is empty or cannot be on the film")
    ends = firsts + lengths if absolute else np.cumsum(firsts + lengths)
    starts = ends - lengths
    if len(ends) and ends[-1] > height * width:
        raise SourceError(f"the mask leaves the film of {height} x {width} pixels")
    if (starts[1:] < ends[:-1]).any():
        raise SourceError("runs of the mask overlap")
    steps = np.zeros(height * width + 1, np.int8)
    np.add.at(steps, starts, 1)
    np.add.at(steps, ends, -1)
    return (np.cumsum(steps[:-1], dtype=np.int8) > 0).reshape((height, width), order="F")
