"""A tree of labels from YAML: which labels there are, which names they read, how close two are, prompts for each.

`labels`: the labels in order; `edges`: pairs of nodes; `normal`: the label for films without any other;
`uncounted`: labels that do not contradict it; `reads`: label -> further names that data sets give it. A label always
reads its own name in lower case and the findings of `findings.CHEXPERT_OF_FINDING` that mean it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from intervalchange.errors import ConfigError
from intervalchange.findings import CHEXPERT_OF_FINDING

FOLDER = "graphs"
PROMPTS = "prompts"
Array = NDArray[np.float64]
PromptStyle = Literal["basic", "detailed", "published"]


@dataclass(frozen=True)
class LabelTree:
    """l labels on a tree of nodes; every edge has length 1."""

    labels: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    normal: str = ""
    """The label that is present where no other is; empty: none of them."""
    uncounted: tuple[str, ...] = ()
    reads: tuple[tuple[str, str], ...] = ()
    """(label, name in the data)."""

    def sources(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """(names, l): which label each name of the data is read as. Raises ConfigError for a name no label reads."""
        known = {(name, label) for label, name in self.reads}
        known |= {(label.lower(), label) for label in self.labels}
        known |= {(finding, label) for finding, label in CHEXPERT_OF_FINDING.items() if label in self.labels}
        table = np.array([[(name, label) in known for label in self.labels] for name in names], bool)
        table = table.reshape(len(names), len(self.labels))
        strange = [name for name, row in zip(names, table, strict=True) if not row.any()]
        if strange:
            raise ConfigError(
                f"no label of the tree reads {strange[0]!r}.",
                remedy=f"The tree reads: {', '.join(sorted({name for name, _ in known}))}.",
            )
        return table

    def distances(self) -> Array:
        """(l, l): edges between two labels."""
        nodes = sorted({*self.labels, *(node for edge in self.edges for node in edge)})
        index_of = {node: index for index, node in enumerate(nodes)}
        steps = np.full((len(nodes), len(nodes)), np.inf)
        np.fill_diagonal(steps, 0)
        for first, second in self.edges:
            ends = index_of[first], index_of[second]
            steps[ends] = steps[ends[::-1]] = 1
        for middle in range(len(nodes)):
            steps = np.minimum(steps, steps[:, middle, None] + steps[middle])
        rows = [index_of[label] for label in self.labels]
        return steps[np.ix_(rows, rows)]

    def closeness(self) -> Array:
        """(l, l): 1 / distance, 0 on the diagonal, rows of length 1; the published target."""
        steps = self.distances()
        return _unit_rows(np.divide(1, steps, out=np.zeros_like(steps), where=steps > 0))

    def remoteness(self) -> Array:
        """(l, l): distances, rows of length 1; the published alternative."""
        return _unit_rows(self.distances())


def _unit_rows(table: Array) -> Array:
    rows: Array = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    return rows


def read_tree(name: str) -> LabelTree:
    """A tree of the package by name (published, chexpert, nih), or a YAML file by path."""
    shipped = resources.files("intervalchange.methods.ffa_cl") / FOLDER / f"{name}.yaml"
    path: Any = shipped if "/" not in name and shipped.is_file() else Path(name)
    if not path.is_file():
        raise ConfigError(
            f"there is no label tree {name!r}.", remedy=f"Give a YAML file, or {', '.join(tree_names())}."
        )
    try:
        return _tree(yaml.safe_load(path.read_text(encoding="utf-8")), str(name))
    except (yaml.YAMLError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError("this is not a label tree.", where=name, remedy="It needs `labels` and `edges`.") from error


def tree_names() -> list[str]:
    """The trees of the package."""
    folder = resources.files("intervalchange.methods.ffa_cl") / FOLDER
    names = [entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return sorted(name for name in names if name != PROMPTS)


def _tree(plain: Mapping[str, Any], where: str) -> LabelTree:
    """The tree of a YAML document, checked: one root, no loop, every label on it."""
    strange = set(plain) - {"labels", "edges", "normal", "uncounted", "reads"}
    if strange:
        raise ConfigError(f"unknown key {min(strange)!r} of a label tree.", where=where, remedy="See published.yaml.")
    labels = tuple(str(label) for label in plain["labels"])
    edges = tuple((str(first), str(second)) for first, second in plain["edges"])
    reads = tuple((label, str(name)) for label, names in (plain.get("reads") or {}).items() for name in names)
    tree = LabelTree(
        labels, edges, str(plain.get("normal") or ""), tuple(map(str, plain.get("uncounted") or ())), reads
    )
    nodes = {node for edge in edges for node in edge}
    named = {*labels, *tree.uncounted, *(label for label, _ in reads), *([tree.normal] if tree.normal else [])}
    if len(set(labels)) < len(labels) or not named <= nodes or not named <= set(labels):
        raise ConfigError(
            "a label is named twice, lies on no edge, or is not one of `labels`.", where=where, remedy="Name it once."
        )
    if len(edges) != len(nodes) - 1 or not np.isfinite(tree.distances()).all():
        raise ConfigError(
            f"{len(edges)} edges over {len(nodes)} nodes are not a tree.",
            where=where,
            remedy="Each node but the root hangs on exactly one other.",
        )
    return tree


def prompts_of(labels: Sequence[str], style: PromptStyle = "basic") -> list[str]:
    """One prompt per label, in their order. Raises ConfigError for a label without a detailed prompt."""
    if style == "basic":
        return [f"a chest film that shows {label.lower()}" for label in labels]
    if style == "published":
        return [f"images for {label}" for label in labels]
    text = (resources.files("intervalchange.methods.ffa_cl") / FOLDER / f"{PROMPTS}.yaml").read_text(encoding="utf-8")
    words: Mapping[str, str] = yaml.safe_load(text)
    missing = [label for label in labels if label not in words]
    if missing:
        raise ConfigError(f"{missing[0]!r} has no detailed prompt.", remedy="Use `prompts: basic`.")
    return [words[label] for label in labels]


def word_vectors(prompts: Sequence[str]) -> Array:
    """(prompts, v): the words of each prompt, counted and weighted by how few prompts have them, rows of length 1.

    A substitute for a text encoder: prompts that share words are close, whatever the words mean.
    """
    split = [prompt.lower().replace(",", " ").split() for prompt in prompts]
    words = sorted({word for prompt in split for word in prompt})
    counts = np.array([[prompt.count(word) for word in words] for prompt in split], float)
    rarity = np.log((1 + len(prompts)) / (1 + (counts > 0).sum(axis=0))) + 1
    return _unit_rows(counts * rarity)
