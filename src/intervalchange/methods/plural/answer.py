"""PLURAL: "Pretraining Vision-Language Model for Difference Visual Question Answering in Longitudinal Chest X-rays"
(Cho et al., MIDL 2024).

Written from the paper and from facts about its code, which is OFA's (Apache-2.0) with a second image branch; nothing
of it is copied. Orientation: the paper's past image is our `prior`, its current (main) image our `current`.

One encoder of images reads both films. Their cells, prior first, and the question are one sequence for the encoder of
a transformer; its decoder writes the answer (`two_stream.py`). Three stages: the weights of OFA-base
(`ofa_weights`, where the user has them), reports of pairs (`plural/findings` and `plural/impression`, see
`reports.py`), answers. One loss everywhere, the cross-entropy of words with label smoothing.

Differs: positions are added to the tokens, as the paper has it; its code has OFA's, a bias made of positions in every
    layer and a learned one by distance. Weights of OFA come without them (`ofa.py`).
Differs: prior, current and text have a learned vector each. In the code the current film shares that of text.
Differs: a prior that is absent is masked, case by case; published, the first of a batch decides for all.
Differs: no stochastic depth; smoothing gives every word its part, the target too.
Differs: answers keep their punctuation, questions are the same in training and use (`strip_punctuation` is published).
Differs: the table of words is trained unless `frozen_words`, which is published and needs OFA's.
Differs: a vocabulary of words, in which nothing is smoothed away to image codes; OFA's with `vocab_size` 59457.
Differs: paired augmentation, not in `paper` (there, none); aspect is kept and padded, not stretched; films have one
    channel, put on all three of a published encoder; channels of the map are standardised by the first batch
    (`standardise`, not `paper`).
Differs: the weights are those of the best change F1 on validation, not of the best loss; a batch is 16 (the script:
    16 x 4 x 3); greedy or beams as configured, all of a batch at once. Cosine decay, not linear, in the smaller sizes.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.tokenizer import Tokens
from intervalchange.errors import ConfigError
from intervalchange.losses import answer_nll
from intervalchange.methods.base.answerer import Context, Decoder
from intervalchange.methods.base.method import MethodOutput
from intervalchange.methods.base.paired_films import PairedFilms, PairedFilmsConfig
from intervalchange.methods.plural.ofa import ofa_tensors
from intervalchange.methods.plural.two_stream import TwoStreamDecoder, TwoStreamSizes

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class PluralConfig(PairedFilmsConfig):
    """Configuration of PLURAL. `decoder_*` is the size of both encoder and decoder."""

    model_type = "plural"

    vocabulary: str = "reports"
    """`reports`: the words of the templates and of simulated reports. Of a tokenizer: its hub name or folder."""
    grid: int = 8
    sub_norms: bool = True
    """What NormFormer adds, and OFA has: a norm after each attention and inside each feed-forward, scales of heads."""
    smoothing: float = 0.1
    """Label smoothing of the loss."""
    strip_punctuation: bool = False
    """Read and learn texts without punctuation. No grammar reads such answers as well."""
    vocab_size: int = 0
    """Rows of the table of words; 0 for the tokenizer's size."""
    frozen_words: bool = False
    """The table of words is never trained."""
    ofa_weights: str = ""
    """A checkpoint of OFA of this size (`ofa_base.pt`), loaded once when training starts."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if not 0 <= self.smoothing < 1:
            raise ConfigError(f"model option 'smoothing' is {self.smoothing}.", remedy="It is at least 0 and below 1.")


class Plural(PairedFilms):
    """PLURAL. See the module's docstring."""

    config_class = PluralConfig
    config: PluralConfig
    name: ClassVar[str] = "plural/answer"
    follows: ClassVar[tuple[str, ...]] = ("plural/impression",)

    decoder: TwoStreamDecoder

    def __init__(self, config: PluralConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        self.enter = nn.Linear(self.encoder.width, config.decoder_width)
        self.post_init()

    def _build_decoder(self) -> Decoder:
        config = self.config
        return TwoStreamDecoder(
            self.tokenizer,
            TwoStreamSizes(
                width=config.decoder_width,
                layers=config.decoder_layers,
                heads=config.decoder_heads,
                feedforward=config.decoder_feedforward,
                cells=config.grid**2,
                question_tokens=config.question_tokens,
                answer_tokens=config.answer_tokens,
                dropout=config.dropout,
                vocab_size=config.vocab_size,
                sub_norms=config.sub_norms,
            ),
        )

    def post_init(self) -> None:
        super().post_init()
        if self.config.frozen_words:
            embeddings = self.decoder.language_model.get_input_embeddings()  # type: ignore[no-untyped-call]  # transformers
            embeddings.requires_grad_(False)

    def load_pretrained(self) -> None:
        super().load_pretrained()
        if self.config.ofa_weights:
            with torch.no_grad():
                self.load_state_dict(ofa_tensors(self, self.config.ofa_weights), strict=False)

    def memory(self, maps: Tensor, has_prior: Tensor) -> dict[str, Tensor]:
        """The cells of prior and current, (b, 2n, d), and which of them are read, (b, 2n)."""
        cells = self.enter(self.tokens(maps))
        has_film = torch.stack([has_prior, torch.ones_like(has_prior)], dim=1)
        return {
            "films": torch.cat(cells.chunk(2), dim=1),
            "films_mask": has_film.long().repeat_interleave(cells.shape[1], dim=1),
        }

    def prefix(self, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        return super().prefix(self._plain(questions))

    def encode_answers(self, texts: Sequence[str]) -> Tokens:
        return super().encode_answers(self._plain(texts))

    def _plain(self, texts: Sequence[str]) -> list[str]:
        if not self.config.strip_punctuation:
            return list(texts)
        return [text.translate(_NO_PUNCTUATION) for text in texts]

    def forward(self, **batch: Any) -> MethodOutput:
        return self.learn(self.context(self.encode_films(batch), batch), self.encode_answers(batch["answer"]))

    def learn(self, context: Context, texts: Tokens) -> MethodOutput:
        """The loss of the texts, and as `generation` what it is without smoothing."""
        logits = self.decoder(context.prefix, context.mask, texts, **context.memory)
        smoothing = self.config.smoothing if self.training else 0.0
        loss = answer_nll(logits, texts.ids, texts.mask, average_over_processes, smoothing)
        plain = answer_nll(logits.detach(), texts.ids, texts.mask, average_over_processes)
        return MethodOutput(loss=loss, terms={"generation": plain})
