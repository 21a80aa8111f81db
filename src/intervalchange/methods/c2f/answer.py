"""C2F: coarse-to-fine contrastive learning for difference VQA, as its figure and paper mean it to work.

The published code (big-white-rabbit/Coarse-to-Fine-Grained-Contrastive-Learning, no licence) does not run, and its
decoder never sees an image; nothing of it is copied. `docs/methods/c2f.md` has the whole story.

Orientation: C2F's main image is our `current`, its reference ("aft" in its code) our `prior`; D = current - prior.

A film becomes tokens: a vector of each region (F_a), a vector of what its crop shows (F_d), and the nodes of its
organ-finding graph after a graph convolution (F_g). A co-attention (MCCFormer, one set of weights) reads
(current, D) and (prior, D); all its tokens together are F_diff. The question reads F_diff (Q), and Q is what the two
contrasts, the matching of answers, masked words and the answer read. Two stages: `c2f/align`, without an answer, and
`c2f/answer`.

Differs: D = current - prior, as the figure has it; the code has the opposite sign.
Differs: the graph is normalised and has self loops, its edges weigh by the certainty of detections, and there is no
    log-softmax over its output; node names are encoded once.
Differs: region vectors are standardised by the first batch, so that what films share does not drown what differs.
Differs: both contrasts are symmetric and take equal key words for equal (`losses/contrastive.py`); the code has half of
    the matches. Key words go through the grammar, in a fixed order. Softmax over the batch, scales learnt, cosines in
    the attention of the fine one, which averages over words (`contrast="softmax"`); `paper` has the code's form:
    BCE, fixed scales, dot products, sums of words, and no part for the question's first token in the fine contrast.
Differs: hard negatives are made by the grammar, for every kind of question, and begin with the same token as
    the answers.
Differs: `small` has MCCFormers-D, as the published tables of positions have it; `paper` has S, as the code runs. S has
    a position for each of our tokens (the code's 88 are too few for its own).
Differs: AdamW and a cosine, one dropout, the library's findings by name in the smaller sizes; `paper` has Adam with
    steps, the code's dropouts, the 38 labels and the texts of C2F.
Differs: a repetition penalty only in `paper` (1.2), where it also punishes words that an answer needs twice.
Differs: a learned vector tells the tokens of current, prior and both readings of D apart; in the code nothing does, and
    who reads F_diff knows the direction of a change from D alone.
Differs: `slots` learned vectors read the films beside the question's words, which are few (0 is literal).
Differs: masked words are read by the text encoder, answers by a GPT-2 after the prefix Q; in the code one BERT layer,
    shared but for its self-attention, is meant for both.
Differs: questions without a prior are answered from the current film alone; the rest is masked.
Differs: the words are those of the templates (about as many as C2F's private vocabulary of 161), not PubMedBERT's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor

from intervalchange.blocks.decoders import AnswerDecoder
from intervalchange.blocks.tokenizer import Tokens
from intervalchange.errors import ConfigError
from intervalchange.methods.base.answerer import Answerer, AttributionMaps, Context, DecoderConfig
from intervalchange.methods.base.hard_negatives import HardNegatives
from intervalchange.methods.base.method import Method
from intervalchange.methods.base.region_attribution import attribution_maps
from intervalchange.methods.c2f.align import AlignConfig, C2FAlign
from intervalchange.methods.c2f.encoded_pairs import EncodedPair, MaskedTokens


class C2FConfig(AlignConfig, DecoderConfig):
    """The second stage: the same, with a decoder."""

    model_type = "c2f"

    masking_weight: float = 0.0
    answer_weight: float = 1.0
    """Of the answer's negative log-likelihood."""
    decoder_width: int = 96
    repetition_penalty: float = 1.0
    """Divides the scores of words that the answer has already (Keskar et al. 2019); 1 for none."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.repetition_penalty <= 0:
            raise ConfigError(
                f"model option 'repetition_penalty' is {self.repetition_penalty}.", remedy="It is above 0; 1 is none."
            )


class C2F(C2FAlign, Answerer):
    """C2F, second stage: answers. See the module's docstring."""

    config_class = C2FConfig
    config: C2FConfig
    name = "c2f/answer"
    follows = ("c2f/align",)
    selection = "change.micro.f1"
    renamed_weights: ClassVar[Mapping[str, str]] = {**HardNegatives.renamed_weights, r"^speak\.": "to_decoder."}

    decoder: AnswerDecoder

    def _build(self) -> None:
        config = self.config
        self.to_decoder = nn.Linear(config.token_width, config.decoder_width)
        self.decoder = config.gpt2(self.tokenizer, config.slots + 1 + config.positions)

    def _terms(self, question: MaskedTokens, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        terms = super()._terms(question, batch)
        return terms | {"answer": self.generation_loss(self.answer_context(question), batch["answer"])}

    def answer_context(self, question: MaskedTokens) -> Context:
        """The answer follows the question that has read the films."""
        return Context(self.to_decoder(question.tokens), question.mask)

    def context(self, films: EncodedPair, batch: Mapping[str, Any]) -> Context:
        return self.answer_context(self.fuse_question(self.fuse_films(films), batch["question"]))

    def generate(self, context: Context) -> Tokens:
        config, more = self.config, {}
        if config.repetition_penalty != 1:
            penalty: Any = RepetitionPenaltyLogitsProcessor(config.repetition_penalty)
            more["logits_processor"] = LogitsProcessorList([penalty])
        return self.decoder.generate(
            context.prefix, context.mask, limit=config.answer_tokens, beams=config.beams, **more
        )

    def attributed(self, films: EncodedPair) -> Sequence[Tensor]:
        return films.current, films.prior

    def evidence(self, films: EncodedPair, gradients: Sequence[Tensor]) -> Sequence[AttributionMaps | None]:
        """Gradient times token, drawn region by region: see `base/region_attribution.py`."""
        current, prior = (
            (gradient * tokens).sum(-1).abs().detach()
            for gradient, tokens in zip(gradients, self.attributed(films), strict=True)
        )
        config = self.config
        return attribution_maps(current + prior, films.view, config.region_names, config.findings, config.graph)

    def validation_outputs(self, batch: Any) -> list[Any]:
        return Method.validation_outputs(self, batch)

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        return Method.validation_scores(self, outputs)
