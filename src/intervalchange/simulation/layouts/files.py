"""What the layouts share: names and bytes of films, where the test films go, lines of a table, parts of a mask."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from intervalchange.atomic_files import write_atomically
from intervalchange.simulation.identifiers import dicom_id
from intervalchange.simulation.layouts import Fragment

SMALLEST_PART = 2e-4
"""Share of the film below which a connected part of a mask has no box of its own."""


def digest(seed: int, index: int, visit: int, name: str) -> str:
    """40 hexadecimal digits of one film in one data set, from which its names there are made."""
    return dicom_id(seed, index, visit, name).replace("-", "")


def png_bytes(pixels: np.ndarray) -> bytes:
    """(h, w) float in [0, 1] -> an 8-bit PNG."""
    return _encoded(pixels, "PNG")


def jpeg_bytes(pixels: np.ndarray) -> bytes:
    """(h, w) float in [0, 1] -> an 8-bit JPEG."""
    return _encoded(pixels, "JPEG", quality=95)


def _encoded(pixels: np.ndarray, form: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    grey = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(grey).save(buffer, form, **options)
    return buffer.getvalue()


def write_lines(path: Path, work: Path, lines: Iterable[str]) -> None:
    """Write a text file of these lines."""
    write_atomically(path, work, "".join(f"{line}\n" for line in lines).encode())


def move_films(out: Path, moves: Mapping[str, str]) -> None:
    """Move films to where the split puts them: path under `out` -> path under `out`.

    Films that were moved already stay, so that an interrupted call can be repeated. Folders left empty are removed.
    """
    for old, new in moves.items():
        if old == new or not (out / old).exists():
            continue
        (out / new).parent.mkdir(parents=True, exist_ok=True)
        os.replace(out / old, out / new)
        for folder in (out / old).relative_to(out).parents[:-2]:
            if not any((out / folder).iterdir()):
                (out / folder).rmdir()


def films_with_split(fragments: Sequence[Fragment], splits: Sequence[str]) -> Iterable[tuple[Fragment, str]]:
    """(film, split) of every film of every patient. fragments: each with its `films`."""
    for fragment, split in zip(fragments, splits, strict=True):
        for film in fragment["films"]:
            yield film, split


def parts(mask: np.ndarray) -> list[np.ndarray]:
    """(h, w) bool -> its connected parts, each (h, w) bool, the largest first. Pixels touch at edges and corners."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return [labels == index + 1 for index in np.argsort(-sizes, kind="stable")]


def boxes_of_parts(mask: np.ndarray, most: int) -> list[tuple[int, int, int, int]]:
    """x1, y1, x2, y2 around the largest connected parts of a mask, at most `most` of them.

    Specks below `SMALLEST_PART` of the film have none, unless the mask has nothing larger.
    """
    largest_first = parts(mask)
    large = [part for part in largest_first if part.sum() >= SMALLEST_PART * mask.size] or largest_first[:1]
    boxes = []
    for part in large[:most]:
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        boxes.append((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
    return boxes
