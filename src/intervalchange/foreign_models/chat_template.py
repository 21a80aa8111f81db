"""A model of `transformers` that takes images and text: any of AutoModelForImageTextToText, by its chat template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from intervalchange.data.region_store import weight_hash
from intervalchange.errors import RunError
from intervalchange.foreign_models.prompts import Prompt
from intervalchange.foreign_models.records import FilmQuestion, ForeignOptions, Key, Reply

BATCH_SIZE = 4


@dataclass
class ChatTemplateModel:
    """Answers greedily, several questions together, on the GPU where there is one."""

    name: str
    """A folder or a hub name."""
    prompt: Prompt
    options: ForeignOptions
    model: Any = field(init=False, repr=False)
    processor: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.processor, self.model = _opened(self.name)
        tokenizer = self.processor.tokenizer
        tokenizer.padding_side = "left"  # The answer follows the prompt without a gap.
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token

    @property
    def parameters(self) -> dict[str, Any]:
        """Of `generate`."""
        tokens = {"max_new_tokens": self.options.max_tokens, "do_sample": False}
        plain = {**tokens, "pad_token_id": self.processor.tokenizer.pad_token_id, **self.options.parameters}
        return {name: value for name, value in plain.items() if value is not None}

    @property
    def weights(self) -> str:
        """The commit of the hub, else the SHA-256 of the weights."""
        commit: str | None = getattr(self.model.config, "_commit_hash", None)
        return commit or weight_hash(self.model.state_dict())

    def replies(self, questions: Iterable[tuple[Key, FilmQuestion]]) -> Iterator[tuple[Key, Reply]]:
        """A reply to each question, under its key, batch by batch."""
        source = iter(questions)
        while batch := list(islice(source, self.options.batch_size or BATCH_SIZE)):
            answers = self._answer([question for _, question in batch])
            yield from zip((key for key, _ in batch), answers, strict=True)

    @torch.inference_mode()
    def _answer(self, questions: Sequence[FilmQuestion]) -> list[Reply]:
        inputs = self.processor.apply_chat_template(
            [self._conversation(question) for question in questions],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(self.model.device, dtype=self.model.dtype)
        try:
            tokens = self.model.generate(**inputs, **self.parameters)
        except torch.cuda.OutOfMemoryError as problem:
            raise RunError(
                "the GPU's memory does not hold a batch.", where=self.name, remedy="Give a smaller --batch-size."
            ) from problem
        new = tokens[:, inputs["input_ids"].shape[1] :]
        texts = self.processor.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [Reply(text.strip(), self._is_cut(row)) for text, row in zip(texts, new, strict=True)]

    def _is_cut(self, tokens: torch.Tensor) -> bool:
        """Whether an answer, (t,) with padding, has no end."""
        ends = self.model.generation_config.eos_token_id
        known = [ends] if isinstance(ends, int) else list(ends or [self.processor.tokenizer.eos_token_id])
        full = len(tokens) >= int(self.parameters.get("max_new_tokens", len(tokens) + 1))
        return full and not bool(torch.isin(tokens, torch.tensor(known, device=tokens.device)).any())

    def _conversation(self, question: FilmQuestion) -> list[dict[str, Any]]:
        prior, current, words = question
        films = [film for film in (prior, current) if film is not None]
        content: list[dict[str, Any]] = [{"type": "image", "image": _picture(film)} for film in films]
        content.append({"type": "text", "text": self.prompt.text(words, len(films))})
        return [{"role": "user", "content": content}]


def _picture(film: np.ndarray) -> Image.Image:
    """(s, s) uint8 -> RGB."""
    return Image.fromarray(film).convert("RGB")


def _opened(name: str) -> tuple[Any, Any]:
    """(processor, model) of a folder or a hub name. Raises RunError where they cannot be loaded."""
    place = str(Path(name).expanduser())
    try:
        processor = AutoProcessor.from_pretrained(place)
        model = AutoModelForImageTextToText.from_pretrained(place, dtype="auto", use_safetensors=True)
    except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as problem:
        said = next(iter(str(problem).strip().splitlines()), type(problem).__name__)
        raise RunError(
            f"transformers cannot load this as an image-text-to-text model with safetensors: {said}",
            where=name,
            remedy="Give a folder or a hub name that AutoProcessor and AutoModelForImageTextToText load without code "
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
