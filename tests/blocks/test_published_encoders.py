"""The chest encoders that others have published: tiny files with their names, through the user's option."""

from __future__ import annotations

import math
from pathlib import Path

import contract
import look_alikes
import pytest
import torch
import toy
from safetensors.torch import load_file, save_file
from transformers import Dinov2Model

from intervalchange.blocks.encoder_weights import encoder_options
from intervalchange.blocks.encoders import build_encoder, encode_pairs, levels_of, shape_of
from intervalchange.blocks.published import PUBLISHED, RELEASED
from intervalchange.blocks.published_encoders import released_dinov2
from intervalchange.data.checkpoints import to_safetensors
from intervalchange.errors import ConfigError, MissingPackageError
from intervalchange.tasks.probe import Probe
from intervalchange.training.stage import start_from

NAMES = tuple(look_alikes.FILES)
CONVOLUTIONAL = NAMES[1:]


def model_of(weights: str, stage: str = "tasks/classification", **changes: object) -> Probe:
    """What `train STAGE --model.backbone_weights WEIGHTS` begins with."""
    model = contract.Subject(stage).model(backbone_weights=weights, **changes)
    model.load_pretrained()
    return model.eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Look-alikes as safetensors, which need no process to convert them."""
    folder, paths = tmp_path_factory.mktemp("weights"), {}
    for name in CONVOLUTIONAL:
        paths[name] = folder / f"{name}.safetensors"
        save_file(look_alikes.released(name), paths[name])
    return {**paths, "rad_dino": look_alikes.write("rad_dino", folder)}


def films(side: int, count: int = 2) -> torch.Tensor:
    """As `standardise` gives them: within the square root of three."""
    generator = torch.Generator().manual_seed(side)
    return (torch.rand(count, 1, side, side, generator=generator) - 0.5) * math.sqrt(12)


def as_trained(name: str, standardised: torch.Tensor) -> torch.Tensor:
    """What a person would feed the published network, from the numbers that its authors give."""
    even = standardised / math.sqrt(12) + 0.5
    if name == "torchxrayvision":
        return (2 * even - 1) * 1024
    colour = even.expand(-1, 3, -1, -1)
    mean, deviation = {
        "rad_dino": ([0.5307] * 3, [0.2583] * 3),
        "mgca": ([0.5] * 3, [0.5] * 3),
        "gloria": ([0.5] * 3, [0.5] * 3),
        "chexnet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    }.get(name, ([0.0] * 3, [1.0] * 3))
    return (colour - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(deviation).view(1, 3, 1, 1)


SIDES = {"biovil": 448, "biovil_t": 448, "torchxrayvision": 224, "mgca": 299, "gloria": 299, "chexnet": 224}


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@torch.no_grad()
def test_the_map_is_that_of_the_published_network(name: str, files: dict[str, Path]) -> None:
    encoder = model_of(f"{name}:{files[name]}").encoder
    inside, standardised = look_alikes.trunk(name), films(SIDES[name], 1)
    shown = as_trained(name, standardised)
    if name in ("torchxrayvision", "chexnet"):
        target = look_alikes.densenet_map(inside, shown)
    else:
        target = look_alikes.resnet_map(inside, shown)
    if name == "biovil_t":
        static = torch.nn.functional.conv2d(target, inside["backbone_to_vit.weight"])
        target = torch.cat([static, inside["missing_previous_emb"].expand_as(static)], 1)
    torch.testing.assert_close(encoder(standardised).map, target, rtol=1e-3, atol=1e-4 * float(target.abs().max()))


@torch.no_grad()
def test_rad_dino_has_patches_and_a_class_token(files: dict[str, Path]) -> None:
    encoder = model_of(f"rad_dino:{files['rad_dino']}").encoder
    direct = Dinov2Model.from_pretrained(files["rad_dino"]).eval()
    standardised = films(28)
    target = direct(as_trained("rad_dino", standardised)).last_hidden_state
    features = encoder(standardised)
    torch.testing.assert_close(features.tokens, target[:, 1:])
    torch.testing.assert_close(features.token, target[:, 0])


@torch.no_grad()
def test_biovil_t_reads_the_prior(files: dict[str, Path]) -> None:
    encoder = model_of(f"biovil_t:{files['biovil_t']}").encoder
    inside = look_alikes.trunk("biovil_t")
    prior, current = films(448).chunk(2)
    static = [
        torch.nn.functional.conv2d(
            look_alikes.resnet_map(inside, as_trained("biovil_t", one)), inside["backbone_to_vit.weight"]
        )
        for one in (prior, current)
    ]
    change = look_alikes.change_map(inside, static[1], static[0])
    maps = encode_pairs(encoder, prior, current, torch.tensor([True]))
    torch.testing.assert_close(maps[1:], torch.cat([static[1], change], 1), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(maps[:1], encoder(prior).map)
    without = encode_pairs(encoder, prior, current, torch.tensor([False]))
    torch.testing.assert_close(without, encoder(torch.cat([prior, current])).map)


def test_an_answerer_of_pairs_gives_it_the_prior(files: dict[str, Path]) -> None:
    batch = toy.batch(2)
    model = model_of(f"biovil_t:{files['biovil_t']}", "ved/answer")
    with torch.no_grad():
        maps = model.encode_films(batch)
        other = model.encode_films({**batch, "prior": batch["prior"].flip(-1)})
    assert maps.shape[1] == 32
    assert torch.equal(maps[2:, :16], other[2:, :16])  # the current film by itself
    assert not torch.allclose(maps[2:, 16:], other[2:, 16:])  # what has changed


@pytest.mark.parametrize("name", CONVOLUTIONAL)
@torch.no_grad()
def test_levels_and_shape(name: str, files: dict[str, Path]) -> None:
    """A film of any size is brought to the side the network was trained on."""
    encoder = model_of(f"{name}:{files[name]}").encoder
    maps, side = levels_of(encoder, films(96)), SIDES[name]
    assert [(one.shape[1], one.shape[2]) for one in maps] == [
        (width, math.ceil(side / stride) if name not in ("torchxrayvision", "chexnet") else side // stride)
        for width, stride in shape_of(encoder)
    ]
    assert torch.allclose(maps[-1], encoder(films(96)).map, atol=1e-5)
    assert encoder.width == shape_of(encoder)[-1][0]


@pytest.mark.parametrize("name", NAMES)
def test_a_run_loads_without_the_file(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    moved = tmp_path / files[name].name
    (moved.symlink_to if name == "rad_dino" else moved.hardlink_to)(files[name])
    model = model_of(f"{name}:{moved}", frozen=False, pixels=32)
    model.save_pretrained(tmp_path / "run")
    moved.unlink()
    again = type(model).from_pretrained(tmp_path / "run").eval()
    assert again.config.backbone == name
    with torch.no_grad():
        assert torch.equal(again.encoder(films(32)).map, model.encoder(films(32)).map)
    (tmp_path / "run" / "run.json").write_text("{}", encoding="utf-8")
    options = encoder_options(tmp_path / "run")
    probe = contract.Subject("tasks/classification").model(**options)
    start_from(probe, tmp_path / "run")
    ours = probe.encoder.state_dict()
    assert all(torch.equal(ours[key], tensor) for key, tensor in model.encoder.state_dict().items())


def test_every_parameter_learns(files: dict[str, Path]) -> None:
    for name in ("biovil", "chexnet"):
        model = contract.Subject("tasks/classification").model(
            backbone_weights=f"{name}:{files[name]}", frozen=False, labels=tuple(toy.PLACES)
        )
        model(**toy.film_batch(2, names=tuple(toy.PLACES))).loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters()), name


def test_the_released_shapes() -> None:
    """Parameters as the papers count them: ResNet-50 23.5 M, DenseNet-121 7.0 M without their heads."""
    with torch.device("meta"):
        sizes = {
            name: sum(one.numel() for one in build_encoder(name).parameters())
            for name in ("biovil", "biovil_t", "chexnet", "torchxrayvision", "rad_dino")
        }
    assert sizes["biovil"] == 23_508_032
    assert sizes["chexnet"] == 6_953_856
    assert sizes["torchxrayvision"] == 6_953_856 - 2 * 64 * 49
    block = 4 * 256 * 256 + 256 + 2 * (256 * 256 + 256) + 4 * 256
    assert sizes["biovil_t"] == 23_508_032 + 256 * 2048 + 256 + 2 * 256 + 2 * 256 + 3 * block
    assert 86_000_000 < sizes["rad_dino"] < 87_000_000
    assert '"image_size": 518' in released_dinov2()
    assert RELEASED["densenet"].depths == (6, 12, 24, 16)


# --- wrong files -----------------------------------------------------------------------------------------------------


def saved(tensors: dict[str, torch.Tensor], folder: Path) -> Path:
    save_file(tensors, folder / "w.safetensors")
    return folder / "w.safetensors"


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_missing_tensor_is_named(name: str, tmp_path: Path) -> None:
    tensors = look_alikes.released(name)
    gone = next(key for key in tensors if "bn2.weight" in key or "norm2.weight" in key or "norm.2.weight" in key)
    del tensors[gone]
    with pytest.raises(ConfigError, match=r"lacks '(layer1\.0\.bn2|denseblock1\.denselayer1\.norm2)\.weight'"):
        model_of(f"{name}:{saved(tensors, tmp_path)}")


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_an_unexpected_tensor_is_named(name: str, tmp_path: Path) -> None:
    tensors = look_alikes.released(name)
    with pytest.raises(ConfigError, match=r"it has 'other\.weight'"):
        model_of(f"{name}:{saved({**tensors, 'other.weight': torch.ones(1)}, tmp_path)}")
    first = next(key for key in tensors if key.endswith(("conv1.weight", "conv0.weight")))
    inside = first.rsplit(".", 2)[0] + ".surplus.weight"
    with pytest.raises(ConfigError, match=r"it has '[\w.]*surplus\.weight', which the encoder has not"):
        model_of(f"{name}:{saved({**tensors, inside: torch.ones(1)}, tmp_path)}")


def test_a_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    tensors = look_alikes.released("biovil")
    tensors["encoder.encoder.layer2.0.bn1.bias"] = torch.ones(99)
    with pytest.raises(ConfigError, match=r"'layer2\.0\.bn1\.bias' is \(99,\)"):
        model_of(f"biovil:{saved(tensors, tmp_path)}")


def test_the_weights_of_another_encoder_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not the weights of mgca: .*published as resnet_50\.ckpt"):
        model_of(f"mgca:{files['gloria']}")
    with pytest.raises(ConfigError, match="names the encoder too"):
        model_of(f"mgca:{files['mgca']}", backbone="gloria")
    with pytest.raises(ConfigError, match="no weights of mgca here"):
        model_of(f"mgca:{tmp_path / 'nowhere.ckpt'}")
    with pytest.raises(ConfigError, match=r"fetched by hand.*mgca:resnet_50\.ckpt"):
        model_of("mgca")
    with pytest.raises(ConfigError, match="there is no model"):
        model_of(f"rad_dino:{tmp_path / 'nowhere'}")
    tiny = Dinov2Model.from_pretrained(files["rad_dino"])
    tensors = {key: tensor for key, tensor in tiny.state_dict().items() if "cls_token" not in key}
    tiny.save_pretrained(tmp_path / "part", state_dict=tensors)
    with pytest.raises(ConfigError, match="cls_token"):
        model_of(f"rad_dino:{tmp_path / 'part'}")


def test_weights_on_the_hub_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"cannot be fetched.*biovil_t:biovil_t_image_model"):
        model_of("biovil_t")


def test_without_monai_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "monai.networks.nets.densenet", None)
    with pytest.raises(MissingPackageError, match=r"intervalchange\[segmentation\]"):
        build_encoder("chexnet")


def test_names_of_today_are_read_as_well(files: dict[str, Path], tmp_path: Path) -> None:
    """A CheXNet trained with a later torchvision, without DataParallel; and a path without the name before it."""
    path = saved({f"densenet121.{key}": tensor for key, tensor in look_alikes.trunk("chexnet").items()}, tmp_path)
    model, old = model_of(str(path), backbone="chexnet"), model_of(f"chexnet:{files['chexnet']}")
    ours = model.encoder.state_dict()
    assert all(torch.equal(ours[key], tensor) for key, tensor in old.encoder.state_dict().items())


def test_the_pages_facts_are_the_tables() -> None:
    page = (Path(__file__).parents[2] / "docs" / "encoders.md").read_text(encoding="utf-8")
    for name, facts in PUBLISHED.items():
        assert f"## {name}" in page.replace("`", "")
        assert (facts.file or facts.repository) in page
        assert f"{facts.side} " in page


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_the_files_as_they_are_published(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    """State dicts, and the dicts of Lightning checkpoints."""
    path = look_alikes.write(name, tmp_path)
    tensors = load_file(to_safetensors(path, tmp_path / "w.safetensors"))
    assert {key.removeprefix("state_dict.") for key in tensors} >= look_alikes.released(name).keys()
    ours = model_of(f"{name}:{path}").encoder.state_dict()
    target = model_of(f"{name}:{files[name]}").encoder.state_dict()
    assert ours.keys() == target.keys()
    assert all(torch.equal(tensor, target[key]) for key, tensor in ours.items())
