"""Simulated films as DICOM files: nobody's data, the header that readers look at, the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping

import numpy as np
from PIL import Image
from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit

STORAGE = {"CR": "1.2.840.10008.5.1.4.1.1.1", "DX": "1.2.840.10008.5.1.4.1.1.1.1"}
"""Modality -> SOP class of its films."""
IMPLEMENTATION = "INTERVALCHANGE"
QUALITY = 95
"""Of JPEG, where the film is compressed."""


def uid(*parts: object) -> str:
    """A UID under 2.25 that depends on nothing but `parts`: different parts give different UIDs."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=16).digest()
    return f"2.25.{int.from_bytes(digest)}"


def dicom_bytes(
    pixels: np.ndarray,
    *,
    patient_id: str,
    study_uid: str,
    instance_uid: str,
    study_date: str = "",
    study_time: str = "",
    view: str = "PA",
    modality: str = "CR",
    bits: int = 8,
    inverted: bool = False,
    sex: str = "",
    age: float = math.nan,
    description: str = "",
    series_uid: str = "",
    jpeg: bool = False,
    elements: Mapping[str, object] | None = None,
) -> bytes:
    """A film as a DICOM file.

    pixels: (h, w) float in [0, 1], white = dense. study_date, study_time: YYYYMMDD, HHMMSS. bits: 8, stored in a
    byte, or up to 16, stored in two, with a window that shows the whole range. inverted: MONOCHROME1. age: years.
    series_uid: made from study_uid where empty. jpeg: baseline JPEG, of 8 bits only. elements: further or other ones
    by keyword, written as they are, also against the standard; None removes one.
    """
    if not 8 <= bits <= 16 or (jpeg and bits != 8):
        raise ValueError(f"{bits} bits cannot be written{' as JPEG' if jpeg else ''}")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(STORAGE[modality])
    meta.MediaStorageSOPInstanceUID = UID(instance_uid)
    meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(uid(IMPLEMENTATION))
    meta.ImplementationVersionName = IMPLEMENTATION
    header: dict[str, object] = {
        "SOPClassUID": STORAGE[modality],
        "SOPInstanceUID": instance_uid,
        "StudyInstanceUID": study_uid,
        "SeriesInstanceUID": series_uid or uid(study_uid, "series"),
        "PatientID": patient_id,
        "PatientName": patient_id,
        "PatientBirthDate": "",
        "PatientSex": sex,
        "PatientAge": "" if math.isnan(age) else f"{int(age):03d}Y",
        "StudyDate": study_date,
        "StudyTime": study_time,
        "StudyDescription": description,
        "Modality": modality,
        "BodyPartExamined": "CHEST",
        "ViewPosition": view,
        **_grey(pixels.shape, bits, inverted),
        **(elements or {}),
    }
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword, value in header.items():
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise ValueError(f"{keyword} is no keyword of DICOM")
        if value is not None:
            data.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))
    _add_pixels(data, _stored(pixels, bits, inverted), jpeg)
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _grey(shape: tuple[int, ...], bits: int, inverted: bool) -> dict[str, object]:
    """How the pixels are to be understood. 8-bit films carry neither rescale nor window, as those of RSNA."""
    header: dict[str, object] = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME1" if inverted else "MONOCHROME2",
        "Rows": shape[0],
        "Columns": shape[1],
        "BitsAllocated": 8 if bits == 8 else 16,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
    }
    if bits > 8:
        # LINEAR shows centre - width / 2 as black and centre + width / 2 - 1 as white: here 0 and the largest value.
        header |= {"RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "US"}
        header |= {"WindowCenter": str(1 << (bits - 1)), "WindowWidth": str(1 << bits)}
    return header


def _stored(pixels: np.ndarray, bits: int, inverted: bool) -> np.ndarray:
    """(h, w) float in [0, 1] -> (h, w) whole numbers of `bits` bits."""
    shown = 1 - pixels if inverted else pixels
    scaled: np.ndarray = np.rint(np.clip(shown, 0, 1).astype(np.float64) * ((1 << bits) - 1))
    return scaled.astype(np.uint8 if bits == 8 else np.uint16)


def _add_pixels(data: FileDataset, stored: np.ndarray, jpeg: bool) -> None:
    if jpeg:
        buffer = io.BytesIO()
        Image.fromarray(stored).save(buffer, "JPEG", quality=QUALITY)
        data.LossyImageCompression = "01"
        data.LossyImageCompressionMethod = "ISO_10918_1"
        data.PixelData = encapsulate([buffer.getvalue()])
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        return
    frame = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    data.PixelData = frame + b"\0" * (len(frame) % 2)
    data["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
