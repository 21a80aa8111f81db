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
        """Whether the stage answers questions; the others read films or pairs and give metrics."""
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


def close(given: list[Prediction], again: list[Prediction], tolerance: float = 1e-4) -> bool:
    """Same words, and confidences that agree to rounding."""
    return [prediction.answer for prediction in given] == [prediction.answer for prediction in again] and all(
        math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-6)
        for first, second in zip(given, again, strict=True)
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
        assert output.loss.ndim == 0, f"the loss is a scalar, not {tuple(output.loss.shape)}"
        assert torch.isfinite(output.loss), f"the loss of {size} items is {output.loss}"
        assert output.terms, "the parts of the loss are named in `terms`"
        for name, term in output.terms.items():
            assert term.ndim == 0, f"term {name!r} is a scalar, not {tuple(term.shape)}"
            assert torch.isfinite(term), f"term {name!r} of {size} items is {term}"
            assert not term.requires_grad, f"term {name!r} is detached: use MethodOutput.of"


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
    supervised = {field for kind in model.supervision for field in FIELDS_OF.get(kind, ())}
    hidden = {field for fields in FIELDS_OF.values() for field in fields} - supervised
    unknown = {*model.supervision} - {*FIELDS_OF, "answers", "labels"}
    assert not unknown, f"`supervision` names {sorted(unknown)}, which no item has"
    losses = []
    for shown in (batch, batch.without(*hidden)):
        torch.manual_seed(0)
        losses.append(subject.model()(**shown).loss)
    assert torch.equal(*losses), f"the loss reads some of {sorted(hidden)}, which `supervision` does not name"


def loss_is_finite_without_prior(subject: Subject) -> None:
    output = subject.model()(**toy.batch(3, kind="presence"))
    assert torch.isfinite(output.loss), f"the loss of cases without a prior is {output.loss}"
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
    assert not idle, f"these parameters learn nothing: {idle}"


def a_step_lowers_the_loss(subject: Subject) -> None:
    model, batch = subject.model(), subject.batch(8)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    first = model(**batch).loss
    first.backward()
    optimiser.step()
    second = model(**batch).loss
    assert second < first, f"a step on a batch took its loss from {first} to {second}"


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
        if step % 25 == 24 and all(p.answer == p.reference for p in model.eval().answer(batch)):
            return
    answers = [prediction.answer for prediction in model.eval().answer(batch)]
    assert answers == batch.answer, f"eight pairs are not learnt by heart in {steps} steps"


# --- answering -------------------------------------------------------------------------------------------------


def predictions_are_about_their_cases(subject: Subject) -> None:
    batch = toy.batch(3)
    predictions = subject.still().answer(batch)
    for name, field in (("case_id", "case_id"), ("patient_id", "patient_id"), ("reference", "answer")):
        values = [getattr(prediction, name) for prediction in predictions]
        assert values == batch[field], f"predictions have the {name} of their cases, in order"
    for prediction in predictions:
        assert prediction.change is not None, "the answer to a difference question has a change"
        assert all(0 <= value <= 1 for value in facts(prediction)), f"probabilities are in [0, 1]: {facts(prediction)}"


def batch_mates_do_not_matter(subject: Subject) -> None:
    model, batch = subject.still(), toy.batch(5)
    longer = "what has changed in the left lower lung area and what has changed in the right lung area?"
    batch["question"] = [longer if row == 2 else text for row, text in enumerate(batch.question)]
    together = model.answer(batch)
    for row in range(5):
        alone = model.answer(rows(batch, [row]))
        assert close(alone, together[row : row + 1]), f"case {row} has another answer alone than among batch mates"
    backwards = [4, 3, 2, 1, 0]
    assert close(model.answer(rows(batch, backwards)), together[::-1]), "answers depend on the order of the batch"


def labels_are_not_read_to_answer(subject: Subject) -> None:
    model, batch = subject.still(), toy.batch(4)
    given, blind = model.answer(batch), model.answer(batch.without(*LABELS))
    assert close(given, blind, tolerance=0), f"an answer depends on one of {LABELS}"
    changes = [[prediction.change for prediction in predictions] for predictions in (given, blind)]
    assert changes[0] == changes[1], f"a change depends on one of {LABELS}"


def both_films_matter(subject: Subject) -> None:
    """And neither does for a floor that says so."""
    model, batch = subject.still(), toy.batch(4)
    given = [facts(prediction) for prediction in model.answer(batch)]
    for side in ("current", "prior"):
        other = Batch(**{**batch, side: torch.roll(batch[side], 1, dims=0)})
        moved = [facts(prediction) for prediction in model.answer(other)] != given
        assert moved == model.reads_films, (
            f"another {side} film {'moves' if moved else 'does not move'} the confidences"
        )


