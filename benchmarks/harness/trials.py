"""Trials: stages trained one after the other, two processes side by side, and a results file that can be resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from harness.command import provenance, write_json
from harness.records import Options, Result, Stage
from intervalchange.data.prepared import Prepared
from intervalchange.data.region_store import KEPT, weight_hash, write_region_store
from intervalchange.inference import load
from intervalchange.training import train


@contextmanager
def two_processes() -> Iterator[ProcessPoolExecutor]:
    """Two processes of one thread: they use both cores, and the budget of a run is not shared with its neighbour."""
    with ProcessPoolExecutor(
        2, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield pool


def train_stages(
    stages: Sequence[Stage],
    data: Path,
    folder: Callable[[Stage], Path],
    options: Callable[[Stage], Options],
    source: Path | None = None,
    size: str = "small",
) -> Path:
    """Train stages, the first from `source`, each further one from the one before; returns the last run folder."""
    for stage in stages:
        sources = [source] if source else []
        source = train(stage.name, data, folder(stage), size, sources=sources, overrides=options(stage))
    if source is None:
        raise ValueError("a row without stages cannot be trained")
    return source


def store_regions(run: Path, data: Path) -> str:
    """Write what the film part of a C2F run sees in the training films, unless it is stored; the store's name."""
    write_region_store(Prepared(data), load(run).model)
    return region_store(run)


def region_store(run: Path) -> str:
    """The name of the store of a run: the first digits of the hash of its film part."""
    return weight_hash(load(run).model.vision.state_dict())[:KEPT]


class Results:
    """A results file. It is written after every result, and a result that stands in it is not measured again.

    settings: what all results must agree on. entries: the key of the list of results, with the settings beside it;
    without one the file is a list, and each entry repeats the settings. identity: the keys that tell entries apart.
    order: sorts the entries. Exits where the file was measured with other settings.
    """

    def __init__(
        self,
        path: Path,
        settings: dict[str, Any],
        entries: str,
        identity: tuple[str, ...],
        order: Callable[[dict[str, Any]], Any],
    ) -> None:
        self.path, self.settings, self.key, self.identity, self.order = path, settings, entries, identity, order
        self.entries: list[dict[str, Any]] = []
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            self.entries = list(content[entries] if entries else content)
            for written in [content] if entries else self.entries:
                self._check(written)

    def _check(self, written: dict[str, Any]) -> None:
        differing = [
            f"{name} {written.get(name)}, not {value}"
            for name, value in self.settings.items()
            if written.get(name) != value
        ]
        if differing:
            raise SystemExit(
                f"{self.path} was measured with other options ({'; '.join(differing)}). "
                "Give another --results, or the options of this one."
            )

    def has(self, *identity: Any) -> bool:
        """Whether the result of a trial is known."""
        return any(tuple(entry[name] for name in self.identity) == identity for entry in self.entries)

    def add(self, result: Result) -> None:
        """Keep a result, with its provenance."""
        settings = {} if self.key else self.settings
        self.entries.append({**result.identity, **settings, **result.values, "provenance": provenance()})
        self.entries.sort(key=self.order)
        write_json(self.path, {**self.settings, self.key: self.entries} if self.key else self.entries)

    def write_markdown(self, text: str) -> None:
        """Write the table beside the JSON."""
        self.path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
