"""EKAID: "Expert Knowledge-Aware Image Difference Graph Representation Learning" (Hu et al., KDD 2023), as it is meant.

https://doi.org/10.1145/3580305.3599819 ; the published code (Holipori/EKAID) has no licence; nothing of it is copied.

Orientation: the paper's main image ("bef" in its code) is our `current`, its reference ("aft") our `prior`.

A film becomes 2r nodes: what each anatomical region looks like, and what its crop shows. Three graphs join them
(semantic, spatial, implicit: `blocks/region_graphs.py`), and each is read by an attention that knows the question and
the relation. The difference of the nodes of the two films says which of them count; prior, difference and current
become one vector each, and the dynamic speaker (`dynamic_speaker.py`) writes the answer.

Differs: the question's attention is normalised over its words; the published code normalises over the batch, so that
    an answer depends on its batch mates.
Differs: a node keeps its own term and reads both directions of a graph; the published sum overwrites all but the last.
Differs: the three graphs read the same nodes and their results are averaged; in the published code each writes into
    the nodes that the next one reads, and the weights of the sum do nothing.
Differs: a node without neighbours attends to nothing; published, it attends equally to all nodes.
Differs: an edge weighs by the certainty of detections, in the attention's logarithm; published edges are 0 or 1,
    which is what certainties of 0 and 1 give.
Differs: a region that is not on the film has no edges and no weight; published, it counts as "right lung".
Differs: in the spatial graph an angle of exactly 0 is a direction like the others (published: overlap); no pixel is
    added to the sides of boxes; lengths are shares of the film's side.
Differs: two findings go together in the semantic graph whichever of them brings the other, both ways; published, the
    node that comes first decides. A node can show several findings; "edema" is not a region.
Differs: 24 regions of C2F (`findings.C2F_REGIONS`), because the film stages and their stores are shared; EKAID's 26 are
    `findings.EKAID_REGIONS` (all but the right atrium exist in the simulated cohort). Findings are the 30 of the
    library in EKAID's five organs, not VinDr's 22.
Differs: region vectors come from one query per region and a crop of one map (C2F's stages) instead of two Faster
    R-CNNs; their channels are standardised by the first batch, with one scale for all regions because the nodes are
    added up, and a learned vector says which node is which region.
Differs: difference = current - prior; the published code has prior - current.
Differs: the sums over the nodes are divided by the root of their number and standardised by the first batch; published,
    what all films have in common comes out tens of times as large as what differs.
Differs: without a prior the answer is about the current film alone; published, both films are always shown.
Differs: one table of words (the second is random and frozen there); plain linear layers without weight
    normalisation; no head of six classes that no loss reads.
Differs: AdamW and a cosine in the smaller sizes; `paper` has Adam at a constant rate, as the published steps never
    reach the first decay.
Differs: each direction of a graph has its own number for a relation in the smaller sizes; published, and in `paper`,
    both directions share one (`shared_relations`).
Differs: generation begins with the token that training begins with, and the selection is on validation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from intervalchange.blocks.processes import average_over_processes
from intervalchange.blocks.projection import FirstBatchNorm
from intervalchange.blocks.region_queries import RegionView
from intervalchange.blocks.tokenizer import Tokens, encode
from intervalchange.blocks.type_embedding import TypeEmbedding
from intervalchange.errors import ConfigError
from intervalchange.methods.base.answerer import Answerer, AnswererConfig, AttributionMaps, Context
from intervalchange.methods.base.method import MethodOutput
from intervalchange.methods.base.paired_regions import PairedRegions, PairedRegionsConfig
from intervalchange.methods.base.region_attribution import attribution_maps
from intervalchange.methods.ekaid.dynamic_speaker import DynamicSpeaker, SpeechFrom
from intervalchange.methods.ekaid.knowledge import Knowledge
from intervalchange.methods.ekaid.region_graphs import (
    SPATIAL,
    RelationEncoder,
    RelationGraph,
    box_geometry,
    full_graph,
    semantic_graph,
    spatial_graph,
)

GRAPHS = ("semantic", "spatial", "implicit")


class EkaidConfig(PairedRegionsConfig, AnswererConfig):
    """Configuration of EKAID. The rows of its ablation are the choices of `graphs`."""

    model_type = "ekaid"

    graphs: tuple[str, ...] = GRAPHS
    """The graphs whose readings are averaged."""
    node_width: int = 96
    """Of a node, of the question and of the three vectors that the speaker describes."""
    graph_heads: int = 4
    shared_relations: bool = False
    """Whether both directions of a graph share the number that they add for a relation, as published."""
    graph_dropout: float = 0.0
    """In the graphs and in the question."""
    word_width: int = 64
    """Of a word, in the question and in the answer."""
    attention_width: int = 48
    """Hidden width of the attention that says which nodes count."""
    attention_weight: float = 0.0025
    """Of the sum of that attention, beside the answer's loss."""
    speaker_width: int = 128
    """Of the two LSTMs."""
    speech_parts: int = 16
    """Latent parts of speech; no loss reads them."""
    speech_from: SpeechFrom = "module"
    """Where the parts of speech are read: `language`, as published (the language LSTM at the previous word, without
    dropout, which is also what enters the next step), in every preset; `module`, as in runs of earlier versions."""
    speaker_dropout: float = 0.0
    """In the speaker and in the difference."""

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if not self.graphs or len(set(self.graphs)) < len(self.graphs) or not {*self.graphs} <= {*GRAPHS}:
            raise ConfigError(
                f"model option 'graphs' is {self.graphs}.", remedy=f"Name one or more of {', '.join(GRAPHS)}, once."
            )
        if self.node_width % self.graph_heads:
            raise ConfigError(
                f"model option 'node_width' is {self.node_width}.", remedy="It is divisible by graph_heads."
            )


