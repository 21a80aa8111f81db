"""The floor: films are never read, and the answers are as frequent as they were."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import toy
from transformers import GPT2Config, GPT2LMHeadModel

from intervalchange.blocks.tokenizer import encode, template_tokenizer
from intervalchange.errors import ConfigError, InputError
from intervalchange.losses import sequence_log_probability
from intervalchange.methods.question_only.answer import QuestionOnly, QuestionOnlyConfig

TINY = {"pixels": 64, "decoder_width": 32, "decoder_layers": 1, "decoder_heads": 2, "dropout": 0.0}
OTHER = "what has changed in the right lung area?"


def tiny(**changes: object) -> QuestionOnly:
    torch.manual_seed(0)
    return QuestionOnly(QuestionOnlyConfig(**{**TINY, **changes}))


def test_it_needs_no_films_at_all() -> None:
    model, batch = tiny().eval(), toy.batch(3)
    with torch.no_grad():
        given = model(**batch).loss
        blind = model(**batch.without("current", "prior")).loss
    assert torch.equal(given, blind)
    answers = model.answer(batch, evidence=True)
    assert [one.answer for one in answers] == [one.answer for one in model.answer(batch.without("current", "prior"))]
    assert all(one.evidence is None for one in answers)


def test_it_learns_how_frequent_the_answers_of_each_question_are() -> None:
    """Six of eight answers to one question, two; another question has another answer. The loss ends at the entropy."""
    usual, rare, third = "nothing has changed.", "yes", "no"
    batch = toy.batch(12)
    batch["question"] = [batch.question[0]] * 8 + [OTHER] * 4
    batch["answer"] = [usual] * 6 + [rare] * 2 + [third] * 4
    model = tiny()
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.005, weight_decay=0.0)
    for _ in range(120):
        optimiser.zero_grad()
        model(**batch).loss.backward()
        optimiser.step()
    answers = model.eval().answer(batch)
    assert [one.answer for one in answers] == [usual] * 8 + [third] * 4
    chances = [one.confidence["answer"] for one in answers if one.confidence]
    assert chances[0] == pytest.approx(6 / 8, abs=0.03)
    assert chances[-1] == pytest.approx(1.0, abs=0.03)
    with torch.no_grad():
        target = encode(model.tokenizer, batch["answer"], eos=True)
        logits = model.decoder(*model.prefix(batch.question), target)
        nats = -sequence_log_probability(logits, target.ids, target.mask).mean().item()
    entropy = -(6 * math.log(6 / 8) + 2 * math.log(2 / 8)) / 12
    assert entropy - 1e-6 < nats < entropy + 0.03


def test_a_difference_question_still_needs_a_prior() -> None:
    batch = toy.batch(2)
    batch["has_prior"] = torch.tensor([True, False])
    with pytest.raises(InputError, match="case-1"):
        tiny().answer(batch)


def test_published_weights_are_loaded_by_name(tmp_path: Path) -> None:
    words = len(template_tokenizer())
    torch.manual_seed(1)
    published = GPT2LMHeadModel(GPT2Config(vocab_size=words, n_positions=150, n_embd=32, n_layer=1, n_head=2))
    published.save_pretrained(tmp_path)
    model = tiny(decoder_weights=str(tmp_path), decoder_positions=150)
    model.load_pretrained()
    ours = model.decoder.language_model.state_dict()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in published.state_dict().items())


@pytest.mark.parametrize(
    ("change", "says"), [({"decoder_heads": 3}, "decoder_width"), ({"backbone": "conv"}, "backbone")]
)
def test_a_configuration_that_does_not_fit_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        QuestionOnlyConfig(**{**TINY, **change})
