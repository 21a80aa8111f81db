"""Tasks on an encoder: frozen is frozen, whose weights are taken, and that each task learns what is there to learn."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import ViTConfig, ViTModel

from intervalchange.blocks.encoders import ResNetEncoder, build_encoder
from intervalchange.config import load_preset
from intervalchange.data.dataset import FilmDataset
from intervalchange.data.masks import known_extents
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.data.transforms import Augment
from intervalchange.errors import ConfigError
from intervalchange.inference import load
from intervalchange.methods import method_class
from intervalchange.simulation.cohort import simulate
from intervalchange.tasks.classification import Classification, ClassificationConfig, exclusive_loss
from intervalchange.tasks.decoder import Ladder
from intervalchange.tasks.detection import RARE, Detection, DetectionConfig, JudgedBoxes
from intervalchange.tasks.encoders import encoder_options, encoder_tensors, levels_of, load_weights, shape_of
from intervalchange.tasks.probe import Probe
from intervalchange.tasks.segmentation import Segmentation, SegmentationConfig
from intervalchange.training import train
from intervalchange.training.stage import start_from

TASKS = ("tasks/classification", "tasks/detection", "tasks/segmentation")
NAMES = tuple(toy.PLACES)


def tiny(stage: str, **changes: object) -> Probe:
    torch.manual_seed(0)
    kind = method_class(stage)
    return kind(kind.config_class(**{**load_preset(stage, "tiny").model, **changes}))


# --- frozen --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", TASKS)
def test_a_frozen_encoder_stays_as_it_is(stage: str) -> None:
    model, batch = tiny(stage, frozen=True), toy.film_batch(4, names=NAMES)
    before = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()(**batch).loss.backward()
    optimiser.step()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.encoder.state_dict().items())
    heads = [parameter for name, parameter in model.named_parameters() if not name.startswith("encoder.")]
    assert heads
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in heads)


@pytest.mark.parametrize("frozen", [True, False])
def test_the_statistics_of_a_frozen_batch_norm_do_not_drift(frozen: bool) -> None:
    model = Classification(ClassificationConfig(backbone="resnet50", frozen=frozen, pixels=32, labels=NAMES)).train()
    norm = next(module for module in model.encoder.modules() if isinstance(module, nn.BatchNorm2d))
    before = norm.running_mean.clone()
    model(current=torch.randn(2, 1, 32, 32) + 3, labels_current=torch.ones(2, 3))
    assert torch.equal(norm.running_mean, before) is frozen
    assert norm.training is not frozen


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
    again.load_published()
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
    load_weights(other, str(tmp_path / "a.pth"))
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
    model.load_published()
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


# --- figures ---------------------------------------------------------------------------------------------------------


def test_the_truth_scores_full_marks_and_its_absence_none() -> None:
    batch = toy.film_batch(12, names=NAMES)
    detection = Detection(DetectionConfig(labels=NAMES, pixels=64)).eval()
    judged = detection.judged(batch)
    assert sum(len(one.truth) for one in judged) == int(batch.labels_current.sum())
    exact = [JudgedBoxes(one.patient, one.known, one.truth, one.truth) for one in judged]
    assert detection.validation_scores(exact)["boxes.strict.map"] == 1
    missed = [JudgedBoxes(one.patient, one.known, one.truth, ()) for one in judged]
    assert detection.validation_scores(missed)["boxes.strict.map"] == 0
    segmentation = Segmentation(SegmentationConfig(labels=NAMES, pixels=64)).eval()
    segmentation.logits = lambda films: 20 * (batch.masks_current - 0.5)  # type: ignore[method-assign]
    scores = segmentation.validation_scores(segmentation.judged(batch))
    assert scores["masks.dice.positive"] == scores["masks.dice.all"] == scores["masks.pneumothorax.dice.all"] == 1
    segmentation.logits = lambda films: -torch.ones_like(batch.masks_current)  # type: ignore[method-assign]
    scores = segmentation.validation_scores(segmentation.judged(batch))
    assert scores["masks.dice.positive"] == 0
    assert scores["masks.dice.all"] == pytest.approx(1 - float(batch.labels_current.mean()))


def test_what_is_not_known_takes_no_part() -> None:
    batch = toy.film_batch(3, names=NAMES)
    batch["labels_current"][0, 1] = float("nan")
    batch["masks_current"][0, 1] = float("nan")
    for kind, config in ((Detection, DetectionConfig), (Segmentation, SegmentationConfig)):
        torch.manual_seed(0)
        model = kind(config(labels=NAMES, pixels=64, frozen=False))
        loss = model(**batch).loss
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        judged = model.eval().judged(batch)[0]
        known = judged.known[1] == 1 if isinstance(judged, JudgedBoxes) else judged.counts[1] is not None
        assert not known
    only = JudgedBoxes("a", (0.0,), ((0.0, 1.0, 1.0, 1.0, 9.0, 9.0),), ((0.0, 0.9, 20.0, 20.0, 30.0, 30.0),))
    sure = JudgedBoxes("b", (1.0,), ((0.0, 1.0, 1.0, 1.0, 9.0, 9.0),), ((0.0, 0.5, 1.0, 1.0, 9.0, 9.0),))
    scores = Detection(DetectionConfig(labels=("x",))).eval().validation_scores([only, sure])
    assert scores["boxes.strict.map"] == 1


def test_classes_that_exclude_each_other() -> None:
    labels = torch.tensor([[1.0, 0.0, float("nan")], [1.0, 1.0, 0.0], [0.0, float("nan"), 1.0]])
    logits = torch.tensor([[2.0, 0.0, 0.0], [9.0, 9.0, 9.0], [0.0, 0.0, 0.0]])
    wanted = (-torch.log_softmax(logits[0], 0)[0] + np.log(3)) / 2
    assert float(exclusive_loss(logits, labels)) == pytest.approx(float(wanted), rel=1e-5)
    assert float(exclusive_loss(logits[1:2], labels[1:2])) == 0
    model = Classification(ClassificationConfig(labels=NAMES, exclusive=True, pixels=64)).eval()
    batch = toy.film_batch(16, names=NAMES)
    judged = model.judged(batch)
    assert all(sum(one.scores) == pytest.approx(1) for one in judged)
    assert 0 <= model.validation_scores(judged)["labels.accuracy"] <= 1
    with pytest.raises(ConfigError, match="excludes"):
        ClassificationConfig(labels=("pneumonia",), exclusive=True)


def test_a_task_without_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match="labels"):
        Segmentation(SegmentationConfig(labels=()))


# --- learning --------------------------------------------------------------------------------------------------------


def learnt(model: Probe, steps: int, size: int = 24) -> dict[str, float]:
    """Figures on other films after some steps, and that they were worse before."""
    test = toy.film_batch(32, seed=9, names=NAMES)
    before = model.eval().validation_scores(model.judged(test))[model.selection]
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    model.train()
    for step in range(steps):
        optimiser.zero_grad()
        model(**toy.film_batch(size, seed=100 + step, names=NAMES)).loss.backward()
        optimiser.step()
    with torch.no_grad():
        scores = model.eval().validation_scores(model.judged(test))
    assert scores[model.selection] > before
    return scores


def test_marks_are_classified_found_and_outlined() -> None:
    classification = learnt(tiny("tasks/classification"), 25)
    assert classification["labels.auroc.macro.low"] > 0.9
    detection = learnt(tiny("tasks/detection"), 60)
    assert detection["boxes.strict.map.low"] > 0.4
    segmentation = learnt(tiny("tasks/segmentation"), 40)
    assert segmentation["masks.dice.positive.low"] > 0.6


def test_a_head_of_layers_says_how_they_are_drawn() -> None:
    """transformers leaves out modules without tensors of their own, unless the model says that it is not foreign."""
    head = tiny("tasks/detection").head
    assert torch.allclose(head.heat.bias.sigmoid(), torch.full((len(NAMES),), RARE))
    assert head.heat.weight.std() < 0.02


# --- on disk ---------------------------------------------------------------------------------------------------------

OBJECT = "foreign object"


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films with and without foreign objects, in the true layout of Object-CXR, prepared at 64 px."""
    folder = tmp_path_factory.mktemp("objects")
    root = simulate(folder / "source", 8, 88, "object_cxr", 128, workers=1, progress=False)
    prepare("object_cxr", root, folder / "prepared", pixels=64, split="patient", progress=False)
    return folder / "prepared"