@dataclass(frozen=True)
class EncodedNodes:
    """The nodes of b pairs, n = 2r per film; those of the prior films, then of the current ones."""

    nodes: Tensor
    """(2b, n, d)."""
    present: Tensor
    """(2b, r) that the region is on the film, in [0, 1]."""
    has_prior: Tensor
    """(b) bool."""
    views: tuple[RegionView, RegionView]
    """Of the prior and of the current films."""

    def joined(self, field: str) -> Tensor:
        """A field of both views, (2b, ...)."""
        return torch.cat([getattr(view, field) for view in self.views]).float()


@dataclass(frozen=True)
class FusedPair:
    """What the speaker describes."""

    parts: Tensor
    """(b, 3, d): prior, difference, current."""
    mask: Tensor
    """(b, 3) bool, False where there is no prior."""
    attention: Tensor
    """(2b, n) in [0, 1]: how much each node counts; 0 for an absent prior."""


class QuestionEncoder(nn.Module):
    """Words, a GRU, and an attention over the words: one vector per question."""

    def __init__(self, vocabulary: int, words: int, width: int, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, words)
        self.read = nn.GRU(words, width, batch_first=True)
        self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        self.score[2].bias.requires_grad_(False)  # The same for every word: the softmax takes it away.
        self.dropout = nn.Dropout(dropout)

    def draw_weights(self, init: Any) -> None:
        """See `Method._init_weights`."""
        init.normal_(self.words.weight, std=0.5)

    def weights(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(b, t, d) and (b, t) -> (b, t): softmax over the words of each question; 0 on padding."""
        scores = self.score(hidden).squeeze(-1).float().masked_fill(mask == 0, float("-inf"))
        return torch.softmax(scores, dim=1)

    def forward(self, text: Tokens) -> Tensor:
        """-> (b, d). Padding is on the right and each row has a word."""
        hidden, _ = self.read(self.dropout(self.words(text.ids)))
        weights = self.weights(hidden, text.mask).to(hidden.dtype)
        vectors: Tensor = self.dropout(torch.einsum("bt,btd->bd", weights, hidden))
        return vectors


class NodeAttention(nn.Module):
    """Which nodes of a film count, given the difference: gated context, then a sigmoid for each node."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.context_difference, self.gate_difference = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.context_node, self.gate_node = nn.Linear(width, width), nn.Linear(width, width)
        self.score = nn.Sequential(nn.Linear(3 * width, hidden), nn.Dropout(dropout), nn.ReLU(), nn.Linear(hidden, 1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, nodes: Tensor, difference: Tensor) -> Tensor:
        """(b, n, d) twice -> (b, n) in [0, 1]."""
        context = self.dropout(torch.tanh(self.context_difference(difference) + self.context_node(nodes)))
        gate = self.dropout(torch.sigmoid(self.gate_difference(difference) + self.gate_node(nodes)))
        return torch.sigmoid(self.score(torch.cat([nodes, difference, gate * context], dim=-1))).squeeze(-1)


class Ekaid(PairedRegions, Answerer):
    """EKAID. See the module's docstring."""

    config_class = EkaidConfig
    config: EkaidConfig
    name = "ekaid/answer"
    follows = ("c2f/diseases",)
    renamed_weights: ClassVar[Mapping[str, str]] = {
        r"^speaker\.": "decoder.",
        r"^places\.": "node_types.",
        r"^counts\.": "node_attention.",
    }

    decoder: DynamicSpeaker

    def __init__(self, config: EkaidConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
        super().__init__(config, tokenizer)
        width, regions, words = config.node_width, len(config.region_names), len(self.tokenizer)
        self.anatomy_nodes, self.disease_nodes = (nn.Linear(config.width, width) for _ in range(2))
        self.node_types = TypeEmbedding(2 * regions, width, 1.0)
        self.question = QuestionEncoder(words, config.word_width, width, config.graph_dropout)
        kinds = {"semantic": 3, "spatial": SPATIAL, "implicit": 0}
        self.graphs = nn.ModuleDict(
            {
                name: RelationEncoder(
                    width, width, config.graph_heads,
                    relations=kinds[name], geometry=name == "implicit", dropout=config.graph_dropout,
                    shared=config.shared_relations,
                )
                for name in config.graphs
            }
        )  # fmt: skip
        self.node_attention = NodeAttention(width, config.attention_width, config.speaker_dropout)
        self.standard = FirstBatchNorm(2 * config.width)
        self.standard_parts = FirstBatchNorm(3 * width)
        self.decoder = DynamicSpeaker(
            self.tokenizer,
            parts=width,
            width=width,
            words=config.word_width,
            hidden=config.speaker_width,
            speech=config.speech_parts,
            dropout=config.speaker_dropout,
            speech_from=config.speech_from,
        )
        self.knowledge = Knowledge.of(config.region_names, config.findings)
        self.post_init()

    # --- films and question ----------------------------------------------------------------------------------------

    def standardised(self, vectors: Tensor) -> Tensor:
        """(2b, r, c) -> the same: a channel has one scale in all regions, because the nodes are added up."""
        scaled: Tensor = self.standard(vectors)
        return scaled

    def encode_films(self, batch: Mapping[str, Any]) -> EncodedNodes:
        """Films, or stored regions, of a batch -> nodes."""
        views = self.region_views(batch)
        anatomy, disease, present = self.region_vectors(views)
        nodes = torch.cat([self.anatomy_nodes(anatomy), self.disease_nodes(disease)], dim=1) + self.node_types.weight
        present_nodes = present.repeat(1, 2).unsqueeze(-1)
        return EncodedNodes(nodes * present_nodes, present, batch["has_prior"].to(self.device), views)

    def relation_graphs(self, films: EncodedNodes) -> dict[str, RelationGraph]:
        """The chosen graphs of the prior films, then of the current ones; n nodes each."""
        boxes, graphs = films.joined("boxes").detach(), {}
        if "semantic" in self.config.graphs:
            findings = torch.sigmoid(films.joined("findings"))
            graphs["semantic"] = semantic_graph(films.present, findings, *self.knowledge.tensors(self.device))
        if "spatial" in self.config.graphs:
            graphs["spatial"] = spatial_graph(boxes, films.present).twice()
        if "implicit" in self.config.graphs:
            graphs["implicit"] = full_graph(films.present.repeat(1, 2))
        return graphs

    def encode_questions(self, questions: Sequence[str]) -> Tensor:
        """(b, d)."""
        limit = self.config.question_tokens
        words = encode(self.tokenizer, questions, bos=True, limit=limit, device=self.device)
        vectors: Tensor = self.question(words)
        return vectors

    def relate(self, films: EncodedNodes, questions: Tensor) -> Tensor:
        """Questions (b, d) -> (2b, n, d): the mean of what the graphs make of the nodes, under the question.

        The question does not reach a region that is not on the film.
        """
        question = questions.repeat(2, 1).unsqueeze(1) * films.present.repeat(1, 2).unsqueeze(-1)
        geometry = box_geometry(films.joined("boxes").detach()) if "implicit" in self.config.graphs else None
        related = [
            self.graphs[name](films.nodes, question, graph, geometry if name == "implicit" else None)
            for name, graph in self.relation_graphs(films).items()
        ]
        return torch.stack(related).mean(0)

    def fuse(self, films: EncodedNodes, questions: Sequence[str]) -> FusedPair:
        """One vector each of prior, difference and current."""
        nodes = self.relate(films, self.encode_questions(questions))
        prior, current = nodes.chunk(2)
        has_prior = films.has_prior.view(-1, 1)
        always = torch.ones_like(has_prior)
        difference = (current - prior) * has_prior.unsqueeze(-1)
        shown = torch.cat([has_prior, always]) * films.present.repeat(1, 2)
        attention = self.node_attention(nodes, difference.repeat(2, 1, 1)) * shown
        sums = torch.einsum("bn,bnd->bd", attention, nodes) / math.sqrt(nodes.shape[1])
        of_prior, of_current = sums.chunk(2)
        parts = torch.cat([of_prior, of_current - of_prior, of_current], dim=1).unsqueeze(1)
        parts = self.standard_parts(parts).view(len(of_current), 3, -1)
        return FusedPair(parts, torch.cat([has_prior, has_prior, always], dim=1), attention)

    def context(self, films: EncodedNodes, batch: Mapping[str, Any]) -> Context:
        fused = self.fuse(films, batch["question"])
        return Context(fused.parts, fused.mask)

    def attributed(self, films: EncodedNodes) -> Sequence[Tensor]:
        return (films.nodes,)

    def evidence(self, films: EncodedNodes, gradients: Sequence[Tensor]) -> Sequence[AttributionMaps | None]:
        """Gradient times node, drawn region by region: see `base/region_attribution.py`."""
        prior, current = (gradients[0] * films.nodes).sum(-1).abs().detach().chunk(2)
        config = self.config
        return attribution_maps(prior + current, films.views[1], config.region_names, config.findings, graph=False)

    # --- training --------------------------------------------------------------------------------------------------

    def forward(self, **batch: Any) -> MethodOutput:
        fused = self.fuse(self.encode_films(batch), batch["question"])
        films = average_over_processes(torch.tensor(float(len(fused.attention)), device=self.device))
        terms = {
            "generation": self.generation_loss(Context(fused.parts, fused.mask), batch["answer"]),
            "attention": fused.attention.sum() / films,
        }
        return MethodOutput.of(terms, {"attention": self.config.attention_weight})
