"""Prepared folder -> items, one per case or per film. Nothing is decoded here."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from intervalchange.data.films import Greys, normalised, resize
from intervalchange.data.locations import FindingLocation, finding_locations, location_maps
from intervalchange.data.masks import MaskReader, known_extents
from intervalchange.data.prepared import Prepared
from intervalchange.data.transforms import Affine, Augment
from intervalchange.errors import ConfigError
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.records import Region

STILL = Affine()
UNKNOWN_WITHOUT_PRIOR = ("findings", "levels", "locations", "opacity")


class FilmReader(Dataset[dict[str, Any]]):
    """What the data sets of a prepared folder share: films and labels of a study, the epoch of the augmentation.

    Films are (1, pixels, pixels) float32: stored pixels, area-averaged down, augmented, and normalised last.
    """

    patient_ids: list[str]
    """Patient of every item."""

    def __init__(
        self,
        prepared: Prepared,
        pixels: int,
        augment: Augment | None,
        seed: int,
        labels: Sequence[str] = (),
        supervision: Collection[str] | None = None,
        some_labels: bool = False,
        greys: Greys = "ranks",
    ) -> None:
        """greys: of `films.normalised`."""
        stored = prepared.pixels.shape[0]
        if pixels > stored:
            raise ConfigError(
                f"{pixels} pixels are needed, but {stored} are stored.",
                where=prepared.folder,
                remedy=f"Run: {prepared.prepare_command(pixels)}",
            )
        self.prepared, self.pixels, self.augment, self.seed = prepared, pixels, augment, seed
        self.greys: Greys = greys
        self._supervision = supervision
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        studies = prepared.studies
        self._rows = {name: studies[name].to_numpy(np.int64) for name in ("row", "opacity_row")}
        self._reports = studies["report"].tolist()
        self._findings, self._levels = prepared.findings, prepared.levels
        self._labels = prepared.labels(labels, some=some_labels) if labels else None
        self._masks: MaskReader | None = None
        self._locations: dict[int, tuple[FindingLocation, ...]] = {}

    @property
    def epoch(self) -> int:
        """The epoch of the augmentation; shared with worker processes."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Augment otherwise from now on, also in workers that already run."""
        self._epoch.fill_(epoch)

    @property
    def parts(self) -> tuple[FilmReader, ...]:
        """The data sets it is made of: itself (see `mixture.Mixture`)."""
        return (self,)

    @property
    def epoch_length(self) -> int:
        """Items of an epoch: each once."""
        return len(self)

    def __len__(self) -> int:
        return len(self.patient_ids)

    def order(self, seed: int) -> np.ndarray:
        """(epoch_length,) the indices of this epoch, a function of (seed, epoch)."""
        return np.random.default_rng([seed, self.epoch]).permutation(len(self))

    def _fields(self, key: str, names: Sequence[str], studies: Sequence[int]) -> dict[str, Any]:
        """The fields of `Batch` that belong to studies (rows of the studies table). names: current or prior, for each.

        The augmentation is a function of (seed, epoch, key), whatever the order or the worker.
        """
        films = list(resize(self.prepared.pixels.read(self._rows["row"][studies]), self.pixels))
        motions = [STILL] * len(films)
        if self.augment is not None:
            rng = np.random.default_rng([self.seed, self.epoch, _hash(key)])
            motions = self.augment.geometry(rng, len(films))
            films = [self.augment.exposure(motion.warp(film), rng) for film, motion in zip(films, motions, strict=True)]
        fields: dict[str, Any] = {}
        if self._supervised_by("regions", "boxes"):
            fields["regions"] = {"current": (), "prior": ()}
        for name, study, film, motion in zip(names, studies, films, motions, strict=True):
            fields[name] = normalised(film, self.greys)[None]
            if self._supervised_by("reports"):
                fields[f"report_{name}"] = self._reports[study]
            if self._supervised_by("findings"):
                fields[f"findings_{name}"] = self._findings[study]
            if self._supervised_by("levels"):
                fields[f"levels_{name}"] = self._levels[study]
            if self._labels is not None:
                fields[f"labels_{name}"] = self._labels[study]
            if self._masks is not None and self._labels is not None:
                fields[f"masks_{name}"] = self._masks.read(study, self._labels[study], motion)
            if "regions" in fields:
                fields["regions"][name] = self._moved(study, motion)
            if self._supervised_by("masks"):
                locations = self._located(study)
                fields[f"locations_{name}"] = location_maps(locations, None if motion is STILL else motion)
            if self.prepared.maps is not None and self._supervised_by("opacity"):
                fields[f"opacity_{name}"] = self._opacity(study, motion)
        return fields

    def _supervised_by(self, *kinds: str) -> bool:
        """Whether items carry one of these kinds of supervision."""
        return self._supervision is None or any(kind in self._supervision for kind in kinds)

    def _moved(self, study: int, motion: Affine) -> tuple[Region, ...]:
        """The regions of a study, boxes in pixels of the item. Masks stay behind."""
        regions = self.prepared.boxes_of.get(study)
        if regions is None:
            return ()
        names, boxes = regions
        moved = (boxes if motion is STILL else motion.boxes(boxes)) * self.pixels
        return tuple(Region(kind, name, tuple(box)) for (kind, name), box in zip(names, moved.tolist(), strict=True))

    def _located(self, study: int) -> tuple[FindingLocation, ...]:
        """Where the findings of a study are. Its masks are decoded at the first call."""
        if study not in self._locations:
            regions, side = self.prepared.regions_of.get(study, ()), self.prepared.pixels.shape[0]
            self._locations[study] = finding_locations(regions, self.prepared.geometry(study), side)
        return self._locations[study]

    def _opacity(self, study: int, motion: Affine) -> np.ndarray:
        """(1, g, g) float32 in [0, 1], NaN where unknown."""
        maps, row = self.prepared.maps, int(self._rows["opacity_row"][study])
        if maps is None or row < 0:
            side = 1 if maps is None else maps.shape[0]
            return np.full((1, side, side), np.nan, np.float32)
        opacity = maps.read([row])[0].astype(np.float32) / 255
        return (opacity if motion is STILL else motion.warp(opacity))[None]


