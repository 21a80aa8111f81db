"""The questions that every method must answer, at its tiny size and on the toy cohort.

`test_contract.py` runs each function here for each stage of the registry. A function takes a `Subject` and asserts.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy

from intervalchange.config import load_preset
from intervalchange.data.batch import Batch
from intervalchange.errors import InputError
from intervalchange.methods import method_class, stages
from intervalchange.methods.base.method import Method
from intervalchange.records import Prediction

LABELS = (
    "answer",
    "findings_current",
    "findings_prior",
    "levels_current",
    "levels_prior",
    "opacity_current",
    "opacity_prior",
    "locations_current",
    "locations_prior",
    "regions",
    "report_current",
    "report_prior",
)
STAGES = stages()


@dataclass(frozen=True)
class Subject:
    """A stage under test."""

    stage: str

    def model(self, **changes: Any) -> Method:
        """A fresh model of the tiny preset; the same weights at every call. Training mode, dropout as configured."""
        torch.manual_seed(0)
        kind = method_class(self.stage)
        return kind(kind.config_class(**{**load_preset(self.stage, "tiny").model, **changes}))

    @property
    def answers(self) -> bool:
        """Whether the stage answers questions; the others see films or pairs and give figures."""
        return method_class(self.stage).answer is not Method.answer

    def batch(self, size: int) -> Batch:
        """What the stage is trained on: cases about change, or films."""
        labels = getattr(self.model().config, "labels", ())
        return toy.batch(size) if method_class(self.stage).unit == "cases" else toy.film_batch(size, names=labels)

    def still(self) -> Method:
        """The model in evaluation mode."""
        return self.model().eval()


def facts(prediction: Prediction) -> list[float]:
    """What a prediction says in numbers."""
    return list((prediction.confidence or {}).values())


def close(one: list[Prediction], other: list[Prediction], tolerance: float = 1e-4) -> bool:
    """Same words, and confidences that agree to rounding."""
    return [prediction.answer for prediction in one] == [prediction.answer for prediction in other] and all(
        math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-6)
        for first, second in zip(one, other, strict=True)
        for a, b in zip(facts(first), facts(second), strict=True)
    )


def rows(batch: Batch, wanted: list[int]) -> Batch:
    """Some cases of a batch, in this order."""
    return Batch(
        **{
            name: value[wanted] if isinstance(value, torch.Tensor) else [value[row] for row in wanted]
            for name, value in batch.items()
        }
    )


# --- training --------------------------------------------------------------------------------------------------


def loss_is_finite(subject: Subject) -> None:
    for size in (1, 2, 5):
        output = subject.model()(**subject.batch(size))
        assert output.loss.ndim == 0
        assert torch.isfinite(output.loss)
        assert output.terms
        assert all(torch.isfinite(term) and term.ndim == 0 and not term.requires_grad for term in output.terms.values())


FIELDS_OF = {
    "findings": ("findings_current", "findings_prior"),
    "levels": ("levels_current", "levels_prior"),
    "opacity": ("opacity_current", "opacity_prior"),
    "masks": ("locations_current", "locations_prior"),
    "reports": ("report_current", "report_prior"),
    "regions": ("regions",),
    "boxes": ("regions",),
}


def learns_from_what_it_says_and_nothing_else(subject: Subject) -> None:
    model, batch = subject.model(), subject.batch(5)
    told = {field for kind in model.supervision for field in FIELDS_OF.get(kind, ())}
    hidden = {field for fields in FIELDS_OF.values() for field in fields} - told
    assert {*model.supervision} <= {*FIELDS_OF, "answers", "labels"}
    losses = []
    for shown in (batch, batch.without(*hidden)):
        torch.manual_seed(0)
        losses.append(subject.model()(**shown).loss)
    assert torch.equal(*losses)


def loss_is_finite_without_prior(subject: Subject) -> None:
    output = subject.model()(**toy.batch(3, kind="presence"))
    assert torch.isfinite(output.loss)
    output.loss.backward()


def every_parameter_gets_a_gradient(subject: Subject) -> None:
    model = subject.model()
    for step in getattr(model, "steps_of_every_task", lambda: [99])():
        model.progress(step=step, steps=100, epoch=99.0)
        model(**subject.batch(8)).loss.backward()
    idle = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.abs().sum() > 0)
    ]
    # Position embeddings beyond the sequence and rows of unused words are inside tensors that do get some.
    assert not idle


def a_step_lowers_the_loss(subject: Subject) -> None:
    model, batch = subject.model(), subject.batch(8)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    before = model(**batch).loss
    before.backward()
    optimiser.step()
    assert model(**batch).loss < before


def eight_pairs_are_learnt_by_heart(subject: Subject, steps: int = 300, rate: float = 2e-3, **changes: Any) -> None:
    """Exact answers to eight pairs after some steps on them. Asked by the tests of a method, as it takes seconds."""
    model, batch = subject.model(**changes), toy.batch(8)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / 20)
        optimiser.zero_grad()
        model.train()(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 25 == 24 and all(said.answer == said.reference for said in model.eval().answer(batch)):
            return
    assert [said.answer for said in model.eval().answer(batch)] == batch.answer


# --- answering -------------------------------------------------------------------------------------------------


def predictions_are_about_their_cases(subject: Subject) -> None:
    batch = toy.batch(3)
    predictions = subject.still().answer(batch)
    assert [prediction.case_id for prediction in predictions] == batch.case_id
    assert [prediction.patient_id for prediction in predictions] == batch.patient_id
    assert [prediction.reference for prediction in predictions] == batch.answer
    for prediction in predictions:
        assert prediction.change is not None
        assert all(0 <= value <= 1 for value in facts(prediction))


def batch_mates_do_not_matter(subject: Subject) -> None:
    model, batch = subject.still(), toy.batch(5)
    longer = "what has changed in the left lower lung area and what has changed in the right lung area?"
    batch["question"] = [longer if row == 2 else text for row, text in enumerate(batch.question)]
    together = model.answer(batch)
    for row in range(5):
        assert close(model.answer(rows(batch, [row])), together[row : row + 1])
    backwards = [4, 3, 2, 1, 0]
    assert close(model.answer(rows(batch, backwards)), together[::-1])


def labels_are_not_read_to_answer(subject: Subject) -> None:
    model, batch = subject.still(), toy.batch(4)
    given, blind = model.answer(batch), model.answer(batch.without(*LABELS))
    assert close(given, blind, tolerance=0)
    assert [prediction.change for prediction in given] == [prediction.change for prediction in blind]


def both_films_matter(subject: Subject) -> None:
    """And neither does for a floor that says so."""
    model, batch = subject.still(), toy.batch(4)
    given = [facts(prediction) for prediction in model.answer(batch)]
    for side in ("current", "prior"):
        other = Batch(**{**batch, side: torch.roll(batch[side], 1, dims=0)})
        moved = [facts(prediction) for prediction in model.answer(other)] != given
        assert moved == model.reads_films, side


def answering_is_repeatable(subject: Subject) -> None:
    model, batch = subject.still(), toy.batch(4)
    assert close(model.answer(batch), model.answer(batch), tolerance=0)


def difference_without_prior_is_refused(subject: Subject) -> None:
    batch = toy.batch(2)
    batch["has_prior"] = torch.tensor([True, False])
    with pytest.raises(InputError, match="prior"):
        subject.still().answer(batch)


def one_film_is_answered(subject: Subject) -> None:
    batch = toy.batch(2, kind="presence")
    predictions = subject.still().answer(batch)
    assert all(prediction.answer and prediction.change is None for prediction in predictions)


def pixels_of_an_absent_prior_do_not_matter(subject: Subject) -> None:
    model, batch = subject.still(), toy.batch(2, kind="presence")
    given = model.answer(batch)
    batch["prior"] = torch.randn(batch.prior.shape, generator=torch.Generator().manual_seed(0))
    assert close(given, model.answer(batch))


def evidence_is_a_map_or_nothing(subject: Subject) -> None:
    for prediction in subject.still().answer(toy.batch(3), evidence=True):
        for heat in (prediction.evidence or {}).values():
            assert heat.ndim == 2
            assert heat.shape[0] == heat.shape[1]
            assert 0 <= heat.min() < heat.max() <= 1


def answering_leaves_no_gradient(subject: Subject) -> None:
    model = subject.still()
    model.answer(toy.batch(2), evidence=True)
    assert all(parameter.grad is None for parameter in model.parameters())


def training_begins_as_answering_does(subject: Subject) -> None:
    """BOS at inference = BOS at training; asked of methods that contain a decoder."""
    model, seen = subject.still(), {}
    decoder = getattr(model, "decoder", None)
    if decoder is None or not hasattr(decoder, "generate"):
        return
    inner = decoder.language_model.base_model

    def watch(module: Any, args: Any, kwargs: Any) -> None:
        embeddings = kwargs.get("inputs_embeds")
        if embeddings is not None:
            seen.setdefault(mode, embeddings.detach())

    handle = inner.register_forward_pre_hook(watch, with_kwargs=True)
    batch = toy.batch(2)
    with torch.no_grad():
        mode = "training"
        model(**batch)
        mode = "answering"
        model.answer(batch)
    handle.remove()
    opened = seen["answering"].shape[1]
    assert torch.allclose(seen["training"][:, :opened], seen["answering"], atol=1e-6)
    bos = decoder.embed(torch.tensor([model.tokenizer.bos_token_id]))
    assert torch.allclose(seen["answering"][:, -1], bos.expand(2, -1), atol=1e-6)


# --- weights ---------------------------------------------------------------------------------------------------


def saved_and_loaded_is_the_same(subject: Subject, folder: Path) -> None:
    model, batch = subject.still(), subject.batch(3)
    model.save_pretrained(folder)
    assert not [path for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]
    again = method_class(subject.stage).from_pretrained(folder).eval()
    assert numbers(model.validation_outputs(batch)) == numbers(again.validation_outputs(batch))
    assert again.config.to_dict().keys() >= {*again.config.options()}
    for (name, tensor), (_, other) in zip(model.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(tensor, other), name


def film_mates_do_not_matter(subject: Subject) -> None:
    """What is outputs of a film does not depend on the films beside it."""
    model, batch = subject.still(), subject.batch(5)
    with torch.no_grad():
        together = model.validation_outputs(batch)
        for row in range(5):
            alone, beside = numbers(model.validation_outputs(rows(batch, [row]))), numbers(together[row : row + 1])
            assert alone == pytest.approx(beside, rel=1e-4, abs=1e-5, nan_ok=True)


def numbers(outputs: Any) -> list[float]:
    """Every number in what a method outputs, in order."""
    if isinstance(outputs, Prediction):
        return facts(outputs)
    if isinstance(outputs, torch.Tensor | np.ndarray):
        return [float(value) for value in outputs.reshape(-1).tolist()]
    if dataclasses.is_dataclass(outputs):
        return numbers([getattr(outputs, field.name) for field in dataclasses.fields(outputs)])
    if isinstance(outputs, dict):
        return numbers(list(outputs.values()))
    if isinstance(outputs, list | tuple):
        return [value for one in outputs for value in numbers(one)]
    return [float(outputs)] if isinstance(outputs, int | float) else []


def tiny_is_tiny(subject: Subject) -> None:
    assert sum(parameter.numel() for parameter in subject.model().parameters()) < 1_000_000


OF_EVERY_STAGE = (
    loss_is_finite,
    learns_from_what_it_says_and_nothing_else,
    every_parameter_gets_a_gradient,
    a_step_lowers_the_loss,
    tiny_is_tiny,
)
OF_FILM_STAGES = (film_mates_do_not_matter,)
OF_ANSWERERS = (
    loss_is_finite_without_prior,
    predictions_are_about_their_cases,
    batch_mates_do_not_matter,
    labels_are_not_read_to_answer,
    both_films_matter,
    answering_is_repeatable,
    difference_without_prior_is_refused,
    one_film_is_answered,
    pixels_of_an_absent_prior_do_not_matter,
    evidence_is_a_map_or_nothing,
    answering_leaves_no_gradient,
    training_begins_as_answering_does,
)
