"""Stored values of a DICOM film -> (h, w) in [0, 1], white = dense, columns to the patient's left and rows to the feet.

Header fields about grey levels are often wrong. Each is judged on the middle of the film, as `films.standardise` sees
it: a window or table that leaves less of it than there is, is left out with a warning, for the models see ranks of
grey levels, and the whole range of the film loses none. Range and window are those of pixels that are not padding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intervalchange.data.decoded_film import MARGIN, middle, to_grey
from intervalchange.data.dicom_selection import orientation_of
from intervalchange.data.dicom_stream import BIG_ENDIAN

COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
POLARITY = {"INVERSE": "MONOCHROME1", "IDENTITY": "MONOCHROME2"}
"""PresentationLUTShape -> the photometric interpretation that goes with it."""
LOST = 0.4
"""Share of the middle that a window or table may move to its ends and still fit: air and abdomen may be there."""
FEW_LEVELS = 32
"""Grey levels in the middle, below which a window or table that has fewer than half of what there is does not fit."""
SAMPLE = 256
"""Pixels a side that are judged at most."""
NO_WINDOW = "the window of the header does not fit the pixels: the whole range is shown"


@dataclass(frozen=True)
class Curve:
    """A window or look-up table."""

    of: Callable[[np.ndarray], np.ndarray]
    """Values -> grey."""
    low: float
    """At most this: where it is black."""
    high: float
    """At least this: where it is white."""


def grey(header: Any, decoded: np.ndarray, path: Path, force: bool) -> tuple[np.ndarray, list[str]]:
    """(h, w) float32 in [0, 1], and what a reader of the answer should know."""
    photometric = header.PhotometricInterpretation
    if photometric in COLOUR:
        return to_grey(decoded, path, force)
    notes: list[str] = []
    padding = _padding(header, decoded, notes)
    values = _rescaled(_stored_values(header, decoded, padding, notes), header, padding, notes)
    pixels = _shown(values, padding, header, notes)
    if photometric == "MONOCHROME1":
        pixels = 1 - pixels
    if padding is not None:
        pixels[padding] = 0
    shape = str(header.get("PresentationLUTShape") or "").strip().upper()
    if POLARITY.get(shape, photometric) != photometric:
        notes.append(
            f"the header contradicts itself about black and white ({photometric}, and PresentationLUTShape {shape}): "
            f"{photometric} is obeyed, check the polarity of the film"
        )
    return pixels, notes


# --- padding -------------------------------------------------------------------------------------------------------


def _padding(header: Any, stored: np.ndarray, notes: list[str]) -> np.ndarray | None:
    """(h, w) bool: the pixels that are no film; None where there are none.

    A padding value between the film's own ones counts where it reaches the edge: inside, it is a pixel of the film.
    """
    padding, limit = (_integer(header, name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    if padding is None:
        return None
    ends = (_as_stored(value, header) for value in (padding, padding if limit is None else limit))
    spans = [(min(span), max(span)) for span in zip(*ends, strict=True)]
    darkest, brightest = int(stored.min()), int(stored.max())
    for low, high in spans:
        if high < darkest or low > brightest:
            continue
        mask = _within(stored, low, high)
        count = np.count_nonzero(mask)
        if count > 0.98 * stored.size:
            notes.append("the padding value of the header covers the film: it is left out")
            return None
        if count:
            return _reaching_the_edge(mask) if darkest < low and high < brightest else mask
    return None


def _within(stored: np.ndarray, low: int, high: int) -> np.ndarray:
    mask: np.ndarray = stored == low if low == high else (stored >= low) & (stored <= high)
    return mask


def _integer(header: Any, name: str) -> int | None:
    values = _numbers(header, name)
    return int(values[0]) if values and math.isfinite(values[0]) else None


def _as_stored(value: int, header: Any) -> tuple[int, int]:
    """A padding value among the stored ones, which may be signed where it is not, and the other way round.

    Two, for it may fill all the bits or only those that are stored.
    """
    signed = bool(header.PixelRepresentation)
    found = []
    for bits in (int(header.BitsAllocated), int(header.BitsStored)):
        if signed and value >= 1 << (bits - 1):
            found.append(value - (1 << bits))
        else:
            found.append(value + (1 << bits) if not signed and value < 0 else value)
    return found[0], found[1]


def _reaching_the_edge(mask: np.ndarray) -> np.ndarray | None:
    from scipy import ndimage

    labels, _ = ndimage.label(mask)
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    reaching: np.ndarray = np.isin(labels, edge[edge > 0])
    return reaching if reaching.any() else None


# --- stored values -> values ---------------------------------------------------------------------------------------


def _stored_values(header: Any, stored: np.ndarray, padding: np.ndarray | None, notes: list[str]) -> np.ndarray:
    """(h, w) integers. High bits are cut off where the header says that an overlay lives there."""
    bits = int(header.BitsStored)
    if stored.dtype.kind != "u" or bits >= int(header.BitsAllocated) or int(stored.max()) < 1 << bits:
        return stored
    if padding is not None and int(stored[~padding].max()) < 1 << bits:
        return stored
    if any(header.get((group, 0x0102)) for group in range(0x6000, 0x6020, 2)):
        return stored & ((1 << bits) - 1)
    low_bits = int(header.get("HighBit") or bits - 1) + 1 - bits
    if low_bits > 0:
        return stored >> low_bits
    notes.append(f"there are more grey levels than the {bits} bits of the header")
    return stored


def _rescaled(stored: np.ndarray, header: Any, padding: np.ndarray | None, notes: list[str]) -> np.ndarray:
    """Modality look-up table, or slope and intercept."""
    if header.get("ModalityLUTSequence"):
        judge = _Judge.of(stored.astype(np.float32), padding, header)
        table = _fitting(_tables(header, "ModalityLUTSequence", scaled=False), judge)
        if table is not None:
            return table.of(stored)
        notes.append("the modality look-up table of the header has no data or does not fit the pixels: it is left out")
    slope, intercept = (_number(header, name, usual) for name, usual in (("RescaleSlope", 1), ("RescaleIntercept", 0)))
    if not slope:
        slope = 1.0
    values = stored.astype(np.float32)
    return values if (slope, intercept) == (1, 0) else values * np.float32(slope) + np.float32(intercept)


# --- values -> [0, 1] ----------------------------------------------------------------------------------------------


def _shown(values: np.ndarray, padding: np.ndarray | None, header: Any, notes: list[str]) -> np.ndarray:
    """The first VOI look-up table, else the first window, that fits, else the whole range, onto [0, 1]."""
    tables, windows = bool(header.get("VOILUTSequence")), _windows(header)
    if not tables and not windows:
        return _whole_range(values, padding)
    judge = _Judge.of(values, padding, header)
    if judge.low >= judge.high:
        return _whole_range(values, padding)
    if tables:
        table = _fitting(_tables(header, "VOILUTSequence"), judge)
        if table is not None:
            return table.of(values)
        notes.append("the look-up table of the header has no data or does not fit the pixels: it is left out")
    window = _fitting(windows, judge)
    if window is not None:
        return window.of(values)
    if windows:
        notes.append(NO_WINDOW)
    return _whole_range(values, padding)


def _whole_range(values: np.ndarray, padding: np.ndarray | None) -> np.ndarray:
    """The film's lowest value black, its highest white."""
    film = values if padding is None else values[~padding]
    low, high = float(film.min()), float(film.max())
    shown: np.ndarray = values - low
    shown /= max(high - low, 1e-6)
    # Only padding lies outside.
    return shown if padding is None else np.clip(shown, 0, 1, out=shown)


