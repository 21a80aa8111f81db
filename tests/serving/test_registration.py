"""A prior laid over a current film: by how much it was moved, and when it is left as it was taken."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from intervalchange.data.decoded_film import DecodedFilm
from intervalchange.data.films import FilmSquare, Geometry, film_square
from intervalchange.serving.registration import Registration, Similarity, film_matrix, register

SIDE = 160
BY = Similarity(turned=6.0, scale=1.1, shift_x=0.06, shift_y=-0.04)


def texture(seed: int) -> np.ndarray:
    """(s, s) in [0, 1]: a film of structures of a few sizes."""
    rng = np.random.default_rng(seed)
    film = sum(ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), sigma) * sigma for sigma in (3, 6, 12))
    return np.asarray((film - film.min()) / np.ptp(film))


def moved(pixels: np.ndarray, by: Similarity) -> np.ndarray:
    """Each pixel asked for its origin, one by one: the definition."""
    y, x = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE - 0.5
    angle = np.radians(by.turned)
    dx, dy = x - by.shift_x, y - by.shift_y
    source_x = (np.cos(angle) * dx + np.sin(angle) * dy) / by.scale + 0.5
    source_y = (-np.sin(angle) * dx + np.cos(angle) * dy) / by.scale + 0.5
    return np.asarray(ndimage.map_coordinates(pixels, [source_y * SIDE - 0.5, source_x * SIDE - 0.5], order=1))


def square(pixels: np.ndarray) -> FilmSquare:
    return film_square(DecodedFilm(pixels.astype(np.float32)), SIDE)


@pytest.mark.slow
def test_a_film_that_was_moved_is_found_where_it_is() -> None:
    film = texture(0)
    found = register(square(film), square(moved(film, BY) ** 2 * 0.7))
    assert found.similarity.turned == pytest.approx(BY.turned, abs=0.3)
    assert found.similarity.scale == pytest.approx(BY.scale, abs=0.01)
    assert found.similarity.shift_x == pytest.approx(BY.shift_x, abs=0.004)
    assert found.similarity.shift_y == pytest.approx(BY.shift_y, abs=0.004)
    assert found.helps and found.registered > 0.8 > found.as_taken


@pytest.mark.slow
@pytest.mark.parametrize("current", [texture(1), np.zeros((SIDE, SIDE)), texture(0)])
def test_films_stay_as_taken_where_registering_does_not_help(current: np.ndarray) -> None:
    assert not register(square(texture(0)), square(current)).helps


def test_helping_is_a_clear_gain_within_what_the_search_reaches() -> None:
    assert Registration(BY, 0.1, 0.6).helps
    assert not Registration(BY, 0.595, 0.6).helps
    assert not Registration(BY, -0.1, 0.15).helps
    assert not Registration(Similarity(turned=25.0), 0.1, 0.6).helps
    assert not Registration(Similarity(shift_x=0.5), 0.1, 0.6).helps


def test_the_matrix_is_in_pixels_of_both_films() -> None:
    tall, wide = Geometry(2000, 1000, 0.05, 25, 0), Geometry(500, 1000, 0.1, 0, 25)
    matrix = film_matrix(Similarity(shift_x=0.1), tall, wide, side=100)
    assert matrix @ [500, 1000, 1] == pytest.approx([600, 250]), "middle, and a tenth of 1000 pixels"
    matrix = film_matrix(Similarity(turned=90.0), tall, wide, side=100)
    # Clockwise on the screen: what was right of the middle is below it. 100 pixels of the tall film are 5 of its
    # square, and those are 50 of the wide film.
    assert matrix @ [600, 1000, 1] == pytest.approx([500, 300])
