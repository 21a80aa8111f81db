"""What the task files of lm-eval and lmms-eval call: a case -> films and prompt, an answer -> the metrics of `score`.

Both give a case as a mapping with the fields of `FilmPair`, and hand every answer of a task to one function a metric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from intervalchange.plugins.film_pairs import FilmPair
from intervalchange.plugins.scoring import HEADLINE, answered, headline
from intervalchange.records import Prediction

Document = Mapping[str, Any]
Item = tuple[str, str, str, str, str]
"""answer, reference, question, case_id, patient_id."""
FIELDS = tuple(FilmPair.__dataclass_fields__)
PLACEHOLDER = "<image>"
"""Where lm-eval puts a film into the text."""


def _pair(document: Document) -> FilmPair:
    return FilmPair(**{name: document[name] for name in FIELDS})


def films(document: Document) -> list[Any]:
    """The prior and the current film, as RGB images of Pillow."""
    from PIL import Image

    pair = _pair(document)
    return [Image.open(path).convert("RGB") for path in (pair.prior, pair.current)]


def prompt(document: Document, lmms_eval_specific_kwargs: Mapping[str, str] | None = None) -> str:
    """The text for lmms-eval, which puts the films in front of it."""
    around = lmms_eval_specific_kwargs or {}
    return f"{around.get('pre_prompt', '')}{_pair(document).prompt}{around.get('post_prompt', '')}"


def prompt_with_films(document: Document) -> str:
    """The text for lm-eval, with a placeholder for each film."""
    return f"{PLACEHOLDER}{PLACEHOLDER}\n{_pair(document).prompt}"


def process_results(document: Document, results: Sequence[Any]) -> dict[str, Item]:
    """The answer to a case, for each metric."""
    pair = _pair(document)
    item = (str(results[0]), pair.reference, pair.question, pair.case_id, pair.patient_id)
    return dict.fromkeys(HEADLINE, item)


@lru_cache(maxsize=4)
def _metrics(items: tuple[Item, ...]) -> Mapping[str, float]:
    return headline(_predictions(items))


def _predictions(items: Sequence[Item]) -> list[Prediction]:
    """A case that is asked several times (repeats) counts each time."""
    asked: dict[str, int] = {}
    found = []
    for answer, reference, question, case_id, patient_id in items:
        asked[case_id] = asked.get(case_id, 0) + 1
        number = f"{case_id}#{asked[case_id]}" if asked[case_id] > 1 else case_id
        found.append(answered(answer, reference, question, number, patient_id))
    return found


def _aggregation(name: str) -> Callable[[Sequence[Sequence[str]]], float]:
    def aggregate(items: Sequence[Sequence[str]]) -> float:
        return _metrics(tuple((item[0], item[1], item[2], item[3], item[4]) for item in items))[name]

    aggregate.__name__ = aggregate.__qualname__ = name.replace(".", "_")
    aggregate.__doc__ = f"`{name}` of `score --json` over all answers; NaN where it is not defined."
    return aggregate


change_findings_micro_f1 = _aggregation("change.findings.micro.f1")
change_micro_f1 = _aggregation("change.micro.f1")
change_exact_accuracy = _aggregation("change.exact.accuracy")
change_direction_error_rate = _aggregation("change.direction_error.rate")
change_false_change_rate = _aggregation("change.false_change.rate")
progression_macro_f1 = _aggregation("progression.macro.f1")
progression_accuracy = _aggregation("progression.accuracy")
progression_direction_error_rate = _aggregation("progression.direction_error.rate")
answers_read_rate = _aggregation("answers.read.rate")
answers_hedge_rate = _aggregation("answers.hedge.rate")
answers_abstention_rate = _aggregation("answers.abstention.rate")
