"""The weights of a run: every image encoder that transformers offers is saved, loaded, continued and given on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import toy
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerFast, ViTMAEConfig, ViTMAEModel

from intervalchange.blocks.encoders import HubEncoder
from intervalchange.blocks.tokenizer import template_tokenizer
from intervalchange.errors import ConfigError, RunError
from intervalchange.inference import load
from intervalchange.methods.ved.answer import Ved, VedConfig
from intervalchange.tasks.classification import Classification, ClassificationConfig
from intervalchange.training import train
from intervalchange.training.stage import start_from
from intervalchange.training.weights import load_weights

TRANSFORMER = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "patch_size": 16,
}
WINDOWS = {"patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}
STAGES = {"embedding_size": 8, "hidden_sizes": [8, 8], "depths": [1, 1]}
ENCODERS = {
    "beit": TRANSFORMER,
    "bit": {**STAGES, "num_groups": 4},
    "chinese_clip_vision_model": TRANSFORMER,
    "clip_vision_model": TRANSFORMER,
    "convnext": {"hidden_sizes": [8, 8], "depths": [1, 1], "num_stages": 2},
    "convnextv2": {"hidden_sizes": [8, 8], "depths": [1, 1], "num_stages": 2},
    "deit": TRANSFORMER,
    "dinov2": TRANSFORMER,
    "dinov2_with_registers": TRANSFORMER,
    "dinov3_convnext": {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1]},
    "dinov3_vit": TRANSFORMER,
    "efficientnet": {"width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128},
    "focalnet": {**WINDOWS, "hidden_sizes": [8, 16], "focal_levels": [1, 1], "focal_windows": [3, 3]},
    "ijepa": TRANSFORMER,
    "mobilevit": {"hidden_sizes": [8, 8, 8], "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 8], "num_attention_heads": 2},
    "regnet": {**STAGES, "groups_width": 8},
    "resnet": STAGES,
    "segformer": {"hidden_sizes": [8, 8, 8, 8], "num_attention_heads": [1, 1, 1, 1], "depths": [1, 1, 1, 1]},
    "siglip_vision_model": TRANSFORMER,
    "swin": WINDOWS,
    "swinv2": WINDOWS,
    "vit": TRANSFORMER,
    "vit_msn": TRANSFORMER,
}
FAST = ("clip_vision_model", "resnet", "swin", "vit")
"""Tried in the fast suite: of two transformers writes other names by default."""
DECODER = {
    "decoder_width": 16,
    "decoder_layers": 1,
    "decoder_heads": 2,
    "decoder_feedforward": 16,
    "positions_2d": False,
    "dropout": 0.0,
}
SWIN = json.dumps({"model_type": "swin", "image_size": 64, **WINDOWS})


def hub(kind: str) -> dict[str, object]:
    return {
        "pixels": 64,
        "backbone": "hub",
        "hub_model": json.dumps({"model_type": kind, "image_size": 64, **ENCODERS[kind]}),
    }


def tiny(kind: str, seed: int) -> Ved:
    torch.manual_seed(seed)
    return Ved(VedConfig(**hub(kind), **DECODER))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in FAST else pytest.mark.slow) for kind in ENCODERS]
)
def test_every_image_encoder_of_transformers_is_saved_and_loaded(kind: str, tmp_path: Path) -> None:
    """A finished run, a checkpoint, `--from` another stage; and files under the names of the original, as they were
    written before, with those of transformers' own."""
    model = tiny(kind, seed=0)
    films = toy.batch(2).current
    assert model.encoder(films).map.shape[1] == model.encoder.width
    model.save_pretrained(tmp_path / "run")
    names = load_file(tmp_path / "run" / "model.safetensors").keys()
    assert names == model.state_dict().keys() - model.all_tied_weights_keys.keys()
    PreTrainedModel.save_pretrained(model, tmp_path / "before")
    assert same(Ved.from_pretrained(tmp_path / "run"), model)
    for folder in ("run", "before"):
        again = tiny(kind, seed=1)
        load_weights(again, tmp_path / folder / "model.safetensors")
        assert same(again, model)
        probe = Classification(ClassificationConfig(**hub(kind), labels=("edema",)))
        start_from(probe, tmp_path / folder)
        assert same(probe.encoder, model.encoder)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    tiny("swin", seed=0).save_pretrained(tmp_path)
    other = Ved(VedConfig(**hub("swin"), **DECODER, difference_embedding=False))
    with pytest.raises(RunError, match="do not fit"):
        load_weights(other, tmp_path / "model.safetensors")


