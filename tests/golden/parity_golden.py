"""Golden numbers of the originals (parity/*.npz): how they are read, what counts as agreement, who compares what.

A function under `@golden(file, ...)` builds our part with the original's weights and yields `(name, value)`. A name is
the key of the golden number, and after an @ the variant of ours that is compared with it: `logits`, `logits@default`.
What is declared there is a test each (test_parity.py): `agrees`, `faulty` (a fault, by its number in fidelity.md) and
`differs` (a `Differs:` of ours). The last two are expected to disagree, and fail once they agree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).resolve().parent / "parity"


class Disagreement(AssertionError):
    """Our number is not the original's: the one thing that an expected failure may be."""


class Golden:
    """One file: `i` inputs, `o` outputs, `g` gradients, `w` weights, and the original's configuration and tolerance."""

    def __init__(self, name: str) -> None:
        self.name = name
        with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        meta = json.loads(str(arrays.pop("meta")))
        self.configuration: dict[str, Any] = meta["configuration"]
        self.tolerance: dict[str, float] = meta["tolerance"]
        self.i, self.o, self.g, self.w = (
            {key: _tensor(array) for key, array in prefixed(arrays, prefix).items()}
            for prefix in ("in.", "out.", "grad.", "w.")
        )

    def sub(self, prefix: str) -> dict[str, Tensor]:
        return prefixed(self.w, prefix)

    def leaves(self, *names: str) -> list[Tensor]:
        """Inputs that gradients are asked for."""
        return [self.i[name].clone().requires_grad_() for name in names]


def _tensor(array: np.ndarray) -> Any:
    if array.dtype.kind == "U":
        return [str(text) for text in array]
    tensor = torch.from_numpy(array)
    return tensor.long() if array.dtype.kind in "iu" else tensor


