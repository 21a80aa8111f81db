"""Films from files: the right way round, the same from every format, and hostile input refused with a remedy."""

from __future__ import annotations

import contextlib
import os
import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from film_files import NAME, chest, dicom, encoded, png_claiming, same, save
from mutations import HEAD, changed_bytes, lossless_jpeg, plain_films
from PIL import Image as Pillow

from intervalchange.data.dicom_selection import Admitted
from intervalchange.data.film_files import looks_inverted, read_film
from intervalchange.data.png_jpeg import PNG
from intervalchange.errors import ImageError

JPEG_BASELINE, JPEG_2000 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"


def refused(path: Path, *words: str, force: bool = False) -> str:
    """The message of the refusal, which names the file, gives a remedy, and holds these words."""
    with pytest.raises(ImageError) as caught:
        read_film(path, force=force)
    text = str(caught.value)
    assert str(path) in text
    assert caught.value.remedy, text
    for word in words:
        assert word in text, text
    return text


# --- what is read --------------------------------------------------------------------------------------------------


def test_png_and_jpeg_come_out_as_they_are(tmp_path: Path) -> None:
    film = chest()
    for name in ("a.png", "a.jpg"):
        image = read_film(save(film, tmp_path / name))
        assert image.pixels.dtype == np.float32
        assert image.pixels.shape == (200, 160)
        assert image.pixels.min() >= 0
        assert image.pixels.max() <= 1
        assert np.abs(image.pixels - film).mean() < 0.02
        assert image.warnings == ()


def test_the_type_is_told_by_content(tmp_path: Path) -> None:
    film = chest()
    image = read_film(save(film, tmp_path / "film.dcm", format="PNG"))
    assert same(image.pixels, film) > 0.99


def test_sixteen_bit_png(tmp_path: Path) -> None:
    film = chest()
    Pillow.fromarray(np.rint(film * 65535).astype(np.uint16)).save(tmp_path / "a.png")
    image = read_film(tmp_path / "a.png")
    assert image.header["bits"] == "16"
    assert np.abs(image.pixels - film).max() < 1e-4


def test_grey_in_three_channels_alpha_palette_and_two_levels(tmp_path: Path) -> None:
    film = chest()
    grey = Pillow.fromarray(np.rint(film * 255).astype(np.uint8))
    grey.convert("RGB").save(tmp_path / "rgb.png")
    grey.convert("P").save(tmp_path / "p.png")
    half = Pillow.merge("LA", (grey, Pillow.new("L", grey.size, 255)))
    half.paste((255, 0), (0, 0, 160, 50))
    half.save(tmp_path / "la.png")
    assert np.abs(read_film(tmp_path / "rgb.png").pixels - film).max() < 0.01
    assert same(read_film(tmp_path / "p.png").pixels, film) > 0.99
    transparent = read_film(tmp_path / "la.png").pixels
    assert transparent[:50].max() == 0
    assert same(transparent[60:], film[60:]) > 0.99
    grey.convert("1").save(tmp_path / "1.png")
    assert any("two grey levels" in text for text in read_film(tmp_path / "1.png").warnings)


