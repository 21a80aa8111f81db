"""`intervalchange train --list`: the stages, with what they need and what their presets say of themselves."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table

from intervalchange.blocks.tokenizer import template_tokenizer
from intervalchange.config import load_preset, preset_header, preset_sizes, read_preset
from intervalchange.methods import method_class, stages
from intervalchange.methods.base.method import Method

GUESS = "guess"
"""What a published preset says behind a value that no paper and no code gives."""
SOURCE = re.compile(r"\.(py|ya?ml|json)$|^the paper|README")
REPEATED = 3
"""Values with one remark, from which on it is taken for a source that SOURCE does not know."""
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
            {size: known_parameters(name, size) for size in sizes},
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
    listed = list_stages()
    for stage in listed:
        for size in stage.sizes:
            header, parameters = stage.headers[size], f"{stage.parameters[size] / 1e6:.2f} M"
            facts = [header.get(key) or "not measured" for key in ("hours", "hardware", "expected score", "verified")]
            table.add_row(stage.name, size, parameters, ", ".join(stage.supervision), *facts)
    # Narrower, the words would be broken letter by letter.
    console = Console(width=max(Console().width, LIST_WIDTH))
    console.print(table)
    console.print("\nWhere the values of published sizes come from (each is behind its value in the preset):")
    for stage in listed:
        for size in stage.sizes:
            said = source_line(stage.name, size)
            if said:
                console.print(f"  {stage.name} {size}: {said}", markup=False, highlight=False, soft_wrap=True)


def source_line(stage: str, size: str) -> str:
    """Where the values of a published preset come from, how many from each source, and which are guesses; empty for a
    preset that marks no guess and names no source."""
    sources, guesses = value_sources(stage, size)
    source = preset_header(stage, size).get("source", "")
    if not (source or guesses or size == "paper"):
        return ""
    counted = ", ".join(
        f"{name} ({count})" for name, count in sources.most_common() if count >= REPEATED or SOURCE.search(name)
    )
    parts = [source, counted, f"guesses: {', '.join(guesses) or 'none'}"]
    return "; ".join(part for part in parts if part)


def value_sources(stage: str, size: str) -> tuple[Counter[str], list[str]]:
    """What stands behind the values of a preset: source -> how many values; and the options that are guesses."""
    sources: Counter[str] = Counter()
    guesses = []
    for name, remark in re.findall(r"^ +(\w+): .*?  # (.+)$", read_preset(stage, size), re.MULTILINE):
        source = remark.partition(":")[0].strip()
        if source == GUESS:
            guesses.append(name)
        else:
            sources[source] += 1
    return sources, guesses


def known_parameters(stage: str, size: str) -> int:
    """Parameters as the preset says, for a list without waiting; counted where it does not."""
    said = preset_header(stage, size).get("parameters", "").replace(",", "")
    return int(said) if said.isdigit() else count_parameters(stage, size)


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
