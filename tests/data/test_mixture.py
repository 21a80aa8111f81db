"""Several data sets as one: the shares hold in every batch, and what an item does not know is NaN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from intervalchange.data.batch import collate
from intervalchange.data.dataset import FilmReader
from intervalchange.data.mixture import Mixture, names_of, shares_of
from intervalchange.errors import ConfigError


class Items(FilmReader):
    """Numbered items with chosen fields."""

    def __init__(self, name: str, count: int, **fields: Any) -> None:
        self.name, self.count, self.fields = name, count, fields
        self.patient_ids = [f"{name}-{number}" for number in range(count)]
        self._epoch = torch.zeros((), dtype=torch.int64)

    def __getitem__(self, index: int) -> dict[str, Any]:
        film = np.full((1, 4, 4), index, np.float32)
        return {"case_id": self.patient_ids[index], "has_prior": False, "current": film, **self.fields}


def orders(mixture: Mixture, epochs: int, seed: int = 0) -> list[np.ndarray]:
    drawn = []
    for epoch in range(epochs):
        mixture.set_epoch(epoch)
        drawn.append(mixture.order(seed))
    return drawn


@pytest.mark.parametrize(
    ("lengths", "shares", "in_epoch"),
    [
        ((40, 10), (1, 1), (10, 10)),
        ((40, 10), (3, 1), (30, 10)),
        ((40, 10), (8, 1), (40, 5)),
        ((49, 10), (0.49, 0.1), (49, 10)),
        ((7, 5, 9), (2, 1, 1), (7, 3, 3)),
    ],
)
def test_every_batch_holds_the_shares(
    lengths: tuple[int, ...], shares: tuple[float, ...], in_epoch: tuple[int, ...]
) -> None:
    mixture = Mixture({str(part): Items(str(part), count) for part, count in enumerate(lengths)}, shares)
    assert tuple(mixture.in_epoch) == in_epoch
    assert mixture.epoch_length == sum(in_epoch)
    starts = np.cumsum([0, *lengths])
    for order in orders(mixture, 3):
        part = np.searchsorted(starts, order, side="right") - 1
        for size in (4, 8):
            for start in range(0, len(part) - size, size):
                counts = np.bincount(part[start : start + size], minlength=len(lengths))
                expected = size * np.array(in_epoch) / sum(in_epoch)
                assert (np.abs(counts - expected) < 2).all(), "every batch has the shares, to one item"


def test_every_item_is_shown_before_one_is_shown_again() -> None:
    mixture = Mixture({"a": Items("a", 30), "b": Items("b", 10)}, (1, 1))
    shown = np.concatenate(orders(mixture, 3))
    assert sorted(shown[shown < 30]) == list(range(30)), "three epochs of ten show each of thirty once"
    assert sorted(shown[shown >= 30]) == sorted([*range(30, 40)] * 3)
    assert not np.array_equal(*orders(mixture, 2)), "another epoch, another order"


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    mixture = Mixture({"a": Items("a", 30), "b": Items("b", 10)}, (1, 1))
    first, again, other = orders(mixture, 2), orders(mixture, 2), orders(mixture, 2, seed=1)
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_what_an_item_does_not_know_is_unknown() -> None:
    opacity = np.ones((1, 2, 2), np.float32)
    boxes = {"current": ("a box",), "prior": ()}
    with_maps = Items("maps", 3, opacity_current=opacity, regions=boxes, tags=("turned",))
    with_labels = Items("labels", 2, labels_current=np.ones(5, np.float32), report_current="clear lungs", tags=())
    mixture = Mixture({"maps": with_maps, "labels": with_labels}, (1, 1))
    items = [mixture[index] for index in range(len(mixture))]
    assert [item["case_id"] for item in items] == [*with_maps.patient_ids, *with_labels.patient_ids]
    assert mixture.patient_ids == [item["case_id"] for item in items]
    batch = collate(items)
    assert batch.opacity_current is not None and batch.labels_current is not None
    assert torch.isnan(batch.opacity_current).flatten(1).all(1).tolist() == [False] * 3 + [True] * 2
    assert torch.isnan(batch.labels_current).all(1).tolist() == [True] * 3 + [False] * 2
    assert batch.report_current == ["", "", "", "clear lungs", "clear lungs"]
    assert batch.regions == [boxes] * 3 + [{"current": (), "prior": ()}] * 2
    assert {name: int(count) for name, count in batch.known_counts().items()} == {"opacity": 3, "labels": 2}


def test_maps_of_different_sizes_are_refused() -> None:
    small, large = (np.zeros((1, side, side), np.float32) for side in (2, 4))
    parts = {"a": Items("a", 2, opacity_current=small), "b": Items("b", 2, opacity_current=large)}
    with pytest.raises(ConfigError, match="opacity_current of different shapes"):
        Mixture(parts, (1, 1))


def test_names_and_shares() -> None:
    assert names_of([Path("prepared/sim"), Path("prepared/nih")]) == ["sim", "nih"]
    assert names_of([Path("a/sim"), Path("b/sim")]) == ["a/sim", "b/sim"]
    with pytest.raises(ConfigError, match="given twice"):
        names_of([Path("a/sim"), Path("a/sim")])
    assert shares_of("", 3) == [1, 1, 1]
    assert shares_of("3:1.5", 2) == [3, 1.5]
    for wrong in ("3", "1:2:3", "1:0", "1:-1", "1:x", "1:nan", "1:inf"):
        with pytest.raises(ConfigError, match="--mix"):
            shares_of(wrong, 2)
