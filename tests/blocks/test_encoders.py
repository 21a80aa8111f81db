"""The encoder under a task and the decoders above it: whose weights are taken, what is read, how far it goes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import contract
import pytest
import torch
import toy
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import (
    CLIPVisionConfig,
    ConvNextConfig,
    Dinov2WithRegistersConfig,
    PreTrainedConfig,
    SiglipVisionConfig,
    SwinConfig,
    ViTConfig,
    ViTModel,
)

from intervalchange.blocks.encoder_weights import check_greys, encoder_options, encoder_tensors, load_encoder
from intervalchange.blocks.encoders import HubEncoder, ResNetEncoder, build_encoder, in_colours, levels_of, shape_of
from intervalchange.blocks.segmentation_decoder import Ladder, SetrDecoder, UNetDecoder
from intervalchange.config import load_preset
from intervalchange.errors import ConfigError
from intervalchange.methods import method_class
from intervalchange.tasks.classification import Classification, ClassificationConfig
from intervalchange.tasks.probe import Probe
from intervalchange.tasks.segmentation import Segmentation, SegmentationConfig
from intervalchange.training.stage import start_from

TASKS = ("tasks/classification", "tasks/detection", "tasks/segmentation")
NAMES = tuple(toy.PLACES)


def tiny(stage: str, **changes: object) -> Probe:
    return contract.Subject(stage).model(**changes)


# --- whose weights -------------------------------------------------------------------------------------------------


def saved(stage: str, folder: Path, **changes: object) -> Path:
    """A run folder as far as weights go."""
    torch.manual_seed(7)
    kind = method_class(stage)
    kind(kind.config_class(**{**load_preset(stage, "tiny").model, **changes})).save_pretrained(folder)
    (folder / "run.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("stage", "prefix"),
    [
        ("real/answer", "film_encoder."),
        ("set_difference/answer", "encoder."),
        ("tasks/segmentation", "encoder.network."),
    ],
)
def test_the_encoder_of_any_run_is_taken(stage: str, prefix: str, tmp_path: Path) -> None:
    run = saved(stage, tmp_path)
    model = tiny("tasks/classification", **encoder_options(run))
    said = start_from(model, run)
    theirs = load_file(run / "model.safetensors")
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, theirs[prefix + name.removeprefix("network.")]), name
    assert f"{len(model.encoder.state_dict())} tensors loaded" in said
    again = tiny("tasks/classification", **encoder_options(run), backbone_weights=str(run))
    again.load_pretrained()
    assert all(torch.equal(a, b) for a, b in zip(again.encoder.parameters(), model.encoder.parameters(), strict=True))


def test_a_run_of_the_same_task_gives_its_head_too(tmp_path: Path) -> None:
    run = saved("tasks/detection", tmp_path)
    model = tiny("tasks/detection")
    start_from(model, run)
    theirs = load_file(run / "model.safetensors")
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in model.state_dict().items())


def test_another_shape_is_refused_with_the_options_that_fit(tmp_path: Path) -> None:
    run = saved("set_difference/answer", tmp_path, widths=(8, 16, 16, 24))
    with pytest.raises(ConfigError, match=r"--model.encoder_widths \[8,16,16,24\]"):
        start_from(tiny("tasks/classification"), run)


def torchvision_names(encoder: ResNetEncoder) -> dict[str, torch.Tensor]:
    """The weights of an encoder as the family exchanges them, three colours and a classifier included."""
    part = {"convolution": ("conv", "0"), "normalization": ("bn", "1")}
    named = {"fc.weight": torch.zeros(3, 2048)}
    for name, tensor in encoder.network.state_dict().items():
        if found := re.match(r"embedder\.embedder\.(\w+)\.(\w+)", name):
            tensor = tensor.repeat(1, 3, 1, 1) / 3 if found[1] == "convolution" else tensor
            named[f"{part[found[1]][0]}1.{found[2]}"] = tensor
        elif found := re.match(r"encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.(\d)\.(\w+)\.(\w+)", name):
            stage, layer, number, kind, what = found.groups()
            named[f"layer{int(stage) + 1}.{layer}.{part[kind][0]}{int(number) + 1}.{what}"] = tensor
        elif found := re.match(r"encoder\.stages\.(\d)\.layers\.(\d+)\.shortcut\.(\w+)\.(\w+)", name):
            stage, layer, kind, what = found.groups()
            named[f"layer{int(stage) + 1}.{layer}.downsample.{part[kind][1]}.{what}"] = tensor
    return named


def test_a_resnet_in_the_names_of_torchvision_is_read() -> None:
    source, model = ResNetEncoder().eval(), ResNetEncoder().eval()
    tensors = torchvision_names(source)
    assert {"conv1.weight", "layer1.0.downsample.0.weight", "layer4.2.bn3.running_var"} <= tensors.keys()
    lightning = {f"state_dict.image_encoder.model.{name}": tensor for name, tensor in tensors.items()}
    for given in (tensors, lightning):
        model.load_state_dict(encoder_tensors(model, given, "x"), strict=False)
        films = torch.randn(1, 1, 32, 32)
        with torch.no_grad():
            assert torch.allclose(model(films).map, source(films).map, atol=1e-5)


def test_a_foreign_file_is_read_without_pickle(tmp_path: Path) -> None:
    encoder, other = (build_encoder("conv", (8, 16), 0, 2, 0) for _ in range(2))
    torch.save({"state_dict": {f"net.{name}": t for name, t in encoder.state_dict().items()}}, tmp_path / "a.pth")
    load_encoder(other, str(tmp_path / "a.pth"))
    assert all(torch.equal(a, b) for a, b in zip(encoder.parameters(), other.parameters(), strict=True))


def test_the_names_of_torchvision_mean_what_torchvision_computes() -> None:
    """Stem and first block written out with the tensors by their torchvision names (He et al. 2016, version 1.5)."""
    encoder = ResNetEncoder().eval()
    with torch.no_grad():
        for name, tensor in encoder.named_parameters():
            if "normalization" in name:
                tensor.uniform_(0.5, 1.5)
    named = torchvision_names(encoder)

    def conv(x: torch.Tensor, name: str, norm: str, stride: int = 1, padding: int = 0) -> torch.Tensor:
        x = F.conv2d(x, named[f"{name}.weight"], stride=stride, padding=padding)
        return F.batch_norm(x, *(named[f"{norm}.{what}"] for what in ("running_mean", "running_var", "weight", "bias")))

    films = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        x = F.max_pool2d(conv(films.expand(-1, 3, -1, -1), "conv1", "bn1", 2, 3).relu(), 3, 2, 1)
        y = conv(x, "layer1.0.conv1", "layer1.0.bn1").relu()
        y = conv(y, "layer1.0.conv2", "layer1.0.bn2", 1, 1).relu()
        y = conv(y, "layer1.0.conv3", "layer1.0.bn3")
        wanted = (y + conv(x, "layer1.0.downsample.0", "layer1.0.downsample.1")).relu()
        first = encoder.network.encoder.stages[0].layers[0](encoder.network.embedder(films))
    assert torch.allclose(first, wanted, atol=1e-4)


@pytest.mark.parametrize("stage", TASKS)
def test_a_vision_model_of_hugging_face_is_probed_and_loads_offline(stage: str, tmp_path: Path) -> None:
    shape = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8
    )
    vit = ViTModel(shape)
    vit.save_pretrained(tmp_path / "vit")
    model = tiny(stage, backbone="hub", backbone_weights=str(tmp_path / "vit"), frozen=False)
    model.load_pretrained()
    theirs = vit.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in model.encoder.network.state_dict().items())
    batch = toy.film_batch(2, names=NAMES)
    model(**batch).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.save_pretrained(tmp_path / "run")
    (tmp_path / "vit").rename(tmp_path / "gone")
    again = type(model).from_pretrained(tmp_path / "run").eval()
    assert torch.equal(again.levels(batch.current)[-1], model.eval().levels(batch.current)[-1])
    assert again.levels(batch.current)[-1].shape == (2, 16, 4, 4)


SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}


@pytest.mark.parametrize(
    ("shape", "stride", "token"),
    [
        (ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], image_size=64), 32, False),
        (SwinConfig(embed_dim=4, depths=[1, 1], num_heads=[1, 2], image_size=64, window_size=2), 8, False),
        (CLIPVisionConfig(**SMALL, intermediate_size=16), 8, True),
        (SiglipVisionConfig(**SMALL, intermediate_size=16), 8, False),
        (Dinov2WithRegistersConfig(**SMALL), 8, True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_map_and_the_token_of_any_vision_model(shape: PreTrainedConfig, stride: int, token: bool) -> None:
    encoder = HubEncoder(shape.to_json_string(use_diff=True)).eval()
    films, side = torch.randn(2, 1, shape.image_size, shape.image_size), shape.image_size // stride
    features = encoder(films)
    assert features.map.shape == (2, encoder.width, side, side)
    assert shape_of(encoder) == ((encoder.width, stride),)
    assert (features.token is not None) is token
    # A mark in the lower right corner moves the token there more than any other.
    films[:, :, -stride:, -stride:] += 3
    moved = (encoder(films).map - features.map).abs().sum(1).flatten(1)
    assert (moved.argmax(1) == side * side - 1).all()


def test_a_state_dict_of_torchvision_is_probed(tmp_path: Path) -> None:
    """As the family exchanges it: a .pth of a ResNet-50, opened without unpickling in this process."""
    torch.manual_seed(0)
    source = ResNetEncoder().eval()
    torch.save({"state_dict": torchvision_names(source)}, tmp_path / "resnet50.pth")
    options = {"backbone": "resnet50", "backbone_weights": str(tmp_path / "resnet50.pth"), "labels": NAMES}
    model = Classification(ClassificationConfig(**options)).eval()
    model.load_pretrained()
    films = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        assert torch.allclose(model.pooled(films), source(films).map.mean((2, 3)), rtol=1e-3)


# --- maps and the ladder ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backbone", ["conv", "pyramid", "resnet50"])
def test_levels_have_the_shape_that_is_said(backbone: str) -> None:
    encoder = build_encoder(backbone, (8, 16, 16, 24), 1, 4, 16).eval()
    films = torch.randn(2, 1, 64, 64)
    maps = levels_of(encoder, films)
    assert [(one.shape[1], 64 // one.shape[2]) for one in maps] == list(shape_of(encoder))
    assert torch.allclose(maps[-1], encoder(films).map, atol=1e-6)
    for until in (1, 4):
        ladder = Ladder(shape_of(encoder), 16, until)
        assert ladder(maps, films).shape == (2, ladder.width, 64 // until, 64 // until)


@pytest.mark.parametrize("decoder", ["unet", "setr"])
@pytest.mark.parametrize("backbone", ["conv", "pyramid", "resnet50"])
def test_the_decoders_of_the_family_reach_the_film(decoder: str, backbone: str) -> None:
    torch.manual_seed(0)
    options = {"backbone": backbone, "decoder": decoder, "decoder_width": 32, "pixels": 64, "labels": NAMES}
    model = Segmentation(SegmentationConfig(**options, frozen=True)).train()
    films = toy.film_batch(2, names=NAMES)
    assert model.logits(films.current).shape == (2, 3, 64, 64)
    model(**films).loss.backward()
    heads = [parameter for name, parameter in model.named_parameters() if not name.startswith("encoder.")]
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in heads)
    if decoder == "unet":
        # Every map finer than the coarsest is joined, at its own stride.
        assert [join for join in model.ladder.joins if join is not None] == list(
            range(len(shape_of(model.encoder)) - 2, -1, -1)
        )


def test_unet_as_published() -> None:
    """Widths 256 to 16, of a ResNet's 256, 512, 1024 and 2048 channels at strides 4 to 32; two convolutions a step."""
    decoder = UNetDecoder(((256, 4), (512, 8), (1024, 16), (2048, 32)), 256)
    pairs = [(2048 + 1024, 256), (256 + 512, 128), (128 + 256, 64), (64, 32), (32, 16)]
    wanted = sum(9 * before * now + 9 * now * now + 4 * now for before, now in pairs)
    assert sum(parameter.numel() for parameter in decoder.parameters()) == wanted


