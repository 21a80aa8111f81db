"""Grey levels of DICOM films: windows, look-up tables, padding, polarity and orientation that fit, and that do not."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from film_files import chest
from film_files import dicom as strict_dicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from intervalchange.data.dicom_grey import NO_WINDOW
from intervalchange.data.film_files import read_film
from intervalchange.data.films import film_from_file

FILM = chest()
TWELVE = np.rint(FILM * 4095)
NO_TABLE = "the look-up table of the header has no data or does not fit the pixels: it is left out"


def dicom(path: Path, stored: np.ndarray, bits: int = 12, **header: object) -> Path:
    """A file, also with values against the standard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return strict_dicom(path, stored, bits, **header)


def whole_range(stored: np.ndarray) -> np.ndarray:
    return (stored - stored.min()) / np.ptp(stored)


def table(entries: np.ndarray, bits: int, first: int = 0, kind: str = "US") -> Dataset:
    """A look-up table whose descriptor claims this many bits. kind: US for numbers, OW for words, OB for bytes."""
    item = Dataset()
    item.add_new(0x00283002, "SS" if first < 0 else "US", [len(entries) % 65536, first, bits])
    if kind == "US":
        item.add_new(0x00283006, "US", [int(entry) for entry in entries])
    else:
        item.add_new(0x00283006, "OW", np.asarray(entries, np.uint8 if kind == "OB" else np.uint16).tobytes())
    return item


def signed(path: Path, stored: np.ndarray, bits: int = 16, **header: object) -> Path:
    data = stored.astype("<i2").tobytes()
    return dicom(path, stored.astype(np.int64) % 65536, bits, PixelRepresentation=1, PixelData=data, **header)


# --- windows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 512, "WindowWidth": 1024},
        {"WindowCenter": 127, "WindowWidth": 256},
        {"WindowCenter": 3900, "WindowWidth": 300},
        {"WindowCenter": -2000, "WindowWidth": 400},
        {"WindowCenter": 3276, "WindowWidth": 0},
        {"WindowCenter": 2048, "WindowWidth": 1},
        {"WindowCenter": 2048, "WindowWidth": -4096},
        {"WindowCenter": "nan", "WindowWidth": 4096},
        {"WindowCenter": [512, 100], "WindowWidth": [1024, 50]},
        {"WindowCenter": 512, "WindowWidth": 60, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 512, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 300, "WindowWidth": 600, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 2048, "WindowWidth": 4096, "RescaleSlope": 10, "RescaleIntercept": -20000},  # in stored values
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_window_that_loses_the_middle_is_left(tmp_path: Path, window: dict[str, object], photometric: str) -> None:
    stored = TWELVE if photometric == "MONOCHROME2" else 4095 - TWELVE
    path = dicom(tmp_path / "a.dcm", stored, PhotometricInterpretation=photometric, **window)
    image = read_film(path)
    assert np.abs(image.pixels - whole_range(TWELVE)).max() < 1e-5
    assert NO_WINDOW in image.warnings


