"""The terms of CM-CGNS and its relatives against slow loops, written here from the equations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from intervalchange.losses.clustering import (
    clustered_contrast,
    cosines,
    farthest_chain,
    margin_loss,
    moved_centroids,
    second_nearest,
)
from intervalchange.losses.local_alignment import mutual_prediction, robust_weights, token_contrast, word_logits
from intervalchange.losses.prototypes import prototype_prediction, sinkhorn
from intervalchange.losses.reconstruction import bounded, film_errors, hidden_patches, reconstruction_error


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def some_words() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """3 films of 10 places, the last two of one hidden; 4 texts of up to 6 words, the last one without any."""
    tokens, words = drawn(3, 10, 8, seed=1), drawn(4, 6, 8, seed=2)
    token_mask = torch.ones(3, 10)
    token_mask[2, 8:] = 0
    word_mask = torch.tensor([[1] * 6, [1, 1, 0, 0, 0, 0], [1] + [0] * 5, [0] * 6])
    return tokens, token_mask, words, word_mask


# --- GLoRIA --------------------------------------------------------------------------------------------------------


def slow_gloria(places: Tensor, words: Tensor) -> Tensor:
    """Published form for one film and one text, word by word, with its contexts."""
    similar = places @ words.T
    over_words = torch.softmax(similar, dim=1)
    total = places.new_zeros(())
    for number, word in enumerate(words):
        attention = torch.softmax(4.0 * over_words[:, number], dim=0)
        context = (attention[:, None] * places).sum(0)
        total = total + torch.exp(5.0 * F.cosine_similarity(word, context, dim=0))
    return total.log()


def test_gram_form_is_the_published_one_without_contexts() -> None:
    tokens, token_mask, words, word_mask = some_words()
    options = {"scale": 5.0, "normalise": False, "aggregation": "sum"}
    fast = word_logits(tokens, token_mask, words, word_mask, **options)
    for film in range(3):
        for text in range(3):
            slow = slow_gloria(tokens[film][token_mask[film] > 0], words[text][word_mask[text] > 0])
            assert float(fast[film, text]) == pytest.approx(float(slow), abs=1e-5)
    assert (fast[:, 3] == 0).all()


def test_centred_form_and_its_gradients() -> None:
    """Our own form: parts of length 1, and the mean over the words in place of the sum."""
    tokens, token_mask, words, word_mask = some_words()
    found = []
    for fast in (True, False):
        ours, theirs = tokens.clone().requires_grad_(), words.clone().requires_grad_()
        if fast:
            logits = word_logits(ours, token_mask, theirs, word_mask, 10.0)
        else:
            places, said = F.normalize(ours, dim=-1), F.normalize(theirs, dim=-1)
            rows = [
                [
                    10.0 * (slow_gloria(places[film][token_mask[film] > 0], said[text, :count]) - math.log(count)) / 5.0
                    for text, count in enumerate((6, 2, 1))
                ]
                for film in range(3)
            ]
            logits = F.pad(torch.stack([torch.stack(row) for row in rows]), (0, 1))
        logits.square().sum().backward()
        found.append((logits.detach(), ours.grad, theirs.grad))
    for fast, slow in zip(*found, strict=True):
        assert torch.allclose(fast, slow, atol=1e-5 * float(slow.abs().max().clamp(min=1)))


def test_autocast_rounds_none_of_the_sums() -> None:
    parts = some_words()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = word_logits(*parts, 10.0)
    assert torch.equal(rounded, word_logits(*parts, 10.0))


def test_a_word_that_is_what_it_gathers_scores_as_the_paper_says() -> None:
    """All places and all words the same: every cosine is 1, so Z = temp2 + ln T."""
    one = drawn(1, 1, 8)
    logits = word_logits(one.expand(1, 9, 8), torch.ones(1, 9), one.expand(1, 4, 8), torch.ones(1, 4),
                              scale=5.0, normalise=False, aggregation="sum")  # fmt: skip
    assert float(logits) == pytest.approx(5 + math.log(4), abs=1e-5)


# --- clusters ------------------------------------------------------------------------------------------------------


def test_contrast_is_the_equation_row_by_row() -> None:
    told, found, table = drawn(7, 6, seed=3), drawn(7, 6, seed=4), F.normalize(drawn(5, 6, seed=5), dim=1)
    alike, hard = cosines(told, found), cosines(told, second_nearest(told, table))
    own, published = 0.0, 0.0
    for row in range(7):
        ranked = sorted(range(5), key=lambda k: -float(F.cosine_similarity(told[row], table[k], dim=0)))
        assert float(hard[row, row]) == pytest.approx(
            float(F.cosine_similarity(told[row], table[ranked[1]], dim=0)), abs=1e-6
        )
        negatives = sum(math.exp(float(alike[row, other]) / 0.5) for other in range(7))
        hards = sum((3 if other == row else 1) * math.exp(float(hard[row, other]) / 0.5) for other in range(7))
        own -= float(alike[row, row]) / 0.5 - math.log(negatives + hards)
        plain = sum(math.exp(float(alike[row, other])) for other in range(7))
        published -= float(alike[row, row]) - math.log(plain + math.exp(3 * float(hard[row, row])) + 6)
    assert float(clustered_contrast(alike, hard, temperature=0.5)) == pytest.approx(own / 7, abs=1e-5)
    assert float(clustered_contrast(alike, hard, others="zero")) == pytest.approx(published / 7, abs=1e-5)


def test_what_is_left_out_is_no_negative() -> None:
    alike = cosines(drawn(4, 6, seed=6), drawn(4, 6, seed=7))
    same = torch.eye(4, dtype=torch.bool)
    same[0, 3] = same[3, 0] = True
    loss = clustered_contrast(alike, None, left_out=same)
    rows = [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3]]
    slow = -sum(
        float(alike[r, r]) - math.log(sum(math.exp(float(alike[r, c])) for c in own)) for r, own in enumerate(rows)
    )
    assert float(loss) == pytest.approx(slow / 4, abs=1e-5)


def test_margin_is_over_false_negatives_and_its_published_form_is_mostly_alpha() -> None:
    alike = torch.tensor([[0.9, 0.8, 0.1], [0.1, 0.7, 0.0], [0.2, 0.3, 0.5]])
    none = torch.zeros(3, 3, dtype=torch.bool)
    assert float(margin_loss(alike, none, 0.2, 0.5, masked=False)) == pytest.approx(0.2)
    assert float(margin_loss(alike, none, 0.2, 0.5)) == 0
    false = none.clone()
    false[0, 1] = false[2, 0] = True
    # -0.1 is 0.1 above -alpha; -0.3 lies between -beta and -alpha.
    assert float(margin_loss(alike, false, 0.2, 0.5)) == pytest.approx(0.1 / 2)


def test_chain_takes_what_is_least_like_the_last_one() -> None:
    rows = F.normalize(torch.tensor([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.1], [0.0, 1.0]]), dim=1)
    assert torch.allclose(farthest_chain(rows, 3), rows[[0, 2, 1]])
    assert torch.allclose(farthest_chain(rows, 9, last=rows[2]), rows[[0, 2, 1, 3]])


@pytest.mark.parametrize("update", ["mean", "sum"])
def test_centroids_move_as_a_loop_over_clusters_moves_them(update: str) -> None:
    table, rows = F.normalize(drawn(4, 5, seed=8), dim=1), F.normalize(drawn(9, 5, seed=9), dim=1)
    moved = moved_centroids(table, rows, 0.1, update)
    owner = [(row @ table.T).argmax().item() for row in rows]
    for k in range(4):
        members = rows[[number for number, own in enumerate(owner) if own == k]]
        if not len(members):
            expected = table[k]
        elif update == "mean":
            expected = F.normalize(0.9 * table[k] + 0.1 * members.mean(0), dim=0)
        else:
            expected = 0.9 * table[k] + 0.1 * members.sum(0)
        assert torch.allclose(moved[k], expected, atol=1e-6)


# --- local image term ------------------------------------------------------------------------------------------------


def test_mutual_prediction_is_minus_one_where_both_point_the_same_way() -> None:
    places = drawn(2, 4, 6)
    total = torch.tensor(2.0)
    assert float(mutual_prediction(places, 3 * places, 2 * places, places, torch.ones(2), total)) == pytest.approx(-1)


def test_mutual_prediction_is_the_loop_and_stops_gradients() -> None:
    places, said = drawn(3, 4, 6, seed=1).requires_grad_(), drawn(3, 4, 6, seed=2).requires_grad_()
    one, two = drawn(3, 4, 6, seed=3), drawn(3, 4, 6, seed=4)
    counted = torch.tensor([1.0, 0.0, 1.0])
    loss = mutual_prediction(places, said, one.requires_grad_(), two.requires_grad_(), counted, counted.sum())
    slow, free = 0.0, [part.detach() for part in (one, said, two, places)]
    for film in (0, 2):
        pairs = [[part[film, p] for part in free] for p in range(4)]
        slow -= sum(
            float(F.cosine_similarity(a, b, dim=0) + F.cosine_similarity(c, d, dim=0)) for a, b, c, d in pairs
        ) / 8  # fmt: skip
    assert loss.item() == pytest.approx(slow / 2, abs=1e-6)
    loss.backward()
    assert places.grad is None
    assert said.grad is None
    assert float(one.grad[1].abs().sum()) == 0 < float(one.grad[0].abs().sum())


def test_token_contrast_is_the_loop() -> None:
    one, other, mask = drawn(2, 4, 6, seed=1), drawn(2, 4, 6, seed=2), torch.tensor([[1, 1, 1, 0], [0, 0, 0, 0]])
    alike = cosines(one[0, :3], other[0, :3]) / 0.1
    slow = 0.5 * (F.cross_entropy(alike, torch.arange(3)) + F.cross_entropy(alike.T, torch.arange(3)))
    found = token_contrast(one, other, mask, 0.1)
    assert float(found[0]) == pytest.approx(float(slow), abs=1e-5)
    assert float(found[1]) == 0


# --- reconstruction --------------------------------------------------------------------------------------------------


def test_half_of_the_places_are_hidden_by_their_lots() -> None:
    hidden = hidden_patches(torch.tensor([[0.1, 0.9, 0.5, 0.3], [0.8, 0.2, 0.1, 0.9]]), 0.5)
    assert hidden.tolist() == [[True, False, False, True], [False, True, True, False]]


def test_only_pixels_of_hidden_patches_count() -> None:
    films, painted = torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    painted[0, 0, :2, :2], painted[0, 0, 2:, 2:], painted[1] = 3.0, 100.0, 1.0
    hidden = torch.tensor([[[True, False], [True, False]], [[False, False], [False, False]]])
    assert film_errors(painted, films, hidden).tolist() == [1.5, 0.0]
    assert film_errors(painted, films).tolist() == [(4 * 3 + 4 * 100) / 16, 1.0]
    assert float(reconstruction_error(painted, films, hidden, torch.tensor(2.0))) == 0.75


@pytest.mark.parametrize("output", ["linear", "tanh"])
def test_dark_pixels_are_within_reach(output: str) -> None:
    raw = torch.linspace(-20, 20, 41)
    reached = bounded(raw, output, 4.0)
    assert float(reached.min()) <= -3.99
    assert (reached.diff() > 0).sum() >= 20


# --- prototypes of MGCA --------------------------------------------------------------------------------------------


def test_assignments_use_every_prototype_equally() -> None:
    codes = sinkhorn(0.3 * drawn(12, 4), epsilon=0.05, rounds=200)
    assert torch.allclose(codes.sum(1), torch.ones(12), atol=1e-5)
    assert torch.allclose(codes.sum(0), torch.full((4,), 3.0), atol=1e-3)
    # As soft as can be: all the same.
    assert torch.allclose(sinkhorn(drawn(6, 3), epsilon=1e6), torch.full((6, 3), 1 / 3), atol=1e-4)
    assert sinkhorn(torch.tensor([[90.0, -90.0]])).isfinite().all()


def test_prototype_prediction_is_symmetric_and_at_least_the_entropy_of_the_codes() -> None:
    films, reports = 0.3 * drawn(8, 5), 0.3 * drawn(8, 5, seed=1)
    assert float(prototype_prediction(films, reports)) == pytest.approx(float(prototype_prediction(reports, films)))
    codes = sinkhorn(films)
    entropy = -(codes * codes.clamp(min=1e-12).log()).sum(1).mean()
    assert float(prototype_prediction(films, films)) >= float(entropy)
    assert float(prototype_prediction(films[:0], reports[:0])) == 0


def test_robust_weights_by_hand() -> None:
    attention = torch.tensor([[0.0, 1.0, 2.0, 3.0, 100.0], [5.0, 5.0, 9.0, 9.0, 9.0]])
    counted = torch.tensor([[False, True, True, True, True], [True, True, False, False, False]])
    weights = robust_weights(attention, counted)
    # Of 1, 2, 3, 100 the percentiles are 1.3 and 70.9.
    assert torch.allclose(weights[0], torch.tensor([0, 1.3, 2, 3, 70.9]) / 77.2, atol=1e-5)
    assert weights[1].tolist() == [0.5, 0.5, 0, 0, 0]
    assert robust_weights(attention, torch.zeros_like(counted)).tolist() == [[0] * 5] * 2
