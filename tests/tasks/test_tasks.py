"""Tasks on an encoder: frozen is frozen, whose weights are taken, and that each task learns what is there to learn."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import contract
import numpy as np
import pytest
import torch
import toy
from torch import nn

from intervalchange.blocks.centre_head import RARE
from intervalchange.data.dataset import FilmDataset, share_of_patients
from intervalchange.data.masks import known_extents
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.data.transforms import Augment
from intervalchange.errors import ConfigError
from intervalchange.inference import load
from intervalchange.losses import masked_bce
from intervalchange.simulation.cohort import simulate
from intervalchange.tasks.classification import Classification, ClassificationConfig, exclusive_loss
from intervalchange.tasks.detection import BoxOutputs, Detection, DetectionConfig
from intervalchange.tasks.probe import Probe
from intervalchange.tasks.segmentation import Segmentation, SegmentationConfig
from intervalchange.training import train

TASKS = ("tasks/classification", "tasks/detection", "tasks/segmentation")
NAMES = tuple(toy.PLACES)


def tiny(stage: str, **changes: object) -> Probe:
    return contract.Subject(stage).model(**changes)


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


@pytest.mark.parametrize("stage", TASKS)
@pytest.mark.parametrize("frozen", [True, False])
def test_the_statistics_of_a_frozen_batch_norm_do_not_drift(stage: str, frozen: bool) -> None:
    model = tiny(stage, backbone="resnet50", frozen=frozen).eval().train()
    norms = [module for module in model.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    model(**toy.film_batch(2, names=NAMES))
    assert len(norms) == 53
    assert all(norm.training is not frozen for norm in norms)
    assert all(torch.equal(norm.running_mean, mean) is frozen for norm, mean in zip(norms, before, strict=True))


# --- figures ---------------------------------------------------------------------------------------------------------


def test_the_truth_scores_full_marks_and_its_absence_none() -> None:
    batch = toy.film_batch(12, names=NAMES)
    detection = Detection(DetectionConfig(labels=NAMES, pixels=64)).eval()
    outputs = detection.validation_outputs(batch)
    assert sum(len(one.target) for one in outputs) == int(batch.labels_current.sum())
    exact = [BoxOutputs(one.patient, one.known, one.target, one.target) for one in outputs]
    assert detection.validation_scores(exact)["boxes.strict.map"] == 1
    missed = [BoxOutputs(one.patient, one.known, one.target, ()) for one in outputs]
    assert detection.validation_scores(missed)["boxes.strict.map"] == 0
    segmentation = Segmentation(SegmentationConfig(labels=NAMES, pixels=64)).eval()
    segmentation.logits = lambda films: 20 * (batch.masks_current - 0.5)  # type: ignore[method-assign]
    scores = segmentation.validation_scores(segmentation.validation_outputs(batch))
    assert scores["masks.dice.positive"] == scores["masks.dice.all"] == scores["masks.pneumothorax.dice.all"] == 1
    segmentation.logits = lambda films: -torch.ones_like(batch.masks_current)  # type: ignore[method-assign]
    scores = segmentation.validation_scores(segmentation.validation_outputs(batch))
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
        outputs = model.eval().validation_outputs(batch)[0]
        known = outputs.known[1] == 1 if isinstance(outputs, BoxOutputs) else outputs.counts[1] is not None
        assert not known
    only = BoxOutputs("a", (0.0,), ((0.0, 1.0, 1.0, 1.0, 9.0, 9.0),), ((0.0, 0.9, 20.0, 20.0, 30.0, 30.0),))
    sure = BoxOutputs("b", (1.0,), ((0.0, 1.0, 1.0, 1.0, 9.0, 9.0),), ((0.0, 0.5, 1.0, 1.0, 9.0, 9.0),))
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
    outputs = model.validation_outputs(batch)
    assert all(sum(one.scores) == pytest.approx(1) for one in outputs)
    assert 0 <= model.validation_scores(outputs)["labels.accuracy"] <= 1
    with pytest.raises(ConfigError, match="excludes"):
        ClassificationConfig(labels=("pneumonia",), exclusive=True)


def test_a_task_without_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match="labels"):
        Segmentation(SegmentationConfig(labels=()))


# --- learning --------------------------------------------------------------------------------------------------------


def learnt(model: Probe, steps: int, size: int = 24) -> dict[str, float]:
    """Figures on other films after some steps, and that they were worse before."""
    test = toy.film_batch(32, seed=9, names=NAMES)
    before = model.eval().validation_scores(model.validation_outputs(test))[model.selection]
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    model.train()
    for step in range(steps):
        optimiser.zero_grad()
        model(**toy.film_batch(size, seed=100 + step, names=NAMES)).loss.backward()
        optimiser.step()
    with torch.no_grad():
        scores = model.eval().validation_scores(model.validation_outputs(test))
    assert scores[model.selection] > before
    return scores


@pytest.mark.slow
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
    assert torch.allclose(head.heatmap.bias.sigmoid(), torch.full((len(NAMES),), RARE))
    assert head.heatmap.weight.std() < 0.02


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
    metrics = predictor.metrics(Prepared(objects), "test")
    films = FilmDataset(Prepared(objects), "test", 64, needs=predictor.model.needs, labels=(OBJECT,))
    assert metrics["films.count"] == len(films) > 0
    assert 0 <= metrics[predictor.model.selection] <= 1
    again = train(
        stage, objects, tmp_path / "again", size="tiny", sources=[run], overrides={**changes, "train.seed": 1}
    )
    assert (again / "model.safetensors").is_file()


def test_shares_are_of_patients_and_lie_inside_each_other() -> None:
    films = np.array([f"patient-{number // 3}" for number in range(30_000)])
    masks = [share_of_patients(films, share) for share in (0.01, 0.1, 1.0)]
    assert [mask.mean() for mask in masks] == pytest.approx([0.01, 0.1, 1], rel=0.2)
    assert all((larger | ~smaller).all() for smaller, larger in pairwise(masks))
    assert all((mask.reshape(-1, 3) == mask[::3, None]).all() for mask in masks)


def test_the_published_loss_of_masks_is_a_switch() -> None:
    model = tiny("tasks/segmentation", loss="published")
    batch = toy.film_batch(4, names=model.config.labels)
    batch["masks_current"] = torch.zeros(4, len(model.config.labels), 64, 64)
    batch["masks_current"][:, :, 8:20, 8:20] = 1
    output = model(**batch)
    assert set(output.terms) == {"focal_and_dice"}
    output.loss.backward()
    with pytest.raises(ConfigError, match="published loss"):
        SegmentationConfig(loss="published", positive_weight=2.0)
    with pytest.raises(ConfigError, match="anchors"):
        DetectionConfig(targets="published")


def test_labels_are_smoothed_as_a_choice_of_two() -> None:
    """VED: .1 of a cross-entropy over absent and present. An unknown label stays unknown."""
    logits = torch.tensor([[0.3, -1.0, 2.0]])
    labels = torch.tensor([[1.0, 0.0, torch.nan]])
    smoothed = masked_bce(logits, labels * 0.9 + 0.05)
    both = torch.stack([torch.zeros(2), logits[0, :2]], 1)
    expected = torch.nn.functional.cross_entropy(both, labels[0, :2].long(), label_smoothing=0.1)
    torch.testing.assert_close(smoothed, expected)
    losses = {}
    for smoothing in (0.0, 0.1):
        torch.manual_seed(0)
        config = ClassificationConfig(
            labels=("edema", "fracture", "hernia"), backbone="conv", encoder_widths=(4, 8), pixels=32,
            label_smoothing=smoothing,
        )  # fmt: skip
        model = Classification(config).eval()
        losses[smoothing] = model(current=torch.ones(1, 1, 32, 32), labels_current=labels).loss
        with torch.no_grad():
            found = model.logits(torch.ones(1, 1, 32, 32))
        torch.testing.assert_close(losses[smoothing], masked_bce(found, labels * (1 - smoothing) + smoothing / 2))
    assert losses[0.1] != losses[0.0]
    whole = exclusive_loss(logits, torch.tensor([[1.0, 0.0, 0.0]]), 0.1)
    torch.testing.assert_close(whole, torch.nn.functional.cross_entropy(logits, torch.tensor([0]), label_smoothing=0.1))
    with pytest.raises(ConfigError, match="label_smoothing is 1"):
        ClassificationConfig(label_smoothing=1.0)