class PairDataset(FilmReader):
    """Cases of one split as dicts with the fields of `Batch`, without the batch dimension, arrays in NumPy.

    With `augment`, an item is a function of (seed, epoch, case_id), whatever the order or the worker.

    With `lone_films`, the films that no chosen case shows follow, each beside another of them that is drawn anew in
    every epoch: two patients, so no answer, but the labels of both films and what differs between them.
    """

    def __init__(
        self,
        prepared: Prepared,
        split: str,
        kinds: Sequence[str] | None = None,
        pixels: int = 128,
        augment: Augment | None = None,
        seed: int = 0,
        limit: int | None = None,
        answered: bool = False,
        share: float = 1.0,
        supervision: Collection[str] | None = None,
        lone_films: bool = False,
        rates: bool = False,
        greys: Greys = "ranks",
    ) -> None:
        """kinds: None for all. limit: at most so many cases, spread evenly over the split.

        answered: leave out the cases whose answer is unknown. share: of the patients (`share_of_patients`).
        supervision: the kinds that items carry, as `Method.supervision` names them; None for all. rates: items carry
        how frequent findings and their changes are here.
        """
        super().__init__(prepared, pixels, augment, seed, supervision=supervision, greys=greys)
        rows = prepared.case_rows(split, kinds, answered)
        rows = rows[share_of_patients(prepared.cases["patient_id"].to_numpy()[rows], share)]
        rows = _spread(rows, limit)
        if not len(rows):
            raise ConfigError(
                f"no case in split '{split}' for kinds {kinds}.", where=prepared.folder, remedy="See doctor.txt."
            )
        chosen = prepared.cases.iloc[rows]
        self._text = {name: chosen[name].tolist() for name in ("case_id", "patient_id", "kind", "question", "answer")}
        self.case_ids: list[str] = self._text["case_id"]
        self.patient_ids = self._text["patient_id"]
        self.questions: list[str] = self._text["question"]
        self.answers: list[str] = self._text["answer"]
        self._tags = [tuple(tags) for tags in chosen["tags"]]
        self._studies = {name: chosen[name].to_numpy(np.int64) for name in ("current", "prior")}
        self._lone = self._films_alone(split, share) if lone_films else np.empty(0, np.int64)
        self._append_lone_films()
        self._rates = self._frequencies() if rates else {}

    @property
    def answered_count(self) -> int:
        """Cases, without the lone films behind them."""
        return len(self) - len(self._lone)

    def _frequencies(self) -> dict[str, np.ndarray]:
        """finding_rates and change_rates of `Batch`, (f,) each: one more film with and one more without are counted, so
        that neither is 0 or 1."""
        current, prior = (self._studies[name][: self.answered_count] for name in ("current", "prior"))
        pairs = prior >= 0
        now, then = self._findings[current[pairs]], self._findings[prior[pairs]]
        shown = np.unique(np.concatenate([*self._studies.values()]))
        return {
            "finding_rates": _rate(self._findings[shown[shown >= 0]]),
            "change_rates": _rate(np.concatenate([now * (1 - then), then * (1 - now)])),
        }

    def _films_alone(self, split: str, share: float) -> np.ndarray:
        """Rows of the studies table: the films of the split that none of the chosen cases shows."""
        rows = _films_of(self.prepared, split)
        rows = np.setdiff1d(rows, np.concatenate([*self._studies.values()]))
        kept: np.ndarray = rows[share_of_patients(self.prepared.studies["patient_id"].to_numpy()[rows], share)]
        return kept if len(kept) > 1 else kept[:0]

    def _append_lone_films(self) -> None:
        films = self.prepared.studies.iloc[self._lone]
        self._text["case_id"] += [f"alone {study}" for study in films["study_id"]]
        self._text["patient_id"] += films["patient_id"].tolist()
        for name, value in (("kind", "difference"), ("question", DIFFERENCE_QUESTION), ("answer", "")):
            self._text[name] += [value] * len(films)
        self._tags += [("strangers",)] * len(films)
        self._studies["current"] = np.append(self._studies["current"], self._lone)
        self._studies["prior"] = np.append(self._studies["prior"], self._lone)

    def _shown(self, index: int) -> list[int]:
        """Rows of the studies table: the current film and, where there is one, the prior."""
        current, prior = (int(self._studies[name][index]) for name in ("current", "prior"))
        if current == prior and self._tags[index] == ("strangers",):
            rng = np.random.default_rng([self.seed, self.epoch, _hash(f"beside {self.case_ids[index]}")])
            others = self._lone[self._lone != current]
            prior = int(others[rng.integers(len(others))])
        return [current] if prior < 0 else [current, prior]

    def __getitem__(self, index: int) -> dict[str, Any]:
        studies = self._shown(index)
        names = ["current", "prior"][: len(studies)]
        item: dict[str, Any] = {name: values[index] for name, values in self._text.items()}
        item |= {"tags": self._tags[index], "has_prior": len(names) == 2}
        item |= self._fields(item["case_id"], names, studies) | self._rates
        if len(names) == 1:
            item["prior"] = np.zeros_like(item["current"])
            if "report_current" in item:
                item["report_prior"] = ""
            for name in UNKNOWN_WITHOUT_PRIOR:
                if f"{name}_current" in item:
                    item[f"{name}_prior"] = np.full_like(item[f"{name}_current"], np.nan)
        return item


