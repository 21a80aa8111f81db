"""The chest X-ray encoders that others have published, by name: facts, and what is read from their weights' names.

`published_encoders.py` builds them, `published_weights.py` loads them; docs/encoders.md says where each is from, under
which licence, and how sure we are of the names. No weight is shipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast

from torch import Tensor

from intervalchange.errors import ConfigError

PublishedName = Literal["rad_dino", "biovil", "biovil_t", "torchxrayvision", "mgca", "gloria", "chexnet"]


@dataclass(frozen=True)
class GreyScale:
    """Grey levels that an encoder was trained on: from `low` (air) to `high`, then (grey - mean) / deviation."""

    mean: tuple[float, ...]
    """One per channel."""
    deviation: tuple[float, ...]
    low: float = 0.0
    high: float = 1.0


AS_DECODED = GreyScale((0.0,) * 3, (1.0,) * 3)
HALF = GreyScale((0.5,) * 3, (0.5,) * 3)
IMAGENET = GreyScale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class PublishedEncoder:
    """One of them."""

    trunk: Literal["dinov2", "resnet", "biovil_t", "densenet"]
    greys: GreyScale
    side: int
    """Pixels a side that its network reads; films are resized to it."""
    inside: str = ""
    """Regular expression of what stands before the names of the trunk."""
    others: str = ""
    """Regular expression of tensors that are known and not needed: heads, text towers."""
    repository: str = ""
    """On the hub of Hugging Face, where it is there."""
    file: str = ""
    """As it is called where it is published; with `revision` the one that is fetched from `repository`."""
    revision: str = "main"
    address: str = ""
    """Where a person fetches it."""


PUBLISHED: dict[str, PublishedEncoder] = {
    "rad_dino": PublishedEncoder(
        "dinov2", GreyScale((0.5307,) * 3, (0.2583,) * 3), 518, repository="microsoft/rad-dino"
    ),
    "biovil": PublishedEncoder(
        "resnet",
        AS_DECODED,
        448,
        inside=r"encoder\.encoder\.",
        others=r"(encoder\.encoder\.fc|projector|classifier)\.",
        repository="microsoft/BiomedVLP-CXR-BERT-specialized",
        file="biovil_image_resnet50_proj_size_128.pt",
        revision="v1.1",
    ),
    "biovil_t": PublishedEncoder(
        "biovil_t",
        AS_DECODED,
        448,
        inside=r"encoder\.(encoder\.)?",
        others=r"(encoder\.encoder\.fc|encoder\.vit_pooler\.pos_embed|projector|classifier)(\.|$)",
        repository="microsoft/BiomedVLP-BioViL-T",
        file="biovil_t_image_model_proj_size_128.pt",
        revision="v1.0",
    ),
    "torchxrayvision": PublishedEncoder(
        "densenet",
        GreyScale((0.0,), (1.0,), -1024.0, 1024.0),
        224,
        inside=r"features\.",
        others=r"(classifier\.|op_threshs$)",
        file="nih-pc-chex-mimic_ch-google-openi-kaggle-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt",
        address="https://github.com/mlmed/torchxrayvision/releases/tag/v1",
    ),
    "mgca": PublishedEncoder(
        "resnet",
        HALF,
        299,
        inside=r"img_encoder_q\.model\.",
        others=r"(img_encoder_q\.(model\.fc|global_embed|local_embed)|text_encoder_q|prototype_layer"
        r"|(patch|word)_local_atten_layer)\.",
        file="resnet_50.ckpt",
        address="https://github.com/HKU-MedAI/MGCA",
    ),
    "gloria": PublishedEncoder(
        "resnet",
        HALF,
        299,
        inside=r"(gloria\.)?img_encoder\.model\.",
        others=r"(gloria\.)?(img_encoder\.(model\.fc|global_embedder|local_embedder)|text_encoder)\.",
        file="chexpert_resnet50.ckpt",
        address="https://github.com/marshuang80/gloria",
    ),
    "chexnet": PublishedEncoder(
        "densenet",
        IMAGENET,
        224,
        inside=r"(densenet121\.)?features\.",
        others=r"(densenet121\.)?classifier\.",
        file="model.pth.tar",
        address="https://github.com/arnoweng/CheXNet",
    ),
}

_WRAPPERS = re.compile(r"^((state_dict|model_state_dict|module|model)\.)+")
_TRAINING = re.compile(r"^(optimizer|optimizer_states|lr_schedulers|callbacks|loops|hyper_parameters|hparams)\b")
_OLD_DENSENET = re.compile(r"\b(norm|conv)\.([12])\.")


@dataclass(frozen=True)
class Asked:
    """`NAME` or `NAME:PATH`, as `backbone_weights` may say it."""

    name: PublishedName
    path: str
    """Empty: where it is published."""


def asked(weights: str) -> Asked | None:
    """The published encoder that `backbone_weights` names; None where it names something else."""
    name, _, path = weights.partition(":")
    return Asked(cast(PublishedName, name), path) if name in PUBLISHED else None


@dataclass(frozen=True)
class TrunkShape:
    """Sizes of a ResNet or DenseNet of any width, so that a run loads without the file that its weights came from."""

    stem: int
    depths: tuple[int, ...]
    widths: tuple[int, ...] = ()
    """Of the stages of a ResNet."""
    growth: int = 0
    """Channels that each layer of a DenseNet adds."""
    bottleneck: int = 4
    """Channels between the two convolutions of a layer, in units of `growth`."""
    pooled: int = 0
    """Width of BioViL-T's patches, static and of the change each."""
    blocks: int = 0
    """Blocks of BioViL-T's transformer."""

    def to_json(self) -> str:
        """As a configuration keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TrunkShape:
        """The inverse of `to_json`."""
        facts = json.loads(text)
        depths, widths = tuple(facts.pop("depths")), tuple(facts.pop("widths"))
        return cls(depths=depths, widths=widths, **facts)


RESNET50 = TrunkShape(64, (3, 4, 6, 3), (256, 512, 1024, 2048))
RELEASED = {
    "resnet": RESNET50,
    "biovil_t": TrunkShape(64, (3, 4, 6, 3), (256, 512, 1024, 2048), pooled=256, blocks=3),
    "densenet": TrunkShape(64, (6, 12, 24, 16), growth=32),
}
"""The shapes that are published."""


def trunk_tensors(name: str, tensors: Mapping[str, Tensor], where: str | Path) -> dict[str, Tensor]:
    """The tensors of a published file that belong to the encoder, by their names inside it (torchvision's).

    Raises ConfigError naming tensors that are neither part of it nor known to be of something else.
    """
    facts = PUBLISHED[name]
    inside, others = re.compile(facts.inside), re.compile(facts.others)
    trunk, unexpected = {}, []
    for full, tensor in tensors.items():
        bare = _WRAPPERS.sub("", full)
        if _TRAINING.match(full) or others.match(bare):
            continue
        prefix = inside.match(bare)
        if prefix is None:
            unexpected.append(full)
        else:
            inner = bare[prefix.end() :]
            trunk[_OLD_DENSENET.sub(r"\1\2.", inner) if facts.trunk == "densenet" else inner] = tensor
    if unexpected:
        raise wrong_file(name, f"it has {listed(unexpected)}, which {name} has not", where)
    return trunk


def shape_of_trunk(name: str, trunk: Mapping[str, Tensor], where: str | Path) -> TrunkShape:
    """The sizes that tensors have; names as `trunk_tensors` gives them. Raises ConfigError naming what is missing."""

    def rows(tensor: str) -> int:
        if tensor not in trunk:
            raise wrong_file(name, f"it lacks {tensor!r}", where)
        return int(trunk[tensor].shape[0])

    def count(pattern: str) -> int:
        return 1 + max((int(found[1]) for one in trunk if (found := re.match(pattern, one))), default=-1)

    if PUBLISHED[name].trunk == "densenet":
        growth = rows("denseblock1.denselayer1.conv2.weight")
        depths = tuple(count(rf"denseblock{stage}\.denselayer(\d+)\.") - 1 for stage in (1, 2, 3, 4))
        between = rows("denseblock1.denselayer1.conv1.weight") // growth
        return TrunkShape(rows("conv0.weight"), depths, growth=growth, bottleneck=between)
    widths = tuple(rows(f"layer{stage}.0.conv3.weight") for stage in (1, 2, 3, 4))
    depths = tuple(count(rf"layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4))
    shape = TrunkShape(rows("conv1.weight"), depths, widths)
    if PUBLISHED[name].trunk != "biovil_t":
        return shape
    blocks = count(r"vit_pooler\.blocks\.(\d+)\.")
    return TrunkShape(shape.stem, depths, widths, pooled=rows("backbone_to_vit.weight"), blocks=blocks)


def wrong_file(name: str, what: str, where: str | Path) -> ConfigError:
    """The error for a file that is not what it is called."""
    file = PUBLISHED[name].file or PUBLISHED[name].repository
    return ConfigError(
        f"these are not the weights of {name}: {what}.", where=where, remedy=f"{name} is published as {file}."
    )


def listed(names: list[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(repr(name) for name in sorted(names)[:most]) + (f" and {rest} more" if rest > 0 else "")
