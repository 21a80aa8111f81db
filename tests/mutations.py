"""Damages files and strings on purpose, the same way each time, for the tests that nothing hostile gets through."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from film_files import chest, dicom, encoded
from PIL import Image as Pillow

from intervalchange.data import run_length

SYNTAX = "1.2.840.10008.1.2"
JPEG_BASELINE, JPEG_2000, JPEG_LS = f"{SYNTAX}.4.50", f"{SYNTAX}.4.90", f"{SYNTAX}.4.80"
JPEG_EXTENDED = f"{SYNTAX}.4.51"
HEAD = 1200
"""Bytes at the start of a film file that hold most of its structure."""
EXTREMES = (b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80")
"""Lengths and counts that are apt to break a parser."""
CELLS = ('"', '""', ",", "\n", "\r", "\0", "\ufeff", "\x1a", "é", "\\", "1e999", "nan", "-1", "2020-02-30", "9" * 400)
"""Pieces that are apt to break a reader of tables."""
NUMBERS = ("0", "-1", "1.5", "1e3", "nan", "1_0", "²", "٣", "9" * 30, "99999999", "\0", "\n")

Rng = np.random.Generator


# --- bytes ---------------------------------------------------------------------------------------------------------


def changed_bytes(data: bytes, rng: Rng, within: int) -> bytes:
    """One to five of the first `within` bytes set to something."""
    broken = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        broken[int(rng.integers(min(len(broken), within)))] = int(rng.integers(256))
    return bytes(broken)


def mutated(data: bytes, rng: Rng) -> bytes:
    """One damage of a kind that occurs, or that somebody would try: a few bytes, a cut, a piece in another place."""
    start, end = sorted(int(place) for place in rng.integers(min(len(data), rng.choice((HEAD, len(data)))), size=2))
    extreme = EXTREMES[rng.integers(len(EXTREMES))]
    how: tuple[Callable[[], bytes], ...] = (
        lambda: changed_bytes(data, rng, HEAD),
        lambda: changed_bytes(data, rng, len(data)),
        lambda: changed_bytes(data, rng, 160),
        lambda: data[:start] + extreme + data[start + len(extreme) :],
        lambda: data[:start] + extreme + data[start:],
        lambda: data[:end],
        lambda: data[:start] + data[end:],
        lambda: data[:end] + data[start:],
        lambda: data + data[:end],
        lambda: data[:start] + rng.bytes(end - start) + data[end:],
    )
    return how[rng.integers(len(how))]()


# --- films ---------------------------------------------------------------------------------------------------------


def png_of_mutated_chunks(data: bytes, rng: Rng) -> bytes:
    """A PNG with one damaged, doubled or lost chunk and right checksums, which lead the damage past the first check."""
    chunks, place = [], 8
    while place + 8 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    chosen = int(rng.integers(len(chunks)))
    kind, body = chunks[chosen]
    act = rng.integers(6)
    if act < 3:
        chunks[chosen] = (kind, mutated(body, rng) if body else rng.bytes(int(rng.integers(20))))
    elif act == 3:
        chunks.insert(int(rng.integers(len(chunks))), chunks[chosen])
    elif act == 4:
        del chunks[chosen]
    else:
        foreign = (b"PLTE", b"tRNS", b"acTL", b"fcTL", b"iCCP", b"zTXt", b"iTXt", b"eXIf", b"pHYs", b"gAMA", b"QQQQ")
        chunks.insert(chosen, (foreign[rng.integers(len(foreign))], rng.bytes(int(rng.integers(60)))))
    written = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks)
    return data[:8] + b"".join(written)


def plain_films(folder: Path) -> list[bytes]:
    """DICOM uncompressed and as JPEG, PNG, JPEG: the four files whose headers are damaged in `make test` too."""
    film = chest(48, 40)
    return [
        dicom(folder / "a.dcm", film * 4095).read_bytes(),
        dicom(folder / "b.dcm", film * 255, 8, JPEG_BASELINE, PixelData=encoded(film, "JPEG")).read_bytes(),
        encoded(film, "PNG"),
        encoded(film, "JPEG"),
    ]


def pngs() -> list[bytes]:
    """Of every mode: 8 and 16 bits, ten bits in 16, colour, palette, transparency, two levels."""
    film = chest(48, 40)
    grey = Pillow.fromarray(np.rint(film * 255).astype(np.uint8))
    deep = Pillow.fromarray(np.rint(film * 65535).astype(np.uint16))
    modes = [grey.convert(mode) for mode in ("L", "LA", "RGB", "RGBA", "P", "1")]
    faint = Pillow.fromarray(np.rint(film * 1023).astype(np.uint16))
    return [_saved(picture, "PNG") for picture in (*modes, deep, faint)]


def jpegs() -> list[bytes]:
    """Grey, colour, CMYK, progressive, and turned by EXIF."""
    grey = Pillow.fromarray(np.rint(chest(48, 40) * 255).astype(np.uint8))
    exif = grey.getexif()
    exif[0x0112] = 6
    kinds = [_saved(grey.convert(mode), "JPEG") for mode in ("L", "RGB", "CMYK")]
    return [*kinds, _saved(grey, "JPEG", progressive=True), _saved(grey, "JPEG", exif=exif)]


def _saved(picture: Pillow.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def dicoms(folder: Path) -> list[bytes]:
    """Decoded here: as written by most devices, with the tables and sequences that change the pixels."""
    from pydicom import dcmread
    from pydicom.dataset import Dataset

    film = chest(48, 40)
    table = Dataset()
    table.LUTDescriptor = [256, 0, 12]
    table.LUTData = np.rint(np.linspace(0, 1, 256) ** 2 * 4095).astype(np.uint16).tobytes()
    table["LUTData"].VR = "OW"
    window = {"WindowCenter": 2000.5, "WindowWidth": 4001, "RescaleSlope": 2, "RescaleIntercept": -1000}
    stream = encoded(film, "JPEG2000", no_jp2=True)
    files = [
        dicom(folder / "implicit.dcm", film * 4095, syntax=SYNTAX, PixelPaddingValue=4000),
        dicom(folder / "window.dcm", film * 4095, 12, PhotometricInterpretation="MONOCHROME1", **window),
        dicom(folder / "table.dcm", film * 255, 8, VOILUTSequence=[table]),
        dicom(folder / "j2k.dcm", film * 255, 8, JPEG_2000, PixelData=stream),
        dicom(folder / "rle.dcm", np.rint(film * 4095), 12),
    ]
    header = dcmread(files[-1])
    header.compress(f"{SYNTAX}.5", encoding_plugin="pydicom")
    header.save_as(files[-1])
    files += _doubtful(folder, film)
    whole = [path.read_bytes() for path in files]
    return [*plain_films(folder)[:2], *whole, whole[0][132:], whole[1][128:], whole[-2][132:]]


def _doubtful(folder: Path, film: np.ndarray) -> list[Path]:
    """Whose headers are judged on their pixels: windows, tables, padding, orientation, 4:2:2."""
    from pydicom.dataset import Dataset

    table, modality = Dataset(), Dataset()
    for item, first, bits in ((table, 65000, 10), (modality, 0, 16)):
        item.add_new(0x00283002, "US", [4096 % 65536, first, bits])
        item.add_new(0x00283006, "US", list(range(4096)))
    turned = {"PatientOrientation": ["H", "R"], "PresentationLUTShape": "INVERSE"}
    padding = {"PixelPaddingValue": 2000, "PixelPaddingRangeLimit": 2100, "WindowCenter": [50, 2048]}
    grey = np.rint(film * 255).astype(np.uint8)
    words = np.stack([grey, np.full_like(grey, 128)], -1).tobytes()
    ybr = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422", "PlanarConfiguration": 0}
    return [
        dicom(folder / "tables.dcm", film * 4095, VOILUTSequence=[table], ModalityLUTSequence=[modality], **turned),
        dicom(folder / "padding.dcm", film * 4095, WindowWidth=[9, 4096], VOILUTFunction="SIGMOID", **padding),
        dicom(folder / "words.dcm", film * 4095, ViewPosition=None, BodyPartExamined="XYZ", StudyDescription="CHEST"),
        dicom(folder / "ybr.dcm", film * 255, 8, PixelData=words, **ybr),
    ]


def dicoms_decoded_elsewhere(folder: Path) -> list[bytes]:
    """JPEG lossless, JPEG of 12 bits and JPEG-LS, whose decoders run in a process of their own."""
    from pydicom import dcmread

    film = np.rint(chest(48, 40) * 4095)
    path = dicom(folder / "ls.dcm", film, 12)
    header = dcmread(path)
    header.compress(JPEG_LS, encoding_plugin="pyjpegls")
    header.save_as(path)
    others = lossless_jpeg(folder / "lossless.dcm", film), extended_jpeg(folder / "extended.dcm", film)
    return [path.read_bytes(), *(other.read_bytes() for other in others)]


def lossless_jpeg(path: Path, stored: np.ndarray) -> Path:
    """A film of 12 bits as JPEG lossless, the usual form in a hospital archive."""
    return _compressed(path, stored, "JPEGLosslessProcess14_1")


def extended_jpeg(path: Path, stored: np.ndarray, syntax: str = JPEG_EXTENDED) -> Path:
    """A film of 12 bits as JPEG extended; another syntax is written in its place."""
    _compressed(path, stored, "JPEGExtendedProcess2_4")
    path.write_bytes(path.read_bytes().replace(JPEG_EXTENDED.encode(), syntax.encode(), 1))
    return path


def _compressed(path: Path, stored: np.ndarray, syntax: str) -> Path:
    import gdcm

    dicom(path, stored, 12)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return path


# --- tables and masks ----------------------------------------------------------------------------------------------


def mutated_table(rng: Rng) -> tuple[str, bytes]:
    """(file name, bytes) of a table of films: damaged as a text, as bytes, or as a gzip archive."""
    rows = [f'p{n},film {n}.png,"PA, upright",{n}.5,2020-01-0{n % 9 + 1}' for n in range(int(rng.integers(1, 30)))]
    names = (
        "patient,film , view,value,date",
        "patient,film,film ,value,date",
        "patient,film,view,value",
        "film,,film,,",
    )
    text = "\r\n".join([names[max(0, int(rng.integers(-4, 4)))], *rows]) + "\r\n"
    for _ in range(int(rng.integers(4))):
        place = int(rng.integers(len(text)))
        piece = CELLS[rng.integers(len(CELLS))]
        text = text[:place] + piece * int(rng.integers(1, 4)) + text[place + int(rng.integers(3)) :]
    data = text.encode("utf-8" if rng.random() < 0.8 else "utf-16", "replace")
    zipped = rng.random() < 0.3
    if zipped:
        data = gzip.compress(data, mtime=0)
    if rng.random() < 0.6:
        data = mutated(data, rng)
    return ("a.csv.gz" if zipped != (rng.random() < 0.05) else "a.csv"), data


def random_mask(rng: Rng) -> np.ndarray:
    """(h, w) bool of one to eighty pixels a side; runs of every length."""
    height, width = (int(side) for side in rng.integers(1, 80, 2))
    return rng.random((height, width)) < rng.random() ** 2


def mutated_coco(rng: Rng) -> tuple[str, int, int]:
    """(counts, height, width): COCO's form of a random mask, mostly damaged; sometimes of another size."""
    mask = random_mask(rng)
    text = list(run_length.encode(mask))
    if rng.random() < 0.1:
        # The right number of pixels, with a run shorter than nothing.
        moved = int(rng.integers(2, 9))
        text = list(run_length._written([moved, 1 - moved, mask.size - 1]))
    for _ in range(int(rng.integers(4))):
        place, act = int(rng.integers(len(text) + 1)), rng.integers(5)
        if act == 0:
            text.insert(place, chr(int(rng.choice((rng.integers(48, 112), rng.integers(128), rng.integers(0x3000))))))
        elif act == 1:
            del text[place:]
        elif act == 2:
            text[place : place + 1] = [chr(int(rng.integers(48, 112)))]
        elif act == 3:
            text[place:place] = text[: int(rng.integers(len(text) + 1))]
        else:
            text[place:place] = ["o"] * int(rng.choice((1, 10, 100, 300_000), p=(0.5, 0.3, 0.19, 0.01)))
    height, width = (int(side + rng.choice((0, 0, 0, 1))) for side in mask.shape)
    return "".join(text), height, width


def mutated_gaps(rng: Rng) -> tuple[str, int, int]:
    """(text, height, width): SIIM's form of a random mask, damaged."""
    mask = random_mask(rng)
    words = run_length.encode_gaps(mask).split(" ")
    for _ in range(int(rng.integers(1, 4))):
        place, act = int(rng.integers(len(words) + 1)), rng.integers(4)
        if act == 0:
            words.insert(place, NUMBERS[rng.integers(len(NUMBERS))])
        elif act == 1:
            del words[place : place + 2]
        elif act == 2:
            words[place : place + 1] = [str(rng.integers(-2, 7000))]
        else:
            words[place:place] = words[: int(rng.integers(len(words) + 1))]
    return (" " * int(rng.integers(1, 3))).join(words), *mask.shape