def test_exif_orientation_is_obeyed(tmp_path: Path) -> None:
    film = chest()
    turned = Pillow.fromarray(np.rint(np.rot90(film) * 255).astype(np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees to see it upright
    turned.save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = read_film(tmp_path / "a.jpg")
    assert image.pixels.shape == (200, 160)
    assert same(image.pixels, film) > 0.98


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_few_bits_in_a_file_of_sixteen_are_not_blank(tmp_path: Path, bits: int) -> None:
    film = np.rint(chest() * (2**bits - 1))
    Pillow.fromarray(film.astype(np.uint16)).save(tmp_path / "a.png")
    image = read_film(tmp_path / "a.png")
    assert np.abs(image.pixels - film / 65535).max() < 1e-7
    assert image.warnings == ()


def test_an_empty_film_is_blank_in_any_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, levels in enumerate((np.zeros((200, 160)), np.full((200, 160), 700), rng.integers(900, 930, (200, 160)),
                                     rng.normal(30_000, 120, (200, 160)))):  # fmt: skip
        Pillow.fromarray(levels.astype(np.uint16)).save(tmp_path / f"{number}.png")
        assert read_film(tmp_path / f"{number}.png").warnings == ("the film is blank",), number
    uneven = np.rint(np.linspace(100, 102, 160) + rng.normal(0, 0.3, (200, 160))) / 255
    assert read_film(save(uneven, tmp_path / "u.png")).warnings == ("the film is blank",)
    assert read_film(dicom(tmp_path / "a.dcm", np.full((64, 64), 900))).warnings == ("the film is blank",)


def test_colour_of_sixteen_bits_with_few_in_it(tmp_path: Path) -> None:
    """Pillow keeps the high bytes: full channels are read, ten bits in them would be lost."""
    for top, readable in ((65535, True), (1023, False)):
        levels = np.rint(chest() * top).astype(">u2")
        rows = np.repeat(levels[..., None], 3, axis=2)
        (tmp_path / "a.png").write_bytes(png_of_words(rows))
        if readable:
            assert np.abs(read_film(tmp_path / "a.png").pixels - chest()).max() < 0.01
        else:
            refused(tmp_path / "a.png", "too few grey levels")


def png_of_words(rows: np.ndarray) -> bytes:
    """A PNG of 16-bit RGB, which Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 16, 2, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    return PNG + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def test_content_warnings(tmp_path: Path) -> None:
    film = chest()
    assert any("negative" in text for text in read_film(save(1 - film, tmp_path / "n.png")).warnings)
    assert any("blank" in text for text in read_film(save(np.full((64, 64), 0.4), tmp_path / "b.png")).warnings)
    assert any("narrow" in text for text in read_film(save(chest(300, 80), tmp_path / "l.png")).warnings)


# --- DICOM ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_dicom_bits_and_polarity(tmp_path: Path, bits: int, photometric: str) -> None:
    film = chest()
    stored = np.rint((film if photometric == "MONOCHROME2" else 1 - film) * (2**bits - 1))
    image = read_film(dicom(tmp_path / "a.dcm", stored, bits, PhotometricInterpretation=photometric))
    assert same(image.pixels, film) > 0.999
    assert image.warnings == ()
    assert image.header == {
        "view": "PA", "date": "2020-01-02T08:09:10", "photometric": photometric, "modality": "CR", "bits": str(bits),
    }  # fmt: skip


def test_dicom_rescale_and_window(tmp_path: Path) -> None:
    film = chest()
    stored = np.rint(film * 2000 + 500)
    path = dicom(
        tmp_path / "a.dcm", stored, 12, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=2000.5, WindowWidth=4001
    )
    image = read_film(path)
    assert np.abs(image.pixels - film).max() < 0.002, "rescaled 0..4000, window 0..4000"
    narrow = read_film(dicom(tmp_path / "n.dcm", stored, 12, WindowCenter=[1500, 9], WindowWidth=[1000, 9])).pixels
    assert np.abs(narrow - np.clip((stored - 1500 + 0.5) / 999 + 0.5, 0, 1)).max() < 1e-4
    sigmoid = read_film(
        dicom(tmp_path / "s.dcm", stored, 12, WindowCenter=1500, WindowWidth=1500, VOILUTFunction="SIGMOID")
    ).pixels
    assert same(sigmoid, film) > 0.98
    assert sigmoid.max() < 1


@pytest.mark.parametrize("window", [(0, -5), (50_000, 10), (0, 1)])
def test_dicom_window_that_shows_nothing_is_left(tmp_path: Path, window: tuple[int, int]) -> None:
    film = chest()
    path = dicom(tmp_path / "a.dcm", np.rint(film * 4095), 12, WindowCenter=window[0], WindowWidth=window[1])
    image = read_film(path)
    assert same(image.pixels, film) > 0.999
    assert any("window" in text for text in image.warnings)


def test_dicom_voi_table(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset

    film = chest()
    table = Dataset()
    table.LUTDescriptor = [256, 0, 12]
    table.LUTData = np.rint(np.linspace(0, 1, 256) ** 2 * 4095).astype(np.uint16).tobytes()
    table["LUTData"].VR = "OW"
    image = read_film(dicom(tmp_path / "a.dcm", np.rint(film * 255), 8, VOILUTSequence=[table]))
    assert np.abs(image.pixels - film**2).max() < 0.01


def test_dicom_overlay_bits_padding_and_too_many_levels(tmp_path: Path) -> None:
    film = chest()
    stored = np.rint(film * 1023).astype(np.uint16)
    with_overlay = stored | (np.indices(stored.shape).sum(0) % 2 << 12).astype(np.uint16)
    path = dicom(tmp_path / "o.dcm", with_overlay, 10)
    assert any("more grey levels" in text for text in read_film(path).warnings)
    path = dicom(tmp_path / "p.dcm", with_overlay, 10)
    from pydicom import dcmread

    header = dcmread(path)
    header.add_new((0x6000, 0x0102), "US", 12)
    header.save_as(path)
    assert np.abs(read_film(path).pixels - (film - film.min()) / np.ptp(film)).max() < 0.01
    stored[:20] = 4000
    path = dicom(tmp_path / "q.dcm", stored, 12, PixelPaddingValue=4000, PhotometricInterpretation="MONOCHROME1")
    padded = read_film(path).pixels
    assert padded[:20].max() == 0


@pytest.mark.parametrize(
    ("syntax", "format", "options"),
    [(JPEG_BASELINE, "JPEG", {"quality": 95}), (JPEG_2000, "JPEG2000", {"no_jp2": True})],
)
def test_dicom_compressed(tmp_path: Path, syntax: str, format: str, options: dict[str, object]) -> None:
    film = chest()
    path = dicom(tmp_path / "a.dcm", film * 255, 8, syntax, PixelData=encoded(film, format, **options))
    assert same(read_film(path).pixels, film) > 0.99


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"])
def test_dicom_compressed_without_loss(tmp_path: Path, syntax: str) -> None:
    from pydicom import dcmread

    film = chest()
    path = dicom(tmp_path / "a.dcm", np.rint(film * 4095), 12)
    header = dcmread(path)
    header.compress(syntax, encoding_plugin="pyjpegls" if syntax.endswith("80") else "pydicom")
    header.save_as(path)
    assert same(read_film(path).pixels, film) > 0.9999


def test_dicom_jpeg_lossless_and_a_decoder_that_aborts(tmp_path: Path) -> None:
    film = chest()
    path = lossless_jpeg(tmp_path / "a.dcm", np.rint(film * 4095))
    assert same(read_film(path).pixels, film) > 0.9999
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 2000])
    refused(path)
    rng = np.random.default_rng(0)
    place = data.index(b"\xff\xc3")
    for _ in range(8):
        broken = bytearray(data)
        broken[place + 10 + int(rng.integers(200))] ^= 0xFF
        path.write_bytes(broken)
        with contextlib.suppress(ImageError):
            read_film(path)


def test_real_dicom_the_right_way_round(shared: Path) -> None:
    folder = shared / "data" / "dicom"
    plain = read_film(folder / "nih_siim_cr_mono2_jpeg.dcm")
    negative = read_film(folder / "nih_siim_cr_mono1_tag_only_jpeg.dcm")
    assert np.abs(plain.pixels - (1 - negative.pixels)).max() < 1e-5
    assert plain.warnings == ()
    assert any("negative" in text for text in negative.warnings)
    film = read_film(folder / "nema_rg1_cr_chest_mono1_j2k.dcm")
    assert film.header["bits"] == "15"
    assert film.header["photometric"] == "MONOCHROME1"
    assert not looks_inverted(film.pixels)
    assert film.warnings == ()
    middle = film.pixels[700:1500]
    assert middle[:, 880:960].mean() > middle[:, 400:700].mean() + 0.1, "the spine is brighter than the lung"


def test_nothing_personal_leaves_the_reader(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = dicom(tmp_path / "a.dcm", chest() * 4095)
    image = read_film(path)
    assert "SECRET" not in repr(image.header) + repr(image.warnings)
    data = path.read_bytes()
    for cut in (200, 400, 600, len(data) // 2):
        (tmp_path / "cut.dcm").write_bytes(data[:cut])
        assert NAME not in refused(tmp_path / "cut.dcm")
    broken = data.replace(b"19010203", b"1901XX03").replace(b"20200102", b"SECRET!!")
    (tmp_path / "b.dcm").write_bytes(broken)
    image = read_film(tmp_path / "b.dcm")
    assert image.header["date"] == ""
    assert "SECRET" not in repr(image.warnings)
    (tmp_path / "dummy.dcm").write_bytes(data.replace(b"20200102", b"19010101"))
    assert read_film(tmp_path / "dummy.dcm").header["date"] == ""
    captured = capfd.readouterr()
    assert "SECRET" not in captured.out + captured.err


# --- what is refused -----------------------------------------------------------------------------------------------


def test_no_file_folder_empty_text(tmp_path: Path) -> None:
    refused(tmp_path / "none.png", "no such file")
    refused(tmp_path, "folder")
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", "empty")
    (tmp_path / "text.png").write_text("not a picture")
    refused(tmp_path / "text.png", "neither PNG")
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path / "pipe.png", "regular")
    refused(Path("x" * 5000), "cannot be opened")


def test_other_picture_types(tmp_path: Path) -> None:
    film = Pillow.fromarray(np.rint(chest() * 255).astype(np.uint8))
    other = Pillow.fromarray(np.rint(chest(seed=1) * 255).astype(np.uint8))
    film.save(tmp_path / "a.gif", save_all=True, append_images=[other])
    refused(tmp_path / "a.gif", "GIF")
    film.save(tmp_path / "a.png", save_all=True, append_images=[other])
    refused(tmp_path / "a.png", "several pictures")
    film.save(tmp_path / "a.tif")
    refused(tmp_path / "a.tif", "TIFF")
    film.save(tmp_path / "a.webp")
    refused(tmp_path / "a.webp", "WebP")
    (tmp_path / "a.svg").write_text("<svg></svg>")
    refused(tmp_path / "a.svg", "SVG")


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_cut_short(tmp_path: Path, format: str, share: float) -> None:
    data = encoded(chest(), format)
    (tmp_path / "a").write_bytes(data[: int(len(data) * share)])
    refused(tmp_path / "a", "damaged")


def test_pictures_that_claim_too_much_or_too_little(tmp_path: Path) -> None:
    (tmp_path / "big.png").write_bytes(png_claiming(60_000, 60_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(tmp_path / "big.png", "60000 x 60000")
    jpeg = bytearray(encoded(chest(), "JPEG"))
    place = jpeg.index(b"\xff\xc0")
    jpeg[place + 5 : place + 9] = b"\xff\xff\xff\xff"
    (tmp_path / "big.jpg").write_bytes(jpeg)
    refused(tmp_path / "big.jpg", "65535 x 65535")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "kilobytes"
    save(chest()[:20, :20], tmp_path / "small.png")
    refused(tmp_path / "small.png", "too few")
    (tmp_path / "lie.png").write_bytes(png_claiming(500, 500))
    refused(tmp_path / "lie.png", "damaged")


def test_colour_is_refused_unless_forced(tmp_path: Path) -> None:
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[..., 0] = np.rint(chest(64, 64) * 255)
    Pillow.fromarray(colours).save(tmp_path / "a.png")
    refused(tmp_path / "a.png", "colour", "--force")
    assert any("colour" in text for text in read_film(tmp_path / "a.png", force=True).warnings)
    marked = np.repeat(np.rint(chest(64, 64) * 255).astype(np.uint8)[..., None], 3, axis=2)
    marked[2:4, 2:20] = (255, 255, 0)
    Pillow.fromarray(marked).save(tmp_path / "m.png")
    assert read_film(tmp_path / "m.png").warnings == (), "a small coloured mark"


@pytest.mark.parametrize(
    "header",
    [
        {"ViewPosition": "LATERAL"},
        {"ViewPosition": "LL"},
        {"ViewPosition": None, "PatientOrientation": ["A", "F"]},
        {"BodyPartExamined": "SHOULDER"},
    ],
)
def test_dicom_not_a_frontal_chest_is_refused_unless_forced(tmp_path: Path, header: dict[str, object]) -> None:
    path = dicom(tmp_path / "a.dcm", chest() * 4095, 12, **header)
    refused(path, "--force")
    assert any("--force" in text for text in read_film(path, force=True).warnings)


@pytest.mark.parametrize(
    ("header", "warning"),
    [
        ({"Modality": "DR", "ViewPosition": "PA ERECT", "BodyPartExamined": "TORAX"}, ""),
        ({"ViewPosition": "FRONTAL"}, ""),
        ({"ViewPosition": "UNKNOWN"}, "the header names a view that is not known here: taken as frontal"),
        ({"ViewPosition": "AP LAT"}, "the header names a frontal view and another: taken as frontal"),
        (
            {"BodyPartExamined": "PORTABLE"},
            "the header names a part of the body that is not known here: taken as the chest",
        ),
        ({"Modality": "DIGITAL"}, "the header does not say that this is a radiograph"),
        ({"Modality": "OT"}, "the header does not say that this is a radiograph"),
    ],
)
def test_dicom_of_a_frontal_chest_in_other_words(tmp_path: Path, header: dict[str, object], warning: str) -> None:
    image = read_film(dicom(tmp_path / "a.dcm", chest() * 4095, 12, **header))
    assert image.warnings == ((warning,) if warning else ())


def test_a_spot_film_is_read_when_forced_or_let_in(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", chest() * 4095, 12, Modality="RF", ViewPosition="LAO")
    refused(path, "modality RF")
    assert len(read_film(path, force=True).warnings) == 2
    assert read_film(path, admitted=Admitted(modalities=("RF",), views=("LAO",))).warnings == ()
    refused(dicom(tmp_path / "b.dcm", chest() * 4095, 12, Modality="PX"), "modality PX", force=True)


def test_dicom_lateral_by_view_code(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeMeaning = "left lateral"
    refused(dicom(tmp_path / "a.dcm", chest() * 4095, 12, ViewPosition=None, ViewCodeSequence=[code]), "frontal")
    code.CodeMeaning = "antero-posterior"
    path = dicom(tmp_path / "b.dcm", chest() * 4095, 12, ViewPosition=None, ViewCodeSequence=[code])
    assert read_film(path).header["view"] == "AP"


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ({"Modality": "CT"}, "modality CT"),
        ({"NumberOfFrames": 30}, "30 frames"),
        ({"PixelData": None}, "no pixels"),
        ({"Rows": 60_000, "Columns": 60_000}, "60000 x 60000"),
        ({"Rows": 2000}, "fewer pixels"),
        ({"Rows": 0}, "too few"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "32 bits"),
        ({"BitsStored": 0}, "stored"),
        ({"SamplesPerPixel": 4}, "bits a pixel"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "photometric"),
        ({"Rows": None}, "damaged"),
        ({"BitsAllocated": None}, "BitsAllocated"),
        ({"PhotometricInterpretation": None}, "PhotometricInterpretation"),
    ],
)
def test_dicom_refused(tmp_path: Path, header: dict[str, object], word: str) -> None:
    path = dicom(tmp_path / "a.dcm", chest() * 4095, 12, **header)
    assert NAME not in refused(path, word)
    refused(path, word, force=True)


def test_bits_stored_that_are_not_said_are_those_allocated(tmp_path: Path) -> None:
    assert same(read_film(dicom(tmp_path / "a.dcm", chest() * 65535, 16, BitsStored=None)).pixels, chest()) > 0.9999


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.201", "1.2.3.4"])
def test_dicom_transfer_syntax_outside_the_list(tmp_path: Path, syntax: str) -> None:
    path = dicom(tmp_path / "a.dcm", chest() * 4095)
    data = path.read_bytes()
    old = b"1.2.840.10008.1.2.1\0"
    path.write_bytes(
        data.replace(old, syntax.encode().ljust(len(old), b"\0")[: len(old)], 1) if len(syntax) < len(old) else data
    )
    if len(syntax) < len(old):
        refused(path, "transfer syntax")
    else:
        refused(dicom(tmp_path / "b.dcm", chest() * 4095, 12, syntax, PixelData=b"\0" * 100), "transfer syntax")


def test_dicom_stream_of_another_size_than_the_header(tmp_path: Path) -> None:
    film = chest()
    jpeg = bytearray(encoded(film, "JPEG"))
    place = jpeg.index(b"\xff\xc0")
    jpeg[place + 5 : place + 9] = b"\xff\xff\xff\xff"
    refused(dicom(tmp_path / "a.dcm", film * 255, 8, JPEG_BASELINE, PixelData=bytes(jpeg)), "65535 x 65535")
    stream = bytearray(encoded(film, "JPEG2000", no_jp2=True))
    stream[8:16] = b"\x00\x00\xff\xff\x00\x00\xff\xff"
    refused(dicom(tmp_path / "b.dcm", film * 255, 8, JPEG_2000, PixelData=bytes(stream)), "65535 x 65535")
    refused(dicom(tmp_path / "c.dcm", film * 255, 8, JPEG_BASELINE, PixelData=b"rubbish!" * 10), "fewer pixels")


def test_dicom_with_absurd_lengths_does_not_allocate(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", chest() * 4095)
    data = bytearray(path.read_bytes())
    place = data.index(b"\x10\x00\x10\x00PN")
    data[place + 4 : place + 12] = b"OB\0\0\xf0\xff\xff\xff"
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "kilobytes"


def test_no_mutated_header_escapes(tmp_path: Path) -> None:
    """A thousand files with a few bytes changed: a film or an ImageError, nothing else. More of it: test_fuzz."""
    rng = np.random.default_rng(0)
    sources = plain_films(tmp_path)
    path = tmp_path / "mutant"
    for number in range(1000):
        path.write_bytes(changed_bytes(sources[number % len(sources)], rng, HEAD))
        quoted = ""
        try:
            read_film(path)
        except ImageError as error:
            quoted = str(error)
        assert "SECRET" not in quoted


def test_polarity_check_on_real_films(shared: Path) -> None:
    films = sorted((shared / "data" / "cxr_longitudinal" / "images").iterdir())[::6]
    pixels = [read_film(film).pixels for film in films]
    assert sum(looks_inverted(film) for film in pixels) == 0
    assert sum(looks_inverted(1 - film) for film in pixels) > 0.75 * len(films)
