"""Labels as the data call them -> targets for the labels of the tree, after a policy for what is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from intervalchange.methods.ffa_cl.label_tree import LabelTree

PolicyName = Literal["ignore", "u_zeros", "u_ones", "three_class"]


@dataclass(frozen=True)
class Policy:
    """What becomes of unknown labels. A prepared folder does not distinguish uncertain from not mentioned."""

    uncertain: str
    """For `prepare --option uncertain=...`: what an uncertain label is."""
    unmentioned: Literal["unknown", "absent", "class"]
    """What the method makes of a label that is neither present nor absent in the prepared folder."""


POLICIES = MappingProxyType(
    {
        "ignore": Policy("unknown", "unknown"),
        "u_zeros": Policy("absent", "absent"),
        "u_ones": Policy("present", "absent"),
        "three_class": Policy("unknown", "class"),
    }
)
"""The policies of the CheXpert paper by name, and the published three classes."""


class TreeTargets:
    """From n labels of the data to the l labels of a tree.

    Not a module: its tables are not weights, and `--from` a run of another tree must not replace them.
    """

    def __init__(self, tree: LabelTree, names: Sequence[str], policy: Policy) -> None:
        self.policy = policy
        self.sources = torch.from_numpy(tree.sources(names)).float()
        """(n, l): which label each name of the data is read as."""
        self.defined = self.sources.amax(0) > 0
        """(l) bool: labels that the data can tell anything about."""
        self.normal = tree.labels.index(tree.normal) if tree.normal else None
        self.counted = [index for index, label in enumerate(tree.labels) if label not in (tree.normal, *tree.uncounted)]
        """Labels that contradict the normal one."""
        if self.normal is not None:
            self.defined[self.normal] = True

    def of(self, labels: Tensor) -> Tensor:
        """(b, n) -> (b, l): 1, 0, NaN, after the policy.

        Present if any source is, absent if a source is known and none is present. A label without a source stays
        unknown. The normal label is present where no counted label is, on a film of which something is known.
        """
        sources, unknown = self.sources.to(labels.device), float("nan")
        present, absent = ((labels == value).float() @ sources > 0 for value in (1, 0))
        targets = torch.where(present, 1.0, torch.where(absent, 0.0, unknown))
        if self.policy.unmentioned == "absent":
            targets = torch.where(torch.isnan(targets) & self.defined.to(targets.device), 0.0, targets)
        if self.normal is not None:
            counted = targets[:, self.counted]
            is_normal = ~(counted == 1).any(dim=1)
            known = ~torch.isnan(counted).all(dim=1)
            targets[:, self.normal] = torch.where(known, is_normal.float(), unknown)
        return targets
