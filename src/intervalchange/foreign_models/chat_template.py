"""A model of `transformers` that takes images and text: any of AutoModelForImageTextToText, by its chat template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, LogitsProcessor

from intervalchange.data.region_store import weight_hash
from intervalchange.errors import RunError
from intervalchange.foreign_models.kept_answers import key_of
from intervalchange.foreign_models.profiles import NONE, Profile
from intervalchange.foreign_models.prompts import Prompt
from intervalchange.foreign_models.records import MOST_TOKENS, FilmQuestion, ForeignOptions, Key, Reply

BATCH_SIZE = 4


@dataclass
class ChatTemplateModel:
    """Answers greedily, several questions together, on the GPU where there is one."""

    name: str
    """A folder or a hub name."""
    prompt: Prompt
    options: ForeignOptions
    profile: Profile = NONE
    model: Any = field(init=False, repr=False)
    processor: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.processor, self.model = _opened(self.name, self.profile)
        tokenizer = self.processor.tokenizer
        tokenizer.padding_side = "left"  # The answer follows the prompt without a gap.
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token

    @property
    def parameters(self) -> dict[str, Any]:
        """Of `generate`."""
        tokens = {"max_new_tokens": self.options.max_tokens or MOST_TOKENS, "do_sample": False}
        plain = {**tokens, "pad_token_id": self.processor.tokenizer.pad_token_id, **self.options.parameters}
        return {name: value for name, value in plain.items() if value is not None}

    @property
    def weights(self) -> str:
        """The commit of the hub, else the SHA-256 of the weights."""
        commit: str | None = getattr(self.model.config, "_commit_hash", None)
        return commit or weight_hash(self.model.state_dict())

    def replies(self, questions: Iterable[tuple[Key, FilmQuestion]]) -> Iterator[tuple[Key, Reply]]:
        """A reply to each question, under its key, batch by batch; the samples of one question are drawn together."""
        for batch in _batches(questions, self.options.batch_size or BATCH_SIZE):
            asked = [question for _, question in batch]
            answers = self._samples(asked) if asked[0].sample else self._generate(asked, self.parameters)
            yield from zip((key for key, _ in batch), answers, strict=True)

    def _samples(self, questions: Sequence[FilmQuestion]) -> list[Reply]:
        """Of one question: the same wherever they are drawn, if as many together."""
        drawn = {"do_sample": True, "num_beams": 1, "temperature": self.options.sample_temperature}
        plain = {"top_k": 0, "top_p": 1.0, **self.parameters, **drawn, "num_return_sequences": len(questions)}
        with torch.random.fork_rng(devices=[self.model.device] if self.model.device.type == "cuda" else []):
            torch.manual_seed(int(key_of(self.name, questions[0])[:15], 16))
            return self._generate(questions[:1], plain)

    @torch.inference_mode()
    def _generate(self, questions: Sequence[FilmQuestion], parameters: dict[str, Any]) -> list[Reply]:
        inputs = self.processor.apply_chat_template(
            [self._conversation(question) for question in questions],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(self.model.device, dtype=self.model.dtype)
        start = inputs["input_ids"].shape[1]
        probabilities = TokenProbabilities(start)
        try:
            tokens = self.model.generate(**inputs, **parameters, logits_processor=[probabilities])
        except torch.cuda.OutOfMemoryError as problem:
            raise RunError(
                "the GPU's memory does not hold a batch.", where=self.name, remedy="Give a smaller --batch-size."
            ) from problem
        new = tokens[:, start:]
        texts = self.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        beams = (parameters.get("num_beams") or self.model.generation_config.num_beams or 1) > 1
        means = [None] * len(texts) if beams else probabilities.means(new, self._ends(new))
        return [Reply(text.strip(), self._is_cut(row), mean) for text, row, mean in zip(texts, new, means, strict=True)]

    def _ends(self, tokens: torch.Tensor) -> torch.Tensor:
        """Where tokens end an answer: bool of the same shape."""
        ends = self.model.generation_config.eos_token_id
        known = [ends] if isinstance(ends, int) else list(ends or [self.processor.tokenizer.eos_token_id])
        return torch.isin(tokens, torch.tensor(known, device=tokens.device))

    def _is_cut(self, tokens: torch.Tensor) -> bool:
        """Whether an answer, (t,) with padding, has no end."""
        full = len(tokens) >= int(self.parameters.get("max_new_tokens", len(tokens) + 1))
        return full and not bool(self._ends(tokens).any())

    def _conversation(self, question: FilmQuestion) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": _picture(part)}
            for part in self.prompt.parts(question)
        ]
        system = [{"role": "system", "content": [{"type": "text", "text": self.prompt.system}]}]
        return [*(system if self.prompt.system else []), {"role": "user", "content": content}]


class TokenProbabilities(LogitsProcessor):
    """Keeps the log-probability of every token that `generate` chooses, before temperature, top_k and top_p.

    The scores of all steps would take gigabytes (steps x batch x vocabulary); what is wanted is one number a token.
    """

    def __init__(self, start: int) -> None:
        """start: tokens of the prompts, padding included."""
        self.start, self.chosen = start, list[torch.Tensor]()
        self.last: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Leaves the scores, (b, vocabulary), as they are."""
        if input_ids.shape[1] > self.start:
            self._choose(input_ids[:, -1])
        self.last = torch.log_softmax(scores.double(), dim=-1)
        return scores

    def _choose(self, tokens: torch.Tensor) -> None:
        if self.last is not None:
            self.chosen.append(self.last.gather(1, tokens[:, None])[:, 0])

    def means(self, tokens: torch.Tensor, ends: torch.Tensor) -> list[float | None]:
        """The mean of each answer, as far as its end and with it. tokens, ends: (b, t)."""
        self._choose(tokens[:, -1])
        kept = ends.cumsum(1) - ends.int() == 0
        values = torch.stack(self.chosen, 1).masked_fill(~kept, 0.0).sum(1) / kept.sum(1)
        return [None if mean != mean else min(0.0, mean) for mean in values.tolist()]


