"""The bytes of DICOM files: what is whole is read, or refused by name; only what is damaged is called so."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from film_files import chest, encoded, same
from film_files import dicom as strict_dicom
from mutations import JPEG_BASELINE, JPEG_EXTENDED, extended_jpeg, lossless_jpeg
from pydicom.data import get_testdata_file

from intervalchange.data import dicom_stream
from intervalchange.data.dicom_stream import lacks_preamble, with_preamble
from intervalchange.data.film_files import read_film
from intervalchange.errors import ImageError

FILM = chest()
TWELVE = np.rint(FILM * 4095)
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"


def dicom(path: Path, stored: np.ndarray, bits: int = 12, *syntax: str, **header: object) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return strict_dicom(path, stored, bits, *syntax, **header)


def refused(path: Path, *words: str) -> str:
    with pytest.raises(ImageError) as caught:
        read_film(path)
    text = str(caught.value)
    assert caught.value.remedy and str(path) in text
    for word in words:
        assert word in text, text
    return text


def whole_range(stored: np.ndarray) -> np.ndarray:
    return (stored - stored.min()) / np.ptp(stored)


# --- preamble ------------------------------------------------------------------------------------------------------


def bare_forms(path: Path) -> dict[str, bytes]:
    """The same film without the preamble, in the forms that archives have."""
    data = path.read_bytes()
    film = pydicom.dcmread(path)
    forms = {"group 2": data[132:], "only DICM": data[128:]}
    for name, implicit, little in (("implicit", True, True), ("explicit", False, True), ("big endian", False, False)):
        body = pydicom.Dataset()
        body.update(film)
        if not little:
            body.PixelData = np.frombuffer(film.PixelData, "<u2").astype(">u2").tobytes()
            body["PixelData"].VR = "OW"
        body.save_as(path.with_name("body"), implicit_vr=implicit, little_endian=little, enforce_file_format=False)
        forms[name] = path.with_name("body").read_bytes()
    forms["preamble and no group 2"] = bytes(128) + b"DICM" + forms["implicit"]
    return forms


def test_films_without_the_preamble_are_read(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", TWELVE)
    for name, data in bare_forms(path).items():
        assert data[:2] in (b"\2\0", b"\x08\0", b"\0\x08", b"DI", b"\0\0"), name
        (tmp_path / "b").write_bytes(data)
        image = read_film(tmp_path / "b")
        assert np.abs(image.pixels - whole_range(TWELVE)).max() < 1e-5, name
        assert image.warnings == (() if "preamble" in name else ("the file is DICOM without its preamble",)), name
        assert image.header["view"] == "PA"


@pytest.mark.parametrize(
    "data",
    [
        b"\x08\0",
        b"\2\0\0\0",
        b"\x08\0\0\0" + bytes(200),
        b"\2\0text, not DICOM at all" * 9,
        b"\x08\0\x08\0" + b"\xff" * 300,
    ],
)
def test_what_only_begins_like_it_is_not_dicom(tmp_path: Path, data: bytes) -> None:
    assert not lacks_preamble(data[:132])
    assert with_preamble(data) == data
    (tmp_path / "a").write_bytes(data)
    refused(tmp_path / "a", "neither PNG")


def test_a_bare_film_cut_short_is_called_so(tmp_path: Path) -> None:
    data = dicom(tmp_path / "a.dcm", TWELVE).read_bytes()[132:]
    (tmp_path / "b").write_bytes(data[: len(data) // 2])
    refused(tmp_path / "b", "fewer pixels")


# --- photometric interpretation and missing elements ---------------------------------------------------------------


@pytest.mark.parametrize("written", ["monochrome2", "Monochrome2", "MONOCHROME2 ", "MONOCHROME 2"])
@pytest.mark.parametrize("compressed", [False, True])
def test_photometric_interpretation_in_other_letters(tmp_path: Path, written: str, compressed: bool) -> None:
    path = tmp_path / "a.dcm"
    if compressed:
        lossless_jpeg(path, TWELVE)
        data = path.read_bytes()
        assert data.count(b"MONOCHROME2 ") == 1
        path.write_bytes(data.replace(b"MONOCHROME2 ", written.encode().ljust(12)))
    else:
        dicom(path, TWELVE, PhotometricInterpretation=written)
    image = read_film(path)
    assert np.abs(image.pixels - whole_range(TWELVE)).max() < 1e-5
    assert image.header["photometric"] == "MONOCHROME2"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    text = refused(dicom(tmp_path / "a.dcm", TWELVE, PhotometricInterpretation=None), "PhotometricInterpretation")
    assert "damaged" not in text
    refused(dicom(tmp_path / "b.dcm", TWELVE, PhotometricInterpretation="PALETTE COLOR"), "PALETTE COLOR")
    refused(dicom(tmp_path / "c.dcm", TWELVE, Rows=None), "Rows")
    for name in ("SamplesPerPixel", "PixelRepresentation", "HighBit"):
        image = read_film(dicom(tmp_path / "d.dcm", TWELVE, **{name: None}))
        assert np.abs(image.pixels - whole_range(TWELVE)).max() < 1e-5, name


# --- colour --------------------------------------------------------------------------------------------------------


def test_native_422_has_two_bytes_per_pixel(tmp_path: Path) -> None:
    grey = np.rint(FILM * 255).astype(np.uint8)
    words = np.stack(
        [grey[:, ::2], grey[:, 1::2], np.full_like(grey[:, ::2], 128), np.full_like(grey[:, ::2], 128)], -1
    )
    header = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422", "PlanarConfiguration": 0}
    path = dicom(tmp_path / "a.dcm", grey, 8, PixelData=words.tobytes(), **header)
    assert np.abs(read_film(path).pixels - grey / 255).max() < 0.01
    short = dicom(tmp_path / "b.dcm", grey, 8, PixelData=words.tobytes()[:-100], **header)
    refused(short, "fewer pixels")
    full = np.stack([grey, np.full_like(grey, 128), np.full_like(grey, 128)], -1)
    header |= {"PhotometricInterpretation": "YBR_FULL", "PlanarConfiguration": None}
    assert (
        np.abs(
            read_film(dicom(tmp_path / "c.dcm", grey, 8, PixelData=full.tobytes(), **header)).pixels - grey / 255
        ).max()
        < 0.01
    )
    refused(dicom(tmp_path / "d.dcm", grey, 8, PixelData=full.tobytes()[:-100], **header), "fewer pixels")


def test_pydicoms_422_film_is_refused_for_its_colour() -> None:
    path = Path(get_testdata_file("SC_ybr_full_422_uncompressed.dcm"))
    refused(path, "colour", "--force")
    assert read_film(path, force=True).pixels.shape == (100, 100)


# --- compressed ----------------------------------------------------------------------------------------------------


def test_twelve_bits_of_jpeg_extended_are_read(tmp_path: Path) -> None:
    """Of pydicom's file an independent decoder (imagecodecs 2026.10) has these very values."""
    film = pydicom.dcmread(get_testdata_file("JPGExtended.dcm"))
    film.Modality, film.BodyPartExamined, film.ViewPosition = "DX", "CHEST", "PA"
    film.save_as(tmp_path / "a.dcm")
    decoded = read_film(tmp_path / "a.dcm").pixels
    assert decoded.shape == (1024, 256)
    assert np.isclose(float(decoded.mean()), 14.369991302490234 / 264, atol=1e-6)
    assert len(np.unique(decoded)) == 252


