"""PLURAL, before the answers: what a report says of a film is written from it and from the film before it.

`plural/findings` learns the section of findings, `plural/impression` that of the impression; both read pairs, and
prompts in place of questions. `targets` learns several in one run: with findings, impression and difference it is the
paper's one stage of pre-training.

Differs: two stages that follow each other by `--from`; the paper mixes three targets (`targets` does).
Differs: every case is a pair or a single film and weighs as much as its words; the paper adds the mean of a half batch
    of pairs to that of a half batch of single films. Single films come in with other `kinds`.
Differs: sections as the MIMIC code finds them (`data/readers/mimic_sections.py`), R2Gen's cleaning is not done.
Differs: `sample_patches` masks cells in place of leaving them out (same result, no time saved); off by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.tokenizer import Tokens, decode
from intervalchange.data.readers.mimic_sections import sections
from intervalchange.errors import ConfigError
from intervalchange.losses import sequence_log_probability
from intervalchange.methods.base.method import Method, MethodOutput
from intervalchange.methods.plural.answer import Plural, PluralConfig

PROMPTS = {"findings": "what does the image describe?", "impression": "what is the summary of the image?"}
"""Section -> what is asked for it, as published."""
DIFFERENCE = "difference"
"""The target that is a case's own answer after its own question."""


class PluralReportsConfig(PluralConfig):
    """Configuration of the stages on reports; each names its `targets`."""

    targets: tuple[str, ...] = ("findings",)
    """What is learnt of each case: findings, impression, difference."""
    sample_patches: int = 0
    """Cells of each film of a pair that are read while training, drawn anew each time; 0 for all. Published: 196."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        known = (*PROMPTS, DIFFERENCE)
        if not self.targets or not set(self.targets) <= set(known):
            raise ConfigError(
                f"model option 'targets' is {self.targets}.", remedy=f"Name one or more of {', '.join(known)}."
            )
        if not 0 <= self.sample_patches <= self.grid**2:
            raise ConfigError(
                f"model option 'sample_patches' is {self.sample_patches}.", remedy=f"A film has {self.grid**2} cells."
            )


@dataclass(frozen=True)
class TextOutputs:
    """What validation knows of one case."""

    log_likelihood: float
    """Of its texts."""
    words: int
    """Words in them, EOS included."""


class PluralReports(Plural):
    """PLURAL on reports. See the module's docstring."""

    config_class = PluralReportsConfig
    config: PluralReportsConfig
    supervision: ClassVar[tuple[str, ...]] = ("reports",)
    selection: ClassVar[str] = "word_log_likelihood"
    answer = Method.answer

    def __init__(self, config: PluralReportsConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)

    def check_items(self, items: Any) -> None:
        """Refuse data without the sections that are to be learnt."""
        super().check_items(items)
        reports = items.prepared.studies["report"].tolist()
        for target in self.config.targets:
            if target != DIFFERENCE and not any(section(report, target) for report in reports):
                raise ConfigError(
                    f"no report has a section of {target}.",
                    where=items.prepared.folder,
                    remedy="Prepare data with reports; see doctor.txt.",
                )

    def memory(self, maps: Tensor, has_prior: Tensor) -> dict[str, Tensor]:
        """As Plural. While training, of each film of a pair `sample_patches` cells are read."""
        read, kept = super().memory(maps, has_prior), self.config.sample_patches
        if self.training and kept:
            mask = read["films_mask"]
            lots = torch.rand(len(mask), 2, mask.shape[1] // 2, device=mask.device)
            drawn = (lots.argsort(dim=2).argsort(dim=2) < kept).flatten(1)
            read["films_mask"] = mask * (drawn | ~has_prior.to(mask.device)[:, None])
        return read

    def told(self, batch: Any) -> tuple[list[str], Tokens]:
        """Prompts and texts of b cases, all cases of a target, then those of the next. What is not known is masked."""
        asked: list[str] = []
        texts: list[str] = []
        for target in self.config.targets:
            own = target == DIFFERENCE
            asked += batch["question"] if own else [PROMPTS[target]] * len(batch["case_id"])
            texts += batch["answer"] if own else [section(report, target) or "" for report in batch["report_current"]]
        said = self.said(texts)
        known = torch.tensor([bool(text) for text in texts], device=said.mask.device)
        return asked, Tokens(said.ids, said.mask * known[:, None])

    def _for_each_target(self, read: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: tensor.repeat(len(self.config.targets), 1, *[1] * (tensor.ndim - 2)) for name, tensor in read.items()
        }

    def forward(self, **batch: Any) -> MethodOutput:
        read = self.memory(self.see(batch), batch["has_prior"])
        return self.learn(self._for_each_target(read), *self.told(batch))

    @torch.no_grad()
    def validation_outputs(self, batch: Any) -> list[TextOutputs]:
        asked, texts = self.told(batch)
        read = self._for_each_target(self.memory(self.see(batch), batch["has_prior"]))
        logits = self.decoder(*self.prefix(asked), texts, **read)
        likelihood = sequence_log_probability(logits, texts.ids, texts.mask)
        count = len(self.config.targets)
        sums = zip(*(one.view(count, -1).sum(dim=0).tolist() for one in (likelihood, texts.mask.sum(1))), strict=True)
        return [TextOutputs(float(said), int(words)) for said, words in sums]

    def validation_scores(self, outputs: Sequence[TextOutputs]) -> dict[str, float]:
        """Mean log-likelihood of a word, and the perplexity. Where there is no word: minus infinity."""
        words = sum(one.words for one in outputs)
        mean = sum(one.log_likelihood for one in outputs) / words if words else -float("inf")
        return {self.selection: mean, "perplexity": float(np.exp(-mean))}

    @torch.no_grad()
    def write(self, batch: Any, target: str = "findings") -> list[str]:
        """What the report of each case would say, written from its films."""
        read = self.memory(self.see(batch), batch["has_prior"])
        prefix, mask = self.prefix([PROMPTS[target]] * len(batch["has_prior"]))
        limit, beams = self.config.answer_tokens, self.config.beams
        return decode(self.tokenizer, self.decoder.generate(prefix, mask, limit=limit, beams=beams, **read).ids)


@lru_cache(maxsize=100_000)
def section(report: str, name: str) -> str:
    """The section of a report, in one line; of a report without headings all of it is findings. Empty where none."""
    found = dict(sections(report))
    if not {"findings", "impression"} & found.keys():
        found = {"findings": report}
    return " ".join(found.get(name, "").split())
