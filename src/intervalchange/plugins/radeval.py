"""The change score as a metric of RadEval: lists of texts in, a dictionary out. RadEval itself is not imported.

    from intervalchange.plugins.radeval import ChangeMetric
    ChangeMetric().compute(refs=references, hyps=answers)                # {"change_f1": 0.83}
    ChangeMetric().compute(refs=references, hyps=answers, per_sample=True)

It has the methods of RadEval's `MetricBase`. `register()` adds it to RadEval's table, so that
`RadEval(metrics=["change"])` runs it beside the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from intervalchange.evaluation.metrics.one_answer import score_answer
from intervalchange.grammar import DIFFERENCE_QUESTION
from intervalchange.plugins.scoring import HEADLINE, answered, score_answers


class ChangeMetric:
    """`change_f1` and its company. Differs: values are not rounded to four digits as RadEval's are."""

    name = "change"
    display_name = "Change F1"
    is_api_based = False

    def __init__(self, question: str = DIFFERENCE_QUESTION) -> None:
        self.question = question

    def metric_keys(self, detailed: bool = False) -> list[str]:
        """The keys of `compute`; detailed: the names that `score --json` uses too."""
        return ["change_f1", *(HEADLINE if detailed else ())]

    def compute(
        self,
        refs: Sequence[str],
        hyps: Sequence[str],
        per_sample: bool = False,
        detailed: bool = False,
        on_progress: Callable[..., object] | None = None,
    ) -> dict[str, Any]:
        """refs, hyps: reference and answer of each case, in the same order. Values in [0, 1]; None where not defined.

        per_sample: the change F1 of each case instead, and without items whether it is exactly right.
        """
        if per_sample:
            scores = []
            for answer, reference in zip(hyps, refs, strict=True):
                scores.append(score_answer(answer, reference, self.question).change_f1)
                if on_progress is not None:
                    on_progress()
            return {"change_f1": scores}
        rows = [answered(hyp, ref, self.question) for hyp, ref in zip(hyps, refs, strict=True)]
        metrics = score_answers(rows)
        keys = {"change_f1": HEADLINE[0], **({name: name for name in HEADLINE} if detailed else {})}
        return {key: metrics.get(name) for key, name in keys.items()}


def register() -> None:
    """Add the metric to RadEval's registry under the name `change`."""
    from RadEval.metrics._registry import METRIC_REGISTRY

    METRIC_REGISTRY["change"] = (__name__, "ChangeMetric")
