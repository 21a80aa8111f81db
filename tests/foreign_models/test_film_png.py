"""Films as PNG."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from intervalchange.foreign_models.film_png import film_png, png_base64


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (64, 64)])
def test_what_pillow_reads_is_the_film(shape: tuple[int, int]) -> None:
    film = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(film_png(film))) as read:
        read.verify()
    with Image.open(io.BytesIO(film_png(film))) as read:
        assert read.mode == "L" and np.array_equal(np.asarray(read), film)
    assert base64.b64decode(png_base64(film), validate=True) == film_png(film)


def test_a_film_is_encoded_once_and_views_are_as_good() -> None:
    film = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert png_base64(film) is png_base64(film.copy())
    assert png_base64(film.T) != png_base64(film) and png_base64(film.T) == png_base64(film.T.copy())
    assert png_base64(film.reshape(4, 16)) != png_base64(film)
