"""What an answer over regions used: regions and graph nodes, drawn on the current film."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from intervalchange.blocks.region_queries import RegionView

GRID = 32
"""Cells along a side of an attribution map."""
SHOWN = 3
"""Regions and nodes with a map of their own."""


def region_use(used: Tensor, view: RegionView, graph: bool) -> tuple[Tensor, Tensor]:
    """How much each token was used, (b, n) -> by region (b, r) and by node of a finding (b, f).

    The tokens of a region are its vector, its crop and its node. What a finding's node did is its regions' as well, in
    the shares of its edges.
    """
    regions, kinds = view.presence.shape[1], view.findings.shape[-1]
    of_region = used[:, :regions] + used[:, regions : 2 * regions]
    if not graph:
        return of_region, used.new_zeros(len(used), kinds)
    organs, findings = used[:, 2 * regions :].split([regions, kinds], dim=1)
    edges = torch.sigmoid(view.presence.float()).unsqueeze(-1) * torch.sigmoid(view.findings.float())
    shares = edges / edges.sum(1, keepdim=True).clamp(min=torch.finfo(edges.dtype).tiny)
    return of_region + organs + torch.einsum("brf,bf->br", shares, findings), findings


def attribution_maps(
    used: Tensor, view: RegionView, regions: Sequence[str], findings: Sequence[str], graph: bool
) -> list[dict[str, np.ndarray] | None]:
    """Per case: "change" for all regions together, "region: NAME" and "node: FINDING" for those used most.

    Each (GRID, GRID) in [0, 1]: a region's use is spread over the area of its box, so that a small one that mattered
    is hotter than a large one. None where no map says anything.
    """
    use, nodes = region_use(used, view, graph)
    middle = (torch.arange(GRID, device=used.device) + 0.5) / GRID
    boxes = view.boxes.float()
    columns = (middle > boxes[..., 0, None]) & (middle < boxes[..., 2, None])
    rows = (middle > boxes[..., 1, None]) & (middle < boxes[..., 3, None])
    inside = (rows[..., :, None] & columns[..., None, :]).float()
    spread = inside / inside.sum((-2, -1), keepdim=True).clamp(min=1)
    edges = torch.sigmoid(view.presence.float()).unsqueeze(-1) * torch.sigmoid(view.findings.float())
    of_node = torch.einsum("brf,brgh->bfgh", edges, spread).cpu().numpy()
    of_region, weight = spread.cpu().numpy(), use.float().cpu().numpy()
    node_weight = nodes.float().cpu().numpy()
    return [
        _maps(of_region[row], weight[row], regions, of_node[row], node_weight[row], findings) for row in range(len(use))
    ]


def _maps(
    of_region: np.ndarray,
    weight: np.ndarray,
    regions: Sequence[str],
    of_node: np.ndarray,
    node_weight: np.ndarray,
    findings: Sequence[str],
) -> dict[str, np.ndarray] | None:
    maps = {"change": np.einsum("r,rgh->gh", weight, of_region)}
    maps |= {f"region: {regions[index]}": of_region[index] for index in _most(weight)}
    maps |= {f"node: {findings[index]}": of_node[index] for index in _most(node_weight)}
    return {name: map_ / map_.max() for name, map_ in maps.items() if map_.max() > map_.min()} or None


def _most(weight: np.ndarray) -> list[int]:
    """The indices of the largest weights above 0."""
    return [int(index) for index in np.argsort(-weight)[:SHOWN] if weight[index] > 0]
