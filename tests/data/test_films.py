"""Decoded films -> squares of 8 bits -> standardised, the same from every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from film_files import chest, dicom, equalise, same
from PIL import Image as Pillow

from intervalchange.data.films import Geometry, film_from_file, fit, normalised, resize, standardise


def test_fit_keeps_the_whole_film_and_the_way_back() -> None:
    film = chest(300, 200)
    square, geometry = fit(film, 150)
    assert geometry == Geometry(300, 200, 0.5, 25, 0)
    assert square.shape == (150, 150)
    assert square[:, :25].max() == 0
    assert square[:, 125:].max() == 0
    assert np.allclose(square[:, 25:125], film.reshape(150, 2, 100, 2).mean((1, 3)), atol=1e-5)
    box = (20.0, 30.0, 180.0, 290.0)
    assert np.allclose(geometry.to_film(geometry.to_square(box)), box)
    assert geometry.to_film((0, 0, 150, 150)) == (0, 0, 200, 300), "clipped to the film"
    up, _ = fit(film, 600)
    assert same(resize(np.rint(up * 255).astype(np.uint8)[None], 150)[0], square) > 0.999


def test_stored_film_uses_all_grey_levels(tmp_path: Path) -> None:
    film = 0.4 + 0.02 * chest()
    Pillow.fromarray(np.rint(film * 65535).astype(np.uint16)).save(tmp_path / "a.png")
    stored = film_from_file(tmp_path / "a.png", 128)
    assert stored.pixels.dtype == np.uint8
    assert stored.pixels.shape == (128, 128)
    assert len(np.unique(stored.pixels)) > 150


@pytest.mark.parametrize("negative", [False, True])
def test_a_border_far_outside_the_film_leaves_it_its_levels(tmp_path: Path, negative: bool) -> None:
    """Ten bits with a border of 65535 that no header calls padding."""
    levels = np.rint(chest(128, 128) * 1023)
    for border in (0, 65535):
        stored = levels.copy()
        stored[:, :16] = stored[:, -16:] = border
        if negative:
            photometric = {"PhotometricInterpretation": "MONOCHROME1"}
            dicom(tmp_path / f"{border}.dcm", np.where(stored == border, border, 1023 - stored), 16, **photometric)
        else:
            dicom(tmp_path / f"{border}.dcm", stored, 16)
    plain, bordered = (film_from_file(tmp_path / f"{border}.dcm", 128).pixels[:, 20:-20] for border in (0, 65535))
    assert len(np.unique(bordered)) > 200
    assert same(bordered, plain) > 0.999


@pytest.mark.parametrize("stored", [128, 96, 64])
def test_resize_is_area_averaging(stored: int) -> None:
    films = np.rint(np.stack([chest(stored, stored, seed) for seed in range(3)]) * 255).astype(np.uint8)
    small = resize(films, 32)
    side = stored // 32
    expected = films.reshape(3, 32, side, 32, side).mean((2, 4)) / 255
    assert small.dtype == np.float32
    assert np.abs(small - expected).max() < 1e-6
    assert np.abs(resize(films, 48).mean() - films.mean() / 255) < 1e-3


def test_standardise_is_blind_to_monotone_curves() -> None:
    film = chest(128, 128)
    usual = standardise(film)
    assert usual.dtype == np.float32
    assert np.abs(usual).max() < 1.75
    assert abs(float(usual[20:-20, 20:-20].mean())) < 0.05
    assert abs(float(usual[20:-20, 20:-20].std()) - 1) < 0.05
    for curve in (film**0.5, film**2, 0.2 + 0.6 * film, 1 / (1 + np.exp(-8 * (film - 0.5)))):
        assert same(standardise(curve.astype(np.float32)), usual) > 0.999
    assert not standardise(np.zeros((64, 64), np.float32)).any()
    assert not standardise(np.full((64, 64), 0.5, np.float32)).any()


def test_standardise_hardly_sees_a_black_border() -> None:
    film = chest(128, 128)
    bordered = film.copy()
    bordered[:8], bordered[-8:], bordered[:, :8], bordered[:, -8:] = 0, 0, 0, 0
    inner = np.s_[10:-10, 10:-10]
    assert np.abs(standardise(bordered)[inner] - standardise(film)[inner]).mean() < 0.15


def test_the_same_film_from_three_formats(shared: Path, tmp_path: Path) -> None:
    """8-bit PNG, equalised JPEG as MIMIC-CXR-JPG, 15-bit MONOCHROME1 DICOM with a window: nearly one input."""
    films = sorted((shared / "data" / "cxr_longitudinal" / "images").iterdir())[::30]
    worst = 1.0
    for film in films:
        grey = np.asarray(Pillow.open(film).convert("L"))
        Pillow.fromarray(grey).save(tmp_path / "a.png")
        Pillow.fromarray(equalise(grey)).save(tmp_path / "a.jpg", quality=95)
        noise = np.random.default_rng(0).normal(0, 20, grey.shape)
        stored = np.clip(32767 - (grey / 255 * 0.6 + 0.1) * 30000 + noise, 0, 32767)
        dicom(
            tmp_path / "a.dcm",
            stored,
            15,
            PhotometricInterpretation="MONOCHROME1",
            WindowCenter=20000,
            WindowWidth=24000,
        )
        squares = [
            resize(film_from_file(tmp_path / f"a.{end}", 512).pixels[None], 256)[0] for end in ("png", "jpg", "dcm")
        ]
        png, jpg, dcm = (standardise(square) for square in squares)
        worst = min(worst, same(png, jpg), same(png, dcm))
    assert worst > 0.995, worst


def test_published_greys_keep_the_levels_of_the_film() -> None:
    film = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64) ** 3
    assert np.array_equal(normalised(film), standardise(film))
    for greys in ("half", "imagenet", "clip"):
        assert np.allclose(normalised(film, greys), 2 * film - 1, atol=1e-6)