@dataclass(frozen=True)
class _Judge:
    """The middle of a film, on which windows and tables are judged."""

    low: float
    """Of the film's sample, padding left out."""
    high: float
    values: np.ndarray
    """(n,) of the middle."""

    @classmethod
    def of(cls, values: np.ndarray, padding: np.ndarray | None, header: Any) -> _Judge:
        step = max(1, math.ceil(max(values.shape) / SAMPLE))
        sample = values[::step, ::step]
        film = np.ones(sample.shape, bool) if padding is None else ~padding[::step, ::step]
        if not film.any():
            return cls(0, 0, sample.ravel())
        # Single pixels far above the film must not make all of it a border.
        black, white = np.percentile(sample[film], (0.1, 99.9))
        shown = np.clip((sample - black) / max(white - black, 1e-6), 0, 1)
        shown = 1 - shown if header.PhotometricInterpretation == "MONOCHROME1" else shown
        inner = middle(np.where(film, shown, 0))
        if inner is None:
            margins = tuple(slice(int(side * MARGIN), side - int(side * MARGIN)) for side in sample.shape)
            inner = margins[0], margins[1]
        inside = sample[inner][film[inner]]
        low, high = float(sample[film].min()), float(sample[film].max())
        return cls(low, high, inside if inside.size else sample[film])

    def fits(self, curve: Curve) -> bool:
        """Whether a curve leaves of the middle about what there is."""
        shown = curve.of(self.values)
        ends = np.mean((shown <= curve.low) | (shown >= curve.high))
        own = np.mean((self.values <= self.low) | (self.values >= self.high))
        levels = _levels(shown)
        return bool(ends - own <= LOST) and (levels >= FEW_LEVELS or 2 * levels > _levels(self.values))


