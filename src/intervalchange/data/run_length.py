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
    text = bytearray()
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text.append(48 + (bits | 32 if more else bits))
    return text.decode("ascii")


def decode(counts: str, height: int, width: int) -> np.ndarray:
    """The `counts` string of COCO -> (h, w) bool."""
    runs: list[int] = []
    value, shift = 0, 0
    for code in counts.encode("ascii"):
        bits = code - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    if sum(runs) != height * width:
        raise SourceError(f"the mask holds {sum(runs)} pixels, not {height} x {width}")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")
