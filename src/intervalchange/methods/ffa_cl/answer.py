"""FFA-CL's findings become a change: set_difference with FFA-CL's splitter and shared classifier in place of its own
pooling of the maps, for every finding that is a label of the tree. No published counterpart.

Parts have the names they have in ffa_cl/classify (`encoder`, `splitter`, `classifier`), so that `--from` a run of it
brings them. Prompts are not used. Attribution maps are still those of set_difference, from which such a finding's
presence is not computed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor

from intervalchange.findings import FINDINGS
from intervalchange.methods.ffa_cl.backbone import pooled
from intervalchange.methods.ffa_cl.classify import FfaClConfig
from intervalchange.methods.ffa_cl.label_tree import read_tree
from intervalchange.methods.ffa_cl.parts import FindingSplitter, SharedClassifier, mixer
from intervalchange.methods.set_difference.answer import SetDifference, SetDifferenceConfig
from intervalchange.methods.set_difference.network import FilmEncoding


class FfaClAnswerConfig(SetDifferenceConfig):
    """The options of set_difference, and of FFA-CL's head as in `FfaClConfig`: as in the run it starts from."""

    model_type = "ffa_cl"

    labels: tuple[str, ...] = FfaClConfig.labels
    """Those that are among the findings get their presence from FFA-CL's classifier."""
    tree: str = "published"
    pool: int = 1
    embedding_width: int = 64
    """`width` of `FfaClConfig`; `width` is that of the pyramid."""
    layers: int = 1
    heads: int = 4
    feedforward: int = 128
    dropout: float = 0.0
    split_twice: bool = False
    standardise: bool = True


class FfaClAnswer(SetDifference):
    """See the module's docstring."""

    config_class = FfaClAnswerConfig
    config: FfaClAnswerConfig
    name: ClassVar[str] = "ffa_cl/answer"
    follows: ClassVar[tuple[str, ...]] = ("ffa_cl/classify",)

    def __init__(self, config: FfaClAnswerConfig, tokenizer: Any = None) -> None:
        super().__init__(config, tokenizer)
        tree = read_tree(config.tree)
        rows = zip(config.labels, tree.sources(config.labels), strict=True)
        classified = [(FINDINGS.index(name), row) for name, row in rows if name in FINDINGS]
        self._findings = [finding for finding, _ in classified]
        self._labels = [int(row.argmax()) for _, row in classified]
        shape = (config.embedding_width, config.layers, config.heads, config.feedforward, config.dropout)
        self.splitter = FindingSplitter(
            config.width * (config.pool**2 + 1),
            len(tree.labels),
            config.embedding_width,
            mixer(*shape),
            config.split_twice,
            config.standardise,
        )
        self.classifier = SharedClassifier(config.embedding_width, 1)
        self.post_init()

    def encode_films(self, films: Tensor) -> FilmEncoding:
        """As set_difference, with the presence of a finding by FFA-CL where it has a label for it."""
        encoding = super().encode_films(films)
        logits = self.classifier(self.splitter(pooled(encoding.features, self.config.pool)))[..., 0]
        findings = encoding.findings.clone()
        findings[:, self._findings] = logits[:, self._labels].to(findings.dtype)
        return replace(encoding, findings=findings)
