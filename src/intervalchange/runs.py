"""What a run does with a prepared folder: `predict` writes its answers, `evaluate` measures a run that gives none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError, RunError
from intervalchange.foreign_models.records import ForeignOptions, is_foreign
from intervalchange.records import ALL_KINDS, CONDITIONS, Prediction

if TYPE_CHECKING:
    from intervalchange.evaluation.answers.predictions import Provenance
    from intervalchange.inference import Predictor
    from intervalchange.tasks.zero_shot import ZeroShotOptions

BATCH_SIZE = 32
"""Of our runs, where it is not given."""


class CaseAnswerer(Protocol):
    """What answers the cases of a prepared folder: a run of ours, or a model of others."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The question kinds that it answers unless asked for others."""

    def provenance(self, prepared: Prepared, split: str) -> Provenance:
        """Where its answers come from."""

    def case_count(self, prepared: Prepared, split: str, kinds: Sequence[str]) -> int:
        """Cases that it answers under each condition."""

    @property
    def predict(self) -> Callable[..., Iterator[Prediction]]:
        """(prepared, split, conditions, *, kinds, done, and options of its own) -> answers in order, without `done`."""


def predict(
    run: Predictor | str | Path,
    data: str | Path,
    out: str | Path,
    *,
    split: str = "test",
    controls: bool = False,
    all_kinds: bool = False,
    batch_size: int | None = None,
    abstain_at: float | None = None,
    foreign: ForeignOptions | None = None,
) -> Path:
    """Answer every case of a split of a prepared folder into the predictions file `out`; returns its path.

    run: a loaded model, what `load` takes, or a model of others (`openai:URL#MODEL`, `hf:NAME`), which is asked as
    `foreign` says. controls: also with the films exchanged, one film twice, and blank. all_kinds: all seven question
    types, not only those it was trained on. abstain_at: answers with a lower confidence are marked as abstained. The
    same call again resumes. Raises RunError for a run that answers no question, ConfigError for options that do not
    fit.
    """
    conditions = CONDITIONS if controls else ("given",)
    if is_foreign(run):
        options = foreign or ForeignOptions()
        options = replace(options, batch_size=batch_size or options.batch_size)
        _predict_foreign(str(run), Path(data), Path(out), split, conditions, all_kinds, options, abstain_at)
        return Path(out)
    if foreign is not None and foreign != ForeignOptions():
        raise ConfigError(
            "this is a run of ours, which is asked in its own way.",
            where=str(run),
            remedy="Leave out what is for openai: and hf: models.",
        )
    predictor = _loaded(run)
    if not _answers(predictor):
        raise RunError(
            f"{predictor.run['stage']} answers no question.",
            where=_place(run),
            remedy="To measure it on a prepared folder, use `intervalchange evaluate`.",
        )
    predict_to_file(
        predictor,
        Path(data),
        Path(out),
        split=split,
        conditions=conditions,
        all_kinds=all_kinds,
        batch_size=batch_size or BATCH_SIZE,
        abstain_at=abstain_at,
    )
    return Path(out)


def _predict_foreign(
    name: str,
    data: Path,
    out: Path,
    split: str,
    conditions: Sequence[str],
    all_kinds: bool,
    options: ForeignOptions,
    abstain_at: float | None,
) -> None:
    """`predict` for a model of others: what it has answered is kept beside `out` until all of it is there."""
    from intervalchange.foreign_models.answering import ForeignPredictor
    from intervalchange.foreign_models.kept_answers import KeptAnswers
    from intervalchange.foreign_models.opening import open_model

    opened, keep = open_model(name, options, Prepared(data)), KeptAnswers.beside(out)
    print(opened, file=sys.stderr)
    predict_to_file(
        ForeignPredictor(opened, keep),
        data,
        out,
        split=split,
        conditions=conditions,
        all_kinds=all_kinds,
        abstain_at=abstain_at,
    )
    keep.remove()


def predict_to_file(
    answerer: CaseAnswerer,
    data: Path,
    out: Path,
    *,
    split: str = "test",
    conditions: Sequence[str] = ("given",),
    all_kinds: bool = False,
    **options: Any,
) -> int:
    """Answer a split of a prepared folder into a predictions file, continuing where an earlier call was stopped.

    options: of the answerer's `predict`. Returns how many predictions were added.
    """
    from rich.console import Console
    from rich.progress import track

    from intervalchange.evaluation.answers.predictions import PredictionWriter

    prepared = Prepared(data)
    kinds = ALL_KINDS if all_kinds else answerer.kinds
    with PredictionWriter(out, answerer.provenance(prepared, split)) as writer:
        done = frozenset(writer.done)
        todo = answerer.case_count(prepared, split, kinds) * len(conditions) - len(done)
        answers = answerer.predict(prepared, split, conditions, kinds=kinds, done=done, **options)
        for prediction in track(answers, "answering", total=todo, console=Console(stderr=True)):
            writer.write(prediction)
    return todo


def evaluate(
    run: Predictor | str | Path,
    data: str | Path,
    *,
    split: str = "test",
    zero_shot: ZeroShotOptions | None = None,
    batch_size: int = 32,
) -> dict[str, Any]:
    """What a run over films reaches on a split of a prepared folder: stage, split, and its metrics by dotted names.

    run: a loaded model, or what `load` takes. zero_shot: classify films and retrieve reports without training, with a
    run that was trained on reports. Raises RunError for a run that answers questions instead.
    """
    predictor, prepared = _loaded(run), Prepared(data)
    facts = {"stage": predictor.run["stage"], "split": split}
    if zero_shot is not None:
        return facts | _protocol(prepared, split) | predictor.zero_shot(prepared, split, zero_shot)
    if predictor.model.unit != "films":
        remedy = (
            "Use `intervalchange predict`, then `intervalchange score`."
            if _answers(predictor)
            else "Start a stage that answers from it: `intervalchange train METHOD/answer --from RUN`."
        )
        raise RunError(f"{facts['stage']} learns from pairs, not from single films.", where=_place(run), remedy=remedy)
    return facts | _protocol(prepared, split) | predictor.metrics(prepared, split, batch_size)


def _protocol(prepared: Prepared, split: str) -> dict[str, str]:
    """What must stand beside the metrics of a folder whose protocol is not ours."""
    return {"protocol": prepared.protocol(split)} if prepared.published else {}


def _loaded(run: Predictor | str | Path) -> Predictor:
    from intervalchange import inference

    return inference.load(run) if isinstance(run, str | Path) else run


def _place(run: Predictor | str | Path) -> str | None:
    return str(run) if isinstance(run, str | Path) else None


def _answers(predictor: Predictor) -> bool:
    """Whether its method has an `answer` of its own."""
    from intervalchange.methods.base.method import Method

    return type(predictor.model).answer is not Method.answer