def _levels(values: np.ndarray) -> int:
    """Grey levels that are left on a screen of 256, stretched to the range of the values."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return 1
    scaled = np.rint((values - low) * (255 / (high - low))).astype(np.int64)
    return int(np.count_nonzero(np.bincount(scaled.ravel())))


def _fitting(curves: list[Curve], judge: _Judge) -> Curve | None:
    return next((curve for curve in curves if judge.fits(curve)), None)


def _windows(header: Any) -> list[Curve]:
    """One curve for each window of the header; of one that is none (width 0, nan) a curve that shows nothing."""
    centres, widths = _numbers(header, "WindowCenter"), _numbers(header, "WindowWidth")
    function = str(header.get("VOILUTFunction") or "").strip().upper() or "LINEAR"
    return [_window(centre, width, function) for centre, width in zip(centres, widths, strict=False)]


def _window(centre: float, width: float, function: str) -> Curve:
    """PS3.3 C.11.2.1.2 and 3."""
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if not (math.isfinite(centre) and math.isfinite(width) and width > 0):
        return Curve(np.zeros_like, 0, 1)
    if function == "SIGMOID":
        half = 1 / 510  # of a grey level of a screen
        return Curve(lambda values: _sigmoid((values - centre) / width), half, 1 - half)
    return Curve(
        lambda values: np.clip((values - np.float32(centre)) / np.float32(width) + np.float32(0.5), 0, 1), 0, 1
    )


def _sigmoid(steps: np.ndarray) -> np.ndarray:
    shown: np.ndarray = (1 / (1 + np.exp(np.clip(-4 * steps, -60, 60)))).astype(np.float32)
    return shown


# --- look-up tables ------------------------------------------------------------------------------------------------


def _tables(header: Any, name: str, scaled: bool = True) -> list[Curve]:
    """The curves of the look-up tables of a sequence that have data. scaled: to [0, 1] by their own largest entries."""
    curves: list[Curve] = []
    for item in header[name].value:
        try:
            first, entries = _table(item, header)
        except Exception:  # a foreign parser fails in every way there is; without its data a table is left out
            continue
        shades = (entries / max(float(entries.max()), 1e-6) if scaled else entries).astype(np.float32)
        # A first value that is signed is often written as unsigned, or the other way round.
        other = first - 65536 if first >= 32768 else first + 65536
        curves += [_looked_up(start, shades) for start in ((first,) if 0 <= first < 32768 else (first, other))]
    return curves


def _table(item: Any, header: Any) -> tuple[int, np.ndarray]:
    """The first value that is mapped, and the entries, whatever number of bits the descriptor claims for them."""
    count, first, _ = (int(number) for number in item.LUTDescriptor)
    count = count % 65536 or 65536
    data = item.LUTData
    if not isinstance(data, bytes):
        data = np.asarray(data, np.int64).astype(np.uint16).tobytes()
    elif str(header.file_meta.TransferSyntaxUID) == BIG_ENDIAN:
        data = np.frombuffer(data, ">u2").astype(np.uint16).tobytes()
    two_bytes = len(data) >= 2 * count or len(data) < count
    entries = np.frombuffer(data[: len(data) // 2 * 2], "<u2") if two_bytes else np.frombuffer(data, np.uint8)
    if len(entries) < 2:
        raise ValueError("no table")
    return first, entries[:count]


def _looked_up(first: int, shades: np.ndarray) -> Curve:
    def of(values: np.ndarray) -> np.ndarray:
        rows = values if values.dtype.kind in "iu" else np.rint(values)
        return shades[np.clip(rows.astype(np.int64) - first, 0, len(shades) - 1)]

    return Curve(of, float(shades.min()), float(shades.max()))


# --- how the film lies ---------------------------------------------------------------------------------------------


def upright(pixels: np.ndarray, header: Any, as_stored: bool = False) -> tuple[np.ndarray, list[str]]:
    """The film with its columns to the patient's left and its rows to the feet (L\\F), where the header says otherwise.

    Of directions in between ("LF") the first letter leads. Other orientations are left as they are.
    """
    directions = orientation_of(header)
    if len(directions) != 2 or not set("".join(directions)) <= set("LRFH"):
        return pixels, []
    row, column = (direction[0] for direction in directions)
    if (row, column) == ("L", "F") or (row in "LR") == (column in "LR"):
        return pixels, []
    stored = f"the header says that the film is stored mirrored or turned ({row}\\{column})"
    if as_stored:
        return pixels, [f"{stored}: left so, for what is drawn on it"]
    if row in "FH":
        pixels, row, column = pixels.T, column, row
    pixels = pixels[:: -1 if column == "H" else 1, :: -1 if row == "R" else 1]
    return np.ascontiguousarray(pixels), [f"{stored}: it is turned upright"]


# --- numbers -------------------------------------------------------------------------------------------------------


def _number(header: Any, name: str, usual: float) -> float:
    """The first value of an element, where it is a number."""
    first = next(iter(_numbers(header, name)), usual)
    return first if math.isfinite(first) else usual


def _numbers(header: Any, name: str) -> list[float]:
    """The values of an element; NaN for one that is no number."""
    try:
        value = header.get(name)
    except Exception:  # a foreign parser fails in every way there is
        return [math.nan]
    if value is None or isinstance(value, (str, bytes)):
        return [math.nan] if value else []
    numbers = []
    for number in value if hasattr(value, "__iter__") else [value]:
        try:
            numbers.append(float(number))
        except (TypeError, ValueError, OverflowError):
            numbers.append(math.nan)
    return numbers