def test_masked_autoencoders_are_read_as_plain_ones(tmp_path: Path) -> None:
    """ViT-MAE leaves out most of a film, also when it answers."""
    published = ViTMAEModel(ViTMAEConfig(**TRANSFORMER, image_size=64))
    published.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="hides three quarters"):
        HubEncoder(published.config.to_json_string())
    encoder = HubEncoder(json.dumps({"model_type": "vit", "image_size": 64, **TRANSFORMER}))
    encoder.load_pretrained(str(tmp_path))
    theirs = published.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in encoder.network.state_dict().items())


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        ("ved/answer", {"model.positions_2d": False}),
        pytest.param("tasks/classification", {"model.frozen": False}, marks=pytest.mark.slow),
    ],
)
def test_a_run_with_a_swin_of_the_hub_ends_is_continued_and_read(
    stage: str, options: dict[str, object], tmp_path: Path
) -> None:
    prepared = toy.cohort(tmp_path / "cohort")
    options |= {"model.backbone": "hub", "model.hub_model": SWIN, "train.batch_size": 16}
    run = train(stage, prepared, tmp_path / "run", "tiny", overrides={**options, "train.max_steps": 2})
    # As after an interruption: the run has a checkpoint, and has not finished.
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "finished": False}))
    first = load_file(run / "model.safetensors")
    (run / "model.safetensors").unlink()
    train(stage, prepared, run, "tiny", overrides={**options, "train.max_steps": 2})
    again = load_file(run / "model.safetensors")
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert isinstance(load(run).model.encoder, HubEncoder)


# --- the words of an earlier version -------------------------------------------------------------------------------


def earlier_tokenizer() -> PreTrainedTokenizerFast:
    """The first words of ours alone, with the same ids."""
    tokenizer = template_tokenizer()
    facts = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = len(tokenizer) - 10
    facts["model"]["vocab"] = {word: index for word, index in facts["model"]["vocab"].items() if index < kept}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(facts)),
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
    )


def test_a_run_of_a_version_with_fewer_words_loads_and_is_started_from(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = VedConfig(pixels=64, encoder_widths=(8,), stem_stride=8, **DECODER)
    earlier, ours = Ved(config, tokenizer=earlier_tokenizer()), Ved(config)
    new = len(ours.tokenizer) - len(earlier.tokenizer)
    assert new == 10
    earlier.save_pretrained(tmp_path)
    again = Ved.from_pretrained(tmp_path)
    assert same(again, earlier)
    assert again.tokenizer.get_vocab() == earlier.tokenizer.get_vocab()
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    assert " 0 missing, 0 unexpected" in start_from(ours, tmp_path)
    theirs = earlier.state_dict()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor[: len(theirs[name])] if tensor.ndim else tensor, theirs[name])
        if tensor.shape != theirs[name].shape:
            assert torch.equal(tensor[-new:], before[name][-new:])


def test_a_run_that_an_earlier_version_began_is_continued_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, options = toy.cohort(tmp_path / "cohort"), {"train.batch_size": 16, "train.max_steps": 2}
    with monkeypatch.context() as earlier:
        earlier.setattr("intervalchange.methods.base.method.load_tokenizer", lambda vocabulary: earlier_tokenizer())
        run = train("question_only/answer", prepared, tmp_path / "run", "tiny", overrides=options)
    words = json.loads((run / "tokenizer.json").read_text())["model"]["vocab"]
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**facts, "finished": False}))
    train("question_only/answer", prepared, run, "tiny", overrides=options)
    assert json.loads((run / "tokenizer.json").read_text())["model"]["vocab"] == words
    assert len(words) == len(template_tokenizer()) - 10
