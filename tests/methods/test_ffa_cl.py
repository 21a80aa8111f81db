"""FFA-CL: label trees and their targets, labels by policy, words, frozen features, validation, the command for NIH."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from safetensors.torch import load_file, save_file

from intervalchange import cli
from intervalchange.config import load_preset
from intervalchange.errors import ConfigError
from intervalchange.findings import CHEXPERT
from intervalchange.methods.ffa_cl.classify import FfaCl, FfaClConfig
from intervalchange.methods.ffa_cl.label_targets import POLICIES
from intervalchange.methods.ffa_cl.label_tree import prompts_of, read_tree, tree_names, word_vectors
from intervalchange.methods.ffa_cl.validation import FilmOutputs, by_study, f1, label_scores
from intervalchange.training.listing import meta_model
from intervalchange.training.stage import start_from

DISTANCES = """
0 4 3 3 4 4 2 2 3 4 4 3 2 4
4 0 5 5 2 4 4 4 3 4 4 5 4 4
3 5 0 2 5 5 3 1 4 5 5 2 3 5
3 5 2 0 5 5 3 1 4 5 5 2 3 5
4 2 5 5 0 4 4 4 3 4 4 5 4 4
4 4 5 5 4 0 4 4 3 4 4 5 4 2
2 4 3 3 4 4 0 2 3 4 4 3 2 4
2 4 1 1 4 4 2 0 3 4 4 1 2 4
3 3 4 4 3 3 3 3 0 3 3 4 3 3
4 4 5 5 4 4 4 4 3 0 2 5 4 4
4 4 5 5 4 4 4 4 3 2 0 5 4 4
3 5 2 2 5 5 3 1 4 5 5 0 3 5
2 4 3 3 4 4 2 2 3 4 4 3 0 4
4 4 5 5 4 2 4 4 3 4 4 5 4 0
"""
"""Edges between the fourteen labels on the published tree, in the order of `findings.CHEXPERT`."""


def tiny(**changes: Any) -> FfaCl:
    torch.manual_seed(0)
    return FfaCl(FfaClConfig(**{**load_preset("ffa_cl/classify", "tiny").model, **changes}))


# --- trees -------------------------------------------------------------------------------------------------------


def test_published_targets() -> None:
    tree = read_tree("published")
    wanted = np.array([row.split() for row in DISTANCES.split("\n") if row], float)
    assert tree.labels == CHEXPERT
    assert len(tree.edges) == 18
    assert (tree.distances() == wanted).all()
    near = np.divide(1, wanted, out=np.zeros_like(wanted), where=wanted > 0)
    opacity = [1 / 2, 1 / 4, 1, 1, 1 / 4, 1 / 4, 1 / 2, 0, 1 / 3, 1 / 4, 1 / 4, 1, 1 / 2, 1 / 4]
    assert near[CHEXPERT.index("Lung Opacity")] == pytest.approx(opacity)
    assert tree.closeness() == pytest.approx(near / np.sqrt((near**2).sum(1, keepdims=True)), abs=3e-8)
    assert tree.remoteness() == pytest.approx(wanted / np.sqrt((wanted**2).sum(1, keepdims=True)), abs=3e-8)


@pytest.mark.parametrize(
    ("tree", "one", "other", "edges"),
    [
        ("published", "Edema", "Lung Opacity", 1),
        ("published", "Edema", "Pneumonia", 2),
        ("published", "Edema", "Cardiomegaly", 5),
        ("published", "No Finding", "Edema", 4),
        ("chexpert", "Cardiomegaly", "Enlarged Cardiomediastinum", 1),
        ("chexpert", "Atelectasis", "Lung Opacity", 1),
        ("chexpert", "Lung Lesion", "Edema", 2),
        ("nih", "Mass", "Nodule", 2),
    ],
)
def test_tree_distances(tree: str, one: str, other: str, edges: int) -> None:
    found = read_tree(tree)
    assert found.distances()[found.labels.index(one), found.labels.index(other)] == edges


def test_both_published_orders_of_the_labels_have_eighteen_edges() -> None:
    one, other = read_tree("published"), read_tree("chexpert")
    assert one.labels == other.labels
    assert len(one.edges) == len(other.edges) == 18
    moved = {"Cardiomegaly", "Atelectasis", "Lung Lesion"}
    assert {child for _, child in set(one.edges) ^ set(other.edges)} == moved


def test_any_tree_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("labels: [Cardiomegaly, Hernia]\nedges: [[root, Cardiomegaly], [root, Hernia]]\n")
    tree = read_tree(str(path))
    assert tree.distances().tolist() == [[0, 2], [2, 0]]
    model = tiny(tree=str(path), labels=("cardiomegaly", "enlargement of the cardiac silhouette", "hernia"))
    found = model.targets(torch.tensor([[0.0, 1.0, math.nan], [0.0, math.nan, 0.0]]))
    assert torch.equal(torch.nan_to_num(found, nan=-1), torch.tensor([[1.0, -1.0], [0.0, 0.0]]))
    path.write_text("labels: [Cardiomegaly, Hernia]\nedges: [[root, Cardiomegaly], [stem, Hernia]]\n")
    with pytest.raises(ConfigError, match="not a tree"):
        read_tree(str(path))
    path.write_text("labels: [Cardiomegaly, Mass]\nedges: [[root, Cardiomegaly]]\n")
    with pytest.raises(ConfigError, match="lies on no edge"):
        read_tree(str(path))
    with pytest.raises(ConfigError, match="chexpert, nih, published"):
        read_tree("openi")
    with pytest.raises(ConfigError, match="reads 'scoliosis'"):
        tiny(labels=("scoliosis",))


# --- words -------------------------------------------------------------------------------------------------------


def test_every_label_has_words_of_its_own_in_the_order_of_the_labels() -> None:
    for name in tree_names():
        labels = read_tree(name).labels
        basic, detailed = prompts_of(labels), prompts_of(labels, "detailed")
        assert all(label.lower() in prompt for label, prompt in zip(labels, basic, strict=True))
        assert len(set(detailed)) == len(labels)
    turned = prompts_of(CHEXPERT[::-1], "detailed")
    assert turned[::-1] == prompts_of(CHEXPERT, "detailed")
    assert "heart" in turned[CHEXPERT[::-1].index("Cardiomegaly")]
    with pytest.raises(ConfigError, match="detailed prompt"):
        prompts_of(["Scoliosis"], "detailed")


def test_counted_words_say_which_prompts_share_them() -> None:
    vectors = word_vectors(["fluid in the pleura", "air in the pleura", "a broken rib"])
    likeness = vectors @ vectors.T
    assert np.diag(likeness) == pytest.approx(1)
    assert likeness[0, 1] > likeness[0, 2] == 0


# --- labels ------------------------------------------------------------------------------------------------------


def test_policies_and_no_finding() -> None:
    """Films: one finding; all absent; nothing but an absent one; only a device; nothing known at all."""
    labels = ("edema", "fracture", "support devices")
    nan = math.nan
    films = torch.tensor(
        [[1.0, nan, nan], [0.0, 0.0, 0.0], [nan, 0.0, nan], [0.0, 0.0, 1.0], [nan, nan, nan]],
    )
    order = [CHEXPERT.index(name) for name in ("Edema", "Fracture", "Support Devices", "No Finding", "Pneumonia")]

    def seen(policy: str) -> list[list[float]]:
        found = tiny(labels=labels, policy=policy).targets(films)[:, order]
        return torch.nan_to_num(found, nan=-1).tolist()

    unknown = [[1, -1, -1, 0, -1], [0, 0, 0, 1, -1], [-1, 0, -1, 1, -1], [0, 0, 1, 1, -1], [-1, -1, -1, -1, -1]]
    zeros = [[1, 0, 0, 0, -1], [0, 0, 0, 1, -1], [0, 0, 0, 1, -1], [0, 0, 1, 1, -1], [0, 0, 0, 1, -1]]
    assert seen("ignore") == seen("three_class") == unknown
    assert seen("u_zeros") == seen("u_ones") == zeros
    assert [POLICIES[name].uncertain for name in ("ignore", "u_zeros", "u_ones")] == ["unknown", "absent", "present"]


def test_three_classes_learn_from_what_is_not_known() -> None:
    model = tiny(policy="three_class", contrast_weight=0, orthogonality_weight=0, graph_weight=0)
    batch = toy.film_batch(4, names=model.config.labels)
    batch["labels_current"][:] = math.nan
    output = model(**batch)
    assert output.loss.item() > 0.1
    output.loss.backward()
    assert model.classifier.out.weight.grad[2].abs().sum() > 0
    assert tiny(contrast_weight=0, orthogonality_weight=0, graph_weight=0)(**batch).loss.item() == 0


# --- what is learnt ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contrast", ["published", "unnormalised", "conditioned"])
@pytest.mark.parametrize("weighting", ["none", "uncertainty", "exp"])
def test_every_form_and_weighting_trains(contrast: str, weighting: str) -> None:
    model = tiny(contrast=contrast, weighting=weighting, orthogonality="cosine", tree="chexpert", prompts="detailed")
    output = model(**toy.film_batch(4, names=model.config.labels))
    output.loss.backward()
    assert set(output.terms) == {"classification", "contrast", "orthogonality", "graph"}
    assert model.splitter.split.weight.grad.isfinite().all()
    assert (model.log_variances is not None) == (weighting == "uncertainty")


def trained(**changes: Any) -> FfaCl:
    model = tiny(**changes)
    batch = toy.film_batch(8, names=model.config.labels)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    for _ in range(3):
        optimiser.zero_grad()
        model(**batch).loss.backward()
        optimiser.step()
    return model


def test_orthogonality_alone_never_reaches_the_films() -> None:
    """Its gradient stays among the prompts, which take no part in use: the row equals vision only, bit for bit."""
    alone = trained(contrast_weight=0, graph_weight=0)
    vision = trained(contrast_weight=0, graph_weight=0, orthogonality_weight=0)
    assert vision.words is None
    for part in ("splitter", "classifier"):
        ours, theirs = getattr(alone, part).state_dict(), getattr(vision, part).state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_frozen_backbone_sees_a_film_once_and_again_after_its_weights_change() -> None:
    model = tiny()
    batch = toy.film_batch(3, names=model.config.labels)
    calls: list[int] = []
    model.encoder.register_forward_hook(lambda module, inputs, output: calls.append(len(inputs[0])))
    first = model.vectors(batch.current)
    assert torch.equal(model.vectors(batch.current.flip(0)).flip(0), first)
    assert calls == [3]
    model.encoder.load_state_dict({name: 2 * value for name, value in model.encoder.state_dict().items()})
    assert not torch.allclose(model.vectors(batch.current), first)
    assert calls == [3, 3]
    assert len(model.vector_cache) == 3
    assert not model.train().encoder.training


def test_a_trained_backbone_gets_a_gradient() -> None:
    model = tiny(frozen=False)
    model(**toy.film_batch(4, names=model.config.labels)).loss.backward()
    assert all(parameter.grad is not None for parameter in model.encoder.parameters())


def test_published_sizes() -> None:
    """Counted from the published shapes: splitter 55 M with 51 M in its second layer, two transformers of 25.2 M."""
    model = meta_model("ffa_cl/classify", "paper")
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    layer = 4 * 512 * 512 + 4 * 512 + 2 * 512 * 2048 + 2048 + 512 + 4 * 512
    labels = 14 * 512
    assert counts["splitter"] == 512 * labels + labels + labels**2 + labels + 8 * layer
    assert counts["words"] == 8 * layer
    assert counts["classifier"] == 512 * 512 + 512 + 512 + 1
    assert counts["encoder"] == pytest.approx(87.8e6, rel=0.02), "CLIP ViT-B/32"


# --- validation --------------------------------------------------------------------------------------------------


def film_outputs(study: str, chance: float, truth: int) -> FilmOutputs:
    return FilmOutputs(study, "p", np.array([chance, 0.5]), np.array([truth, -1], np.int8))


def test_films_and_studies() -> None:
    films = [film_outputs("a", 0.9, 1), film_outputs("a", 0.1, 1), film_outputs("b", 0.3, 0), film_outputs("c", 0.2, 0)]
    scores = label_scores(films, ("Edema", "Fracture"))
    assert scores["auroc.macro"] == scores["auroc.edema"] == 0.5
    assert "auroc.fracture" not in scores
    studies = by_study(films)
    assert [one.study for one in studies] == ["a", "b", "c"]
    assert label_scores(studies, ("Edema", "Fracture"))["auroc.edema"] == 1


def test_a_threshold_is_the_best_f1_of_validation() -> None:
    model = tiny().eval()
    batch = toy.film_batch(12, names=model.config.labels)
    chosen = model.calibrate([batch])
    said, true = (
        np.stack([getattr(one, side) for one in model.validation_outputs(batch)])
        for side in ("probabilities", "targets")
    )
    place = CHEXPERT.index("Cardiomegaly")
    reached = f1(said > model.threshold.numpy(), np.where(true < 0, np.nan, true))[place]
    tried = [f1(said > trial, np.where(true < 0, np.nan, true))[place] for trial in np.linspace(0.02, 0.98, 49)]
    assert reached == pytest.approx(max(tried))
    assert chosen["threshold.Cardiomegaly"] == pytest.approx(float(model.threshold[place]))
    assert "threshold.Pneumonia" not in chosen
    assert model.threshold[CHEXPERT.index("Pneumonia")] == 0.5
    assert model.calibrate([]) == {}


# --- runs --------------------------------------------------------------------------------------------------------


def test_the_encoder_goes_to_set_difference_and_back(tmp_path: Path) -> None:
    from intervalchange.methods.set_difference.answer import SetDifference, SetDifferenceConfig

    ours = tiny()
    save_file(ours.state_dict(), tmp_path / "model.safetensors")
    theirs = SetDifference(SetDifferenceConfig(pixels=64, widths=(16, 16, 32, 32), width=32))
    start_from(theirs, tmp_path)
    for name, tensor in ours.encoder.state_dict().items():
        assert torch.equal(theirs.encoder.state_dict()[name], tensor), name
    named = tiny(backbone_weights=str(tmp_path))
    named.load_pretrained()
    assert all(torch.equal(a, b) for a, b in zip(named.encoder.parameters(), ours.encoder.parameters(), strict=True))


def test_words_of_a_run_do_not_replace_the_prompts_asked_for(tmp_path: Path) -> None:
    save_file({"words.words": torch.zeros_like(tiny().words.words), "threshold": torch.rand(14)}, tmp_path / "a.st")
    (tmp_path / "a.st").rename(tmp_path / "model.safetensors")
    model = tiny()
    start_from(model, tmp_path)
    assert model.words.words.abs().sum() > 0


PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "ffa_cl.md"


@pytest.mark.slow
def test_the_commands_of_the_page_run_on_the_simulated_tree_of_nih(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As written, but for the place of the tree, the size and the steps."""
    monkeypatch.chdir(tmp_path)
    simulated = ["simulate", "nih", "--layout", "nih", "--patients", "24", "--pixels", "96", "--splits", "2:1:1"]
    assert cli.main([*simulated, "--seed", "0"]) == 0
    asked = [line for line in PAGE.read_text().splitlines() if line.startswith("intervalchange ") and "nih" in line]
    assert [line.split()[1] for line in asked] == ["prepare", "train", "train", "evaluate"]
    for line in asked:
        words = shlex.split(line.replace("/path/to/nih", "nih").replace("--size small", "--size tiny"))[1:]
        if words[0] == "prepare":
            words[words.index("--pixels") + 1] = "64"
        if words[0] == "train":
            words += ["--train.max_steps", "4"]
        assert cli.main(words) == 0, line
    metrics = json.loads((tmp_path / "nih_words.json").read_text())
    metrics = metrics.get("figures", metrics)
    assert 0 <= metrics["auroc.macro"] <= 1
    assert metrics["films.count"] > 0
    encoders = [load_file(tmp_path / "runs" / run / "model.safetensors") for run in ("nih_vision", "nih_words")]
    names = [name for name in encoders[0] if name.startswith("encoder.")]
    assert names
    assert all(torch.equal(encoders[0][name], encoders[1][name]) for name in names), "the second run is frozen"


def test_prompts_that_no_text_encoder_has_read_are_refused() -> None:
    """Of zeros, a stack of layers has a gradient that is not finite."""
    config = FfaClConfig(**load_preset("ffa_cl/classify", "tiny").model, text="clip")
    model = FfaCl(config)
    vectors, targets = torch.randn(2, model.splitter.split.in_features), torch.zeros(2, len(model.tree.labels))
    with pytest.raises(ConfigError, match="CLIP has not encoded the prompts") as refused:
        model.losses(vectors, targets)
    assert "--model.backbone_weights" in str(refused.value)
    assert model.words is not None
    model.words.words.normal_()
    assert model.losses(vectors, targets).loss.isfinite()


def test_published_prompts_and_greys() -> None:
    assert prompts_of(["Edema", "Pleural Effusion"], "published") == ["images for Edema", "images for Pleural Effusion"]
    assert load_preset("ffa_cl/classify", "paper").model["prompts"] == "published"
    with pytest.raises(ConfigError, match="colours"):
        FfaClConfig(greys="clip")
