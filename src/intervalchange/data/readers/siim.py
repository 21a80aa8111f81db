"""SIIM-ACR Pneumothorax Segmentation (Kaggle 2019), stages 1 and 2.

**Size.** 12,047 labelled films in 12,954 rows (the stage 2 table): 9,378 without, 2,669 with pneumothorax, of these
624 in several rows; 1024 x 1024 pixels, 8 bit. The labels of 3,205 test films of stage 2 are hidden.
**Labels.** A mask of the pneumothorax, or `-1`.
**Access.** https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation, for non-commercial research; the films come
from NIH ChestX-ray14.
**Cite.** SIIM-ACR Pneumothorax Segmentation, Kaggle 2019.
**Defects handled.** A column name and a `-1` that begin with a blank in the tables of stage 1 and not in later ones;
several rows per film, each a part of the mask: their union is taken, and no split falls between them; masks whose runs
start where the run before ended (as shipped) or at the top left of the film (other copies); films two folders deep in
stage 1 and flat in stage 2.
**Not handled.** There is no patient and no order in time: a person may have several films, and the same ones are in
NIH ChestX-ray14 and in RSNA under other names.

ROOT holds `stage_2_train.csv` or `train-rle.csv`, and the films anywhere below it, also behind links: DICOM, or PNG or
JPEG copies of any size, to which the masks are scaled (pictures in a folder `masks` are not films). Of a film without
pneumothorax nothing else is known: its answer is empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from intervalchange.data import run_length
from intervalchange.data.frames import too_many
from intervalchange.data.readers.cases import film_case
from intervalchange.data.readers.files import marker, need_columns, plain_or_gzip, read_table
from intervalchange.data.readers.folders import data_folder, films_below
from intervalchange.data.readers.single_films import FilmHeader, frontal, read_headers
from intervalchange.data.readers.source import Frame, Source
from intervalchange.errors import ConfigError, SourceError
from intervalchange.records import Region, Study

WHERE = "Fetch it from https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation (its rules apply)."
TABLES = {"stage_2_train.csv": "stage 2", "train-rle.csv": "stage 1"}
"""Name of a table -> its release; the first that is there is read, for it holds the rows of the other too."""
STARTS = ("detect", "relative", "absolute")
SIDE = 1024
"""Pixels of every film of the real set."""
NONE = "-1"
ENDINGS = (".dcm", ".dicom", ".png", ".jpg", ".jpeg")


def read(root: Path, images: Path | None = None, starts: str = "detect", tables_only: bool = False) -> Source:
    """Read the table, and the headers of the films unless tables_only.

    images: folder of the films, if not below ROOT. starts: what the first number of a run is: the gap since the run
    before (relative), its position on the film (absolute), or whichever of the two fits the whole table (detect).
    """
    if starts not in STARTS:
        raise ConfigError(f"unknown starts '{starts}' of runs.", remedy=f"Choose one of: {', '.join(STARTS)}.")
    notes: Counter[str] = Counter()
    root = data_folder(root, tuple(TABLES), notes, WHERE)
    path, release = _table(root)
    rows = _rows(path, notes)
    folder = images or root
    paths = films_below(folder, ENDINGS, notes)
    if not tables_only:
        rows = _on_disk(rows, paths, folder, notes)
    simulated = marker(root / "SIMULATED")
    side = int(simulated.get("pixels") or SIDE)
    headers = {} if tables_only else read_headers(folder, {image: paths[image] for image in rows}, notes)
    sizes = _sizes(rows, headers, side)
    absolute = starts == "absolute" or (starts == "detect" and _absolute(rows, sizes))
    if absolute:
        notes["masks whose runs start at their place on the film, not after the run before"] = sum(
            map(len, rows.values())
        )
    cases = []
    for image, header in frontal(rows, headers, notes):
        texts = rows[image]
        study = Study(
            study_id=image,
            image=paths.get(image, f"{image}.dcm"),
            view=header.view,
            findings={"pneumothorax": float(bool(texts))},
            regions=_regions(texts, *sizes[image], absolute, notes),
            age=header.age,
            sex=header.sex,
        )
        cases.append(film_case(study, image, normal=False))
    if not cases:
        raise SourceError("no film could be used.", where=path, remedy=f"Noted: {dict(notes)}.")
    notes["films without pneumothorax (nothing else is known of them: their answer is left empty)"] = sum(
        not case.answer for case in cases
    )
    frames = {paths[image]: Frame(*size) for image, size in sizes.items() if image in paths}
    return Source("siim", release, folder, cases, dict(+notes), {}, simulated, frames=frames)


def _table(root: Path) -> tuple[Path, str]:
    """The table of masks, and the stage it is of."""
    for name, release in TABLES.items():
        path = plain_or_gzip(root, name)
        if path is not None:
            return path, release
    raise SourceError(f"neither {' nor '.join(TABLES)} is here.", where=root, remedy=WHERE)


def _rows(path: Path, notes: Counter[str]) -> dict[str, list[str]]:
    """Image id -> the texts of its masks, none where it has no pneumothorax; in the order of the table."""
    table = read_table(path, WHERE)
    need_columns(table, ("ImageId", "EncodedPixels"), path, WHERE)
    rows: dict[str, list[str]] = {}
    negative: set[str] = set()
    for image, text in zip(table["ImageId"], table["EncodedPixels"], strict=True):
        image, text = image.strip(), text.strip()
        if not image or not text:
            notes["rows without an id or a mask (skipped)"] += 1
            continue
        masks = rows.setdefault(image, [])
        if text == NONE:
            negative.add(image)
        elif text in masks:
            notes["masks that stand twice (kept once)"] += 1
        else:
            masks.append(text)
    notes["films with a mask and a row without (taken as with)"] = sum(bool(rows[image]) for image in negative)
    notes["films with several masks (joined)"] = sum(len(masks) > 1 for masks in rows.values())
    return rows


def _on_disk(
    rows: Mapping[str, list[str]], paths: Mapping[str, str], folder: Path, notes: Counter[str]
) -> dict[str, list[str]]:
    """The rows whose film is there. Raises SourceError where none is."""
    present = {image: masks for image, masks in rows.items() if image in paths}
    if rows and not present:
        raise SourceError("none of the films that the table names is below this folder.", where=folder, remedy=WHERE)
    notes["films of the table that are not on disk (left out)"] = len(rows) - len(present)
    notes["films without a row in the table, such as test films (left out)"] = sum(image not in rows for image in paths)
    return present


def _sizes(rows: Mapping[str, list[str]], headers: Mapping[str, FilmHeader], side: int) -> dict[str, tuple[int, int]]:
    """Image id -> height and width of the film that its masks were drawn on.

    A DICOM of another size than the published square is a film of its own, unless the masks of the set do not fit such
    films and fit the square: then these are smaller copies.
    """
    sizes = {image: (header.height or side, header.width or side) for image, header in headers.items()}
    own = {image: sizes.get(image, (side, side)) for image in rows}
    texts = [(text, own[image]) for image, several in rows.items() for text in several if own[image] != (side, side)]
    unfit = [text for text, size in texts if not _fits(text, *size, False) and not _fits(text, *size, True)]
    fit_square = [text for text in unfit if _fits(text, side, side, False) or _fits(text, side, side, True)]
    return dict.fromkeys(rows, (side, side)) if too_many(len(fit_square), len(texts)) else own


def _absolute(rows: Mapping[str, list[str]], sizes: Mapping[str, tuple[int, int]]) -> bool:
    """Whether the table makes sense only if runs start at absolute positions on the film.

    Gaps always ascend, and their sum with the runs stays on the film. Positions read as gaps soon add up to more than
    the film holds. So the table holds positions if some mask fits as positions and not as gaps, and none the other way.
    """
    positions = False
    for image, texts in rows.items():
        for text in texts:
            fits = [_fits(text, *sizes[image], absolute) for absolute in (False, True)]
            if fits == [True, False]:
                return False
            positions = positions or fits == [False, True]
    return positions


def _fits(text: str, height: int, width: int, absolute: bool) -> bool:
    try:
        run_length.decode_gaps(text, height, width, absolute)
    except SourceError:
        return False
    return True


def _regions(texts: list[str], height: int, width: int, absolute: bool, notes: Counter[str]) -> tuple[Region, ...]:
    """The union of the masks of one film, with the box around it; nothing where none can be read."""
    masks = list(_masks(texts, height, width, absolute, notes))
    if not masks:
        return ()
    mask = np.logical_or.reduce(masks)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    return (Region("finding", "pneumothorax", box, run_length.encode(mask)),)


def _masks(texts: list[str], height: int, width: int, absolute: bool, notes: Counter[str]) -> Iterator[np.ndarray]:
    for text in texts:
        try:
            yield run_length.decode_gaps(text, height, width, absolute)
        except SourceError:
            notes["masks that cannot be read or leave the film (left out; the label is kept)"] += 1