class FilmDataset(FilmReader):
    """Films of one split, each once, whatever the number of cases that ask about it: the `current` side of `Batch`.

    A film belongs to the split of its cases. `needs` names what a film must have to be taken: "findings" or "labels"
    (at least one known), "regions" (a box of the anatomy), "reports" (a text), "boxes" or "masks" (at least one label
    that is absent or has a known location; the other labels are then NaN, and "masks" also gives `masks_current`).
    """

    def __init__(
        self,
        prepared: Prepared,
        split: str,
        pixels: int = 128,
        augment: Augment | None = None,
        seed: int = 0,
        limit: int | None = None,
        needs: Sequence[str] = (),
        labels: Sequence[str] = (),
        share: float = 1.0,
        supervision: Collection[str] | None = None,
        some_labels: bool = False,
        greys: Greys = "ranks",
    ) -> None:
        """labels: names whose values become `labels_current`. share: of the patients (`share_of_patients`).

        supervision: the kinds that items carry, as `Method.supervision` names them; None for all. some_labels: labels
        that the data set does not have are unknown, not refused.
        """
        super().__init__(prepared, pixels, augment, seed, labels, supervision, some_labels, greys)
        if self._labels is not None and {"boxes", "masks"} & set(needs):
            self._labels = known_extents(prepared, labels, self._labels)
            self._masks = MaskReader(prepared, labels, pixels) if "masks" in needs else None
        rows = _films_of(prepared, split)
        for need in needs:
            rows = rows[self._has(need)[rows]]
        patients = prepared.studies["patient_id"].to_numpy()
        rows = _spread(rows[share_of_patients(patients[rows], share)], limit)
        if not len(rows):
            wanted = f" with {' and '.join(needs)}" if needs else ""
            raise ConfigError(
                f"no film in split '{split}'{wanted}.",
                where=prepared.folder,
                remedy="See doctor.txt for what there is.",
            )
        self.studies = rows
        """Rows of the studies table."""
        self.patient_ids = patients[rows].tolist()
        self.study_ids: list[str] = prepared.studies["study_id"].to_numpy()[rows].tolist()

    @property
    def label_table(self) -> np.ndarray | None:
        """(films, l) float32 of the labels: 1, 0, NaN unknown."""
        return None if self._labels is None else self._labels[self.studies]

    def _has(self, need: str) -> np.ndarray:
        """(studies,) bool: which films have what is needed."""
        if need == "reports":
            return np.array([bool(text.strip()) for text in self._reports])
        if need == "regions":
            has = np.zeros(len(self._reports), bool)
            has[self.prepared.regions.loc[self.prepared.regions["kind"] == "anatomy", "study"].to_numpy(np.int64)] = (
                True
            )
            return has
        if need in ("labels", "boxes", "masks") and self._labels is not None:
            known: np.ndarray = ~np.isnan(self._labels).all(axis=1)
            return known
        if need == "findings":
            return np.asarray(self.prepared.studies["findings"] != "{}")
        raise ValueError(f"unknown need {need!r}")

    def __getitem__(self, index: int) -> dict[str, Any]:
        study, name = int(self.studies[index]), self.study_ids[index]
        item = {"case_id": name, "patient_id": self.patient_ids[index], "kind": "film", "has_prior": False}
        return item | self._fields(name, ["current"], [study])


