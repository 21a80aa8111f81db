"""A film as PNG: what is sent to a model of others, and written for other people's packages."""

from __future__ import annotations

import base64
import struct
import zlib
from functools import lru_cache

import numpy as np

KEPT = 32
"""Films of which the encoded form is kept: a question and its samples, or a pair and its control, share theirs."""
_UP = 2
"""The filter of PNG that stores a row as its difference from the row above."""


def film_png(film: np.ndarray) -> bytes:
    """(h, w) uint8 -> a grey PNG, without loss.

    Pillow tries five filters on each row and offers no choice among them. Of films, one filter and entropy coding alone
    save about as much in less time, of which asking has little (`benchmarks/endpoint_overhead.py`).
    """
    height, width = film.shape
    rows = np.empty((height, width + 1), np.uint8)
    rows[:, 0] = _UP
    rows[0, 1:] = film[0]
    np.subtract(film[1:], film[:-1], out=rows[1:, 1:])
    packing = zlib.compressobj(1, strategy=zlib.Z_HUFFMAN_ONLY)
    packed = packing.compress(rows.tobytes()) + packing.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits, grey, deflate, filtered, not interlaced.
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def png_base64(film: np.ndarray) -> bytes:
    """(h, w) uint8 -> PNG in base64."""
    return _encoded(film.shape, film.tobytes())


@lru_cache(maxsize=KEPT)
def _encoded(shape: tuple[int, int], pixels: bytes) -> bytes:
    return base64.b64encode(film_png(np.frombuffer(pixels, np.uint8).reshape(shape)))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