def answering_is_repeatable(subject: Subject) -> None:
    model, batch = subject.still(), toy.batch(4)
    assert close(model.answer(batch), model.answer(batch), tolerance=0), "two calls give two answers"


def difference_without_prior_is_refused(subject: Subject) -> None:
    batch = toy.batch(2)
    batch["has_prior"] = torch.tensor([True, False])
    with pytest.raises(InputError, match="prior"):
        subject.still().answer(batch)


def one_film_is_answered(subject: Subject) -> None:
    batch = toy.batch(2, kind="presence")
    predictions = subject.still().answer(batch)
    assert all(prediction.answer for prediction in predictions), "a question about one film is answered"
    assert all(prediction.change is None for prediction in predictions), "only a difference question has a change"


def pixels_of_an_absent_prior_do_not_matter(subject: Subject) -> None:
    model, batch = subject.still(), toy.batch(2, kind="presence")
    given = model.answer(batch)
    batch["prior"] = torch.randn(batch.prior.shape, generator=torch.Generator().manual_seed(0))
    assert close(given, model.answer(batch)), "pixels in the place of an absent prior are read"


def evidence_is_a_map_or_nothing(subject: Subject) -> None:
    for prediction in subject.still().answer(toy.batch(3), evidence=True):
        for name, attribution in (prediction.evidence or {}).items():
            shape, low, high = attribution.shape, attribution.min(), attribution.max()
            assert attribution.ndim == 2 and shape[0] == shape[1], f"the map {name!r} is square, not {shape}"
            assert 0 <= low < high <= 1, f"the map {name!r} goes from {low} to {high}; a constant one is None"


def answering_leaves_no_gradient(subject: Subject) -> None:
    model = subject.still()
    model.answer(toy.batch(2), evidence=True)
    with_gradient = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert not with_gradient, f"answering left gradients in {with_gradient}"


def training_begins_as_answering_does(subject: Subject) -> None:
    """BOS at inference = BOS at training; asked of methods that contain a decoder."""
    model, inputs = subject.still(), {}
    decoder = getattr(model, "decoder", None)
    if decoder is None or not hasattr(decoder, "language_model"):
        return
    inner = decoder.language_model.base_model

    def watch(module: Any, args: Any, kwargs: Any) -> None:
        embeddings = kwargs.get("inputs_embeds")
        if embeddings is not None:
            inputs.setdefault(mode, embeddings.detach())

    handle = inner.register_forward_pre_hook(watch, with_kwargs=True)
    batch = toy.batch(2)
    with torch.no_grad():
        mode = "training"
        model(**batch)
        mode = "answering"
        model.answer(batch)
    handle.remove()
    training, answering = inputs["training"][:, : inputs["answering"].shape[1]], inputs["answering"]
    assert torch.allclose(training, answering, atol=1e-6), "the decoder starts from other embeddings than in training"
    bos = decoder.embed(torch.tensor([model.tokenizer.bos_token_id]))
    assert torch.allclose(answering[:, -1], bos.expand(2, -1), atol=1e-6), "an answer does not begin after BOS"


# --- weights ---------------------------------------------------------------------------------------------------


def saved_and_loaded_is_the_same(subject: Subject, folder: Path) -> None:
    model, batch = subject.still(), subject.batch(3)
    model.save_pretrained(folder)
    pickles = [path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]
    assert not pickles, f"weights are safetensors; these may be pickles: {pickles}"
    again = method_class(subject.stage).from_pretrained(folder).eval()
    outputs = [numbers(loaded.validation_outputs(batch)) for loaded in (model, again)]
    assert outputs[0] == outputs[1], "the loaded model gives other outputs than the saved one"
    lost = {*again.config.options()} - again.config.to_dict().keys()
    assert not lost, f"config.json lacks the options {sorted(lost)}"
    for (name, tensor), (_, other) in zip(model.state_dict().items(), again.state_dict().items(), strict=True):
        assert torch.equal(tensor, other), f"{name} is not loaded as it was saved"


def film_mates_do_not_matter(subject: Subject) -> None:
    """The outputs of a film do not depend on the films beside it."""
    model, batch = subject.still(), subject.batch(5)
    with torch.no_grad():
        together = model.validation_outputs(batch)
        for row in range(5):
            alone, beside = numbers(model.validation_outputs(rows(batch, [row]))), numbers(together[row : row + 1])
            same = alone == pytest.approx(beside, rel=1e-4, abs=1e-5, nan_ok=True)
            assert same, f"film {row} has other outputs alone than among batch mates: {alone}, {beside}"


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
    count = sum(parameter.numel() for parameter in subject.model().parameters())
    assert count < 1_000_000, f"the tiny preset has {count:,} parameters"


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