def test_masks_lie_in_their_boxes_also_when_moved(objects: Path) -> None:
    prepared, seen = Prepared(objects), 0
    for augment in (None, Augment(scale=0.3, shift=0.1)):
        data = FilmDataset(prepared, "all", 64, augment, needs=("masks",), labels=(OBJECT,))
        for row in range(len(data)):
            item = data[row]
            (mask,), (label,) = item["masks_current"], item["labels_current"]
            assert label == 1 or not mask.any()
            inside = np.zeros_like(mask)
            for x1, y1, x2, y2 in (region.box for region in item["regions"]["current"]):
                inside[max(0, int(y1) - 1) : int(y2) + 2, max(0, int(x1) - 1) : int(x2) + 2] = 1
            assert (mask <= inside).all()
            seen += int(mask.sum())
    assert seen > 100


def test_masks_are_given_only_where_they_are_asked_for(objects: Path) -> None:
    item = FilmDataset(Prepared(objects), "all", 64, needs=("boxes",), labels=(OBJECT,))[0]
    assert "masks_current" not in item


def test_a_finding_without_a_region_has_no_known_place(objects: Path) -> None:
    prepared = Prepared(objects)
    labels = prepared.labels((OBJECT,))
    assert {0.0, 1.0} <= set(labels.ravel().tolist())
    assert np.array_equal(known_extents(prepared, (OBJECT,), labels), labels)
    prepared.regions = prepared.regions.iloc[:0]
    without = known_extents(prepared, (OBJECT,), labels)
    assert np.isnan(without[labels == 1]).all()
    assert (without[labels == 0] == 0).all()