def prefixed(named: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {key[len(prefix) :]: value for key, value in named.items() if key.startswith(prefix)}


# --- what is compared ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """Our value against something other than the whole golden number of that name; sets are compared as sets."""

    got: Tensor | set[str]
    want: Tensor | set[str]
    tolerance: float | None = None  # None: the file's, under the name's key


@dataclass(frozen=True)
class Missing:
    """We have nothing to compare. Whoever builds it puts the comparison here."""

    what: str


Value = Tensor | Held | Missing
Comparisons = Iterator[tuple[str, Value]]


@dataclass(frozen=True)
class Difference:
    """Of our value from the golden number."""

    largest: float
    """Absolute; of sets and integers, how many differ."""
    beyond: int
    """Elements that differ by more than is allowed."""
    elements: int
    allowed: float


def difference(z: Golden, name: str, value: Tensor | Held) -> Difference:
    """Raises AssertionError if it cannot be told."""
    key = name.partition("@")[0]
    held = value if isinstance(value, Held) else Held(value, _golden_number(z, key))
    if isinstance(held.want, set):
        assert held.want and isinstance(held.got, set), "nothing to compare"
        count = len(held.want ^ held.got)
        return Difference(count, count, len(held.want), 0.0)
    assert isinstance(held.got, Tensor)
    got, want = held.got.detach(), held.want.detach()
    assert got.shape == want.shape, f"{name}: shape {tuple(got.shape)}, not {tuple(want.shape)}"
    assert want.numel(), f"{name}: nothing to compare"
    exact = not want.is_floating_point()
    if exact:
        assert not got.is_floating_point(), f"{name}: {got.dtype} against {want.dtype}"
        tolerance = 0.0
    else:
        tolerance = z.tolerance.get(key, 0.0) if held.tolerance is None else held.tolerance
    got, want = got.double(), want.double()
    assert want.isfinite().all()
    assert float(want.abs().max()) > 10 * tolerance, f"{name}: zeros would agree"
    off = (got - want).abs()
    beyond = int((~(off <= tolerance)).sum())  # nan is not
    return Difference(beyond if exact else float(off.max()), beyond, want.numel(), tolerance)


def agree(z: Golden, name: str, value: Value) -> None:
    """Raise Disagreement if they differ by more than the tolerance, AssertionError if that could not be told."""
    if isinstance(value, Missing):
        raise Disagreement(f"no counterpart: {value.what}")
    off = difference(z, name, value)
    if off.beyond:
        raise Disagreement(
            f"{name}: off by {off.largest:.1e} in {off.beyond} of {off.elements}, allowed {off.allowed:.0e}"
        )


def _golden_number(z: Golden, key: str) -> Tensor:
    kind, _, rest = key.partition(".")
    return {"grad": z.g, "in": z.i}[kind][rest] if rest else z.o[key]


# --- who compares what ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One comparison; `reason`: why it is expected to disagree, empty where it agrees."""

    file: str
    name: str
    reason: str


@dataclass(frozen=True)
class Expected:
    names: tuple[str, ...]
    reason: str


def agrees(*names: str) -> Expected:
    return Expected(names, "")


def faulty(number: str, why: str, *names: str) -> Expected:
    return Expected(names, f"fidelity {number}: {why}")


def differs(why: str, *names: str) -> Expected:
    return Expected(names, f"Differs: {why}")


Comparer = Callable[[Golden], Comparisons]
CASES: list[Case] = []
COMPARERS: dict[str, Comparer] = {}


def golden(file: str, *expected: Expected) -> Callable[[Comparer], Comparer]:
    def enter(function: Comparer) -> Comparer:
        assert file not in COMPARERS, f"{file} is compared twice"
        COMPARERS[file] = function
        CASES.extend(Case(file, name, group.reason) for group in expected for name in group.names)
        return function

    return enter


@cache
def compared(file: str) -> tuple[Golden, dict[str, Value]]:
    """Everything that is yielded for a file; it has to be what is declared, no more and no less."""
    z = Golden(file)
    pairs = list(COMPARERS[file](z))
    names = sorted(name for name, _ in pairs)
    declared = sorted(case.name for case in CASES if case.file == file)
    assert names == declared, f"{file}: {sorted(set(names) ^ set(declared)) or 'a name twice'}"
    return z, dict(pairs)


# --- weights -------------------------------------------------------------------------------------------------------


def fill(parameter: Tensor, values: Tensor) -> None:
    """Copy, without broadcasting."""
    assert parameter.shape == values.shape, f"{tuple(parameter.shape)} from {tuple(values.shape)}"
    parameter.data.copy_(values)


def put(module: Any, tensors: dict[str, Tensor]) -> None:
    module.load_state_dict(tensors)


def linear(module: Any, weights: dict[str, Tensor], name: str) -> None:
    """A linear layer or a norm under the original's name."""
    fill(module.weight, weights[f"{name}.weight"])
    fill(module.bias, weights[f"{name}.bias"])


def linears(weights: dict[str, Tensor], layers: Iterable[tuple[Any, str]]) -> None:
    for module, name in layers:
        linear(module, weights, name)


def put_attention(module: Any, weights: dict[str, Tensor], names: Iterable[str], out: str) -> None:
    """Separate layers of query, key and value, and an output layer -> nn.MultiheadAttention."""
    names = list(names)
    fill(module.in_proj_weight, torch.cat([weights[f"{name}.weight"] for name in names]))
    fill(module.in_proj_bias, torch.cat([weights[f"{name}.bias"] for name in names]))
    linear(module.out_proj, weights, out)


class Words:
    """Stands in for a tokenizer where only its size and marks are asked for."""

    def __init__(self, size: int, bos: int = 1, eos: int = 2, pad: int = 0) -> None:
        self.size, self.bos_token_id, self.eos_token_id, self.pad_token_id = size, bos, eos, pad

    def __len__(self) -> int:
        return self.size


def words(size: int, bos: int = 1, eos: int = 2, pad: int = 0) -> Any:
    return Words(size, bos, eos, pad)
