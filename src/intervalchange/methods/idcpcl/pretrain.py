"""IDCPCL, first stage: films and words are aligned by three tasks, one of which is drawn for each step.

- **masked words** (MLM): 15% of the words of an answer are hidden and predicted from the films and the rest.
- **masked cells** (MVCL): 15% of the cells of one film are emptied; each one's content is recognised among others.
- **aligning** (FDA): each pair with its true answer and six hard negatives made by the grammar (the direction, a
  level, a finding is wrong); the answer whose CLS is closest to those of the films is to be the true one.

Differs: the hard negatives are the grammar's (`data/answer_words.py`); the authors ship files made by word frequencies.
    They use words of training answers only. `others` adds answers of other cases of the training set, in place of
    negatives from the batch: every candidate is read together with the films, so a batch would cost its square.
Differs: contrasts at temperature .1, learnt in aligning; 1.0 is published, which on cosines is almost flat.
Differs: cells with a cosine above `similar_cells` do not count against each other: most of a lung is that similar.
Differs: a word to hide, where none is hidden at random, is drawn; published, it is the one after BOS.
Differs: no expansion by single images and by species (Birds); for films, `tasks/classification` gives an encoder.

For the rest see `answer.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from intervalchange.blocks.gathering import gather_rows
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.tokenizer import Tokens, encode
from intervalchange.blocks.word_masking import hide_words, mask_token
from intervalchange.data.answer_words import case_uniforms, choose_hard_negatives
from intervalchange.errors import ConfigError
from intervalchange.findings import SIMULATED
from intervalchange.losses import answer_nll, contrastive
from intervalchange.methods.base.hard_negatives import HardNegatives
from intervalchange.methods.base.method import Method, MethodOutput
from intervalchange.methods.idcpcl.answer import HIDDEN_WORDS, Films, Idcpcl, IdcpclConfig

TASKS = ("words", "cells", "aligning")
HIDDEN_CELLS = 0.15
"""Probability that a cell of the chosen film is emptied."""


class IdcpclPretrainConfig(IdcpclConfig):
    """The tasks. The rows of the ablation: weights of 0."""

    model_type = "idcpcl_pretrain"
    renamed: ClassVar[Mapping[str, str]] = {"misses": "hard_negatives", "alike": "similar_cells"}

    task_weights: tuple[float, ...] = (8.0, 1.0, 2.0)
    """How often words, cells and aligning are drawn."""
    task_seed: int = 0
    """With the step it says which task is drawn, in every process the same."""
    hard_negatives: int = 6
    """Hard negatives that stand beside a true answer."""
    others: int = 2
    """Answers of other cases that stand beside it."""
    findings: tuple[str, ...] = SIMULATED
    """What may stand in a hard negative in place of another finding. Empty, as in every preset: whatever the words of
    the training answers can say."""
    temperature: float = 0.1
    """Of the contrasts."""
    learned_temperature: bool = True
    """That of aligning is learnt from there on."""
    similar_cells: float = 0.9
    """Cosine above which two cells do not count against each other; 1 for none."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if len(self.task_weights) != len(TASKS) or min(self.task_weights) < 0 or not sum(self.task_weights):
            raise ConfigError(
                f"model option 'task_weights' is {self.task_weights}.",
                remedy="Give three numbers (words, cells, aligning), none below 0 and one above.",
            )
        if self.hard_negatives < 1:
            raise ConfigError(f"model option 'hard_negatives' is {self.hard_negatives}.", remedy="It is 1 or more.")


@dataclass(frozen=True)
class PairOutputs:
    """What validation knows of one case."""

    filled: int
    """Hidden words that were found."""
    words: int
    """Words that were hidden."""
    recognised: int
    """Emptied cells that were recognised among the others of the film."""
    cells: int
    """Cells that were emptied."""
    aligned: bool
    """The case's answer was found closest."""
    has_negative: bool
    """There was another one."""


