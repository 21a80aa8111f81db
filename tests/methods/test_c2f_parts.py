"""C2F's parts: co-attention, graph, crops, losses, key words. Acceptance tests of what the published code got wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from transformers import initialization

from intervalchange import grammar
from intervalchange.blocks.pair_attention import PairAttention
from intervalchange.blocks.region_queries import RegionView, crop_regions
from intervalchange.blocks.tokenizer import Tokens, encode, template_tokenizer
from intervalchange.data.answer_words import case_uniforms, hard_negatives, key_vocabulary, key_words, text_code
from intervalchange.losses.contrastive import (
    answer_matching,
    cosine_logits,
    masked_mean,
    matches,
    multi_positive,
)
from intervalchange.losses.local_alignment import word_logits
from intervalchange.losses.regions import any_region, findings_in_regions, region_boxes
from intervalchange.methods.c2f.graph import GraphConvolution, normalised, organ_finding_graph
from intervalchange.methods.c2f.text_encoder import GroundedTextEncoder

NO_CHANGE = "nothing has changed."


def pairing(kind: str, segments: bool = False) -> PairAttention:
    torch.manual_seed(0)
    module = PairAttention(kind, 5, 8, 8, heads=2, feedforward=16, segments=segments)
    module.draw_weights(initialization)
    return module.eval()


# --- co-attention ----------------------------------------------------------------------------------------------


def test_exchanging_the_streams_of_d_exchanges_the_results() -> None:
    module, one, other = pairing("D"), torch.randn(3, 5, 8), torch.randn(3, 5, 8)
    first, second = module(one, other)
    assert first.shape == second.shape == one.shape
    back, forth = module(other, one)
    assert torch.allclose(first, forth, atol=1e-6) and torch.allclose(second, back, atol=1e-6)


@pytest.mark.parametrize(("kind", "segments"), [("D", False), ("S", False), ("S", True)])
def test_each_stream_reads_the_other(kind: str, segments: bool) -> None:
    module, one = pairing(kind, segments), torch.randn(2, 5, 8)
    other = torch.randn(2, 5, 8)
    given = module(one, other)[0]
    assert not torch.allclose(given, module(one, other + 1.0 * torch.randn_like(other))[0], atol=1e-4)


@pytest.mark.parametrize(("kind", "segments"), [("D", False), ("S", False), ("S", True)])
def test_hidden_tokens_are_not_read(kind: str, segments: bool) -> None:
    module, one, other = pairing(kind, segments), torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    hidden = torch.zeros(2, 2, 5, dtype=torch.bool)
    hidden[:, :, 4] = True
    given = [stream[:, :4] for stream in module(one, other, hidden)]
    for stream in (one, other):
        stream[:, 4] = 7.0
    again = [stream[:, :4] for stream in module(one, other, hidden)]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(given, again, strict=True))


def test_one_set_of_weights_for_both_directions() -> None:
    layer = pairing("D").layers[0]
    one, other = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    both = layer(torch.cat([one, other]))
    read, _ = layer.attention(one, other, other)
    hidden = layer.norm(one + read)
    assert torch.allclose(both[:2], layer.feedforward_norm(hidden + layer.feedforward(hidden)), atol=1e-6)


# --- graph -----------------------------------------------------------------------------------------------------


def test_a_graph_without_edges_is_the_identity_and_one_edge_is_what_the_formula_says() -> None:
    assert torch.equal(normalised(torch.zeros(1, 3, 3)), torch.eye(3)[None])
    edges = organ_finding_graph(torch.ones(1, 1), torch.ones(1, 1, 1))
    assert torch.equal(edges, torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]))
    assert torch.allclose(normalised(edges), torch.full((1, 2, 2), 0.5))


def test_edges_join_regions_and_findings_only_and_a_missing_region_has_none() -> None:
    present, findings = torch.tensor([[1.0, 0.0]]), torch.rand(1, 2, 3)
    edges = organ_finding_graph(present, findings)
    assert edges.shape == (1, 5, 5)
    assert torch.equal(edges, edges.transpose(1, 2))
    assert edges[0, :2, :2].abs().sum() == edges[0, 2:, 2:].abs().sum() == edges[0, 1].abs().sum() == 0
    assert torch.equal(edges[0, 0, 2:], findings[0, 0])


def test_graph_convolution_is_two_layers_of_the_formula_and_finite_without_edges() -> None:
    torch.manual_seed(0)
    graph, nodes = GraphConvolution(4, 6, 3, dropout=0.0), torch.randn(5, 4)
    edges = organ_finding_graph(torch.rand(2, 2), torch.rand(2, 2, 3))
    links = normalised(edges)
    hidden = torch.relu(links @ (nodes @ graph.first.weight.T) + graph.first.bias)
    assert torch.allclose(graph(nodes, edges), links @ (hidden @ graph.second.weight.T) + graph.second.bias, atol=1e-6)
    alone = graph(nodes, torch.zeros(2, 5, 5))
    assert torch.isfinite(alone).all()
    assert not torch.allclose(alone[0, 0], alone[0, 1])


# --- crops and regions -----------------------------------------------------------------------------------------


def test_a_bright_corner_is_in_the_crop_of_its_box_and_of_no_other() -> None:
    picture = torch.zeros(1, 1, 16, 16)
    picture[..., 2:6, 10:14] = 1.0
    corners = torch.tensor([[[0.5, 0.0, 1.0, 0.5], [0.0, 0.0, 0.5, 0.5], [0.0, 0.5, 0.5, 1.0], [0.5, 0.5, 1.0, 1.0]]])
    means = crop_regions(picture, corners, 4).mean(dim=(2, 3, 4))[0]
    assert means[0] == pytest.approx(0.25, abs=0.02)
    assert means[1:].abs().max() == 0


def test_crops_are_the_right_way_round() -> None:
    rows = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 1, 8, 8)
    crop = crop_regions(rows, torch.tensor([[[0.0, 0.0, 1.0, 1.0]]]), 8, samples=1)[0, 0, 0]
    assert torch.allclose(crop, rows[0, 0], atol=1e-5)
    thin = crop_regions(rows.transpose(2, 3), torch.tensor([[[0.25, 0.0, 0.5, 1.0]]]), 2)[0, 0, 0]
    assert torch.allclose(thin, torch.tensor([[2.0, 3.0], [2.0, 3.0]]), atol=1e-5)


def test_a_view_packs_and_unpacks() -> None:
    view = RegionView(
        torch.rand(2, 3, 4), torch.rand(2, 3), torch.rand(2, 3, 5), torch.rand(2, 3, 5), torch.rand(2, 3, 7)
    )
    again = RegionView.unpacked(view.packed(), 5)
    assert all(torch.equal(getattr(view, name), getattr(again, name)) for name in view.__dataclass_fields__)


def test_boxes_cost_nothing_where_right_and_by_hand_where_wrong() -> None:
    true = torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.2, 0.2, 0.4, 0.4]]])
    there = torch.tensor([[True, False]])
    assert [cost.item() for cost in region_boxes(true, true, there)] == pytest.approx([0.0, 0.0], abs=1e-6)
    moved = torch.tensor([[[0.5, 0.0, 1.0, 0.5], [0.9, 0.9, 1.0, 1.0]]])
    distance, overlap = region_boxes(moved, true, there)
    assert distance.item() == pytest.approx(0.25)
    assert overlap.item() == pytest.approx(1.0)  # side by side: no overlap, and nothing empty around them


def test_a_finding_is_in_the_regions_that_hold_it() -> None:
    places = torch.full((1, 3, 8, 8), float("nan"))
    places[0, 0] = 0
    places[0, 0, 0:4, 4:8] = 1
    boxes = torch.tensor([[[0.5, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0], [0.0, 0.0, 1.0, 1.0]]])
    there = torch.tensor([[True, True, False]])
    target = findings_in_regions(boxes, there, places, torch.tensor([[1.0, 1.0, 0.0]]), 0.3)[0]
    assert target[:2, 0].tolist() == [1.0, 0.0]
    assert target[:2, 1].isnan().all(), "present, and nobody knows where"
    assert target[:2, 2].tolist() == [0.0, 0.0], "absent is in no region"
    assert target[2].isnan().all(), "a region that is not there says nothing"


def test_a_film_has_what_any_of_its_regions_has() -> None:
    logits, present = torch.tensor([[[0.0], [0.0]]]), torch.full((1, 2), 30.0)
    assert torch.sigmoid(any_region(logits, present)).item() == pytest.approx(0.75, abs=1e-5)
    gone = torch.tensor([[30.0, -30.0]])
    assert torch.sigmoid(any_region(logits, gone)).item() == pytest.approx(0.5, abs=1e-5)
    assert torch.isfinite(any_region(torch.tensor([[[80.0], [-80.0]]]), present)).all()


# --- contrast --------------------------------------------------------------------------------------------------


def test_matches_are_symmetric_with_a_unit_diagonal() -> None:
    texts = ["edema", "hernia", "edema", "yes"]
    match = matches(torch.tensor([text_code(text) for text in texts]))
    assert torch.equal(match, match.T)
    assert match.diagonal().tolist() == [1.0] * 4
    assert match[0].tolist() == [1.0, 0.0, 1.0, 0.0]


def test_contrast_by_hand_in_the_limit_and_symmetric() -> None:
    match = torch.eye(2)
    assert multi_positive(torch.zeros(2, 2), match).item() == pytest.approx(math.log(2))
    assert multi_positive(50 * match, match).item() == pytest.approx(0.0, abs=1e-6)
    shared = torch.ones(2, 2)
    assert multi_positive(torch.zeros(2, 2), shared).item() == pytest.approx(math.log(2))
    logits = torch.randn(5, 5)
    other = matches(torch.tensor([1, 2, 1, 3, 3]))
    assert multi_positive(logits, other).item() == pytest.approx(multi_positive(logits.T, other).item())
    assert multi_positive(torch.zeros(1, 1), torch.ones(1, 1)).item() == 0.0


def test_rows_that_do_not_count_leave_no_trace() -> None:
    logits, match = torch.randn(4, 4), matches(torch.tensor([1, 2, 1, 9]))
    counted = torch.tensor([True, True, True, False])
    assert multi_positive(logits, match, counted).item() == pytest.approx(
        multi_positive(logits[:3, :3], match[:3, :3]).item()
    )
    assert multi_positive(logits, match, torch.zeros(4, dtype=torch.bool)).item() == 0.0


def test_padding_changes_neither_the_mean_word_nor_the_fine_logits() -> None:
    torch.manual_seed(0)
    tokens, words = torch.randn(3, 4, 8), torch.randn(3, 5, 8)
    token_mask, word_mask = torch.ones(3, 4), torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1] * 5])
    mean, fine = masked_mean(words, word_mask), word_logits(tokens, token_mask, words, word_mask, torch.tensor(10.0))
    words[word_mask == 0] = 99.0
    assert torch.equal(mean, masked_mean(words, word_mask))
    assert torch.allclose(fine, word_logits(tokens, token_mask, words, word_mask, torch.tensor(10.0)), atol=1e-5)
    longer = torch.cat([tokens, torch.full((3, 2, 8), 5.0)], dim=1)
    longer_mask = torch.cat([token_mask, torch.zeros(3, 2)], dim=1)
    assert torch.allclose(fine, word_logits(longer, longer_mask, words, word_mask, torch.tensor(10.0)), atol=1e-5)


def test_permuting_the_batch_permutes_the_logits() -> None:
    torch.manual_seed(0)
    tokens, words, order = torch.randn(4, 3, 8), torch.randn(4, 5, 8), torch.tensor([2, 0, 3, 1])
    masks, scale = (torch.ones(4, 3), torch.ones(4, 5)), torch.tensor(10.0)
    fine = word_logits(tokens, masks[0], words, masks[1], scale)
    assert torch.allclose(
        word_logits(tokens[order], masks[0], words[order], masks[1], scale), fine[order][:, order], atol=1e-5
    )
    coarse = cosine_logits(tokens[:, 0], words[:, 0], scale)
    assert torch.allclose(cosine_logits(tokens[order, 0], words[order, 0], scale), coarse[order][:, order], atol=1e-5)


def test_a_text_without_words_is_finite_and_scores_nothing() -> None:
    fine = word_logits(
        torch.randn(2, 3, 8), torch.ones(2, 3), torch.randn(2, 4, 8), torch.zeros(2, 4), torch.tensor(10.0)
    )
    assert torch.equal(fine, torch.zeros(2, 2))
    no_word_at_all = word_logits(
        torch.randn(2, 3, 8), torch.ones(2, 3), torch.randn(2, 0, 8), torch.ones(2, 0), torch.ones(())
    )
    assert torch.equal(no_word_at_all, torch.zeros(2, 2))


def test_a_token_that_is_the_word_scores_the_scale() -> None:
    word = torch.nn.functional.normalize(torch.randn(1, 1, 8), dim=-1)
    fine = word_logits(word, torch.ones(1, 1), word, torch.ones(1, 1), torch.tensor(10.0))
    assert fine.item() == pytest.approx(10.0, abs=1e-3)


def test_matching_by_hand_and_without_near_misses() -> None:
    even = torch.zeros(2, 2)
    both = torch.tensor([True, True])
    assert answer_matching(even, even, both, torch.tensor(2.0)).item() == pytest.approx(math.log(2))
    sure = torch.tensor([[-30.0, 30.0]] * 2)
    assert answer_matching(sure, -sure, both, torch.tensor(2.0)).item() == pytest.approx(0.0, abs=1e-6)
    assert answer_matching(even, even, ~both, torch.tensor(0.0)).item() == 0.0


# --- words -----------------------------------------------------------------------------------------------------

ANSWERS = [
    ("the main image has additional findings of edema, and hernia than the reference image.", "difference"),
    (
        "the main image is missing the finding of enlargement of the cardiac silhouette than the reference image.",
        "difference",
    ),
    ("the level of pleural effusion has changed from small to moderate.", "difference"),
    (NO_CHANGE, "difference"),
    ("yes", "presence"),
    ("no", "abnormality"),
    ("PA view", "view"),
    ("left side", "location"),
    ("the left lower lung", "location"),
    ("moderate", "level"),
    ("patchy", "type"),
    ("edema, hernia", "abnormality"),
]


@pytest.mark.parametrize(("answer", "kind"), ANSWERS)
def test_every_near_miss_differs_in_a_key_word(answer: str, kind: str) -> None:
    wrong = [miss for group in hard_negatives(answer, kind) for miss in group]
    assert wrong
    said = set(key_words(answer, kind).split())
    for miss in wrong:
        assert miss != answer
        assert set(key_words(miss, kind).split()) ^ said or key_words(miss, kind) != key_words(answer, kind)
        if kind == "difference":
            reading = grammar.parse(miss)
            assert not reading.unread
            assert reading.change != grammar.parse(answer).change


def test_near_misses_are_of_every_sort() -> None:
    moved = "the level of pleural effusion has changed from small to moderate."
    directions, levels, findings = hard_negatives(moved, "difference")
    assert directions == ("the level of pleural effusion has changed from moderate to small.",)
    assert "the level of pleural effusion has changed from small to severe." in levels
    assert "the level of edema has changed from small to moderate." in findings
    more, fewer = hard_negatives(NO_CHANGE, "difference")
    assert all("additional" in miss for miss in more) and all("missing" in miss for miss in fewer)
    assert hard_negatives("", "difference") == ()


def test_near_misses_begin_as_answers_do() -> None:
    tokenizer = template_tokenizer()
    ids = encode(tokenizer, ["yes", "no"], bos=True).ids
    assert ids[0, 0] == ids[1, 0] == tokenizer.bos_token_id
    assert ids[0, 1] != ids[1, 1]


def test_key_words_do_not_depend_on_the_order_of_the_answer() -> None:
    one = "the main image has additional findings of edema, and hernia than the reference image."
    other = "the main image has additional findings of hernia, and edema than the reference image."
    assert key_words(one, "difference") == key_words(other, "difference") == "additional edema, additional hernia"
    assert key_words(NO_CHANGE, "difference") == "nothing"
    assert key_words("", "difference") == ""
    assert {"edema", "additional", "moderate", "left"} <= key_vocabulary()
    assert not {"the", "of", "image"} & key_vocabulary()


def test_draws_belong_to_the_case_and_spread_evenly() -> None:
    together, alone = case_uniforms(["a", "b"], 3, "hide", 5), case_uniforms(["b"], 3, "hide", 5)
    assert np.array_equal(together[1:], alone)
    assert not np.array_equal(alone, case_uniforms(["b"], 4, "hide", 5))
    many = case_uniforms([str(number) for number in range(2000)], 0, "hide", 4)
    assert many.min() >= 0 and many.max() < 1
    assert many.mean(0) == pytest.approx(0.5, abs=0.03)
    assert abs(np.corrcoef(many.T) - np.eye(4)).max() < 0.08


def test_text_alone_and_text_that_reads() -> None:
    torch.manual_seed(0)
    text = GroundedTextEncoder(20, 8, layers=2, heads=2, feedforward=16, positions=10, dropout=0.0)
    words = Tokens(torch.tensor([[1, 2, 3], [1, 4, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]]))
    alone, seen = text(words), torch.randn(2, 6, 8)
    read = text(words, seen, torch.ones(2, 6))
    assert not torch.allclose(alone, read)
    assert torch.allclose(text(Tokens(words.ids[1:, :2], words.mask[1:, :2]))[0], alone[1, :2], atol=1e-6)
    hidden = torch.tensor([[1, 1, 1, 0, 0, 0]] * 2)
    assert torch.allclose(text(words, seen, hidden), text(words, seen[:, :3], hidden[:, :3]), atol=1e-6)
    assert text(words, extra=torch.randn(2, 8)).shape == (2, 5, 8)
