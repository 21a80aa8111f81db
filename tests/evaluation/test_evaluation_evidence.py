"""Where a heat map looks, and whether that matters: by hand, by scikit-learn, by limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from sklearn.metrics import jaccard_score

from intervalchange.errors import InputError
from intervalchange.evaluation.metrics.evidence import (
    attribution_metrics,
    cells_of_mask,
    coverage_of_boxes,
    deletion,
    energy_inside,
    insertion,
    measures,
    overlap,
    pointing_hits,
    tally,
    widened,
)
from intervalchange.evaluation.metrics.statistics import point_estimates

GRID = 8


def bump(row: int, column: int) -> np.ndarray:
    rows, columns = np.mgrid[:GRID, :GRID]
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 4.0)


def place(row: int, column: int) -> np.ndarray:
    cells = np.zeros((GRID, GRID), bool)
    cells[row : row + 2, column : column + 2] = True
    return cells


def test_a_mask_on_the_grid() -> None:
    mask = np.zeros((16, 24), bool)
    mask[3, 5] = mask[15, 23] = True
    assert np.argwhere(cells_of_mask(mask, GRID)).tolist() == [[1, 1], [7, 7]]


def test_boxes_on_the_grid() -> None:
    """A box over one and a half cells across and half a cell down; another on its left half."""
    covered = coverage_of_boxes([[0.25, 0.25, 0.625, 0.375], [0.25, 0.25, 0.375, 0.5]], 4)
    assert covered[1].tolist() == [0, 0.5, 0.25, 0]
    assert covered.sum() == 0.75
    assert coverage_of_boxes(np.zeros((0, 4)), 4).sum() == 0
    assert coverage_of_boxes([[0, 0, 1, 1]], 4).tolist() == np.ones((4, 4)).tolist()


@pytest.mark.parametrize("by", [0, 1, 2])
def test_widened_is_a_dilation_by_a_square(by: int) -> None:
    cells = np.random.default_rng(by).random((5, GRID, GRID)) < 0.05
    square = np.ones((2 * by + 1, 2 * by + 1), bool)
    assert all((widened(cells, by)[n] == binary_dilation(cells[n], square)).all() for n in range(5))


def test_pointing() -> None:
    maps = np.stack([bump(2, 2), bump(4, 4), bump(6, 6), np.ones((GRID, GRID))])
    places = np.stack([place(2, 2)] * 4)
    assert pointing_hits(maps, places, tolerance=0).tolist() == [True, False, False, False]
    assert pointing_hits(maps, places, tolerance=1).tolist() == [True, True, False, False]
    assert pointing_hits(maps * 1e-3, places).tolist() == [True, True, False, False], "only the order counts"


def test_energy() -> None:
    attribution = np.zeros((2, 4, 4))
    attribution[0, 0, 0], attribution[0, 3, 3] = 3, 1
    cells = np.zeros((2, 4, 4))
    cells[:, 0, 0] = 0.5
    assert energy_inside(attribution, cells)[0] == pytest.approx(3 * 0.5 / 4)
    assert np.isnan(energy_inside(attribution, cells)[1])


def test_overlap_is_the_jaccard_index() -> None:
    rng = np.random.default_rng(0)
    maps, places = rng.random((6, GRID, GRID)), rng.random((6, GRID, GRID)) < 0.3
    by_library = [
        jaccard_score(known.ravel(), (attribution >= 0.7 * attribution.max()).ravel())
        for attribution, known in zip(maps, places, strict=True)
    ]
    assert overlap(maps, places, 0.7) == pytest.approx(by_library)
    assert overlap(places.astype(float), places).tolist() == [1] * 6
    assert overlap(np.zeros((1, GRID, GRID)), places[:1]).tolist() == [0], "an empty map shows nothing"


def test_figures_beside_chance() -> None:
    """Maps at random get what chance says; maps on the spot get more, an even map exactly its energy."""
    rng = np.random.default_rng(1)
    places = np.stack([place(*rng.integers(0, 6, 2)) for _ in range(400)])
    random = point_estimates(tally(rng.random(places.shape), places), measures)
    assert random["pointing.rate"] == pytest.approx(random["pointing.chance"], abs=0.07)
    assert random["energy.share"] == pytest.approx(random["energy.chance"], abs=0.01)
    even = point_estimates(tally(np.ones(places.shape), places), measures)
    assert even["energy.share"] == even["energy.chance"] == pytest.approx(4 / 64)
    assert even["pointing.rate"] == 0
    right = attribution_metrics(tally(places.astype(float), places), [f"p{n % 40}" for n in range(400)], replicates=50)
    assert right["evidence.pointing.rate"] == right["evidence.energy.share"] == right["evidence.iou.mean"] == 1
    assert right["evidence.pointing.chance.low"] < right["evidence.pointing.chance"] < 0.3


@pytest.mark.parametrize(
    ("attribution", "cells", "says"),
    [
        (np.ones((1, 4, 4)), np.ones((1, 8, 8)), "maps of shape"),
        (-np.ones((1, 4, 4)), np.ones((1, 4, 4)), "negative"),
        (np.ones((1, 4, 4)), np.zeros((1, 4, 4)), "no cell"),
    ],
)
def test_refusals(attribution: np.ndarray, cells: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=says):
        tally(attribution, cells)


# --- deletion and insertion -----------------------------------------------------------------------------------------


def lesion() -> tuple[np.ndarray, np.ndarray]:
    """A 32 x 32 film with one bright square, and its cells."""
    film = np.full((32, 32), 0.2)
    film[8:16, 8:16] = 1.0
    return film, place(2, 2)


def mean_of_lesion(films: np.ndarray) -> np.ndarray:
    """A model that looks at the lesion alone: 1 when it is whole, 0 when it is as dark as the rest."""
    return (films[:, 8:16, 8:16].mean((1, 2)) - 0.2) / 0.8


def test_a_map_that_matters_and_one_that_does_not() -> None:
    film, cells = lesion()
    good, bad = cells + 0.0, 1.0 - cells
    taken = deletion(film, good, mean_of_lesion, fill=0.2, steps=64)
    assert taken.share[[0, -1]].tolist() == [0, 1] and taken.score[[0, -1]].tolist() == pytest.approx([1, 0])
    # The lesion is 4 of 64 cells: a straight fall over them, then nothing.
    assert taken.area == pytest.approx(0.5 * 4 / 64)
    assert insertion(film, good, mean_of_lesion, fill=0.2, steps=64).area == pytest.approx(1 - 0.5 * 4 / 64)
    assert deletion(film, bad, mean_of_lesion, fill=0.2, steps=64).area == pytest.approx(1 - 0.5 * 4 / 64)


def test_the_score_is_asked_once_and_the_film_is_left_alone() -> None:
    film, cells = lesion()
    kept, calls = film.copy(), []

    def score(films: np.ndarray) -> np.ndarray:
        calls.append(films.shape)
        return films.mean((1, 2))

    curve = deletion(film, cells + 0.0, score, steps=8)
    assert calls == [(9, 32, 32)] and (film == kept).all()
    assert curve.score[-1] == pytest.approx(film.mean()), "the usual filling is the film's mean"
    other = np.full(film.shape, 0.5)
    assert deletion(film, cells + 0.0, score, fill=other, steps=8).score[-1] == pytest.approx(0.5)
    assert len(deletion(film, np.ones((2, 2)), score, steps=100).share) == 5, "no more steps than cells"
    with pytest.raises(InputError, match="as \\(h, w\\)"):
        deletion(film[0], cells, score)
