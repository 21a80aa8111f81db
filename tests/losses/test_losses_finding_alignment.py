"""FFA-CL's losses: the anchors of the published code, limits and symmetries."""

from __future__ import annotations

import math

import pytest
import torch

from intervalchange.losses.finding_alignment import (
    combined,
    conditioned_contrast,
    finding_contrast,
    graph_alignment,
    orthogonality,
    published_floor,
)
from intervalchange.methods.ffa_cl.label_tree import read_tree

GENERATOR = torch.Generator().manual_seed(0)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR)


# --- contrast ----------------------------------------------------------------------------------------------------


def test_published_contrast_of_the_identity() -> None:
    loss = finding_contrast(torch.eye(14)[None], normalise_rows=True)
    assert loss.item() == pytest.approx(math.log(1 + 13 / math.e), abs=1e-5)
    assert loss.item() == pytest.approx(1.755, abs=1e-3)


def test_published_contrast_of_equal_logits_is_chance() -> None:
    assert finding_contrast(torch.ones(3, 14, 14), normalise_rows=True).item() == pytest.approx(2.639, abs=1e-3)


def test_published_contrast_cannot_fall_below_its_floor() -> None:
    assert published_floor(14) == pytest.approx(1.7237, abs=5e-5)
    own, others = 0.9636, -0.0741
    best = torch.full((14, 14), others).fill_diagonal_(own)
    assert finding_contrast(best[None], normalise_rows=True).item() == pytest.approx(published_floor(14), abs=1e-5)
    logits = best.clone().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.05)
    for _ in range(100):
        optimiser.zero_grad()
        loss = finding_contrast(logits[None], normalise_rows=True)
        loss.backward()
        optimiser.step()
        assert loss.item() > published_floor(14) - 1e-5


def test_the_scale_cancels_in_the_published_form_alone() -> None:
    similarity = noise(2, 14, 14)
    published = [finding_contrast(scale * similarity, normalise_rows=True).item() for scale in (1, 50)]
    assert published[0] == pytest.approx(published[1], abs=1e-5)
    assert abs(finding_contrast(similarity) - finding_contrast(50 * similarity)) > 1
    assert finding_contrast(100 * torch.eye(14)[None]).item() < 1e-6


def test_contrast_does_not_care_which_side_is_called_words() -> None:
    similarity = noise(3, 5, 5)
    for normalise in (False, True):
        one, other = (finding_contrast(s, normalise_rows=normalise) for s in (similarity, similarity.mT))
        assert one.item() == pytest.approx(other.item(), abs=1e-6)


# --- contrast that asks the labels -------------------------------------------------------------------------------


def test_conditioned_contrast_by_hand() -> None:
    """Two films, two labels: present, absent; absent, unknown. All logits 0: log 2 in each of its two parts."""
    targets = torch.tensor([[1.0, 0.0], [0.0, math.nan]])
    assert conditioned_contrast(torch.zeros(2, 2, 2), targets).item() == pytest.approx(2 * math.log(2), abs=1e-6)
    assert conditioned_contrast(torch.zeros(2, 2, 2), torch.full((2, 2), math.nan)).item() == 0


def test_conditioned_contrast_draws_the_present_and_pushes_the_absent() -> None:
    similarity = torch.zeros(2, 3, 3, requires_grad=True)
    targets = torch.tensor([[1.0, 0.0, math.nan], [0.0, 1.0, math.nan]])
    conditioned_contrast(similarity, targets).backward()
    gradient = similarity.grad
    assert gradient is not None
    assert gradient[0, 0, 0] < 0 < gradient[1, 0, 0]
    assert gradient[1, 1, 1] < 0 < gradient[0, 1, 1]
    assert (gradient[:, 2, 2] == 0).all()
    assert gradient[0, 1, 0] > 0, "the embedding of a present finding is pushed from another prompt"
    assert gradient[1, 1, 0] == 0, "the embedding of an absent finding is not held to other prompts"


def test_conditioned_contrast_weighs_a_rare_finding_like_a_frequent_one() -> None:
    similarity = torch.zeros(10, 2, 2, requires_grad=True)
    targets = torch.zeros(10, 2)
    targets[0, 0] = 1
    targets[:5, 1] = 1
    conditioned_contrast(similarity, targets).backward()
    own = torch.diagonal(similarity.grad, dim1=1, dim2=2)
    drawn = [own[targets[:, label] == 1, label].sum().item() for label in (0, 1)]
    assert drawn[0] == pytest.approx(drawn[1], rel=1e-5)


# --- orthogonality, graph, weighting -------------------------------------------------------------------------------


def test_orthogonality_of_orthogonal_and_of_equal_prompts() -> None:
    assert orthogonality(torch.eye(14), 100.0).item() < 1e-6
    assert orthogonality(torch.ones(14, 14), 100.0).item() == pytest.approx(math.log(14), abs=1e-5)
    assert orthogonality(torch.eye(14), form="cosine").item() == 0
    assert orthogonality(-torch.ones(14, 14), form="cosine").item() == pytest.approx(1)
    assert orthogonality(torch.tensor([[1.0, 0.5], [-0.3, 1.0]]), form="cosine").item() == pytest.approx(0.4)


def test_graph_alignment_is_nothing_where_the_films_draw_the_tree() -> None:
    """With S the root of a positive matrix, S S^T is that matrix; its diagonal is the largest entry of each row."""
    closeness = torch.from_numpy(read_tree("published").closeness()).float()
    wanted = closeness.fill_diagonal_(1)
    symmetric = (wanted + wanted.T) / 2
    matrix = symmetric + 13 * torch.eye(14)
    values, vectors = torch.linalg.eigh(matrix)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    assert graph_alignment(root[None], matrix - matrix.diag().diag() + torch.eye(14)).item() < 0.2
    same = graph_alignment(7 * root[None], closeness).item()
    assert same == pytest.approx(graph_alignment(root[None], closeness).item(), abs=1e-5)


def test_graph_alignment_by_hand() -> None:
    """S = I: rows of S S^T spread to (1, -1, -1); the tree's rows spread to (1, -1, 1), whatever their length."""
    closeness = torch.tensor([[0.0, 0.2, 1.0], [0.2, 0.0, 1.0], [1.0, 0.2, 0.0]])
    assert graph_alignment(torch.eye(3)[None], closeness).item() == pytest.approx(1 - 1 / 3, abs=1e-6)


def test_total_of_the_published_weighting_at_the_floor() -> None:
    floor = torch.tensor(published_floor(14))
    assert combined({"contrast": floor}, {"contrast": 1.0}, "exp").item() == pytest.approx(9.66, abs=5e-3)


def test_weightings() -> None:
    terms = {"a": torch.tensor(2.0, requires_grad=True), "b": torch.tensor(0.5)}
    weights = {"a": 1.0, "b": 4.0}
    assert combined(terms, weights).item() == pytest.approx(4)
    assert combined(terms, weights, "uncertainty", torch.zeros(2)).item() == pytest.approx(4)
    learned = torch.tensor([math.log(2.0), math.log(2.0)])
    assert combined(terms, weights, "uncertainty", learned).item() == pytest.approx(2 + 2 * math.log(2))
    combined(terms, weights, "exp").backward()
    assert terms["a"].grad.item() == pytest.approx(math.exp(2)), "the exponent is a weight, not a path of the gradient"
