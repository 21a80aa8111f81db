"""Masks in the form of SIIM-ACR: round trips, a hand-made mask, and what is no mask; part of a mask in COCO's form."""

from __future__ import annotations

import numpy as np
import pytest

from intervalchange.data.run_length import decode, decode_gaps, encode, encode_gaps, encode_part
from intervalchange.errors import SourceError


def test_by_hand_down_the_columns_with_relative_starts() -> None:
    mask = np.zeros((4, 3), bool)
    mask[1:3, 0] = mask[0, 1] = mask[3, 2] = True
    assert encode_gaps(mask) == "1 2 1 1 6 1"
    assert np.array_equal(decode_gaps("1 2 1 1 6 1", 4, 3), mask)
    assert np.array_equal(decode_gaps("1 2 4 1 11 1", 4, 3, absolute=True), mask)
    assert encode_gaps(np.zeros((4, 3))) == ""
    assert not decode_gaps("", 4, 3).any()
    assert np.array_equal(decode_gaps("0 6 0 6", 4, 3), np.ones((4, 3), bool)), "runs may touch"


@pytest.mark.parametrize("seed", range(20))
def test_round_trips_of_random_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 70, 2)
    mask = rng.random((height, width)) < rng.random()
    text = encode_gaps(mask)
    assert np.array_equal(decode_gaps(text, height, width), mask)
    numbers = np.array(text.split(), int)
    starts = np.cumsum(numbers)[0::2]
    starts[1:] = (np.cumsum(numbers[0::2] + numbers[1::2]) - numbers[1::2])[1:]
    places = np.stack((starts, numbers[1::2]), 1).ravel()
    assert np.array_equal(decode_gaps(" ".join(map(str, places)), height, width, absolute=True), mask)
    assert np.array_equal(decode(encode(mask), height, width), mask), "COCO's form says the same"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1 2 3", "no pairs"),
        ("1 two", "whole numbers"),
        ("1 2.5", "whole numbers"),
        ("1 99999999999999999999", "whole numbers"),
        ("-1", "no pairs"),
        ("-1 3", "cannot be on the film"),
        ("1 0", "empty"),
        ("1 9223372036854775807", "cannot be on the film"),
        ("5 5 2 1", "leaves the film"),
    ],
)
def test_what_is_no_mask(text: str, what: str) -> None:
    with pytest.raises(SourceError, match=what):
        decode_gaps(text, 4, 3)


def test_absolute_runs_that_overlap() -> None:
    with pytest.raises(SourceError, match="overlap"):
        decode_gaps("1 4 3 2", 4, 3, absolute=True)
    with pytest.raises(SourceError, match="leaves"):
        decode_gaps("1 4 11 2", 4, 3, absolute=True)


@pytest.mark.parametrize("seed", range(20))
def test_a_part_is_encoded_as_the_whole_would_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(20):
        height, width = (int(side) for side in rng.integers(1, 12, 2))
        part = rng.random((rng.integers(height + 1), rng.integers(width + 1))) < rng.choice([0, 0.3, 0.7, 1])
        top, left = (int(rng.integers(room + 1)) for room in (height - part.shape[0], width - part.shape[1]))
        whole = np.zeros((height, width), bool)
        whole[top : top + part.shape[0], left : left + part.shape[1]] = part
        assert encode_part(part, left, top, height, width) == encode(whole)


@pytest.mark.parametrize("text", ["é9", "\ud800", " 4", "q", "T", "o" * 100_000, "10K6", "99"])
def test_what_is_no_mask_of_coco(text: str) -> None:
    with pytest.raises(SourceError, match="mask"):
        decode(text, 2, 2)
