"""TrainConfig, presets, overrides."""

from __future__ import annotations

import pytest

from intervalchange.config import (
    SIZES,
    TrainConfig,
    load_preset,
    parse_overrides,
    preset_header,
    preset_sizes,
    train_config,
)
from intervalchange.errors import ConfigError
from intervalchange.methods import method_class, stages

PRESETS = [(stage, size) for stage in stages() for size in preset_sizes(stage)]


@pytest.mark.parametrize(("stage", "size"), PRESETS, ids=["-".join(pair).replace("/", "-") for pair in PRESETS])
def test_every_preset_fits_its_method(stage: str, size: str) -> None:
    preset = load_preset(stage, size)
    config = method_class(stage).config_class(**preset.model)
    assert config.pixels >= 32
    assert isinstance(preset.train, TrainConfig)
    assert {"paper", "command", "hours", "hardware", "expected score", "verified"} <= preset_header(stage, size).keys()


def test_every_method_has_every_size() -> None:
    assert preset_sizes("real/answer") == SIZES


@pytest.mark.parametrize(
    "overrides",
    [
        {"model.queries": 5, "train.learning_rate": 1e-3, "model.encoder_widths": [8, 16]},
        ["--model.queries", "5", "--train.learning_rate=1e-3", "--model.encoder_widths", "[8, 16]"],
    ],
)
def test_overrides_reach_both_sections(overrides: object) -> None:
    preset = load_preset("real/answer", "tiny", overrides)
    assert preset.model["queries"] == 5
    assert preset.model["encoder_widths"] == [8, 16]
    assert preset.train.learning_rate == 0.001
    assert preset.train.epochs == load_preset("real/answer", "tiny").train.epochs


def test_values_are_read_as_they_look() -> None:
    text = ["--a", "1", "--b=1e-4", "--c", "true", "--d", "words here", "--e", "[x, y]", "--f=-3"]
    assert parse_overrides(text) == {"a": 1, "b": 1e-4, "c": True, "d": "words here", "e": ["x", "y"], "f": -3}


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["--train.epocs", "3"], "'epochs'"),
        (["--trian.epochs", "3"], "'train'"),
        (["--train.epochs"], "no value"),
        (["train.epochs", "3"], "not an option"),
        (["--train", "3"], "names no field"),
        (["--train.epochs", "many"], "train.epochs"),
        (["--train.batch_size", "1.5"], "batch_size"),
        (["--train.precision", "fp8"], "precision"),
        (["--train.batch_size", "0"], "batch_size"),
        (["--train.patience", "-1"], "patience"),
        (["--train.warmup", "1.5"], "warmup"),
        (["--train.epochs", "0"], "how long"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_preset("real/answer", "tiny", overrides)


def test_model_options_are_checked_where_the_model_is_built() -> None:
    preset = load_preset("real/answer", "tiny", ["--model.decoder_widht", "3"])
    with pytest.raises(ConfigError, match="decoder_width"):
        method_class("real/answer").config_class(**preset.model)
    with pytest.raises(ConfigError, match="type int"):
        method_class("real/answer").config_class(queries="many")


def test_unknown_stage_and_size() -> None:
    with pytest.raises(ConfigError, match=r"train --list"):
        load_preset("reel/answer", "tiny")
    with pytest.raises(ConfigError, match="tiny, small, paper"):
        load_preset("real/answer", "huge")
    with pytest.raises(ConfigError, match="real/answer"):
        method_class("real/anwser")


def test_train_config_from_plain_values() -> None:
    config = train_config({"kinds": ["difference", "presence"], "epochs": 3})
    assert config.kinds == ("difference", "presence")
    assert config.epochs == 3.0