@pytest.mark.parametrize("stage", TASKS)
def test_train_and_figures_through_the_package(stage: str, objects: Path, tmp_path: Path) -> None:
    changes = {"train.epochs": 1, "train.batch_size": 32, "model.labels": [OBJECT], "model.pixels": 64}
    run = train(stage, objects, tmp_path / "run", size="tiny", overrides=changes)
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    predictor = load(run)
    assert facts["selected"]["metric"] == predictor.model.selection
    figures = predictor.figures(Prepared(objects), "test")
    films = FilmDataset(Prepared(objects), "test", 64, needs=predictor.model.needs, labels=(OBJECT,))
    assert figures["films.count"] == len(films) > 0
    assert 0 <= figures[predictor.model.selection] <= 1
    again = train(
        stage, objects, tmp_path / "again", size="tiny", sources=[run], overrides={**changes, "train.seed": 1}
    )
    assert (again / "model.safetensors").is_file()


def test_encoder_tensors_wants_all_of_an_encoder(tmp_path: Path) -> None:
    encoder = build_encoder("conv", (8, 16), 0, 2, 0)
    part = {f"image_encoder.{name}": tensor for name, tensor in list(encoder.state_dict().items())[:-1]}
    save_file(part, tmp_path / "part.safetensors")
    with pytest.raises(ConfigError, match="no encoder"):
        load_weights(encoder, str(tmp_path / "part.safetensors"))
    whole = {f"a.b.{name}": tensor + 1 for name, tensor in encoder.state_dict().items()}
    found = encoder_tensors(encoder, whole, tmp_path)
    assert all(torch.equal(tensor, whole[f"a.b.{name}"]) for name, tensor in found.items())