@pytest.mark.parametrize(
    ("window", "shown"),
    [
        ({"WindowCenter": 2048, "WindowWidth": 4096}, lambda x: (x - 2047.5) / 4095 + 0.5),
        ({"WindowCenter": 2048, "WindowWidth": 3000}, lambda x: (x - 2047.5) / 2999 + 0.5),
        (
            {"WindowCenter": 2048, "WindowWidth": 4095, "VOILUTFunction": "linear_exact"},
            lambda x: (x - 2048) / 4095 + 0.5,
        ),
        (
            {"WindowCenter": 2048, "WindowWidth": 3000, "VOILUTFunction": "SIGMOID"},
            lambda x: 1 / (1 + np.exp(-4 * (x - 2048) / 3000)),
        ),
        ({"WindowCenter": [100, 2048], "WindowWidth": [50, 3000]}, lambda x: (x - 2047.5) / 2999 + 0.5),
        ({"WindowCenter": [2048, 100], "WindowWidth": [3000, 50]}, lambda x: (x - 2047.5) / 2999 + 0.5),
        ({"WindowCenter": 32768, "WindowWidth": 65536}, lambda x: (x - 32767.5) / 65535 + 0.5),
        (
            {"WindowCenter": 500, "WindowWidth": 8192, "RescaleSlope": 2, "RescaleIntercept": -4095},
            lambda x: (2 * x - 4095 - 499.5) / 8191 + 0.5,
        ),
        (
            {"WindowCenter": -2048, "WindowWidth": 4096, "RescaleSlope": -1},
            lambda x: (-x + 2048.5) / 4095 + 0.5,
        ),
        ({"WindowCenter": 2048, "WindowWidth": 4096, "RescaleSlope": 0}, lambda x: (x - 2047.5) / 4095 + 0.5),
    ],
)
def test_a_window_that_fits_is_used(tmp_path: Path, window: dict[str, object], shown: object) -> None:
    image = read_film(dicom(tmp_path / "a.dcm", TWELVE, **window))
    assert np.abs(image.pixels - np.clip(shown(TWELVE), 0, 1)).max() < 1e-5  # type: ignore[operator]
    assert not [text for text in image.warnings if "window" in text]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_collimated_film_with_a_good_window_is_not_called_saturated(tmp_path: Path, photometric: str) -> None:
    border = np.zeros((500, 400))
    border[150:350, 120:280] = 500 + FILM * 3000
    stored = border if photometric == "MONOCHROME2" else 4095 - border
    centre = 2000 if photometric == "MONOCHROME2" else 2095
    path = dicom(
        tmp_path / "a.dcm", stored, WindowCenter=centre, WindowWidth=3000, PhotometricInterpretation=photometric
    )
    image = read_film(path)
    assert image.warnings == ()
    assert np.abs(image.pixels - np.clip((border - 2000) / 3000 + 0.5, 0, 1)).max() < 1e-3


