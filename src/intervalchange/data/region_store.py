"""Regions of every film of a prepared folder, computed once: `regions-<hash>/` inside it.

    store.json            regions, findings, width, pixels, the hash of the weights and of the films; written last
    features-00000.npy    float16 (films, r, 5 + 2d + f): `RegionView.packed` of each row of the studies table

The name is the hash of the weights that made it. A model with other weights must not be trained on it, and refuses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intervalchange.atomic_files import write_durably
from intervalchange.data.dataset import PairDataset
from intervalchange.data.films import resize, standardise
from intervalchange.data.prepared import Prepared
from intervalchange.data.store import Shards, shard_name, write_shard
from intervalchange.errors import ConfigError, SourceError

FILMS_PER_SHARD = 4096
FILMS_PER_BATCH, PIXELS_PER_BATCH = 64, 64 * 256**2
"""The most that is encoded at once: 64 films of 256 pixels or fewer, 4 of the published 1,024."""
NAME = "features"
KEPT = 16
"""Digits of the hash in the name of the folder."""


def weight_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of named weights: names, types, shapes and bytes."""
    state = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        state.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return state.hexdigest()


class RegionStore:
    """A finished store, memory-mapped."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.facts: dict[str, Any] = json.loads((self.folder / "store.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SourceError(
                "this is not a finished region store.", where=folder, remedy="Run `prepare --regions RUN` again."
            ) from error
        paths = [self.folder / shard_name(NAME, index) for index in range(int(self.facts["shards"]))]
        self._shards = Shards(paths, "Store the regions again.")

    @classmethod
    def of(cls, prepared: Prepared, name: str = "") -> RegionStore:
        """The store of a prepared folder whose hash begins with `name`; without a name, the only one."""
        folders = sorted(path.parent for path in prepared.folder.glob(f"regions-{name}*/store.json"))
        if len(folders) != 1:
            names = ", ".join(path.name for path in folders)
            raise ConfigError(
                f"there are several region stores: {names}." if folders else "no regions are stored.",
                where=prepared.folder,
                remedy="Name one with --model.region_store HASH."
                if folders
                else "Run the same `intervalchange prepare` with --regions RUN, or set --model.regions fly.",
            )
        store = cls(folders[0])
        if store.facts["films"] != prepared.manifest["hash"]:
            raise ConfigError(
                "these regions are of other films.",
                where=folders[0],
                remedy="Remove it and run `prepare --regions RUN`.",
            )
        return store

    @property
    def bytes_per_film(self) -> int:
        """Bytes on the disk per film."""
        return int(np.prod(self._shards[0].shape[1:])) * 2

    def read(self, row: int) -> np.ndarray:
        """Row of the studies table -> (r, 5 + 2d + f) float32."""
        shard, inside = divmod(row, FILMS_PER_SHARD)
        return np.asarray(self._shards[shard][inside], np.float32)


def check_store(store: RegionStore, wanted: str, pixels: int) -> None:
    """Raise a ConfigError where other weights, or the same on films of another size, made the store."""
    made = (store.facts["weights"], store.facts["pixels"])
    if made != (wanted, pixels):
        raise ConfigError(
            f"these regions were made by weights {made[0][:KEPT]} at {made[1]} pixels; "
            f"this model has weights {wanted[:KEPT]} and {pixels} pixels.",
            where=store.folder,
            remedy="Start --from the run that was given to `prepare --regions`, or store the regions again.",
        )


def write_region_store(prepared: Prepared, model: Any, progress: bool = True) -> Path:
    """Store the regions that the encoder of a C2F run finds on every film; returns the folder.

    Call it again to resume after an interruption; a finished store is left as it is. Raises ConfigError for a model
    without regions and their findings.
    """
    from rich.console import Console
    from rich.progress import track

    vision = getattr(model, "vision", None)
    if vision is None or vision.diseases is None:
        raise ConfigError(
            "this run does not see findings in regions.", remedy="Give a run of c2f/diseases (or align, answer)."
        )
    pixels, weights = int(model.config.pixels), weight_hash(vision.state_dict())
    if pixels > prepared.pixels.shape[0]:
        raise ConfigError(
            f"the run reads {pixels} pixels.", where=prepared.folder, remedy=f"Run: {prepared.prepare_command(pixels)}"
        )
    folder = prepared.folder / f"regions-{weights[:KEPT]}"
    if (folder / "store.json").is_file():
        return folder
    folder.mkdir(exist_ok=True)
    rows = prepared.studies["row"].to_numpy(np.int64)
    shards = range(0, len(rows), FILMS_PER_SHARD)
    vision.eval()
    for index, start in enumerate(track(shards, "regions", console=Console(stderr=True), disable=not progress)):
        path = folder / shard_name(NAME, index)
        if not path.is_file():
            write_shard(path, _regions(prepared, vision, pixels, rows[start : start + FILMS_PER_SHARD]))
    facts = {
        "weights": weights,
        "films": prepared.manifest["hash"],
        "pixels": pixels,
        "regions": list(model.config.region_names),
        "findings": list(model.config.findings),
        "width": model.config.width,
        "shards": len(shards),
    }
    write_durably(folder / "store.json", (json.dumps(facts, indent=1) + "\n").encode())
    return folder


@torch.no_grad()
def _regions(prepared: Prepared, vision: Any, pixels: int, rows: np.ndarray) -> np.ndarray:
    """Rows of the pixel store -> (n, r, 5 + 2d + f) float16."""
    parts = []
    at_once = min(FILMS_PER_BATCH, max(1, PIXELS_PER_BATCH // pixels**2))
    for start in range(0, len(rows), at_once):
        films = resize(prepared.pixels.read(rows[start : start + at_once]), pixels)
        standardised = torch.from_numpy(np.stack([standardise(film)[None] for film in films]))
        view, _ = vision(standardised.to(next(vision.parameters()).device))
        parts.append(view.packed().float().cpu().numpy().astype(np.float16))
    return np.concatenate(parts)


class RegionPairs(PairDataset):
    """Cases as `PairDataset` has them, with stored regions in place of films and their labels. Not augmented."""

    def __init__(self, prepared: Prepared, split: str, *args: Any, store: str = "", **options: Any) -> None:
        super().__init__(prepared, split, *args, **options)
        self.store = RegionStore.of(prepared, store)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = {name: values[index] for name, values in self._text.items()}
        studies = {side: int(self._studies[side][index]) for side in ("current", "prior")}
        current = self.store.read(studies["current"])
        prior = self.store.read(studies["prior"]) if studies["prior"] >= 0 else np.zeros_like(current)
        item |= {"tags": self._tags[index], "has_prior": studies["prior"] >= 0}
        return item | {"features_current": current, "features_prior": prior}
