"""`intervalchange train --list`: the stages, with what they need and what their presets say of themselves."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table

from intervalchange.blocks.tokenizer import template_tokenizer
from intervalchange.config import load_preset, preset_header, preset_sizes
from intervalchange.methods import method_class, stages
from intervalchange.methods.base.method import Method

LIST_WIDTH = 150
"""Columns of a terminal that `train --list` takes at least."""


@dataclass(frozen=True)
class Stage:
    """A line of `train --list`."""

    name: str
    sizes: tuple[str, ...]
    supervision: tuple[str, ...]
    """What it learns from."""
    parameters: Mapping[str, int]
    """Size -> parameters."""
    headers: Mapping[str, Mapping[str, str]]
    """Size -> what its preset says of itself: paper, hours, hardware, expected score, verified."""


def list_stages() -> list[Stage]:
    """Every METHOD/STAGE that has a preset, in running order."""
    return [
        Stage(
            name,
            sizes,
            method_class(name).supervision,
            {size: count_parameters(name, size) for size in sizes},
            {size: preset_header(name, size) for size in sizes},
        )
        for name in running_order(stages())
        if (sizes := preset_sizes(name))
    ]


def running_order(names: Sequence[str]) -> list[str]:
    """The stages method by method, as they are given; within a method, each after those that it `follows`."""
    methods = list(dict.fromkeys(name.split("/")[0] for name in names))
    ordered: list[str] = []
    for name in sorted(names, key=lambda name: methods.index(name.split("/")[0])):
        _append(name, names, ordered)
    return ordered


def _append(name: str, names: Sequence[str], ordered: list[str]) -> None:
    """Append a stage to the order, and before it what it follows in its own method."""
    method = name.split("/")[0]
    for earlier in method_class(name).follows:
        if earlier in names and earlier.split("/")[0] == method:
            _append(earlier, names, ordered)
    if name not in ordered:
        ordered.append(name)


def print_stages() -> None:
    """`train --list`: one row per stage and size, in running order, to stdout."""
    table = Table()
    for name in ("stage", "size", "parameters"):
        table.add_column(name, no_wrap=True, min_width=len(name))
    for name in ("learns from", "hours", "hardware", "expected score", "verified"):
        table.add_column(name)
    for stage in list_stages():
        for size in stage.sizes:
            header, parameters = stage.headers[size], f"{stage.parameters[size] / 1e6:.2f} M"
            facts = [header.get(key) or "not measured" for key in ("hours", "hardware", "expected score", "verified")]
            table.add_row(stage.name, size, parameters, ", ".join(stage.supervision), *facts)
    # Narrower, the words would be broken letter by letter.
    Console(width=max(Console().width, LIST_WIDTH)).print(table)


@functools.cache
def count_parameters(stage: str, size: str) -> int:
    """Parameters of a preset, counted on the meta device: nothing is allocated or downloaded."""
    return sum(parameter.numel() for parameter in meta_model(stage, size).parameters())


def meta_model(stage: str, size: str) -> Method:
    """The model of a preset on the meta device; the template tokenizer stands in for one that must be downloaded."""
    kind = method_class(stage)
    config = kind.config_class(**load_preset(stage, size).model)
    with torch.device("meta"):
        return kind(config, tokenizer=template_tokenizer())
