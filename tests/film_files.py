"""Makes small films and film files for the tests: a chest-like picture, DICOM with any header, hostile files."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

NAME = "SECRET^PERSON"


def chest(height: int = 200, width: int = 160, seed: int = 0) -> np.ndarray:
    """(h, w) float32 in [0, 1]: two dark lungs, a bright middle, soft texture; no two seeds alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    film = 0.75 - 0.25 * ((x - 0.5) ** 2 * 4)
    for side in (0.3, 0.7):
        film -= 0.45 * np.exp(-(((x - side) / 0.13) ** 4) - ((y - 0.45) / 0.28) ** 4)
    grain = rng.normal(0, 1, (height // 8 + 2, width // 8 + 2))
    soft = np.asarray(Image.fromarray(grain.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(film + 0.03 * soft + 0.01 * rng.normal(0, 1, film.shape), 0, 1).astype(np.float32)


def save(film: np.ndarray, path: Path, **options: object) -> Path:
    """Write (h, w) in [0, 1] as an 8-bit picture; the format by the ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(film * 255).astype(np.uint8)).save(path, **options)
    return path


def same(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two films of one size: 1 where they are the same but for brightness and contrast."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def equalise(grey: np.ndarray) -> np.ndarray:
    """(h, w) uint8 -> (h, w) uint8: global histogram equalisation as OpenCV does it."""
    counts = np.bincount(grey.ravel(), minlength=256)
    first = counts[np.flatnonzero(counts)[0]]
    table = np.clip(np.rint((np.cumsum(counts) - first) * 255 / (grey.size - first)), 0, 255)
    return table.astype(np.uint8)[grey]


def dicom(
    path: Path, stored: np.ndarray, bits: int = 12, syntax: str = ExplicitVRLittleEndian, **header: object
) -> Path:
    """Write (h, w) integers as a CR film. header: further or other elements; None removes one.

    `PixelData` may be given as bytes; with a compressed syntax they are one encapsulated frame.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    meta.TransferSyntaxUID = syntax
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    allocated = 8 if bits <= 8 else 16
    frame = stored.astype(np.uint8 if allocated == 8 else np.uint16).tobytes()
    native = syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
    elements: dict[str, object] = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "PatientName": NAME,
        "PatientID": "SECRET123",
        "PatientBirthDate": "19010203",
        "Modality": "CR",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "StudyDate": "20200102",
        "StudyTime": "080910",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": allocated,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "PixelData": frame + b"\0" * (len(frame) % 2),
    } | header
    for name, value in elements.items():
        if value is not None:
            setattr(data, name, encapsulate([value]) if name == "PixelData" and not native else value)  # type: ignore[list-item]
    if "PixelData" in data:
        data["PixelData"].VR = "OW" if native and allocated == 16 else "OB"
        data["PixelData"].is_undefined_length = not native
    data.save_as(path, enforce_file_format=True)
    return path


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims this size, with hardly any data behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def encoded(film: np.ndarray, format: str, **options: object) -> bytes:
    """(h, w) in [0, 1] as the bytes of a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(film * 255).astype(np.uint8)).save(buffer, format, **options)
    return buffer.getvalue()