class IdcpclPretrain(HardNegatives, Idcpcl):
    """IDCPCL, first stage. See the module's docstring."""

    config_class = IdcpclPretrainConfig
    config: IdcpclPretrainConfig
    name: ClassVar[str] = "idcpcl/pretrain"
    selection: ClassVar[str] = "pretraining"
    follows: ClassVar[tuple[str, ...]] = ()
    answer = Method.answer

    def _build(self) -> None:
        width = self.config.decoder_width
        self.imagine = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.imagine_bias = nn.Parameter(torch.empty(self.encoder.width))
        self.scale = nn.Parameter(torch.empty(()), requires_grad=self.config.learned_temperature)
        self.allow_every_word()
        self._training_answers: tuple[str, ...] = ()

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`."""
        init.zeros_(self.imagine_bias)
        init.constant_(self.scale, math.log(1 / self.config.temperature))

    def check_items(self, items: Any) -> None:
        """Keep the training answers: they are candidates, and hard negatives use their words."""
        super().check_items(items)
        self._training_answers = tuple(sorted(set(items.answers)))
        self.restrict_words(self._training_answers)

    # --- one task a step -------------------------------------------------------------------------------------------

    def task(self, step: int) -> str:
        """The task of a step: a function of it and of `task_seed` alone."""
        uniform = float(case_uniforms([f"idcpcl {self.config.task_seed}"], step, "task", 1)[0, 0])
        weights = np.cumsum(self.config.task_weights) / sum(self.config.task_weights)
        return TASKS[int(np.searchsorted(weights, uniform, side="right"))]

    def steps_of_every_task(self) -> list[int]:
        """The first step of each task that is ever drawn."""
        wanted = [task for task, weight in zip(TASKS, self.config.task_weights, strict=True) if weight]
        return [next(step for step in range(100_000) if self.task(step) == task) for task in wanted]

    def forward(self, **batch: Any) -> MethodOutput:
        task = self.task(self._step)
        terms = {"words": self._words_term, "cells": self._cells_term, "aligning": self._aligning_term}
        term = terms[task](batch)
        # Parameters of the other tasks take part with weight 0: several processes need a gradient of every one.
        idle = torch.stack([parameter.sum() for parameter in self.parameters() if parameter.requires_grad]).sum()
        return MethodOutput(loss=term + 0 * idle, terms={task: term.detach()})

    def films(self, batch: Mapping[str, Any], empty: Tensor | None = None) -> Films:
        """Both films of b pairs; the cells in `empty` (2b, n) bool are zero."""
        raw = self.tokens(self.encode_films(batch))
        cells = raw if empty is None else raw.masked_fill(empty.unsqueeze(-1), 0.0)
        return Films(raw, *self.difference(cells, batch["has_prior"].to(self.device)))

    def read(self, films: Films, questions: Sequence[str], answers: Tokens) -> Tensor:
        """Everything attends to everything: (b, f + q + t, d)."""
        return self.decoder.language_model.read(films.tokens, films.mask, *self.prefix(questions), answers)  # type: ignore[no-any-return]

    def _answers(self, texts: Sequence[str]) -> Tokens:
        """CLS, words, EOS."""
        limit = 1 + self.config.answer_tokens
        return encode(self.tokenizer, texts, bos=True, eos=True, limit=limit, device=self.device)

    # --- masked words ----------------------------------------------------------------------------------------------

    def fill(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (h, v) of the hidden words, what they are (h), and of which case (h). EOS may be one, CLS never."""
        answer = self._answers(batch["answer"])
        length = answer.ids.shape[1]
        hide, how, word = (self.uniforms(batch, salt, length) for salt in ("hide", "how", "word"))
        words = answer.mask.bool() & (torch.arange(length, device=self.device) > 0)
        mask_id, size = mask_token(self.tokenizer), len(self.tokenizer)
        holed, hidden = hide_words(answer.ids, HIDDEN_WORDS * words, words, (hide, how, word), mask_id, size)
        read = self.read(self.films(batch), batch["question"], Tokens(holed, answer.mask))[:, -length:]
        return self.decoder.language_model.lm_head(read[hidden]), answer.ids[hidden], hidden.nonzero()[:, 0]

    def _words_term(self, batch: Mapping[str, Any]) -> Tensor:
        logits, ids, _ = self.fill(batch)
        return answer_nll(logits[None], ids[None], torch.ones_like(ids)[None], reduce_mean=average_over_processes)

    # --- masked cells ----------------------------------------------------------------------------------------------

    def imagined(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Predicted and original cells (b, 2n, c), which were hidden and which exist (b, 2n); the prior's first."""
        count, cells = len(batch["answer"]), self.config.grid**2
        uniforms, has_prior = self.uniforms(batch, "empty", 1 + cells), batch["has_prior"].to(self.device)
        of_prior, of_cell = (uniforms[:, 0] < 0.5) & has_prior, uniforms[:, 1:]
        drawn = of_cell <= of_cell.amin(1, keepdim=True).clamp(min=HIDDEN_CELLS)
        hidden = torch.cat([drawn & of_prior[:, None], drawn & ~of_prior[:, None]], dim=1)
        films = self.films(batch, torch.cat(hidden.chunk(2, dim=1)))
        read = self.read(films, batch["question"], self._answers(batch["answer"]))[:, : 2 + 2 * cells]
        read = torch.cat([read[:, 1 : 1 + cells], read[:, 2 + cells :]], dim=1)
        predicted = self.imagine(read) @ self.difference.enter.weight + self.imagine_bias
        original = torch.cat(films.raw.detach().chunk(2), dim=1)
        exists = torch.cat([has_prior[:, None], has_prior.new_ones(count, 1)], dim=1).repeat_interleave(cells, dim=1)
        return predicted, original, hidden, exists

    def _cells_term(self, batch: Mapping[str, Any]) -> Tensor:
        predicted, original, hidden, exists = map(gather_rows, self.imagined(batch))
        config = self.config
        return contrastive.masked_features(
            predicted, original, hidden, exists, config.temperature, config.similar_cells
        )

    # --- aligning --------------------------------------------------------------------------------------------------

    def candidates(self, batch: Mapping[str, Any]) -> tuple[list[str], Tensor]:
        """Per case k texts, its answer, hard negatives and answers of others, and which of them exist, (b, k) bool."""
        config, size = self.config, 1 + self.config.hard_negatives + self.config.others
        uniforms = case_uniforms(batch["case_id"], self._step, "near miss", size).tolist()
        texts, exists = [], []
        for answer, kind, row in zip(batch["answer"], batch["kind"], uniforms, strict=True):
            plain = " ".join(answer.split())
            wrong = choose_hard_negatives(self.hard_negatives(plain, kind), config.hard_negatives, row)
            others = self._training_answers
            drawn = [others[int(uniform * len(others))] for uniform in row[1 + config.hard_negatives :] if others]
            wrong = (*wrong, *(other for other in dict.fromkeys(drawn) if other != answer and other not in wrong))
            texts += [plain, *wrong, *[plain] * (size - 1 - len(wrong))]
            exists.append([True] * (1 + len(wrong)) + [False] * (size - 1 - len(wrong)))
        return texts, torch.tensor(exists, device=self.device)

    def align(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """Cosine of the films' CLS with that of each candidate, (b, k), and which candidates exist, (b, k) bool."""
        texts, exists = self.candidates(batch)
        times, films, answers = exists.shape[1], self.films(batch), self._answers(texts)
        tokens, mask = (tensor.repeat_interleave(times, dim=0) for tensor in (films.tokens, films.mask))
        questions = [question for question in batch["question"] for _ in range(times)]
        read = self.read(Films(films.raw, tokens, mask), questions, answers)
        starts = torch.stack([read[:, 0], read[:, tokens.shape[1] // 2]], dim=1)
        counted = torch.stack([mask[:, 0], torch.ones_like(mask[:, 0])], dim=1)
        of_films, of_answer = contrastive.masked_mean(starts, counted), read[:, -answers.ids.shape[1]]
        cosine = F.cosine_similarity(of_films.float(), of_answer.float(), dim=-1)
        return cosine.unflatten(0, (-1, times)), exists

    def _aligning_term(self, batch: Mapping[str, Any]) -> Tensor:
        # A share of the pairs, so that the step is no longer than the others; drawn by case, so that the same pairs
        # take part however they are distributed over processes.
        uniforms = self.uniforms(batch, "takes part", 1)[:, 0]
        of_all = gather_rows(uniforms)
        limit = of_all.kthvalue(max(1, len(of_all) // (1 + self.config.hard_negatives))).values
        taking_part = (uniforms <= limit).nonzero()[:, 0].tolist()
        rows = taking_part or [0]
        films, texts = ("current", "prior", "has_prior"), ("question", "answer", "kind", "case_id")
        chosen = {name: batch[name][rows] for name in films}
        if self.config.standardise and not self.norm.seen:
            with torch.no_grad():
                self.tokens(self.encode_films(batch))  # All of the first batch standardises, not a share of it.
        cosine, exists = self.align(chosen | {name: [batch[name][row] for row in rows] for name in texts})
        if not taking_part:  # Of this process none does: one case is computed, and counts for nothing.
            exists = exists & (torch.arange(exists.shape[1], device=exists.device) == 0)
        total = average_over_processes((exists.sum(-1) > 1).sum().float())
        scale = self.scale.clamp(max=math.log(100.0)).exp()
        return contrastive.first_of_candidates(scale * cosine, exists, total)

    # --- validation ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def validation_outputs(self, batch: Any) -> list[Any]:
        """Per case, how much of what was hidden was found; hidden and drawn by the case alone."""
        step, self._step = self._step, 0
        logits, ids, rows = self.fill(batch)
        words = torch.zeros(len(batch["answer"]), 2, dtype=torch.long, device=self.device)
        words.index_add_(0, rows, torch.stack([logits.argmax(-1) == ids, ids >= 0], dim=1).long())
        predicted, original, hidden, _ = self.imagined(batch)
        similarity = F.normalize(predicted.float(), dim=-1) @ F.normalize(original.float(), dim=-1).transpose(1, 2)
        chosen = similarity.masked_fill(~hidden[:, None, :], -2.0).argmax(-1)
        right = (chosen == torch.arange(chosen.shape[1], device=chosen.device)) & hidden
        cosine, exists = self.align(batch)
        aligned = cosine.masked_fill(~exists, -2.0).argmax(-1) == 0
        self._step = step
        facts = (*words.T, right.sum(1), hidden.sum(1), aligned, exists.sum(1) > 1)
        return [PairOutputs(*case) for case in zip(*(fact.tolist() for fact in facts), strict=True)]

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        contested = [case.aligned for case in outputs if case.has_negative]
        metrics = {
            "words.accuracy": _share(sum(case.filled for case in outputs), sum(case.words for case in outputs)),
            "cells.accuracy": _share(sum(case.recognised for case in outputs), sum(case.cells for case in outputs)),
            "aligning.accuracy": _share(sum(contested), len(contested)),
        }
        trained = [metric for metric, weight in zip(metrics.values(), self.config.task_weights, strict=True) if weight]
        return metrics | {"pretraining": float(np.mean(trained))}


def _share(part: int, total: int) -> float:
    return part / total if total else 0.0
