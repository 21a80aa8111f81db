"""The dictionary of RadEval: its methods, and numbers equal to those of `score`."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from intervalchange.evaluation.scoring.score_file import score_predictions
from intervalchange.grammar import DIFFERENCE_QUESTION, NOTHING
from intervalchange.plugins.radeval import ChangeMetric, register
from intervalchange.plugins.scoring import HEADLINE
from intervalchange.records import Prediction

EDEMA = "the main image has an additional finding of edema than the reference image."
HYPS = ["New edema.", NOTHING, "Possible new edema.", "I cannot compare these images."]
REFS = [EDEMA, EDEMA, EDEMA, NOTHING]


def of_score() -> dict[str, object]:
    cases = [
        Prediction(str(row), str(row), "difference", DIFFERENCE_QUESTION, hyp, reference=ref)
        for row, (hyp, ref) in enumerate(zip(HYPS, REFS, strict=True))
    ]
    return dict(score_predictions(cases, replicates=10).metrics)


def test_the_three_modes() -> None:
    metric, metrics = ChangeMetric(), of_score()
    assert metric.compute(REFS, HYPS) == {"change_f1": pytest.approx(metrics[HEADLINE[0]], abs=1e-9)}
    assert metric.compute(REFS, HYPS, per_sample=True) == {"change_f1": [1.0, 0.0, 0.0, 0.0]}
    detailed = metric.compute(REFS, HYPS, detailed=True)
    assert list(detailed) == metric.metric_keys(detailed=True)
    assert {name: detailed[name] for name in HEADLINE} == {name: metrics[name] for name in HEADLINE}
    assert detailed["answers.abstention.rate"] == 0.25 and detailed["answers.hedge.rate"] == 0.25


def test_progress_is_told_for_each_case() -> None:
    ticks: list[int] = []
    ChangeMetric().compute(REFS, HYPS, per_sample=True, on_progress=lambda: ticks.append(1))
    assert len(ticks) == len(HYPS)


def test_template_answers_have_no_free_metrics() -> None:
    detailed = ChangeMetric().compute([EDEMA], [EDEMA], detailed=True)
    assert detailed["change_f1"] == 1.0 and detailed["answers.read.rate"] is None


def test_registering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the documented registry, a table name -> (module, class): RadEval itself does not install here."""
    registry = ModuleType("RadEval.metrics._registry")
    registry.METRIC_REGISTRY = {}  # type: ignore[attr-defined]
    for name in ("RadEval", "RadEval.metrics"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "RadEval.metrics._registry", registry)
    register()
    module, name = registry.METRIC_REGISTRY["change"]
    assert getattr(sys.modules[module], name) is ChangeMetric
