"""Tiny files with the tensor names of the chest encoders that others have published, and what their networks compute.

The names are restated here, not imported, and the networks are written out with torch's functions over named tensors,
so that a wrong name, order or normalisation in the package cannot pass its own test.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Dinov2Config, Dinov2Model

Tensors = dict[str, Tensor]

FILES = {
    "rad_dino": "rad-dino",
    "biovil": "biovil_image_resnet50_proj_size_128.pt",
    "biovil_t": "biovil_t_image_model_proj_size_128.pt",
    "torchxrayvision": (
        "nih-pc-chex-mimic_ch-google-openi-kaggle-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"
    ),
    "mgca": "resnet_50.ckpt",
    "gloria": "chexpert_resnet50.ckpt",
    "chexnet": "model.pth.tar",
}


def random_tensors(shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    """Values that keep a signal alive; variances are positive."""
    made = {}
    for name, shape in shapes.items():
        fan = max(1, int(torch.tensor(shape[1:]).prod())) if len(shape) > 1 else 1
        made[name] = torch.rand(shape) + 0.5 if len(shape) == 1 else torch.randn(shape) * (1.5 / fan) ** 0.5
        if name.endswith(("bias", "running_mean")):
            made[name] = torch.randn(shape) * 0.1
    return made


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{what}": (width,) for what in ("weight", "bias", "running_mean", "running_var")}


def resnet(stem: int = 4, widths: tuple[int, ...] = (8, 12, 16, 24), depths: tuple[int, ...] = (2, 1, 1, 1)) -> Tensors:
    """torchvision's names: bottlenecks of a quarter of the width."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (stem, 3, 7, 7), **norm("bn1", stem)}
    before = stem
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True), 1):
        for block in range(depth):
            at, narrow = f"layer{stage}.{block}", width // 4
            shapes |= {f"{at}.conv1.weight": (narrow, before, 1, 1), **norm(f"{at}.bn1", narrow)}
            shapes |= {f"{at}.conv2.weight": (narrow, narrow, 3, 3), **norm(f"{at}.bn2", narrow)}
            shapes |= {f"{at}.conv3.weight": (width, narrow, 1, 1), **norm(f"{at}.bn3", width)}
            if block == 0:
                shapes |= {f"{at}.downsample.0.weight": (width, before, 1, 1), **norm(f"{at}.downsample.1", width)}
            before = width
    return random_tensors(shapes)


