"""Simulated DICOM files come back through the reader of films as they went in."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pydicom
import pytest
from film_files import chest

from intervalchange.data.film_files import read_film
from intervalchange.simulation.dicom_files import dicom_bytes, uid

IDS = {"patient_id": "29000001", "study_uid": uid("study"), "instance_uid": uid("film")}


def stretched(film: np.ndarray) -> np.ndarray:
    """(h, w) over its whole range: what a film without a window is shown as."""
    return (film - film.min()) / (film.max() - film.min())


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(("bits", "jpeg"), [(8, False), (8, True), (12, False), (16, False)])
def test_read_film_reads_it_back(tmp_path: Path, bits: int, jpeg: bool, inverted: bool) -> None:
    film = chest(65, 71)
    path = tmp_path / "film.dcm"
    header = {"study_date": "21110203", "study_time": "040506", "view": "AP", "sex": "F", "age": 51.7}
    path.write_bytes(dicom_bytes(film, **IDS, bits=bits, jpeg=jpeg, inverted=inverted, **header))
    image = read_film(path)
    wanted = stretched(film) if bits == 8 else film
    tolerance = 0.08 if jpeg else 1.5 / (1 << bits) / (film.max() - film.min())
    np.testing.assert_allclose(image.pixels, wanted, atol=tolerance)
    assert image.warnings == ()
    assert (image.header["view"], image.header["date"], image.header["bits"]) == (
        "AP",
        "2111-02-03T04:05:06",
        str(bits),
    )
    assert image.header["photometric"] == ("MONOCHROME1" if inverted else "MONOCHROME2")
    read = pydicom.dcmread(path)
    assert (read.PatientAge, read.PatientSex, read.BodyPartExamined, read.Modality) == ("051Y", "F", "CHEST", "CR")


def test_the_same_bytes_each_time_and_ids_apart(tmp_path: Path) -> None:
    film = chest(64, 64)
    assert dicom_bytes(film, **IDS) == dicom_bytes(film, **IDS)
    assert len({uid("a"), uid("b"), uid("a", "b"), uid("a/b")}) == 3, "parts are joined by a slash"
    assert all(len(uid(number)) <= 64 for number in range(50))


def test_elements_are_written_as_they_are_or_left_out(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    plain = {"PatientAge": "51", "ViewPosition": None, "PixelSpacing": ["0.139", "0.139"]}
    path.write_bytes(dicom_bytes(chest(64, 64), **IDS, modality="DX", age=math.nan, elements=plain))
    read = pydicom.dcmread(path)
    assert read["PixelSpacing"].value == [0.139, 0.139]
    assert "ViewPosition" not in read
    assert read.get_item("PatientAge").value.strip() == b"51"
    assert read.file_meta.MediaStorageSOPClassUID.name.startswith("Digital X-Ray")
    with pytest.raises(ValueError, match="no keyword"):
        dicom_bytes(chest(64, 64), **IDS, elements={"NoSuchThing": 1})
    with pytest.raises(ValueError, match="bits"):
        dicom_bytes(chest(64, 64), **IDS, bits=12, jpeg=True)
