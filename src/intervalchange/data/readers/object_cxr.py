"""Object-CXR (JF Healthcare, MIDL 2020): foreign objects on chest films, boxed, circled or outlined.

**Size.** 10,000 frontal films of about 300 township hospitals: 8,000 to train with and 1,000 to develop with, half of
each with an object; 1,000 test films were never published.
**Labels.** Present or absent, and the place of every object as a rectangle, an ellipse or a polygon. Support devices
are not annotated.
**Access.** CC BY-NC 4.0. The original site is gone; archives of it hold `train.zip`, `dev.zip` and both tables.
**Cite.** JF Healthcare, "object-CXR: automatic detection of foreign objects on chest X-rays", MIDL 2020.
**Defects handled.** `image_path` where the table should say `image_name`; corners in any order; outlines that leave the
film (clipped); objects without an area, or that cannot be read; a film in several rows.
**Not handled.** Nothing says who a film is of, when it was taken, or its view: every film counts as a patient. Nothing
says how large a film was, so objects cannot be scaled to a copy of another size: it is refused.

ROOT holds `train.csv`, `dev.csv`, `train/*.jpg` and `dev/*.jpg`; dev becomes `val`. The finding is "foreign object". No
answer has a word for it, and nothing else is known of a film, so all answers are empty.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from intervalchange.data import run_length
from intervalchange.data.frames import lies_beside, too_many
from intervalchange.data.png_jpeg import size_of_file
from intervalchange.data.readers.cases import film_case
from intervalchange.data.readers.files import marker, number, plain_or_gzip, read_table
from intervalchange.data.readers.folders import data_folder
from intervalchange.data.readers.pole_boxes import pole_box
from intervalchange.data.readers.single_films import film_paths, within_film
from intervalchange.data.readers.source import Frame, Source
from intervalchange.errors import ConfigError, SourceError
from intervalchange.records import Box, Region, Study

WHERE = "The original site is gone: look for an archived copy of object-CXR (train.csv, dev.csv, train.zip, dev.zip)."
FINDING = "foreign object"
PARTS = {"train": "train", "dev": "val"}
"""Table and folder -> split."""
NAMES = ("image_name", "image_path")
ENDINGS = (".jpg", ".jpeg", ".png")
RECTANGLE, ELLIPSE, POLYGON = "0", "1", "2"
BOXES = ("tight", "published")
FARTHEST = 100_000.0
"""Pixels; what lies further from the corner of the film is a typing error that would take minutes to draw."""

Shape = tuple[str, list[tuple[float, float]]]
"""RECTANGLE or ELLIPSE with two opposite corners, or POLYGON with all of its corners; x, y in pixels."""


def read(root: Path, images: Path | None = None, boxes: str = "tight", tables_only: bool = False) -> Source:
    """Read both tables, and the sizes of the films unless tables_only: without them there are boxes but no masks.

    images: the folder that holds `train/` and `dev/`, or all films, if it is not ROOT. boxes: `tight` ones around
    outlines, or `published`, those of the MGCA family (`pole_boxes.py`); rectangles and ellipses are the same.
    """
    if boxes not in BOXES:
        raise ConfigError(f"option boxes is {boxes!r}.", remedy=f"Choose one of: {', '.join(BOXES)}.")
    notes: Counter[str] = Counter()
    root = data_folder(root, tuple(f"{part}.csv" for part in PARTS), notes, WHERE)
    folder = images or root
    tables = {part: path for part in PARTS if (path := plain_or_gzip(root, f"{part}.csv")) is not None}
    if not tables:
        raise SourceError("neither train.csv nor dev.csv is here.", where=root, remedy=WHERE)
    for part in PARTS.keys() - tables.keys():
        notes[f"{part}.csv is not there: none of its films is read"] = 1
    cases = []
    for part, path in tables.items():
        films = _films(path, notes)
        stems = {name: f"{part}/{Path(name).stem}" for name in films}
        paths = film_paths(folder, stems, ENDINGS, tables_only, WHERE, f"{part}.csv")
        sizes = {} if tables_only else _sizes(folder, paths, notes)
        _refuse_copies(folder, films, sizes)
        for name, shapes in films.items():
            image = paths[name]
            study_id = f"{part}-{Path(name).stem}"
            regions = tuple(_regions(shapes, sizes.get(name), notes, boxes == "published"))
            findings = {FINDING: float(shapes is not None)}
            study = Study(study_id, image, findings=findings, regions=regions)
            cases.append(film_case(study, study_id, PARTS[part], normal=False))
    if not cases:
        raise SourceError("no film could be used.", where=root, remedy=f"Noted: {dict(notes)}.")
    notes["films of which nobody knows the patient (each counts as one)"] = len(cases)
    return Source("object_cxr", "", folder, cases, dict(+notes), {}, marker(root / "SIMULATED"))


# --- the tables ----------------------------------------------------------------------------------------------------


def _films(path: Path, notes: Counter[str]) -> dict[str, list[Shape] | None]:
    """File name -> shapes of its objects, None where it has no object."""
    table = read_table(path, WHERE)
    column = next((name for name in NAMES if name in table.columns), None)
    if column is None or "annotation" not in table.columns:
        raise SourceError("columns image_name and annotation are missing.", where=path, remedy=WHERE)
    films: dict[str, list[Shape] | None] = {}
    for cell, annotation in zip(table[column], table["annotation"], strict=True):
        name = cell.strip().replace("\\", "/").rsplit("/", 1)[-1]
        if not name:
            notes["rows without the name of a film (skipped)"] += 1
            continue
        if name in films:
            notes["films in several rows (their objects are put together)"] += 1
        films[name] = _with_shapes(films.get(name), annotation, notes)
    return films


def _with_shapes(known: list[Shape] | None, annotation: str, notes: Counter[str]) -> list[Shape] | None:
    """What is known of a film with the shapes of one more cell; None where neither has an object."""
    objects = [text for text in annotation.split(";") if text.strip()]
    if not objects:
        return known
    shapes = list(known or [])
    for text in objects:
        shape = parse(text)
        if shape is None:
            notes["objects that cannot be read (left out; the film still counts as with one)"] += 1
        elif shape in shapes:
            notes["objects that stand twice (kept once)"] += 1
        else:
            shapes.append(shape)
    return shapes


def parse(text: str) -> Shape | None:
    """`type v v v ...` of one object; None where it is not that."""
    kind, *cells = text.split()
    values = [number(cell) for cell in cells]
    complete = len(values) == 4 if kind in (RECTANGLE, ELLIPSE) else kind == POLYGON and len(values) >= 6
    if not complete or len(values) % 2 or not all(abs(value) <= FARTHEST for value in values):
        return None
    return kind, list(zip(values[0::2], values[1::2], strict=True))


# --- the films -----------------------------------------------------------------------------------------------------


def _sizes(folder: Path, paths: Mapping[str, str], notes: Counter[str]) -> dict[str, Frame]:
    """File name -> size as the head of the file says; those where it cannot be read are counted."""
    sizes = {}
    for name, path in paths.items():
        size = size_of_file(folder / path)
        if size is None:
            notes["films that are missing or whose size cannot be read (their objects have no masks)"] += 1
        else:
            sizes[name] = Frame(size[1], size[0])
    return sizes


def _refuse_copies(folder: Path, films: Mapping[str, list[Shape] | None], sizes: Mapping[str, Frame]) -> None:
    """Raise SourceError where many objects lie beside their films.

    No table says how large the films were, so that it cannot be said how far a copy was scaled.
    """
    with_objects = [name for name, shapes in films.items() if shapes and name in sizes]
    beside = [name for name in with_objects if _beside(films[name] or [], sizes[name])]
    if too_many(len(beside), len(with_objects)):
        size = sizes[beside[0]]
        what = (
            f"of {len(with_objects)} films with objects {len(beside)} are too small for them, "
            f"e.g. {beside[0]}, {size.width} x {size.height} pixels: this is a copy of another size."
        )
        raise SourceError(what, where=folder, remedy=f"Give the films as published; no table says their size. {WHERE}")


def _beside(shapes: Iterable[Shape], size: Frame) -> bool:
    return any(lies_beside(box_of(points), size.height, size.width) for _, points in shapes)


def box_of(points: Iterable[tuple[float, float]]) -> Box:
    """The box around the corners of a shape."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _regions(
    shapes: list[Shape] | None, size: Frame | None, notes: Counter[str], published: bool = False
) -> list[Region]:
    """Objects that have an area on the film. Masks only where its size is known. published: of `read`'s boxes."""
    height, width = (0, 0) if size is None else (size.height, size.width)
    regions = []
    for kind, points in shapes or ():
        box = within_film(box_of(points), height, width, notes)
        if box is None:
            continue
        rle = None if size is None else mask_of(kind, points, box, height, width)
        if rle == run_length.encode_part(np.zeros((0, 0), bool), 0, 0, height, width):
            notes["outlines that lie beside the film, though their boxes touch it (left out)"] += 1
            continue
        if published and kind == POLYGON:
            box = within_film(pole_box(points), height, width, Counter())
        if box is not None:
            regions.append(Region("finding", FINDING, box, rle))
    return regions


def mask_of(kind: str, points: list[tuple[float, float]], box: Box, height: int, width: int) -> str:
    """The COCO mask of a shape. box: its part on the film of height x width pixels."""
    from PIL import Image, ImageDraw

    left, top = math.floor(box[0]), math.floor(box[1])
    right, bottom = min(math.ceil(box[2]), width), min(math.ceil(box[3]), height)
    if kind == RECTANGLE:
        return run_length.encode_part(np.ones((bottom - top, right - left), bool), left, top, height, width)
    canvas = Image.new("1", (right - left, bottom - top))
    moved = [(x - left, y - top) for x, y in points]
    if kind == POLYGON:
        ImageDraw.Draw(canvas).polygon(moved, fill=1, outline=1)
    else:
        (x1, x2), (y1, y2) = (sorted(values) for values in zip(*moved, strict=True))
        # Pillow fills the last row and column too.
        ImageDraw.Draw(canvas).ellipse((x1, y1, max(x2 - 1, x1), max(y2 - 1, y1)), fill=1)
    return run_length.encode_part(np.asarray(canvas), left, top, height, width)
