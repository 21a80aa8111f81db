"""Objects left on the patient: where the shadow is and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from intervalchange.simulation.anatomy import sample_anatomy
from intervalchange.simulation.foreign_objects import KINDS
from intervalchange.simulation.rendering import render
from intervalchange.simulation.scene import Acquisition, ForeignObject, State

STILL = Acquisition(noise=0.0, detail=0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_is_where_the_shadow_is(kind: str) -> None:
    anatomy = sample_anatomy(np.random.default_rng(3))
    shown = render(anatomy, State(objects=(ForeignObject(kind, 5),)), STILL, 256)
    plain = render(anatomy, State(), STILL, 256)
    (mask,) = shown.object_masks
    difference = np.abs(shown.pixels - plain.pixels)
    assert mask.any() and mask.mean() < 0.05
    # The film chain maps grey levels globally, so what is outside may move a little; the object moves much more.
    assert difference[mask].mean() > 10 * difference[~mask].mean()
    assert shown.finding_masks == {} and plain.object_masks == ()


def test_objects_differ_by_their_seed_and_not_by_the_noise() -> None:
    anatomy = sample_anatomy(np.random.default_rng(3))
    pair = tuple(ForeignObject("coin", seed) for seed in (1, 2))
    one, other = render(anatomy, State(objects=pair), STILL, 128).object_masks
    again, _ = render(anatomy, State(objects=pair), Acquisition(noise=0.0, detail=0.0, seed=9), 128).object_masks
    assert not np.array_equal(one, other)
    assert np.array_equal(one, again)