def _batches(questions: Iterable[tuple[Key, FilmQuestion]], size: int) -> Iterator[list[tuple[Key, FilmQuestion]]]:
    """Up to `size` together: answers to any questions, or samples of one."""
    batch: list[tuple[Key, FilmQuestion]] = []
    for key, question in questions:
        if batch and (len(batch) == size or not _together(batch[-1][1], question)):
            yield batch
            batch = []
        batch.append((key, question))
    if batch:
        yield batch


def _together(one: FilmQuestion, next_one: FilmQuestion) -> bool:
    if not (one.sample and next_one.sample):
        return one.sample == next_one.sample
    return one.prior is next_one.prior and one.current is next_one.current and one.words == next_one.words


def _picture(film: np.ndarray) -> Image.Image:
    """(s, s) uint8 -> RGB."""
    return Image.fromarray(film).convert("RGB")


def _opened(name: str, profile: Profile) -> tuple[Any, Any]:
    """(processor, model) of a folder or a hub name. Raises RunError where they cannot be loaded."""
    place = str(Path(name).expanduser())
    try:
        processor = AutoProcessor.from_pretrained(place, **profile.processor)
        model = AutoModelForImageTextToText.from_pretrained(place, dtype="auto", use_safetensors=True)
    except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as problem:
        said = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
        raise RunError(
            f"transformers cannot load this as an image-text-to-text model with safetensors: {said}",
            where=name,
            remedy=profile.remedy
            or "Give a folder or a hub name that AutoProcessor and AutoModelForImageTextToText load without code "
            "of its own, or serve it (vLLM, SGLang) and use openai:URL#MODEL.",
        ) from problem
    if getattr(processor, "tokenizer", None) is None or not getattr(processor, "chat_template", None):
        raise RunError(
            "this model has no chat template, so nobody knows how it wants to be asked.",
            where=name,
            remedy="Give a model that was tuned to follow instructions.",
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return processor, model.eval().to(device)