def test_setr_as_published() -> None:
    decoder = SetrDecoder(((768, 16),), 512)
    pairs = [(768, 512), (512, 256), (256, 128), (128, 64)]
    wanted = 768 * 768 + 768 + sum(9 * before * now + 2 * now for before, now in pairs)
    assert sum(parameter.numel() for parameter in decoder.parameters()) == wanted
    assert decoder([torch.randn(1, 768, 4, 4)], torch.randn(1, 1, 64, 64)).shape == (1, 64, 64, 64)


def test_unet_without_monai_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks.nets.basic_unet", None)
    with pytest.raises(ConfigError, match="MONAI"):
        tiny("tasks/segmentation", decoder="unet")


def test_encoder_tensors_wants_all_of_an_encoder(tmp_path: Path) -> None:
    encoder = build_encoder("conv", (8, 16), 0, 2, 0)
    part = {f"image_encoder.{name}": tensor for name, tensor in list(encoder.state_dict().items())[:-1]}
    save_file(part, tmp_path / "part.safetensors")
    with pytest.raises(ConfigError, match="no encoder"):
        load_encoder(encoder, str(tmp_path / "part.safetensors"))
    whole = {f"a.b.{name}": tensor + 1 for name, tensor in encoder.state_dict().items()}
    found = encoder_tensors(encoder, whole, tmp_path)
    assert all(torch.equal(tensor, whole[f"a.b.{name}"]) for name, tensor in found.items())