def test_a_window_that_is_no_number_is_left(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", TWELVE, WindowCenter="2048.5", WindowWidth="4096.0")
    path.write_bytes(path.read_bytes().replace(b"2048.5", b"2048,5").replace(b"4096.0", b"4096,0"))
    image = read_film(path)
    assert np.abs(image.pixels - whole_range(TWELVE)).max() < 1e-5
    assert NO_WINDOW in image.warnings


def test_a_film_that_is_overexposed_itself_keeps_its_window(tmp_path: Path) -> None:
    stored = np.minimum(np.rint(FILM * 9000), 4095)
    assert 0.4 < np.mean(stored == 4095) < 0.9
    image = read_film(dicom(tmp_path / "a.dcm", stored, WindowCenter=2048, WindowWidth=4096))
    assert np.abs(image.pixels - stored / 4095).max() < 1e-5
    assert image.warnings == ()


def test_a_single_bright_pixel_changes_no_judgement(tmp_path: Path) -> None:
    for window, fits in (
        ({"WindowCenter": 512, "WindowWidth": 1024}, True),
        ({"WindowCenter": 99, "WindowWidth": 200}, False),
    ):
        stored = np.rint(FILM * 1023)
        stored[5, 5] = stored[9, 9] = 65535
        image = read_film(dicom(tmp_path / "a.dcm", stored, 16, **window))
        assert (NO_WINDOW not in image.warnings) == fits


def test_air_beside_the_patient_does_not_make_a_window_fit(tmp_path: Path) -> None:
    """Half of the film is air inside the window, all of the chest is above it."""
    stored = np.full((300, 600), 300.0)
    stored[:, 150:450] = 2000 + chest(300, 300) * 2000
    stored = np.rint(stored + np.random.default_rng(0).integers(0, 90, stored.shape))
    image = read_film(dicom(tmp_path / "a.dcm", stored, WindowCenter=400, WindowWidth=800))
    assert NO_WINDOW in image.warnings
    assert np.abs(image.pixels - whole_range(stored)).max() < 1e-5


# --- look-up tables ------------------------------------------------------------------------------------------------

RAMP = np.arange(4096)


@pytest.mark.parametrize("bits", [0, 8, 10, 12, 16])
@pytest.mark.parametrize("kind", ["US", "OW"])
def test_a_table_is_scaled_by_its_own_largest_entry(tmp_path: Path, bits: int, kind: str) -> None:
    image = read_film(dicom(tmp_path / "a.dcm", TWELVE, VOILUTSequence=Sequence([table(RAMP, bits, kind=kind)])))
    assert np.abs(image.pixels - TWELVE / 4095).max() < 1e-5
    assert image.warnings == ()


def test_tables_of_bytes_and_with_a_first_value(tmp_path: Path) -> None:
    packed = table(np.arange(256), 8, kind="OB")
    image = read_film(dicom(tmp_path / "a.dcm", np.rint(FILM * 255), 8, VOILUTSequence=Sequence([packed])))
    assert np.abs(image.pixels - np.rint(FILM * 255) / 255).max() < 1e-5
    for first in (-2048, 65536 - 2048):
        item = table(RAMP, 12, first)
        path = signed(tmp_path / "b.dcm", TWELVE - 2048, VOILUTSequence=Sequence([item]))
        image = read_film(path)
        assert np.abs(image.pixels - TWELVE / 4095).max() < 1e-5
        assert [text for text in image.warnings if "table" in text] == []
    falling = table(4095 - RAMP, 12)
    image = read_film(dicom(tmp_path / "c.dcm", 4095 - TWELVE, VOILUTSequence=Sequence([falling])))
    assert np.abs(image.pixels - TWELVE / 4095).max() < 1e-5
    whole = table(np.arange(65536), 16, kind="OW")
    image = read_film(dicom(tmp_path / "d.dcm", np.rint(FILM * 65535), 16, VOILUTSequence=Sequence([whole])))
    assert np.abs(image.pixels - FILM).max() < 1e-4


def without(name: str) -> Dataset:
    item = table(RAMP, 12)
    delattr(item, name)
    return item


@pytest.mark.parametrize(
    "items",
    [
        [without("LUTData")],
        [without("LUTDescriptor")],
        [Dataset()],
        [table(np.arange(64), 12)],
        [table(RAMP, 12, 3900)],
        [table(np.zeros(4096), 12)],
        [table(np.where(RAMP < 300, RAMP, 4095), 12)],
    ],
)
def test_a_table_that_cannot_be_applied_is_left_out(tmp_path: Path, items: list[Dataset]) -> None:
    image = read_film(dicom(tmp_path / "a.dcm", TWELVE, VOILUTSequence=Sequence(items)))
    assert np.abs(image.pixels - whole_range(TWELVE)).max() < 1e-5
    assert NO_TABLE in image.warnings
    good = Sequence([*items, table(RAMP, 12)])
    assert NO_TABLE not in read_film(dicom(tmp_path / "b.dcm", TWELVE, VOILUTSequence=good)).warnings
    window = {"WindowCenter": 2048, "WindowWidth": 3000}
    image = read_film(dicom(tmp_path / "c.dcm", TWELVE, VOILUTSequence=Sequence(items), **window))
    assert np.abs(image.pixels - np.clip((TWELVE - 2047.5) / 2999 + 0.5, 0, 1)).max() < 1e-5
    assert NO_TABLE in image.warnings


def test_modality_tables(tmp_path: Path) -> None:
    square = table(np.rint((RAMP / 4095) ** 2 * 10_000), 16)
    path = dicom(
        tmp_path / "a.dcm", TWELVE, ModalityLUTSequence=Sequence([square]), WindowCenter=5000, WindowWidth=10_001
    )
    image = read_film(path)
    assert np.abs(image.pixels - (TWELVE / 4095) ** 2).max() < 2e-4
    assert image.warnings == ()
    for item in (without("LUTData"), table(np.arange(20), 16)):
        image = read_film(dicom(tmp_path / "b.dcm", TWELVE, ModalityLUTSequence=Sequence([item])))
        assert np.abs(image.pixels - whole_range(TWELVE)).max() < 1e-5
        assert any("modality look-up table" in text for text in image.warnings)


# --- padding -------------------------------------------------------------------------------------------------------


def padded(padding: int, negative: bool = False) -> np.ndarray:
    """Ten bits, with 20 columns of padding at either side."""
    stored = np.rint((1 - FILM if negative else FILM) * 1023)
    stored[:, :20] = stored[:, -20:] = padding
    return stored


def expected() -> np.ndarray:
    film = np.rint(FILM[:, 20:-20] * 1023)
    shown = np.zeros_like(FILM)
    shown[:, 20:-20] = (film - film.min()) / np.ptp(film)
    return shown


@pytest.mark.parametrize(
    ("padding", "header"),
    [
        (0, {"PixelPaddingValue": 0}),
        (65535, {"PixelPaddingValue": 65535}),
        (65535, {"PixelPaddingValue": 65535, "BitsStored": 10, "HighBit": 9}),
        (65535, {"PixelPaddingValue": 65500, "PixelPaddingRangeLimit": 65535}),
        (65520, {"PixelPaddingValue": 65535, "PixelPaddingRangeLimit": 65500}),
        (2000, {"PixelPaddingValue": 2000}),
        (63488, {"PixelPaddingValue": -2048}),
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_range_is_that_of_the_film(
    tmp_path: Path, padding: int, header: dict[str, object], photometric: str
) -> None:
    negative = photometric == "MONOCHROME1"
    header = {**header, "PhotometricInterpretation": photometric}
    image = read_film(padded_file(tmp_path / "a.dcm", padded(padding, negative), header))
    assert np.abs(image.pixels - expected()).max() < 2e-3
    assert not [text for text in image.warnings if "standard" not in text]
    assert len(np.unique(film_from_file(tmp_path / "a.dcm", 160).pixels)) > 200


def padded_file(path: Path, stored: np.ndarray, header: dict[str, object]) -> Path:
    """Elements are written as US or SS, whichever holds them."""
    values = {name: header.pop(name) for name in tuple(header) if name.startswith("PixelPadding")}
    dicom(path, stored, 16, **header)
    from pydicom import dcmread

    film = dcmread(path)
    for name, value in values.items():
        tag = 0x00280120 if name == "PixelPaddingValue" else 0x00280121
        film.add_new(tag, "SS" if int(value) < 0 else "US", value)  # type: ignore[call-overload]
    film.save_as(path)
    return path


@pytest.mark.parametrize("value", [-32768, 32768])
def test_signed_padding_whatever_it_is_written_as(tmp_path: Path, value: int) -> None:
    stored = padded(-32768)
    data = stored.astype("<i2").tobytes()
    header = {"PixelRepresentation": 1, "PixelData": data, "PixelPaddingValue": value}
    image = read_film(padded_file(tmp_path / "a.dcm", stored % 65536, header))
    assert np.abs(image.pixels - expected()).max() < 1e-5
    assert not [text for text in image.warnings if "standard" not in text]


def test_padding_of_all_bits_is_not_the_white_of_twelve(tmp_path: Path) -> None:
    stored = TWELVE.copy()
    stored[80:90, 60:90] = 4095
    stored[:, :20] = 65535
    image = read_film(
        padded_file(tmp_path / "a.dcm", stored, {"PixelPaddingValue": -1, "BitsStored": 12, "HighBit": 11})
    )
    assert image.pixels[:, :20].max() == 0
    assert image.pixels[80:90, 60:90].min() == 1


def test_padding_between_the_grey_levels_counts_at_the_edge(tmp_path: Path) -> None:
    """MONOCHROME1, where 600 is a grey level of the film too: inside, it stays."""
    stored = padded(600, negative=True)
    image = read_film(
        dicom(tmp_path / "a.dcm", stored, 10, PixelPaddingValue=600, PhotometricInterpretation="MONOCHROME1")
    )
    assert image.pixels[:, :20].max() == 0
    inner = stored[40:-40, 40:-40] == 600
    assert inner.any()
    assert image.pixels[40:-40, 40:-40][inner].min() > 0.3


def test_padding_that_is_not_there_or_is_everything(tmp_path: Path) -> None:
    image = read_film(dicom(tmp_path / "a.dcm", TWELVE, PixelPaddingValue=9999))
    assert np.abs(image.pixels - whole_range(TWELVE)).max() < 1e-5
    assert image.warnings == ()
    path = dicom(tmp_path / "b.dcm", TWELVE, PixelPaddingValue=0, PixelPaddingRangeLimit=65535)
    image = read_film(path)
    assert np.abs(image.pixels - whole_range(TWELVE)).max() < 1e-5
    assert any("padding" in text for text in image.warnings)


def test_padding_under_a_window(tmp_path: Path) -> None:
    stored = padded(65535)
    header = {"PixelPaddingValue": 65535, "WindowCenter": 512, "WindowWidth": 1024}
    image = read_film(padded_file(tmp_path / "a.dcm", stored, header))
    assert image.pixels[:, :20].max() == 0
    assert np.abs(image.pixels[:, 20:-20] - stored[:, 20:-20] / 1023).max() < 1e-3
    assert image.warnings == ()


def test_left_aligned_bits(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", TWELVE * 16, 16, BitsStored=12, HighBit=15, WindowCenter=2048, WindowWidth=4096)
    image = read_film(path)
    assert np.abs(image.pixels - TWELVE / 4095).max() < 1e-5
    assert image.warnings == ()


def test_ten_bits_declared_as_sixteen(tmp_path: Path) -> None:
    stored = np.rint(FILM * 1023)
    image = read_film(dicom(tmp_path / "a.dcm", stored, 16))
    assert np.abs(image.pixels - whole_range(stored)).max() < 1e-5
    assert image.warnings == ()


# --- polarity ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("photometric", "shape", "agree"),
    [
        ("MONOCHROME2", "INVERSE", False),
        ("MONOCHROME1", "IDENTITY", False),
        ("MONOCHROME2", "inverse ", False),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME2", "IDENTITY", True),
        ("MONOCHROME2", "LIN OD", True),
        ("MONOCHROME1", None, True),
    ],
)
def test_the_shape_of_the_presentation_table(tmp_path: Path, photometric: str, shape: str | None, agree: bool) -> None:
    stored = TWELVE if photometric == "MONOCHROME2" else 4095 - TWELVE
    path = dicom(tmp_path / "a.dcm", stored, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    image = read_film(path)
    assert np.abs(image.pixels - whole_range(TWELVE)).max() < 1e-5, "the photometric interpretation is obeyed"
    assert any("contradicts itself" in text for text in image.warnings) == (not agree)


# --- orientation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (["L", "F"], TWELVE),
        (["R", "F"], TWELVE[:, ::-1]),
        (["L", "H"], TWELVE[::-1]),
        (["R", "H"], TWELVE[::-1, ::-1]),
        (["F", "L"], TWELVE.T),
        (["H", "L"], TWELVE[::-1].T),
        (["F", "R"], TWELVE[:, ::-1].T),
        (["H", "R"], TWELVE[::-1, ::-1].T),
        (["r", "f"], TWELVE[:, ::-1]),
        (["RF", "FL"], TWELVE[:, ::-1]),
        (["LH", "FL"], TWELVE),
    ],
)
def test_a_film_is_turned_as_its_header_says(tmp_path: Path, orientation: list[str], stored: np.ndarray) -> None:
    path = dicom(tmp_path / "a.dcm", np.ascontiguousarray(stored), PatientOrientation=orientation)
    image = read_film(path)
    assert image.pixels.shape == FILM.shape
    assert np.abs(image.pixels - whole_range(TWELVE)).max() < 1e-5
    assert any("turned upright" in text for text in image.warnings) == (stored is not TWELVE)
    kept = read_film(path, as_stored=True)
    assert np.abs(kept.pixels - whole_range(stored)).max() < 1e-5


@pytest.mark.parametrize(
    "orientation", [["L", "R"], ["F", "H"], ["A", "F"], ["LP", "F"], ["L"], ["", ""], ["X", "Y"], None]
)
def test_other_orientations_are_left(tmp_path: Path, orientation: list[str] | None) -> None:
    image = read_film(dicom(tmp_path / "a.dcm", TWELVE, PatientOrientation=orientation))
    assert np.abs(image.pixels - whole_range(TWELVE)).max() < 1e-5
    assert not [text for text in image.warnings if "turned" in text]


def test_a_lateral_film_that_is_forced_is_not_turned(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", TWELVE, ViewPosition="LL", PatientOrientation=["R", "F"])
    assert np.abs(read_film(path, force=True).pixels - whole_range(TWELVE)).max() < 1e-5
