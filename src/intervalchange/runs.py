"""What a run does with a prepared folder: `predict` writes its answers, `evaluate` measures a run that gives none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from intervalchange import inference
from intervalchange.data.prepared import Prepared
from intervalchange.errors import RunError
from intervalchange.inference import Predictor
from intervalchange.methods.base.method import Method
from intervalchange.records import CONDITIONS

if TYPE_CHECKING:
    from intervalchange.tasks.zero_shot import ZeroShotOptions


def predict(
    run: Predictor | str | Path,
    data: str | Path,
    out: str | Path,
    *,
    split: str = "test",
    controls: bool = False,
    all_kinds: bool = False,
    batch_size: int = 32,
    abstain_at: float | None = None,
) -> Path:
    """Answer every case of a split of a prepared folder into the predictions file `out`; returns its path.

    run: a loaded model, or what `load` takes. controls: also with the films exchanged, one film twice, and blank.
    all_kinds: all seven question types, not only those it was trained on. abstain_at: answers with a lower confidence
    are marked as abstained. The same call again resumes. Raises RunError for a run that answers no question.
    """
    predictor = _loaded(run)
    if not _answers(predictor):
        raise RunError(
            f"{predictor.run['stage']} answers no question.",
            where=_place(run),
            remedy="To measure it on a prepared folder, use `intervalchange evaluate`.",
        )
    inference.predict_to_file(
        predictor,
        Path(data),
        Path(out),
        split=split,
        conditions=CONDITIONS if controls else ("given",),
        all_kinds=all_kinds,
        batch_size=batch_size,
        abstain_at=abstain_at,
    )
    return Path(out)


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
    return run if isinstance(run, Predictor) else inference.load(run)


def _place(run: Predictor | str | Path) -> str | None:
    return None if isinstance(run, Predictor) else str(run)


def _answers(predictor: Predictor) -> bool:
    """Whether its method has an `answer` of its own."""
    return type(predictor.model).answer is not Method.answer