def _rate(labels: np.ndarray) -> np.ndarray:
    """(n, f) 1, 0, NaN unknown -> (f,) float32 share of ones, NaN where all are unknown."""
    known = (~np.isnan(labels)).sum(axis=0)
    rate = (np.nansum(labels, axis=0) + 1) / (known + 2)
    return np.where(known > 0, rate, np.nan).astype(np.float32)


def _films_of(prepared: Prepared, split: str) -> np.ndarray:
    """Rows of the studies table: the films of the cases of a split, each once."""
    cases = prepared.cases.iloc[prepared.case_rows(split)]
    rows = np.unique(cases[["current", "prior"]].to_numpy(np.int64))
    films: np.ndarray = rows[rows >= 0]
    return films


def share_of_patients(patients: np.ndarray, share: float) -> np.ndarray:
    """(n,) bool: the items of about this share of the patients. A smaller share lies inside a larger one."""
    if share >= 1:
        return np.ones(len(patients), bool)
    return np.array([_hash(f"share {patient}") < share * 2**64 for patient in patients], bool)


def _spread(rows: np.ndarray, limit: int | None) -> np.ndarray:
    """At most `limit` of the rows, evenly over all."""
    if limit is None or limit >= len(rows):
        return rows
    spread: np.ndarray = rows[np.linspace(0, len(rows) - 1, limit).round().astype(int)]
    return spread


def _hash(text: str) -> int:
    """A number below 2^64, the same in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def item_from_films(
    current: np.ndarray,
    prior: np.ndarray | None,
    pixels: int,
    question: str,
    kind: str = "difference",
    case_id: str = "",
    patient_id: str = "",
    greys: Greys = "ranks",
) -> dict[str, Any]:
    """Squares of `films.film_from_file`, (s, s) uint8 -> the item `PairDataset` would give, without the labels.

    s must be at least `pixels`; with s = the stored pixels of the prepared folder the films are the same bit for bit.
    """
    films = [film for film in (current, prior) if film is not None]
    if any(film.shape[0] < pixels for film in films):
        raise ConfigError(
            f"films of {current.shape[0]} pixels are too small.", remedy=f"Read them with {pixels} or more."
        )
    shown = [normalised(resize(film[None], pixels)[0], greys)[None] for film in films]
    return {
        "case_id": case_id,
        "patient_id": patient_id,
        "kind": kind,
        "question": question,
        "has_prior": prior is not None,
        "current": shown[0],
        "prior": shown[-1] if prior is not None else np.zeros_like(shown[0]),
    }
