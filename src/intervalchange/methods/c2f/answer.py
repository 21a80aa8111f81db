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
Differs: the graph is normalised and has self loops, its edges weigh as the detections are sure, and there is no
    log-softmax over its output; node names are encoded once.
Differs: region vectors are standardised by the first batch, so that what films share does not drown what differs.
Differs: both contrasts are symmetric and take equal key words for equal (`losses/contrastive.py`); the code has half of
    the matches. Key words go through the grammar, in a fixed order. Softmax over the batch; the code has BCE.
Differs: hard negatives are made by the grammar, for every kind of question, and begin with the same token as
    the answers.
Differs: the fine contrast averages over words (the code sums, and its loss starts at about 19).
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
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intervalchange.blocks.decoders import AnswerDecoder
from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.tokenizer import decode, encode
from intervalchange.losses import answer_nll, sequence_log_probability
from intervalchange.methods.base.method import Method
from intervalchange.methods.base.region_attribution import attribution_maps
from intervalchange.methods.c2f.align import AlignConfig, C2FAlign, Grounded, Seen
from intervalchange.records import Prediction


class C2FConfig(AlignConfig):
    """The second stage: the same, with a decoder."""

    model_type = "c2f"

    masking_weight: float = 0.0
    answer_weight: float = 1.0
    decoder_width: int = 96
    decoder_layers: int = 2
    decoder_heads: int = 4
    beams: int = 1
    """Beams of the search for an answer; 1 is greedy, C2F has 3."""


class C2F(C2FAlign):
    """C2F, second stage: answers. See the module's docstring."""

    config_class = C2FConfig
    config: C2FConfig
    name = "c2f/answer"
    selection = "change.micro.f1"

    def _build(self) -> None:
        config = self.config
        self.speak = nn.Linear(config.token_width, config.decoder_width)
        self.decoder = AnswerDecoder(
            self.tokenizer,
            width=config.decoder_width,
            layers=config.decoder_layers,
            heads=config.decoder_heads,
            positions=config.slots + 1 + config.question_tokens + 1 + config.answer_tokens,
            dropout=config.dropout,
        )

    def _more_terms(self, asked: Grounded, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        answer = encode(self.tokenizer, batch["answer"], eos=True, limit=self.config.answer_tokens, device=self.device)
        logits = self.decoder(self.speak(asked.tokens), asked.mask, answer)
        return {"answer": answer_nll(logits, answer.ids, answer.mask, reduce_mean=average_over_processes)}

    def validation_outputs(self, batch: Any) -> list[Any]:
        return Method.validation_outputs(self, batch)

    def validation_scores(self, outputs: Sequence[Any]) -> dict[str, float]:
        return Method.validation_scores(self, outputs)

    def answer(self, batch: Any, *, evidence: bool = False) -> list[Prediction]:
        """Greedy or beam answers; confidence is the probability of the whole answer under the model."""
        self.check_prior(batch)
        with torch.no_grad():
            seen = self.see(batch)
        if evidence:
            seen = Seen(seen.current.requires_grad_(), seen.prior.requires_grad_(), seen.has_prior, seen.view)
        with torch.set_grad_enabled(evidence):
            asked = self.ask(self.compare(seen), batch["question"])
            prefix = self.speak(asked.tokens)
            tokens = self.decoder.generate(
                prefix.detach(), asked.mask, limit=self.config.answer_tokens, beams=self.config.beams
            )
            logits = self.decoder(prefix, asked.mask, tokens)
            likelihood = sequence_log_probability(logits, tokens.ids, tokens.mask)
        return self.predictions(
            batch,
            decode(self.tokenizer, tokens.ids),
            confidence=[{"answer": chance} for chance in likelihood.detach().double().exp().tolist()],
            evidence=self._evidence(likelihood, seen) if evidence else None,
        )

    def _evidence(self, likelihood: Tensor, seen: Seen) -> list[dict[str, np.ndarray] | None]:
        """Gradient times token of the answer's likelihood, drawn region by region: see `c2f_evidence.py`."""
        films = (seen.current, seen.prior)
        gradients = torch.autograd.grad(likelihood.sum(), films)
        used = torch.stack([(grad * film).sum(-1).abs() for grad, film in zip(gradients, films, strict=True)]).sum(0)
        return attribution_maps(
            used.detach(), seen.view, self.config.region_names, self.config.findings, self.config.graph
        )
