"""A prepared folder, opened for reading."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from intervalchange.data.films import Geometry
from intervalchange.data.protocol import BY_ROWS, label
from intervalchange.data.store import PixelStore
from intervalchange.data.tables import study_record
from intervalchange.errors import ConfigError, SourceError
from intervalchange.evaluation.answers.predictions import Provenance
from intervalchange.findings import FINDINGS, RANKED_LEVELS
from intervalchange.records import ALL_KINDS, Case, Region, Study

SPLITS = ("train", "val", "test", "all")


class Prepared:
    """The tables and the pixels that `prepare` wrote."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / "manifest.json"
        if not path.is_file():
            unfinished = (self.folder / "plan.json").is_file()
            raise SourceError(
                "the preparation was not finished." if unfinished else "this is not a prepared folder.",
                where=self.folder,
                remedy="Run the same `intervalchange prepare` again."
                if unfinished
                else "Run `intervalchange prepare`.",
            )
        try:
            self.manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            self.cases = pd.read_parquet(self.folder / "cases.parquet")
            self.studies = pd.read_parquet(self.folder / "studies.parquet")
            self.regions = pd.read_parquet(self.folder / "regions.parquet")
        except (ValueError, OSError) as error:
            raise SourceError("a table is missing or damaged.", where=self.folder, remedy="Prepare again.") from error
        self.pixels = PixelStore(self.folder)
        has_maps = bool((self.studies["opacity_row"] >= 0).any())
        self.maps = PixelStore(self.folder, "opacity") if has_maps else None

    @cached_property
    def findings(self) -> np.ndarray:
        """(studies, f) float32 in the order of FINDINGS: 1, 0, NaN."""
        return self._by_finding("findings", float)

    @cached_property
    def levels(self) -> np.ndarray:
        """(studies, f) float32: rank of the level by RANKED_LEVELS, NaN where there is none or it has no rank."""
        return self._by_finding("levels", lambda level: RANKED_LEVELS.get(level, math.nan))

    def labels(self, names: Sequence[str], some: bool = False) -> np.ndarray:
        """(studies, l) float32 of any label names of the data set, FINDINGS or its own: 1, 0, NaN unknown.

        some: names that the data set does not have are unknown. Without it they raise ConfigError.
        """
        known = [json.loads(text) for text in self.studies["findings"]]
        available = set().union(*known) if known else set()
        unknown = [name for name in names if name not in available]
        if unknown and not some:
            raise ConfigError(
                f"no film has the label {unknown[0]!r}.",
                where=self.folder,
                remedy=f"The data set has: {', '.join(sorted(available)) or 'no labels'}.",
            )
        return np.array([[labels.get(name, math.nan) for name in names] for labels in known], np.float32)

    @cached_property
    def regions_of(self) -> dict[int, tuple[Region, ...]]:
        """Row of the studies table -> its regions, boxes in original pixels."""
        by_study: dict[int, list[Region]] = {}
        for row in self.regions.itertuples(index=False):
            region = Region(row.kind, row.name, (row.x1, row.y1, row.x2, row.y2), row.rle or None)
            by_study.setdefault(int(row.study), []).append(region)
        return {study: tuple(regions) for study, regions in by_study.items()}

    @cached_property
    def boxes_of(self) -> dict[int, tuple[list[tuple[Literal["anatomy", "finding", "located"], str]], np.ndarray]]:
        """Row of the studies table -> (kind, name) of its regions and (r, 4) boxes in units of the stored side."""
        side = self.pixels.shape[0]
        geometries = self.studies[["scale", "offset_x", "offset_y"]].to_numpy(np.float64)
        by_study = {}
        for study, regions in self.regions_of.items():
            scale, right, down = geometries[study]
            boxes = np.array([region.box for region in regions]) * scale + (right, down, right, down)
            by_study[study] = [(region.kind, region.name) for region in regions], boxes / side
        return by_study

    def geometry(self, study: int) -> Geometry:
        """Where the film of a study (row of the studies table) lies in its stored square."""
        row = self.studies.iloc[study]
        sides = (int(row["height"]), int(row["width"]))
        return Geometry(*sides, float(row["scale"]), int(row["offset_x"]), int(row["offset_y"]))

    def case_rows(self, split: str, kinds: Sequence[str] | None = None, answered: bool = False) -> np.ndarray:
        """Row numbers of the cases table: of a split (train, val, test, all), of these kinds (None: all).

        answered: without the cases whose answer is empty, that is, unknown.
        """
        if split not in SPLITS:
            raise ConfigError(f"there is no split '{split}'.", remedy=f"Choose one of {', '.join(SPLITS)}.")
        unknown = sorted(set(kinds or ()) - set(ALL_KINDS))
        if unknown:
            raise ConfigError(f"unknown kinds of question {unknown}.", remedy=f"Choose from {', '.join(ALL_KINDS)}.")
        chosen = np.ones(len(self.cases), bool) if split == "all" else (self.cases["split"] == split).to_numpy()
        if kinds is not None:
            chosen = chosen & self.cases["kind"].isin(list(kinds)).to_numpy()
        if answered:
            chosen = chosen & (self.cases["answer"] != "").to_numpy()
        return np.flatnonzero(chosen)

    def case_records(self, split: str, kinds: Sequence[str] | None = None) -> list[Case]:
        """The cases as records, each study built once."""
        studies: dict[int, Study] = {}

        def study(row: int) -> Study:
            if row not in studies:
                studies[row] = study_record(self.studies.iloc[row].to_dict(), self.regions_of.get(row, ()))
            return studies[row]

        return [
            Case(
                row.case_id,
                row.patient_id,
                study(int(row.current)),
                study(int(row.prior)) if row.prior >= 0 else None,
                row.question,
                row.answer,
                row.kind,
                row.split,
                tuple(row.tags),
            )
            for row in self.cases.iloc[self.case_rows(split, kinds)].itertuples(index=False)
        ]

    def protocol(self, split: str) -> str:
        """What is to be said beside a number on a split: see `protocol.label`."""
        return label(self.published, split)

    def provenance(self, run: str, split: str, **more: Any) -> Provenance:
        """Where the answers of a run to the cases of a split come from. more: further fields of the record."""
        return Provenance(
            run=run,
            data=self.manifest["hash"],
            source=self.manifest["source"],
            split=split,
            split_hash=self.manifest["split_hash"],
            simulated=bool(self.manifest.get("simulated")),
            protocol=self.protocol(split),
            **more,
        )

    @cached_property
    def patients_in_training_too(self) -> frozenset[str]:
        """Patients who have cases in `train` and elsewhere: of a folder with the published protocol alone."""
        if not self.published:
            return frozenset()
        trains = self.cases["split"] == "train"
        return frozenset(self.cases["patient_id"][trains]) & frozenset(self.cases["patient_id"][~trains])

    @property
    def published(self) -> dict[str, Any] | None:
        """What the doctor says of the published protocol, where the folder has it."""
        facts: dict[str, Any] | None = self.manifest.get("doctor", {}).get("protocol")
        return facts

    def prepare_command(self, pixels: int) -> str:
        """The command that stores more pixels of the same source."""
        options = f"--pixels {pixels}"
        if self.published:
            options += " --protocol published" + " --split rows" * (self.published["split"] == BY_ROWS)
        return f"intervalchange prepare {self.manifest['source']} ROOT {self.folder}-{pixels} {options}"

    def _by_finding(self, column: str, value: Callable[[Any], float]) -> np.ndarray:
        """(studies, f) float32: the values of a column of JSON objects, by finding; NaN where there is none."""
        index = {name: number for number, name in enumerate(FINDINGS)}
        table = np.full((len(self.studies), len(FINDINGS)), np.nan, np.float32)
        for row, text in enumerate(self.studies[column]):
            if text == "{}":
                continue
            for name, known in json.loads(text).items():
                if name in index:
                    table[row, index[name]] = value(known)
        return table