def densenet(
    channels: int, stem: int = 4, growth: int = 2, depths: tuple[int, ...] = (2, 1, 1, 2), bottleneck: int = 4
) -> Tensors:
    """torchvision's names."""
    shapes: dict[str, tuple[int, ...]] = {
        "features.conv0.weight": (stem, channels, 7, 7),
        **norm("features.norm0", stem),
    }
    width, between = stem, growth * bottleneck
    for stage, depth in enumerate(depths, 1):
        for layer in range(1, depth + 1):
            at = f"features.denseblock{stage}.denselayer{layer}"
            shapes |= {**norm(f"{at}.norm1", width), f"{at}.conv1.weight": (between, width, 1, 1)}
            shapes |= {**norm(f"{at}.norm2", between), f"{at}.conv2.weight": (growth, between, 3, 3)}
            width += growth
        if stage < len(depths):
            at = f"features.transition{stage}"
            shapes |= {**norm(f"{at}.norm", width), f"{at}.conv.weight": (width // 2, width, 1, 1)}
            width //= 2
    shapes |= {**norm("features.norm5", width), "classifier.weight": (3, width), "classifier.bias": (3,)}
    return random_tensors(shapes)


def pooler(width: int = 16, channels: int = 24, blocks: int = 2) -> Tensors:
    """What BioViL-T has beside its ResNet."""
    shapes: dict[str, tuple[int, ...]] = {
        "backbone_to_vit.weight": (width, channels, 1, 1),
        "missing_previous_emb": (1, width, 1, 1),
        "vit_pooler.type_embed": (2, 1, width),
        "vit_pooler.norm_post.weight": (width,),
        "vit_pooler.norm_post.bias": (width,),
    }
    for block in range(blocks):
        at = f"vit_pooler.blocks.{block}"
        shapes |= {f"{at}.{one}.{what}": (width,) for one in ("norm1", "norm2") for what in ("weight", "bias")}
        shapes |= {f"{at}.attn.proj_{one}.weight": (width, width) for one in "qkv"}
        for layer in ("attn.proj", "mlp.fc1", "mlp.fc2"):
            shapes |= {f"{at}.{layer}.weight": (width, width), f"{at}.{layer}.bias": (width,)}
    return random_tensors(shapes)


def under(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor.clone() for name, tensor in tensors.items()}


def old_names(tensors: Tensors) -> Tensors:
    """DenseNet as torchvision called it before 0.3: norm.1 for norm1, and so on."""
    pairs = [("norm1", "norm.1"), ("norm2", "norm.2"), ("conv1", "conv.1"), ("conv2", "conv.2")]

    def renamed(name: str) -> str:
        for now, then in pairs:
            name = name.replace(f"{now}.", f"{then}.")
        return name

    return {renamed(name): tensor for name, tensor in tensors.items()}


def trunk(name: str) -> Tensors:
    """The tensors of a look-alike's encoder by torchvision's names; the same at every call."""
    torch.manual_seed(5)
    if name in ("torchxrayvision", "chexnet"):
        return densenet(1 if name == "torchxrayvision" else 3)
    return {**resnet(), **(pooler() if name == "biovil_t" else {})}


def released(name: str) -> Tensors:
    """The state dict of a look-alike as it is published."""
    inside, head = trunk(name), {"weight": torch.ones(3, 3), "bias": torch.ones(3)}
    if name in ("biovil", "biovil_t"):
        of_resnet = {
            key: tensor for key, tensor in inside.items() if key.split(".")[0] in ("conv1", "bn1") or "layer" in key
        }
        beside = {key: tensor for key, tensor in inside.items() if key not in of_resnet}
        rest = under("encoder.encoder.fc.", head) | under("projector.model.0.", head)
        return under("encoder.encoder.", of_resnet) | under("encoder.", beside) | rest
    if name == "mgca":
        rest = under("text_encoder_q.model.embeddings.", head) | under("img_encoder_q.global_embed.head.0.", head)
        return under("img_encoder_q.model.", inside) | rest | {"prototype_layer.weight": torch.ones(2, 2)}
    if name == "gloria":
        rest = under("gloria.text_encoder.model.", head) | under("gloria.img_encoder.local_embedder.", head)
        return under("gloria.img_encoder.model.", inside) | rest
    if name == "chexnet":
        last = {"classifier.weight": "classifier.0.weight", "classifier.bias": "classifier.0.bias"}
        return under("module.densenet121.", {last.get(key, key): tensor for key, tensor in old_names(inside).items()})
    return {**inside, "op_threshs": torch.ones(3)}


def write(name: str, folder: Path) -> Path:
    """A look-alike under its published name, in the form that can be read: plain tensors, no object of a library."""
    path = folder / FILES[name]
    if name == "rad_dino":
        torch.manual_seed(5)
        sizes = {
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        }
        Dinov2Model(Dinov2Config(**sizes)).save_pretrained(path)
    elif name == "gloria":
        torch.save({"state_dict": released(name), "epoch": 1}, path)
    elif name in ("mgca", "chexnet"):
        state = {"state": {0: {"exp_avg": torch.ones(2)}}}
        torch.save({"epoch": 3, "state_dict": released(name), "optimizer": state, "optimizer_states": [state]}, path)
    else:
        torch.save(released(name), path)
    return path


# --- what the networks compute -------------------------------------------------------------------------------------


def normed(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    return F.batch_norm(x, *(tensors[f"{name}.{what}"] for what in ("running_mean", "running_var", "weight", "bias")))


def resnet_map(tensors: Tensors, x: Tensor) -> Tensor:
    """(b, 3, h, w) -> the last map (He et al. 2016; the stride is in the 3 x 3 convolution)."""
    x = F.max_pool2d(normed(tensors, "bn1", F.conv2d(x, tensors["conv1.weight"], stride=2, padding=3)).relu(), 3, 2, 1)
    for stage in (1, 2, 3, 4):
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in tensors:
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = normed(tensors, f"{at}.bn1", F.conv2d(x, tensors[f"{at}.conv1.weight"])).relu()
            y = normed(
                tensors, f"{at}.bn2", F.conv2d(y, tensors[f"{at}.conv2.weight"], stride=stride, padding=1)
            ).relu()
            y = normed(tensors, f"{at}.bn3", F.conv2d(y, tensors[f"{at}.conv3.weight"]))
            if block == 0:
                x = F.conv2d(x, tensors[f"{at}.downsample.0.weight"], stride=stride)
                x = normed(tensors, f"{at}.downsample.1", x)
            x, block = (x + y).relu(), block + 1
    return x


def densenet_map(tensors: Tensors, x: Tensor) -> Tensor:
    """(b, channels, h, w) -> the last map (Huang et al. 2017), rectified."""
    x = F.conv2d(x, tensors["features.conv0.weight"], stride=2, padding=3)
    x = F.max_pool2d(normed(tensors, "features.norm0", x).relu(), 3, 2, 1)
    for stage in (1, 2, 3, 4):
        layer = 1
        while (at := f"features.denseblock{stage}.denselayer{layer}") + ".conv1.weight" in tensors:
            y = F.conv2d(normed(tensors, f"{at}.norm1", x).relu(), tensors[f"{at}.conv1.weight"])
            y = F.conv2d(normed(tensors, f"{at}.norm2", y).relu(), tensors[f"{at}.conv2.weight"], padding=1)
            x, layer = torch.cat([x, y], 1), layer + 1
        if stage < 4:
            at = f"features.transition{stage}"
            x = F.avg_pool2d(F.conv2d(normed(tensors, f"{at}.norm", x).relu(), tensors[f"{at}.conv.weight"]), 2)
    return normed(tensors, "features.norm5", x).relu()


def positions(width: int, side: int) -> Tensor:
    """(side * side, width), one number at a time: DETR's, normalised to 2 pi."""
    half, out = width // 2, torch.zeros(side * side, width)
    for row in range(side):
        for column in range(side):
            for index in range(half):
                rate = 10000 ** (2 * (index // 2) / half)
                wave = torch.sin if index % 2 == 0 else torch.cos
                for offset, at in ((0, row), (half, column)):
                    angle = (at + 1) / (side + 1e-6) * 2 * torch.pi / rate
                    out[row * side + column, offset + index] = wave(torch.tensor(angle))
    return out


def change_map(tensors: Tensors, current: Tensor, prior: Tensor) -> Tensor:
    """Maps (b, d, g, g) after `backbone_to_vit` -> the change, with torch's own attention of 8 heads."""
    width, side = current.shape[1], current.shape[-1]
    where = torch.cat([positions(width, side) + tensors["vit_pooler.type_embed"][film] for film in (0, 1)])
    x = torch.cat([current.flatten(2), prior.flatten(2)], 2).transpose(1, 2)

    def layer_norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (width,), tensors[f"{name}.weight"], tensors[f"{name}.bias"], 1e-6)

    block = 0
    while f"vit_pooler.blocks.{block}.norm1.weight" in tensors:
        at = f"vit_pooler.blocks.{block}"
        attention = nn.MultiheadAttention(width, 8, batch_first=True)
        with torch.no_grad():
            attention.in_proj_weight.copy_(torch.cat([tensors[f"{at}.attn.proj_{one}.weight"] for one in "qkv"]))
            attention.in_proj_bias.zero_()
            attention.out_proj.weight.copy_(tensors[f"{at}.attn.proj.weight"])
            attention.out_proj.bias.copy_(tensors[f"{at}.attn.proj.bias"])
            y = layer_norm(f"{at}.norm1", x) + where
            x = x + attention(y, y, y)[0]
            y = F.linear(layer_norm(f"{at}.norm2", x), tensors[f"{at}.mlp.fc1.weight"], tensors[f"{at}.mlp.fc1.bias"])
            x = x + F.linear(F.gelu(y), tensors[f"{at}.mlp.fc2.weight"], tensors[f"{at}.mlp.fc2.bias"])
        block += 1
    return layer_norm("vit_pooler.norm_post", x)[:, : side * side].transpose(1, 2).reshape(current.shape)
