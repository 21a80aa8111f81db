"""An `inspect_ai` task: what has changed between two films? Found by inspect's entry point of the name intervalchange.

    inspect eval intervalchange/interval_change --model MODEL -T folder=OUT

folder: film pairs as `intervalchange.plugins.task_files` writes them. Every metric has the name and the value that
`score --json` has for the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import TaskState, generate

from intervalchange import __version__
from intervalchange.evaluation.metrics.one_answer import score_answer
from intervalchange.plugins.film_pairs import FilmPair, read_film_pairs
from intervalchange.plugins.scoring import answered, headline


@task  # type: ignore[untyped-decorator]
def interval_change(folder: str, limit_pairs: int | None = None) -> Task:
    """The task. limit_pairs: the first so many."""
    pairs = read_film_pairs(folder)[:limit_pairs]
    return Task(
        dataset=MemoryDataset([_sample(pair) for pair in pairs], name="interval_change", location=folder),
        solver=generate(),
        scorer=change_score(),
        version=__version__,
    )


def _sample(pair: FilmPair) -> Sample:
    content = [ContentImage(image=pair.prior), ContentImage(image=pair.current), ContentText(text=pair.prompt)]
    return Sample(
        input=[ChatMessageUser(content=content)],
        target=pair.reference,
        id=pair.case_id,
        metadata={"question": pair.question, "patient_id": pair.patient_id},
    )


@metric(name="change", scores="unreduced")  # type: ignore[untyped-decorator]
def change_metrics() -> Metric:
    """Every metric of `scoring.HEADLINE`. With several epochs each answer counts."""

    def compute(scores: Sequence[SampleScore]) -> dict[str, float]:
        return headline(
            answered(
                score.score.answer or "",
                score.score.metadata["reference"],
                score.score.metadata["question"],
                f"{score.sample_id}#{row}",
                score.score.metadata["patient_id"],
            )
            for row, score in enumerate(scores)
        )

    return compute


@scorer(metrics=[change_metrics()])  # type: ignore[untyped-decorator]
def change_score() -> Scorer:
    """The value of a sample is its change F1 (`AnswerScore.change_f1`)."""

    async def score(state: TaskState, target: Target) -> Score:
        answer, question = state.output.completion, state.metadata["question"]
        known = {"reference": target.text, "question": question, "patient_id": state.metadata["patient_id"]}
        return Score(value=score_answer(answer, target.text, question).change_f1, answer=answer, metadata=known)

    return score
