"""The encoder under a task: those of `blocks/encoders.py`, any vision model of Hugging Face, and weights for them.

Weights come from a run of the project (`--from RUN`, or its folder as `backbone_weights`), from the hub by name, or
from a file of tensors, such as the ResNet-50 state dicts in torchvision's names that the MGCA family exchanges.
"""

from __future__ import annotations

import inspect
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel

from intervalchange.blocks.encoders import ConvEncoder, Encoder, Features, PyramidEncoder, ResNetEncoder
from intervalchange.data.checkpoints import FOREIGN, to_safetensors
from intervalchange.errors import ConfigError

Backbone = Literal["conv", "pyramid", "resnet50", "hub"]

FIRST = ("film_encoder.", "image_encoder.", "encoder.")
"""Prefixes of the encoder that reads films, in the runs of the project; ReAl's of the residual has the same shape."""

Shape = tuple[tuple[int, int], ...]
"""(width, stride) of the maps of an encoder, fine to coarse."""


class HubEncoder(nn.Module):
    """Any vision model that `AutoModel` knows: its last map, and its class token where it has one.

    Films are shown on every channel, resized to the size the model was made for.
    """

    def __init__(self, description: str) -> None:
        """description: the model's configuration as JSON."""
        super().__init__()
        facts = json.loads(description)
        config = AutoConfig.for_model(facts.pop("model_type"), **facts)
        kind: Any = AutoModel._model_mapping[type(config)]
        bare = (
            {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind.__init__).parameters else {}
        )
        self.network = AutoModel.from_config(config, **bare)
        self.channels, self.side = int(getattr(config, "num_channels", 3)), getattr(config, "image_size", None)
        widths = getattr(config, "hidden_sizes", None)
        self.width = int(widths[-1] if widths else config.hidden_size)
        depths, patch = getattr(config, "depths", None), getattr(config, "patch_size", None)
        self.stride = int(patch) * 2 ** (len(depths) - 1 if depths else 0) if patch else 32

    def forward(self, films: Tensor) -> Features:
        return self.look(films)[0]

    def look(self, films: Tensor) -> tuple[Features, Tensor | None]:
        """(b, 1, h, w) -> the map, and the class token (b, c) or None."""
        if self.side is not None:
            side = (self.side, self.side) if isinstance(self.side, int) else tuple(self.side)
            films = F.interpolate(films, size=side, mode="bilinear", align_corners=False, antialias=True)
        state = self.network(films.expand(-1, self.channels, -1, -1)).last_hidden_state
        if state.ndim == 4:
            return Features(state), None
        grid = int(state.shape[1] ** 0.5)
        token = state[:, 0] if state.shape[1] > grid * grid else None
        places = state[:, state.shape[1] - grid * grid :]
        return Features(places.transpose(1, 2).unflatten(2, (grid, grid))), token

    def load_pretrained(self, name: str) -> None:
        """Weights of the hub or of a folder written by `save_pretrained`."""
        self.network.load_state_dict(type(self.network).from_pretrained(name).state_dict(), strict=False)


def describe_hub_model(name: str) -> str:
    """The configuration of a vision model on the hub, as JSON: kept with the weights, so that they load offline."""
    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"there is no model {name!r}.",
            remedy="Set --model.backbone_weights to a name on the hub (once online) or a folder of save_pretrained.",
        ) from error
    config = getattr(config, "vision_config", config)
    return str(config.to_json_string(use_diff=True))


ProbedEncoder = Encoder | HubEncoder


def shape_of(encoder: ProbedEncoder) -> Shape:
    """Width and stride of each map that `levels_of` gives."""
    if isinstance(encoder, HubEncoder):
        return ((encoder.width, encoder.stride),)
    if isinstance(encoder, ResNetEncoder):
        return tuple(zip(encoder.network.config.hidden_sizes or (), (4, 8, 16, 32), strict=True))
    if isinstance(encoder, PyramidEncoder):
        return ((encoder.network.stem.out_channels, 4), (encoder.width, encoder.network.stride))
    stride, shape = 1, []
    for layer in encoder.stages:
        if isinstance(layer, nn.Conv2d):
            stride *= int(layer.stride[0])
            shape.append((layer.out_channels, stride))
    return tuple(shape)


def levels_of(encoder: ProbedEncoder, films: Tensor) -> list[Tensor]:
    """Films (b, 1, h, w) -> maps, fine to coarse; the last one is the map that the encoder gives by itself."""
    if isinstance(encoder, HubEncoder):
        return [encoder(films).map]
    if isinstance(encoder, ResNetEncoder):
        return list(encoder.network(films, output_hidden_states=True).hidden_states[1:])
    if isinstance(encoder, PyramidEncoder):
        stages = encoder.network.levels(films)
        return [stages[0], encoder.network.merged(stages)]
    maps, features = [], films
    for layer in encoder.stages:
        if isinstance(layer, nn.Conv2d) and features is not films:
            maps.append(features)
        features = layer(features)
    return [*maps, features]


# --- weights -------------------------------------------------------------------------------------------------------


def encoder_options(run: str | Path) -> dict[str, Any]:
    """The options of a task that give it the encoder of a run, for `--model.NAME`; empty where the run does not say."""
    path = Path(run) / "config.json"
    facts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if facts.get("model_type") == "set_difference":
        facts |= {"backbone": "pyramid", "encoder_widths": facts["widths"], "encoder_depth": facts["depth"]}
        facts["pyramid_width"] = facts["width"]
    wanted = {
        "conv": ("encoder_widths", "encoder_depth", "stem_stride"),
        "pyramid": ("encoder_widths", "encoder_depth", "pyramid_width"),
    }
    if "backbone" not in facts:
        return {}
    names = ("backbone", *wanted.get(facts["backbone"], ()), "pixels")
    return {name: facts[name] for name in names if name in facts}


