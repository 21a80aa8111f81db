"""The decoder that reads films: causal, cached, masked, and it stops where an answer stops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from intervalchange.blocks.cross_decoder import CrossDecoder
from intervalchange.blocks.tokenizer import Tokens, encode, template_tokenizer

QUESTIONS = ["what has changed compared to the reference image?", "is there edema?"]
WIDTH = 32


@pytest.fixture(scope="module")
def decoder() -> CrossDecoder:
    torch.manual_seed(0)
    made = CrossDecoder(
        template_tokenizer(), width=WIDTH, layers=2, heads=4, feedforward=64, positions=100, dropout=0.0
    )
    return made.eval()


@pytest.fixture
def films() -> dict[str, Tensor]:
    tokens = torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(0))
    return {"encoder_hidden_states": tokens, "encoder_attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])}


def asked(decoder: CrossDecoder, questions: list[str]) -> tuple[Tensor, Tensor]:
    text = encode(template_tokenizer(), questions, side="left")
    return decoder.embed(text.ids), text.mask


def answers(texts: list[str]) -> Tokens:
    return encode(template_tokenizer(), texts, eos=True)


@torch.no_grad()
def test_logits_follow_the_films_and_not_the_words_to_come(decoder: CrossDecoder, films: dict[str, Tensor]) -> None:
    prefix, mask = asked(decoder, QUESTIONS)
    target = answers(["nothing has changed.", "yes no"])
    given = decoder(prefix, mask, target, **films)
    later = Tokens(target.ids.clone(), target.mask)
    later.ids[:, 2] = 7
    other = decoder(prefix, mask, later, **films)
    assert torch.allclose(given[:, :3], other[:, :3], atol=1e-6), "logit t predicts word t from the words before it"
    assert not torch.allclose(given[0, 3], other[0, 3], atol=1e-4)
    moved = {**films, "encoder_hidden_states": films["encoder_hidden_states"].roll(1, 0)}
    assert ((decoder(prefix, mask, target, **moved) - given).abs().amax((1, 2)) > 1e-3).all()


@torch.no_grad()
def test_masked_film_tokens_are_not_read(decoder: CrossDecoder, films: dict[str, Tensor]) -> None:
    prefix, mask = asked(decoder, QUESTIONS)
    target = answers(["yes", "no"])
    given = decoder(prefix, mask, target, **films)
    changed = films["encoder_hidden_states"].clone()
    changed[1, 3:] = 9.0
    assert torch.allclose(
        decoder(prefix, mask, target, **{**films, "encoder_hidden_states": changed}), given, atol=1e-6
    )


@torch.no_grad()
@pytest.mark.parametrize("beams", [1, 3])
def test_an_answer_does_not_depend_on_its_batch_mates(
    decoder: CrossDecoder, films: dict[str, Tensor], beams: int
) -> None:
    together = decoder.generate(*asked(decoder, QUESTIONS), limit=7, beams=beams, **films)
    alone = decoder.generate(
        *asked(decoder, QUESTIONS[1:]),
        limit=7,
        beams=beams,
        encoder_hidden_states=films["encoder_hidden_states"][1:, :3],
    )
    assert torch.equal(together.ids[1:], alone.ids)


@torch.no_grad()
def test_generation_reads_one_new_word_a_step_and_says_what_the_whole_sequence_would(
    decoder: CrossDecoder, films: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, lengths = decoder.language_model.base_model, []
    inner = base.forward

    def watch(*arguments: Any, **named: Any) -> Any:
        shown = named["inputs_embeds"] if named.get("inputs_embeds") is not None else arguments[0]
        lengths.append(shown.shape[1])
        return inner(*arguments, **named)

    monkeypatch.setattr(base, "forward", watch)
    prefix, mask = asked(decoder, QUESTIONS)
    said = decoder.generate(prefix, mask, limit=7, **films)
    monkeypatch.undo()
    assert lengths == [prefix.shape[1] + 1] + [1] * (said.ids.shape[1] - 1)
    logits = decoder(prefix, mask, said, **films)
    for row, column in said.mask.nonzero().tolist():
        assert logits[row, column].argmax() == said.ids[row, column]


@torch.no_grad()
def test_generation_stops_at_eos(films: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    made = CrossDecoder(
        template_tokenizer(), width=WIDTH, layers=1, heads=2, feedforward=64, positions=100, dropout=0.0
    ).eval()
    made.language_model.lm_head.bias[made.eos] = 50.0
    said = made.generate(*asked(made, QUESTIONS), limit=60, **films)
    assert said.ids.tolist() == [[made.eos], [made.eos]]
    assert said.mask.tolist() == [[1], [1]]