# --- greys ---------------------------------------------------------------------------------------------------------


def test_colours_are_normalised_as_published() -> None:
    grey = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3)
    shown = in_colours(2 * grey - 1, "imagenet", 3)
    assert torch.allclose(shown[0, :, 0, 0], torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]))
    assert torch.allclose(shown[0, 2, 0, 2], torch.tensor((1 - 0.406) / 0.225))
    assert torch.equal(in_colours(grey, "half", 3), grey.expand(-1, 3, -1, -1))


def test_a_resnet_that_reads_colours() -> None:
    torch.manual_seed(0)
    three, one = ResNetEncoder("imagenet"), ResNetEncoder("half")
    assert [encoder.network.config.num_channels for encoder in (three, one)] == [3, 1]
    films = torch.rand(1, 1, 32, 32)
    direct = three.eval().network(in_colours(films, "imagenet", 3)).last_hidden_state
    assert torch.equal(three(films).map, direct)
    assert torch.equal(levels_of(three, films)[-1], direct)


def test_greys_are_those_of_the_run_one_starts_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="read colours"):
        ClassificationConfig(greys="imagenet", backbone="conv")
    for name in ("config.json", "run.json"):
        (tmp_path / name).write_text('{"backbone": "resnet50", "greys": "half"}')
    check_greys(tmp_path, "half")
    with pytest.raises(ConfigError, match="half") as raised:
        check_greys(tmp_path, "ranks")
    assert "--model.greys half" in str(raised.value)
    assert encoder_options(tmp_path)["greys"] == "half"