def read_tensors(source: str | Path) -> dict[str, Tensor]:
    """The tensors of a run folder or of a file of weights, which is never unpickled in this process."""
    source = Path(source)
    if source.is_dir():
        return load_file(source / "model.safetensors")
    with tempfile.TemporaryDirectory() as folder:
        return load_file(to_safetensors(source, Path(folder) / "weights.safetensors"))


def holds_tensors(source: str) -> bool:
    """Whether this is a run folder or a file of weights, and not a name on the hub or a folder of save_pretrained."""
    path = Path(source)
    return (path / "run.json").is_file() or (path.is_file() and path.suffix in (*FOREIGN, ".safetensors"))


def encoder_tensors(encoder: nn.Module, theirs: Mapping[str, Tensor], where: str | Path) -> dict[str, Tensor]:
    """Tensors of a run -> those of this encoder under its own names, all of them.

    The encoder is found by the names inside it, whatever stands before them: `encoder.`, `film_encoder.network.`,
    `image_encoder.model.`, ... Of several that fit, the one that reads films (`FIRST`) is taken. Raises ConfigError
    where none fits in every tensor, with the options that would.
    """
    ours = encoder.state_dict()
    inside = {name.removeprefix("network."): name for name in ours}
    theirs = _in_names_of_transformers(theirs)
    if isinstance(encoder, ResNetEncoder):
        theirs = {name: _one_channel(name, tensor) for name, tensor in theirs.items()}
    anchor = next(iter(inside))
    prefixes = {name.removesuffix(anchor) for name in theirs if name.endswith(anchor)}
    for prefix in sorted(prefixes, key=_rank):
        found = {full: theirs[prefix + name] for name, full in inside.items() if prefix + name in theirs}
        lacking = [name for name in ours if name not in found and not name.endswith("num_batches_tracked")]
        if not lacking and all(found[name].shape == ours[name].shape for name in found):
            return found
    options = " ".join(f"--model.{name} {value}".replace(", ", ",") for name, value in encoder_options(where).items())
    raise ConfigError(
        "these weights hold no encoder of this shape.",
        where=where,
        remedy=f"Set {options}." if options else "Set --model.backbone and its widths as they were trained.",
    )


def _rank(prefix: str) -> tuple[int, int, str]:
    """Which encoder of a run is preferred: smaller is better."""
    place = next((number for number, first in enumerate(FIRST) if prefix.startswith(first)), len(FIRST))
    return place, len(prefix), prefix


def _one_channel(name: str, tensor: Tensor) -> Tensor:
    """The first filters of a ResNet summed over colour, as a film is the same in all three."""
    first = name.endswith("embedder.embedder.convolution.weight") and tensor.shape[1] == 3
    return tensor.sum(dim=1, keepdim=True) if first else tensor


_STEM = re.compile(r"^(.*?)(conv1|bn1)\.(\w+)$")
_BLOCK = re.compile(r"^(.*?)layer([1-4])\.(\d+)\.(?:(conv|bn)(\d)|downsample\.([01]))\.(\w+)$")


def _in_names_of_transformers(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """ResNet tensors named as in torchvision under their names in transformers; anything else as it is."""
    if not any(name.endswith("layer1.0.conv1.weight") for name in tensors):
        return tensors
    return {_renamed(name): tensor for name, tensor in tensors.items()}


def _renamed(name: str) -> str:
    part = {"conv": "convolution", "bn": "normalization"}
    block = _BLOCK.match(name)
    if block is not None:
        before, stage, layer, kind, number, shortcut, what = block.groups()
        inner = (
            f"layer.{int(number) - 1}.{part[kind]}"
            if kind
            else f"shortcut.{'convolution' if shortcut == '0' else 'normalization'}"
        )
        return f"{before}encoder.stages.{int(stage) - 1}.layers.{layer}.{inner}.{what}"
    stem = _STEM.match(name)
    if stem is not None:
        return f"{stem[1]}embedder.embedder.{part[stem[2].removesuffix('1')]}.{stem[3]}"
    return name


def load_encoder(encoder: ProbedEncoder, source: str) -> None:
    """Weights into an encoder: a run folder, a file of tensors, or a model published on the hub."""
    if holds_tensors(source):
        with torch.no_grad():
            encoder.load_state_dict(encoder_tensors(encoder, read_tensors(source), source), strict=False)
    elif isinstance(encoder, ConvEncoder | PyramidEncoder):
        raise ConfigError(
            "there are no such weights for this encoder.", where=source, remedy="Give a finished run folder or a file."
        )
    else:
        encoder.load_pretrained(source)


def map_pretrained_tensors(model: Any, tensors: Mapping[str, Tensor], run: Path) -> dict[str, Tensor]:
    """What a model with an `encoder` takes from a run: the encoder of any, and all of one that has the same names."""
    ours = model.state_dict()
    rest = tensors if all(name in ours for name in tensors) else {}
    encoder = encoder_tensors(model.encoder, tensors, run)
    return {**rest, **{f"encoder.{name}": tensor for name, tensor in encoder.items()}}