@pytest.mark.parametrize("syntax", [JPEG_EXTENDED, JPEG_BASELINE])
def test_twelve_bits_under_either_syntax(tmp_path: Path, syntax: str) -> None:
    path = extended_jpeg(tmp_path / "a.dcm", TWELVE, syntax)
    assert np.abs(read_film(path).pixels - whole_range(TWELVE)).max() < 0.02
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - len(data) // 3])
    refused(path)


def test_eight_bits_of_jpeg_extended(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", FILM * 255, 8, JPEG_EXTENDED, PixelData=encoded(FILM, "JPEG", quality=95))
    assert same(read_film(path).pixels, FILM) > 0.99


def test_a_lossless_stream_under_the_syntax_of_baseline(tmp_path: Path) -> None:
    path = lossless_jpeg(tmp_path / "a.dcm", TWELVE)
    data = path.read_bytes()
    path.write_bytes(data.replace(JPEG_LOSSLESS.encode(), JPEG_BASELINE.encode(), 1))
    assert np.abs(read_film(path).pixels - whole_range(TWELVE)).max() < 1e-5


def test_a_jpeg_process_that_nobody_reads_is_named(tmp_path: Path) -> None:
    jpeg = bytearray(encoded(FILM, "JPEG"))
    jpeg[jpeg.index(b"\xff\xc0") + 1] = 0xC9
    for syntax in (JPEG_BASELINE, JPEG_EXTENDED):
        path = dicom(tmp_path / "a.dcm", FILM * 255, 8, syntax, PixelData=bytes(jpeg))
        assert "damaged" not in refused(path, "SOF9", "gdcmconv")


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.10008.1.2.1.99", "Deflated"),
        ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000"),
        ("1.2.840.10008.1.2.4.102", "MPEG-4"),
        ("1.2.840.10008.1.2.4.55", "1.2.840.10008.1.2.4.55"),
    ],
)
def test_transfer_syntaxes_that_are_not_read_are_named(tmp_path: Path, syntax: str, name: str) -> None:
    path = dicom(tmp_path / "a.dcm", TWELVE, 12, syntax, PixelData=b"\0" * 100)
    assert "damaged" not in refused(path, "transfer syntax", name, "gdcmconv")


def test_a_decoder_that_is_not_installed_or_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lossless_jpeg(tmp_path / "a.dcm", TWELVE)
    with monkeypatch.context() as patch:
        patch.setitem(dicom_stream.ELSEWHERE, "gdcm", ("no_such_module", "python-gdcm"))
        assert "damaged" not in refused(path, "python-gdcm", "pip install")
    monkeypatch.setattr(dicom_stream, "DECODING_SECONDS", 0.001)
    assert "damaged" not in refused(path, "seconds")


def test_compressed_pixels_without_a_transfer_syntax(tmp_path: Path) -> None:
    path = lossless_jpeg(tmp_path / "a.dcm", TWELVE)
    data = path.read_bytes()
    length = struct.unpack("<I", data[140:144])[0]
    (tmp_path / "b").write_bytes(data[144 + length :])
    refused(tmp_path / "b", "does not say how")


def test_what_another_process_gets_names_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    usual = dicom_stream.subprocess.run
    monkeypatch.setattr(dicom_stream.subprocess, "run", lambda *a, **k: given.append(k["input"]) or usual(*a, **k))
    read_film(lossless_jpeg(tmp_path / "a.dcm", TWELVE))
    assert len(given) == 1 and b"SECRET" not in given[0]
