"""Several prepared folders in one training: every batch holds the stated shares of each.

Their films know different things. What an item does not know is NaN (or an empty text, or no region), and teaches
nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from intervalchange.data.dataset import FilmReader
from intervalchange.errors import ConfigError


class Mixture(Dataset[dict[str, Any]]):
    """The items of several data sets, one after another, each with every field that any of them has.

    `order` is what mixes them. An epoch ends when the first of them has been shown once; the others go on in the next
    epoch where they stopped, so that after enough epochs every item has been shown.
    """

    def __init__(self, parts: Mapping[str, FilmReader], shares: Sequence[float]) -> None:
        """parts: name -> items. shares: of each in a batch, relative to each other."""
        self.names = tuple(parts)
        self.parts = tuple(parts.values())
        self._starts = [0, *accumulate(map(len, self.parts))]
        lengths = np.array([len(part) for part in self.parts])
        weights = np.asarray(shares, float)
        self.in_epoch = np.maximum(1, np.floor(weights * (lengths / weights).min() + 1e-9).astype(int))
        """(parts,) items of each in an epoch."""
        self._blank = _blank_fields([part[0] for part in self.parts])

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> dict[str, Any]:
        part = bisect_right(self._starts, index) - 1
        item = self.parts[part][index - self._starts[part]]
        return item | {name: blank for name, blank in self._blank.items() if name not in item}

    @property
    def epoch(self) -> int:
        """The epoch of the augmentation."""
        return self.parts[0].epoch

    def set_epoch(self, epoch: int) -> None:
        """Augment and draw otherwise from now on, also in workers that already run."""
        for part in self.parts:
            part.set_epoch(epoch)

    @property
    def epoch_length(self) -> int:
        """Items of an epoch."""
        return int(self.in_epoch.sum())

    def order(self, seed: int) -> np.ndarray:
        """(epoch_length,) indices of this epoch, a function of (seed, epoch). Any run of them holds the shares."""
        drawn = [self._drawn(part, seed) for part in range(len(self.parts))]
        # The k-th of n items stands at (k + 1/2) / n of the epoch.
        position = np.concatenate([(np.arange(count) + 0.5) / count for count in self.in_epoch])
        return np.concatenate(drawn)[np.argsort(position, kind="stable")]

    def _drawn(self, part: int, seed: int) -> np.ndarray:
        """What a part shows in this epoch: the next piece of an endless row of permutations."""
        length, count = len(self.parts[part]), int(self.in_epoch[part])
        wanted = np.arange(self.epoch * count, (self.epoch + 1) * count)
        first, last = int(wanted[0]) // length, int(wanted[-1]) // length
        passes = [np.random.default_rng([seed, part, number]).permutation(length) for number in range(first, last + 1)]
        drawn: np.ndarray = self._starts[part] + np.concatenate(passes)[wanted - first * length]
        return drawn

    def _joined(self, name: str) -> list[str]:
        return list(chain.from_iterable(getattr(part, name) for part in self.parts))

    @property
    def patient_ids(self) -> list[str]:
        """Patient of every item."""
        return self._joined("patient_ids")

    @property
    def questions(self) -> list[str]:
        """Question of every case."""
        return self._joined("questions")

    @property
    def answers(self) -> list[str]:
        """Answer of every case."""
        return self._joined("answers")


def _blank_fields(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every field that any item has, as nobody knows it. Raises ConfigError where shapes differ."""
    blanks: dict[str, Any] = {}
    for name, value in chain.from_iterable(item.items() for item in items):
        blank = _unknown(value)
        earlier = blanks.setdefault(name, blank)
        if isinstance(blank, np.ndarray) and earlier.shape != blank.shape:
            raise ConfigError(
                f"the data sets have {name} of different shapes, {earlier.shape} and {blank.shape}.",
                remedy="Prepare them with the same --pixels.",
            )
    return blanks


def _unknown(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return np.full_like(value, np.nan)
    if isinstance(value, dict):
        return dict.fromkeys(value, ())
    return type(value)() if isinstance(value, str | tuple) else value


def names_of(folders: Sequence[Path]) -> list[str]:
    """A short name for each prepared folder: its own, with its parents' where two are equal."""
    for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    raise ConfigError("a prepared folder is given twice.", remedy="Give its share with --mix instead.")


def shares_of(mix: str, count: int) -> list[float]:
    """`3:1` -> [3, 1]; equal shares where nothing is said. Raises ConfigError where the count differs."""
    if not mix:
        return [1.0] * count
    try:
        shares = [float(share) for share in mix.split(":")]
    except ValueError:
        shares = []
    if len(shares) != count or not all(math.isfinite(share) and share > 0 for share in shares):
        raise ConfigError(
            f"--mix {mix} does not give a share to each of {count} prepared folders.",
            remedy="As in `--data A --data B --mix 3:1`: positive numbers, one per --data.",
        )
    return shares
