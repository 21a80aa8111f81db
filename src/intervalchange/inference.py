"""From a run folder to answers: one pair of files, or every case of a prepared folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from intervalchange import grammar
from intervalchange.config import TrainConfig
from intervalchange.data.batch import Batch, collate
from intervalchange.data.dataset import PairDataset, item_from_films
from intervalchange.data.film_headers import compare_headers
from intervalchange.data.films import film_from_file
from intervalchange.data.region_store import weight_hash
from intervalchange.errors import ConfigError, ImageError, InputError, RunError
from intervalchange.evaluation.metrics.calibration import ABSTAINED, abstain_below
from intervalchange.evaluation.metrics.confounders import facts_of
from intervalchange.foreign_models.records import is_foreign
from intervalchange.methods import method_class
from intervalchange.methods.base.method import greys_of
from intervalchange.question_reader import check_question, kind_of
from intervalchange.records import CONDITIONS, KINDS, Prediction

if TYPE_CHECKING:
    from intervalchange.data.films import FilmSquare, Geometry
    from intervalchange.data.prepared import Prepared
    from intervalchange.evaluation.answers.predictions import Provenance
    from intervalchange.tasks.zero_shot import ZeroShotOptions

NOT_SURE = "I am not sure."
"""What is shown in place of an answer that was abstained from."""

DEMO = Path(__file__).resolve().parent / "demo"
"""The weights in the wheel, trained on simulated films and on those of NIH ChestX-ray14."""


@dataclass(frozen=True)
class Shown:
    """One film as the model read it: what a report draws on."""

    pixels: np.ndarray
    """(s, s) uint8, padded to a square."""
    geometry: Geometry


@dataclass(frozen=True)
class AskedFilms:
    """A question about films that are read: squares of `stored_pixels`."""

    prior: FilmSquare | None
    current: FilmSquare
    question: str
    warnings: tuple[str, ...] = ()
    """What is to be said of the pair beside the answer."""


@dataclass(frozen=True)
class Answered:
    """An answer with the two films it is about."""

    prediction: Prediction
    prior: Shown | None
    current: Shown


class Predictor:
    """A loaded model that answers questions."""

    def __init__(self, model: Any, run: dict[str, Any]) -> None:
        self.model = model.eval()
        self.run = run

    @property
    def training_patients(self) -> frozenset[str]:
        """Patients whose films the weights were trained on."""
        return frozenset(self.run.get("training_patients", ()))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The question kinds that the run was trained on, and answers unless asked for others."""
        trained = self.run.get("fingerprint", {}).get("train", {})
        return tuple(trained.get("kinds", TrainConfig().kinds)) or KINDS

    @property
    def name(self) -> str:
        """That of the run folder it was trained in, without the path; that of the stage where it has none."""
        return str(self.run.get("name", self.run["stage"]))

    @cached_property
    def identity(self) -> str:
        """Its name and eight hexadecimal digits of the weights, the configuration and `abstain_at`: whatever answers
        otherwise under the same name has others."""
        state = hashlib.sha256(weight_hash(self.model.state_dict()).encode())
        state.update(json.dumps([asdict(self.model.config), self.abstain_at], sort_keys=True, default=str).encode())
        return f"{self.name} {state.hexdigest()[:8]}"

    @property
    def abstain_at(self) -> float | None:
        """The confidence below which the run does not answer about two files; None for a run that always answers.

        Fixed on validation pairs and kept in its run.json (`examples/bundle.py --abstain-at`).
        """
        threshold: float | None = self.run.get("abstain_at")
        return threshold

    def answer(
        self,
        prior: str | Path | None,
        current: str | Path,
        question: str = grammar.DIFFERENCE_QUESTION,
        *,
        force: bool = False,
    ) -> Prediction:
        """Answer a question about two files (PNG, JPEG, DICOM), or about `current` alone where it needs no prior.

        Returns words, structured change, probabilities and attribution maps; below `abstain_at`, with the warning
        "abstained". Raises ImageError for a film that
        cannot be read or, without `force`, should not be; InputError for a question that is
        not understood, and for a difference question without a prior.
        """
        return self.answer_shown(prior, current, question, force=force).prediction

    def answer_shown(
        self,
        prior: str | Path | None,
        current: str | Path,
        question: str = grammar.DIFFERENCE_QUESTION,
        *,
        force: bool = False,
    ) -> Answered:
        """As `answer`, with the films as the model read them."""
        check_question(question)
        paths = {side: path for side, path in (("current", current), ("prior", prior)) if path is not None}
        films, refused = {}, []
        for side, path in paths.items():
            try:
                films[side] = film_from_file(path, self.stored_pixels, force)
            except ImageError as error:
                refused.append(error)
        if refused:
            raise refused[0] if len(refused) == 1 else ImageError("\n".join(map(str, refused)))
        warnings = () if prior is None else compare_headers(prior, current).warnings
        (answered,) = self.answer_films([AskedFilms(films.get("prior"), films["current"], question, warnings)])
        return answered

    @property
    def stored_pixels(self) -> int:
        """Side of the 8-bit square through which films pass, as in `prepare`: that which the run was trained from."""
        return int(self.run.get("stored_pixels", 0)) or int(self.model.config.pixels)

    def answer_films(self, asked: Sequence[AskedFilms]) -> list[Answered]:
        """Answer questions about films that are read already, in one batch. As `answer`, but for the question, which
        the caller has checked."""
        squares = [
            (None if each.prior is None else each.prior.pixels, each.current.pixels, each.question) for each in asked
        ]
        predictions = self.model.answer(self.batch_of(squares), evidence=True)
        return [self._answered(each, prediction) for each, prediction in zip(asked, predictions, strict=True)]

    def _answered(self, asked: AskedFilms, prediction: Prediction) -> Answered:
        sides = (("current", asked.current), ("prior", asked.prior))
        warnings = [f"{side}: {text}" for side, film in sides if film is not None for text in film.warnings]
        warnings += asked.warnings
        if asked.prior is not None and np.array_equal(asked.prior.pixels, asked.current.pixels):
            warnings.append("prior and current are the same film")
        prediction = abstain_below(prediction, self.abstain_at)
        prediction = replace(prediction, warnings=(*prediction.warnings, *warnings))
        prior = None if asked.prior is None else Shown(asked.prior.pixels, asked.prior.geometry)
        return Answered(prediction, prior, Shown(asked.current.pixels, asked.current.geometry))

    def shown_answers(self, batch: Batch) -> list[str]:
        """What a reader is shown of each case of a batch."""
        return [shown_answer(abstain_below(prediction, self.abstain_at)) for prediction in self.model.answer(batch)]

    def batch_of(self, cases: Sequence[tuple[np.ndarray | None, np.ndarray, str]]) -> Batch:
        """(prior or None, current, question) of (s, s) uint8 squares -> a batch without labels."""
        pixels, greys = self.model.config.pixels, greys_of(self.model.config)
        return collate(
            [
                item_from_films(current, prior, pixels, question, kind_of(question), greys=greys)
                for prior, current, question in cases
            ]
        )

    def provenance(self, prepared: Prepared, split: str) -> Provenance:
        """Where its answers come from: the run, and the data."""
        return prepared.provenance(
            self.name,
            split,
            training_answers=self.run.get("training_answers", {}),
            more={"stage": self.run["stage"], "supervision": list(self.model.supervision)},
        )

    def case_count(self, prepared: Prepared, split: str, kinds: Sequence[str]) -> int:
        """Cases that `predict` answers under each condition. Raises ConfigError where there are none."""
        return len(self.dataset(prepared, split, kinds))

    def predict(
        self,
        prepared: Prepared,
        split: str,
        conditions: Sequence[str] = ("given",),
        *,
        kinds: Sequence[str] | None = None,
        batch_size: int = 32,
        done: frozenset[tuple[str, str]] = frozenset(),
        abstain_at: float | None = None,
    ) -> Iterator[Prediction]:
        """Answer every case of a split under each condition, in order; keys in `done` are left out.

        Raises RunError where a case shows a patient the weights were trained on (except for split "train").
        """
        dataset = self.dataset(prepared, split, kinds)
        self.refuse_training_patients(prepared, dataset.patient_ids, split)
        ids = dataset.case_ids
        cases = prepared.case_records(split, self.kinds if kinds is None else kinds)
        facts = {case.case_id: facts_of(case) for case in cases}
        for condition in conditions:
            wanted = [index for index, case_id in enumerate(ids) if (case_id, condition) not in done]
            for start in range(0, len(wanted), batch_size):
                batch = shown_as(collate([dataset[index] for index in wanted[start : start + batch_size]]), condition)
                for prediction in self.model.answer(batch):
                    prediction = replace(prediction, condition=condition, facts=facts.get(prediction.case_id))
                    yield abstain_below(prediction, abstain_at)

    def metrics(self, prepared: Prepared, split: str, batch_size: int = 32) -> dict[str, float]:
        """What a stage that answers no question reaches on the films of a split: its metrics by dotted names."""
        films = self.model.dataset(self.model.config, prepared, split)
        self.refuse_training_patients(prepared, films.patient_ids, split)
        outputs: list[Any] = []
        with torch.no_grad():
            for start in range(0, len(films), batch_size):
                rows = range(start, min(start + batch_size, len(films)))
                outputs += self.model.validation_outputs(collate([films[row] for row in rows]))
        return {"films.count": len(films), **self.model.validation_scores(outputs)}

    def zero_shot(self, prepared: Prepared, split: str, options: ZeroShotOptions | None = None) -> dict[str, Any]:
        """Classification and retrieval of a split by an image-text run, without training (`tasks/zero_shot.py`)."""
        from intervalchange.tasks.zero_shot import zero_shot

        patients = prepared.cases["patient_id"].iloc[prepared.case_rows(split)]
        self.refuse_training_patients(prepared, patients, split)
        return zero_shot(self.model, prepared, split, options)

    def dataset(self, prepared: Prepared, split: str, kinds: Sequence[str] | None = None) -> PairDataset:
        """The cases that `predict` answers: of the kinds the run was trained on unless others are named.

        Items carry no label and no region: a model never reads what its answers are scored by.
        """
        kinds = self.kinds if kinds is None else kinds
        config = self.model.config
        return PairDataset(prepared, split, kinds=kinds, pixels=config.pixels, supervision=(), greys=greys_of(config))

    def refuse_training_patients(self, prepared: Prepared, patients: Iterable[str], split: str) -> None:
        """Raise RunError where the run was trained on one of these patients, unless the split is `train`.

        Those whom the published protocol itself has in training too are let through; every number says how many.
        """
        known = sorted((set(patients) & self.training_patients) - prepared.patients_in_training_too)
        if known and split != "train":
            raise RunError(
                f"{len(known)} patients of this split were in the training data of the run (for example {known[0]}).",
                where=prepared.folder,
                remedy="Use the split the run was trained with, or other data.",
            )


