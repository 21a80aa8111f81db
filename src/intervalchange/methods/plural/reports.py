"""PLURAL, before the answers: the report of a film is written from it and from the film before it.

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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from intervalchange.blocks.tokenizer import Tokens, decode
from intervalchange.data.readers.mimic_sections import sections
from intervalchange.errors import ConfigError
from intervalchange.losses import sequence_log_probability
from intervalchange.methods.base.answerer import Context
from intervalchange.methods.base.method import Method, MethodOutput
from intervalchange.methods.plural.answer import Plural, PluralConfig

PROMPTS = {"findings": "what does the image describe?", "impression": "what is the summary of the image?"}
"""Section -> its prompt, as published."""
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
    answer = Method.answer  # It writes reports, and answers no question.

    def check_items(self, items: Any) -> None:
        """Refuse data without the sections that are to be learnt."""
        super().check_items(items)
        reports = [report for part in items.parts for report in part.prepared.studies["report"]]
        for target in self.config.targets:
            if target != DIFFERENCE and not any(section(report, target) for report in reports):
                raise ConfigError(
                    f"no report has a section of {target}.",
                    where=items.parts[0].prepared.folder,
                    remedy="Prepare data with reports; see doctor.txt.",
                )

    def memory(self, maps: Tensor, has_prior: Tensor) -> dict[str, Tensor]:
        """As Plural. While training, of each film of a pair `sample_patches` cells are read."""
        memory, cells = super().memory(maps, has_prior), self.config.sample_patches
        if self.training and cells:
            mask = memory["films_mask"]
            uniforms = torch.rand(len(mask), 2, mask.shape[1] // 2, device=mask.device)
            drawn = (uniforms.argsort(dim=2).argsort(dim=2) < cells).flatten(1)
            memory["films_mask"] = mask * (drawn | ~has_prior[:, None])
        return memory

    def targets(self, batch: Mapping[str, Any]) -> tuple[list[str], Tokens]:
        """Prompts and texts of b cases: of the first target, then of the next. A text that is not known is masked."""
        prompts: list[str] = []
        texts: list[str] = []
        for target in self.config.targets:
            own = target == DIFFERENCE
            prompts += batch["question"] if own else [PROMPTS[target]] * len(batch["case_id"])
            texts += batch["answer"] if own else [section(report, target) for report in batch["report_current"]]
        tokens = self.encode_answers(texts)
        known = torch.tensor([bool(text) for text in texts], device=self.device)
        return prompts, Tokens(tokens.ids, tokens.mask * known[:, None])

    def prompted(self, batch: Mapping[str, Any], prompts: Sequence[str]) -> Context:
        """The films of b cases before n * b prompts: the memory is repeated n times."""
        memory = self.memory(self.encode_films(batch), batch["has_prior"].to(self.device))
        times = len(prompts) // len(batch["has_prior"])
        repeated = {name: tensor.repeat(times, *[1] * (tensor.ndim - 1)) for name, tensor in memory.items()}
        return Context(*self.prefix(prompts), repeated)

    def forward(self, **batch: Any) -> MethodOutput:
        prompts, texts = self.targets(batch)
        return self.learn(self.prompted(batch, prompts), texts)

    @torch.no_grad()
    def validation_outputs(self, batch: Any) -> list[TextOutputs]:
        prompts, texts = self.targets(batch)
        context = self.prompted(batch, prompts)
        logits = self.decoder(context.prefix, context.mask, texts, **context.memory)
        likelihood = sequence_log_probability(logits, texts.ids, texts.mask)
        by_target = (len(self.config.targets), -1)
        sums = (column.view(by_target).sum(dim=0).tolist() for column in (likelihood, texts.mask.sum(1)))
        return [TextOutputs(float(log_likelihood), int(words)) for log_likelihood, words in zip(*sums, strict=True)]

    def validation_scores(self, outputs: Sequence[TextOutputs]) -> dict[str, float]:
        """Mean log-likelihood of a word, and the perplexity. Where there is no word: minus infinity."""
        words = sum(case.words for case in outputs)
        mean = sum(case.log_likelihood for case in outputs) / words if words else -float("inf")
        return {self.selection: mean, "perplexity": float(np.exp(-mean))}

    @torch.no_grad()
    def write(self, batch: Any, target: str = "findings") -> list[str]:
        """The section of the report of each case, written from its films."""
        context = self.prompted(batch, [PROMPTS[target]] * len(batch["has_prior"]))
        return decode(self.tokenizer, self.generate(context).ids)


@lru_cache(maxsize=100_000)
def section(report: str, name: str) -> str:
    """The section of a report, in one line; of a report without headings all of it is findings. Empty where none."""
    texts = dict(sections(report))
    if not {"findings", "impression"} & texts.keys():
        texts = {"findings": report}
    return " ".join(texts.get(name, "").split())