def shown_answer(prediction: Prediction) -> str:
    """What a reader is shown: the answer, or `NOT_SURE` where the run abstained."""
    return NOT_SURE if ABSTAINED in prediction.warnings else prediction.answer


def shown_as(batch: Batch, condition: str) -> Batch:
    """The batch under a condition of `records.CONDITIONS`. References stay those of the given pair."""
    current, prior, has_prior = batch.current, batch.prior, batch.has_prior
    if condition == "swap":
        current, prior = prior, current
    elif condition == "identity":
        prior = current
    elif condition == "prior_twice":
        current = prior
    elif condition == "blank":
        current, prior = torch.zeros_like(current), torch.zeros_like(prior)
    elif condition != "given":
        raise InputError(f"unknown condition {condition!r}.", remedy=f"Choose from {', '.join(CONDITIONS)}.")
    return Batch(**{**batch, "current": current, "prior": prior, "has_prior": has_prior})


def load(run: str | Path) -> Predictor:
    """Load a run folder, `demo` (the weights in the wheel), or a hub name.

    Raises RunError where the folder is not a finished run, ConfigError for a model of others.
    """
    if is_foreign(run):
        raise ConfigError(
            "a model of others is asked about the cases of a prepared folder.",
            where=run,
            remedy="Use `intervalchange predict` or `intervalchange check`.",
        )
    if str(run) != "demo" and not Path(run).exists() and "/" in str(run) and not str(run).startswith((".", "/", "~")):
        from huggingface_hub import snapshot_download

        try:
            run = snapshot_download(str(run))
        except Exception as problem:
            raise RunError(
                f"no such run folder, and no such model on the hub ({type(problem).__name__}).",
                where=run,
                remedy="Give the folder that `train` wrote, or `demo`.",
            ) from problem
    folder = DEMO if str(run) == "demo" else Path(run)
    record = folder / "run.json"
    if not record.is_file():
        raise RunError(
            "not a run folder: run.json is missing.",
            where=folder,
            remedy="Give the folder that `train` wrote, or `demo`.",
        )
    facts = json.loads(record.read_text(encoding="utf-8"))
    if not facts.get("finished", False):
        raise RunError(
            "this run has not finished.",
            where=folder,
            remedy="Run the same train command again: it continues where it stopped.",
        )
    model = method_class(facts["stage"]).from_pretrained(folder)
    return Predictor(model, facts)
