"""Zero-shot and retrieval: scores by hand, no film that depends on another, prompts and lists of films as data."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import toy
from torch.nn import functional as F

from intervalchange import cli, inference
from intervalchange.config import load_preset
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.errors import ConfigError, InputError, RunError, SourceError
from intervalchange.inference import Predictor
from intervalchange.methods.cm_cgns.align import CmCgnsAlign
from intervalchange.methods.cm_cgns.options import CmCgnsConfig
from intervalchange.simulation.cohort import simulate
from intervalchange.tasks.classification import CHEXPERT_TASKS
from intervalchange.tasks.image_text import (
    EncodedFilms,
    EncodedTexts,
    ImageText,
    LocalForm,
    WordsAndPatches,
    similarity,
)
from intervalchange.tasks.prompts import combinations, open_prompts
from intervalchange.tasks.retrieval import Candidates, precision_at, retrieval_metrics
from intervalchange.tasks.zero_shot import Standard, ZeroShotOptions, class_scores, zero_shot, zero_shot_metrics

NAMES = tuple(toy.PLACES)


class Stub:
    """Films by how bright the toy's marks are, texts by the findings they name."""

    name, unit, device = "stub", "films", torch.device("cpu")
    config = SimpleNamespace(pixels=toy.SIDE)

    def eval(self) -> Stub:
        return self

    def film_vectors(self, films: torch.Tensor) -> torch.Tensor:
        lit = [films[:, 0, rows, columns].mean((1, 2)) for rows, columns in toy.PLACES.values()]
        return F.normalize(torch.stack(lit, 1) + 1e-3, dim=1)

    def text_vectors(self, texts: list[str]) -> torch.Tensor:
        named = [[float(name in text or name.split()[-1] in text) for name in NAMES] for text in texts]
        return F.normalize(torch.tensor(named) + 1e-3, dim=1)


class LocalStub(Stub):
    """Also a token for each mark, and one for each finding named."""

    def film_parts(self, films: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        vectors = self.film_vectors(films)
        return vectors, torch.diag_embed(vectors)

    def text_parts(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        vectors = self.text_vectors(texts)
        return vectors, torch.diag_embed(vectors), (vectors > 0.1).float()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.cohort(tmp_path_factory.mktemp("toy"), train=2, val=6, test=30)


# --- prompts ---------------------------------------------------------------------------------------------------------


def test_prompts_are_every_combination_once() -> None:
    assert combinations([["", "mild"], ["a", "b"], ["", "c"]]) == (
        *("a", "a c", "b", "b c"),
        *("mild a", "mild a c", "mild b", "mild b c"),
    )
    assert combinations([["x", "y", "x"]]) == ("x", "y")
    assert combinations([[str(number) for number in range(10)]], most=3) == ("0", "4", "9")
    own = open_prompts().of(CHEXPERT_TASKS)
    counts = np.bincount(own.owner)
    # 3 x 7 x 10 and 6 x 3 as in GLoRIA; 4 x 6 x 8; of its 54 about effusion a third is said twice.
    assert counts[[0, 2, 3, 4]].tolist() == [210, 192, 18, 36]
    assert own.texts[0] == "subsegmental atelectasis at the mid lung zone"
    assert len(set(own.texts)) == len(own.texts)


def test_prompts_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("over: max\nmost: 1\nfindings:\n  edema: [wet lungs, very wet lungs]\n", encoding="utf-8")
    file = open_prompts(path)
    assert file.of(["edema"]).texts == ("wet lungs",)
    assert file.over == "max"
    with pytest.raises(ConfigError, match="fracture"):
        file.of(["fracture"])
    for wrong in ("findings: {edema: 3}", "over: sum\nfindings: {edema: [a]}", "- a", "findings: {edema: []}"):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(ConfigError):
            open_prompts(path)
    with pytest.raises(ConfigError, match="read"):
        open_prompts(tmp_path / "none.yaml")


# --- scores ----------------------------------------------------------------------------------------------------------


def test_class_scores_by_hand() -> None:
    alike = torch.tensor([[0.1, 0.5, 0.2], [0.4, 0.0, -0.3]])
    assert torch.allclose(class_scores(alike, (0, 0, 1), 2, "mean"), torch.tensor([[0.3, 0.2], [0.2, -0.3]]))
    assert torch.allclose(class_scores(alike, (0, 0, 1), 2, "max"), torch.tensor([[0.5, 0.2], [0.4, -0.3]]))


def test_standardised_scores_do_not_depend_on_the_films_beside() -> None:
    scores = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    standard = Standard.of(scores)
    assert torch.allclose(standard.applied(scores), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    assert torch.equal(standard.applied(scores[:1]), standard.applied(scores)[:1])


def test_accuracy_counts_the_films_with_one_class() -> None:
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 1, np.nan], [1, 1, 0], [0, 0, 0]], float)
    scores = torch.tensor([[3.0, 0, 0], [0, 2, 1], [0, 1, 2], [0, 0, 9], [0, 0, 9]])
    found = zero_shot_metrics(scores, labels, ("a", "b", "c"), list("vwxyz"), replicates=0)
    assert found["zero_shot.films"] == 3
    assert found["zero_shot.accuracy"] == pytest.approx(2 / 3)
    assert found["zero_shot.balanced"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["zero_shot.commonest"] == pytest.approx(2 / 3)
    assert found["zero_shot.chance"] == pytest.approx(1 / 3)
    shifted = scores + torch.tensor([0.0, 0.0, 100.0])
    again = zero_shot_metrics(shifted, labels, ("a", "b", "c"), list("vwxyz"), Standard.of(shifted), replicates=0)
    assert again["zero_shot.accuracy"] == 0
    assert again["zero_shot.standardised.accuracy"] > 0


def test_similarity_is_cosine_and_half_of_it_local() -> None:
    torch.manual_seed(0)
    vectors, texts = torch.randn(20, 4), torch.randn(40, 4)
    plain = similarity(EncodedFilms(vectors, None), EncodedTexts(texts, None, None))
    assert torch.allclose(plain, F.cosine_similarity(vectors[:, None], texts[None], dim=-1), atol=1e-6)
    tokens, words = torch.randn(20, 5, 4), torch.randn(40, 3, 4)
    mask = torch.ones(40, 3)
    mask[:, 2] = 0
    both = similarity(EncodedFilms(vectors, tokens), EncodedTexts(texts, words, mask))
    alone = similarity(EncodedFilms(vectors[3:4], tokens[3:4]), EncodedTexts(texts[7:8], words[7:8, :2], mask[7:8, :2]))
    assert torch.allclose(both[3, 7], alone[0, 0], atol=1e-5)
    # A film that holds a text's words as they are gathers each of them: the local half is near its limit of 1.
    exact = similarity(
        EncodedFilms(vectors[:1], 1.0 * words[:1, :1]), EncodedTexts(vectors[:1], words[:1, :1], mask[:1, :1])
    )
    assert float(exact) == pytest.approx(1, abs=1e-5)


# --- retrieval -------------------------------------------------------------------------------------------------------


def test_precision_by_hand() -> None:
    alike = np.array([[0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.3, 0.4]])
    same = np.array([[True, False, True, False], [False, True, False, True]])
    may = np.array([[False, True, True, True], [True, True, True, True]])
    found = precision_at(alike, same, may, (1, 2, 3, 4))
    assert found[1].tolist() == [0, 1]
    assert found[2].tolist() == [0.5, 0.5]
    assert found[3].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert 4 not in found


def test_retrieval_against_a_loop_and_its_chance() -> None:
    rng = np.random.default_rng(0)
    classes, own = rng.integers(0, 3, 12), [str(n // 2) for n in range(12)]
    texts = Candidates([str(n) for n in range(20)], rng.integers(0, 3, 20), tuple(str(n // 4) for n in range(20)))
    alike = rng.standard_normal((12, 20))
    found = retrieval_metrics(alike, classes, own, texts, (5,), replicates=0)
    shares, chances = [], []
    for query in range(12):
        fit = [m for m in range(20) if texts.patients and texts.patients[m] != own[query]]
        first = sorted(fit, key=lambda m: -alike[query, m])[:5]
        shares.append(np.mean([texts.classes[m] == classes[query] for m in first]))
        chances.append(np.mean([texts.classes[m] == classes[query] for m in fit]))
    assert found["retrieval.precision.5"] == pytest.approx(np.mean(shares))
    assert found["retrieval.precision.chance"] == pytest.approx(np.mean(chances))
    by_class = [np.mean([s for s, c in zip(shares, classes, strict=True) if c == k]) for k in range(3)]
    assert found["retrieval.balanced.5"] == pytest.approx(np.mean(by_class))


# --- on a prepared folder ---------------------------------------------------------------------------------------------


def test_the_protocol_is_two_methods() -> None:
    assert isinstance(Stub(), ImageText) and not isinstance(Stub(), WordsAndPatches)
    assert isinstance(LocalStub(), WordsAndPatches)


@pytest.mark.parametrize("stub", [Stub, LocalStub])
def test_a_model_that_sees_is_right(stub: type[Stub], cohort: Path) -> None:
    found = zero_shot(stub(), Prepared(cohort), "test", ZeroShotOptions(labels=NAMES))
    assert found["zero_shot.accuracy"] == 1
    assert found["retrieval.precision.5"] == 1
    assert found["retrieval.precision.chance"] < 0.6
    assert found["statistics"]["labels"] == NAMES

    class Blind(stub):  # type: ignore[misc, valid-type]
        def film_vectors(self, films: torch.Tensor) -> torch.Tensor:
            return super().film_vectors(torch.roll(films, 1, dims=0))

    blind = zero_shot(Blind(), Prepared(cohort), "test", ZeroShotOptions(labels=NAMES))
    assert blind["zero_shot.accuracy"] < 0.8


@pytest.mark.parametrize("options", [{}, {"word_weight": 1.0}], ids=["vectors", "words too"])
def test_cm_cgns_is_asked(options: dict[str, float], cohort: Path) -> None:
    """The contract holds for the stage that trains on reports: in one space, of length 1, whatever the batch."""
    config = CmCgnsConfig(**{**load_preset("cm_cgns/align", "tiny").model, **options})
    torch.manual_seed(0)
    model = CmCgnsAlign(config)
    films, texts = toy.film_batch(4, names=NAMES).current, ["small left pleural effusion", "pneumothorax"]
    model.train()
    model.encode_films(films)
    model.eval()
    assert isinstance(model, ImageText)
    assert isinstance(model, WordsAndPatches) is bool(options)
    seen, said = model.film_vectors(films), model.text_vectors(texts)
    assert seen.shape[1] == said.shape[1]
    for vectors in (seen, said):
        assert torch.allclose(vectors.norm(dim=1), torch.ones(len(vectors)), atol=1e-5)
    assert torch.allclose(model.film_vectors(films[1:2])[0], seen[1], atol=1e-5)
    assert torch.allclose(model.text_vectors(texts[1:])[0], said[1], atol=1e-5)
    looks = []
    model.film_encoder.register_forward_hook(lambda module, given, made: looks.append(len(given[0])))
    found = zero_shot(model, Prepared(cohort), "test", ZeroShotOptions(labels=NAMES))
    assert sum(looks) == found["films.count"], "each film is encoded once"
    assert 0 <= found["zero_shot.accuracy"] <= 1


def test_labels_are_those_that_data_and_prompts_share(cohort: Path) -> None:
    found = zero_shot(Stub(), Prepared(cohort), "test")
    assert set(found["statistics"]["labels"]) == set(NAMES)


def test_only_the_films_that_are_listed(cohort: Path, tmp_path: Path) -> None:
    prepared = Prepared(cohort)
    images = prepared.studies["image"].tolist()
    labelled = {name for name, known in zip(images, prepared.studies["findings"], strict=True) if known != "{}"}
    chosen = [name for name in images if name in labelled and int(name.split("-")[0]) >= 8][:9]
    path = tmp_path / "list.csv"
    path.write_text("Path\n" + "\n".join(f"CheXpert-v1.0/{name}" for name in [*chosen, "not/there.png"]) + "\n")
    found = zero_shot(Stub(), prepared, "test", ZeroShotOptions(labels=NAMES, films=path))
    assert found["films.count"] == len(chosen) == 9
    path.write_text("Path\nnot/there.png\n")
    with pytest.raises(SourceError, match="none of the films"):
        zero_shot(Stub(), prepared, "test", ZeroShotOptions(labels=NAMES, films=path))
    path.write_text("where\nnot/there.png\n")
    with pytest.raises(SourceError, match="column"):
        zero_shot(Stub(), prepared, "test", ZeroShotOptions(labels=NAMES, films=path))


def test_chexpert_5x200_as_it_is_published(tmp_path: Path) -> None:
    """The user's table names films of train.csv; their patients are test then, and only the named films are asked."""
    root = simulate(tmp_path / "source", 8, 5, "chexpert", 64, workers=1, progress=False)
    table = next(root.rglob("train.csv"))
    rows = pd.read_csv(table)
    rows = rows[rows["Frontal/Lateral"] == "Frontal"]
    first = rows["Path"].str.split("/").str[2].iloc[0]
    named = rows[rows["Path"].str.contains(first)].iloc[:1]
    path = table.with_name("chexpert_5x200.csv")
    named.to_csv(path, index=False)
    prepare("chexpert", root, tmp_path / "prepared", pixels=64, progress=False)
    prepared = Prepared(tmp_path / "prepared")
    found = zero_shot(Stub(), prepared, "test", ZeroShotOptions(films=path, labels=("edema", "pleural effusion")))
    assert found["films.count"] == 1
    splits = {name: set(own["patient_id"]) for name, own in prepared.cases.groupby("split")}
    assert first in splits["test"] and first not in splits["train"]


def test_through_the_command(cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "load", lambda run: Predictor(Stub(), {"stage": "stub/align"}))
    val, test = tmp_path / "val.json", tmp_path / "test.json"
    command = ["evaluate", "run", "--data", str(cohort), "--zero-shot", *NAMES]
    assert cli.main([*command, "--split", "val", "--out", str(val)]) == 0
    assert cli.main([*command, "--standard", str(val), "--out", str(test)]) == 0
    said = json.loads(test.read_text(encoding="utf-8"))
    assert said["zero_shot.standardised.accuracy"] > 0.8
    assert said["zero_shot.accuracy.low"] <= said["zero_shot.accuracy"]
    other = [*command[:-3], "pneumothorax", "cardiomegaly"]
    assert cli.main([*other, "--standard", str(val), "--out", str(test)]) == 0
    val.write_text("{}", encoding="utf-8")
    assert cli.main([*command, "--standard", str(val), "--out", str(test)]) == 2


def test_what_cannot_be_asked_is_refused(cohort: Path) -> None:
    with pytest.raises(InputError, match="text side"):
        zero_shot(SimpleNamespace(config=Stub.config), Prepared(cohort), "test")
    seen = sorted(set(Prepared(cohort).cases["patient_id"]))
    with pytest.raises(RunError, match="training data"):
        Predictor(Stub(), {"stage": "x", "training_patients": seen}).zero_shot(Prepared(cohort), "test")


def test_the_published_form_scores_a_text_by_its_best_word() -> None:
    torch.manual_seed(0)
    films, texts = EncodedFilms(torch.randn(3, 4), torch.randn(3, 5, 4)), torch.randn(2, 4)
    words, mask = torch.randn(2, 3, 4), torch.tensor([[1, 1, 0], [1, 0, 0]])
    form = LocalForm("max", 5.0, normalise=False)
    found = similarity(films, EncodedTexts(texts, words, mask), form)
    assert films.tokens is not None
    for film, text in product(range(3), range(2)):
        said, seen = words[text][mask[text] > 0], films.tokens[film]
        attention = torch.softmax(4 * torch.softmax(seen @ said.T, dim=1), dim=0)
        best = F.cosine_similarity(said, attention.T @ seen, dim=1).max()
        cosine = F.cosine_similarity(films.vectors[film], texts[text], dim=0)
        assert float(found[film, text]) == pytest.approx(float(cosine + 5 * best) / 2, abs=1e-4)


def test_the_start_token_is_no_word_in_use() -> None:
    torch.manual_seed(0)
    films, texts = EncodedFilms(torch.randn(3, 4), torch.randn(3, 5, 4)), torch.randn(2, 4)
    words, mask = torch.randn(2, 3, 4), torch.ones(2, 3)
    skipped = similarity(films, EncodedTexts(texts, words, mask), LocalForm("max", 5.0, skip_start=True))
    without = similarity(films, EncodedTexts(texts, words[:, 1:], mask[:, 1:]), LocalForm("max", 5.0))
    assert torch.allclose(skipped, without, atol=1e-5)
    model = SimpleNamespace(config=SimpleNamespace(marks="start", unit_parts=False))
    assert LocalForm.of(model, "published") == LocalForm("max", 5.0, normalise=False, skip_start=True)
    assert LocalForm.of(model) == LocalForm(normalise=False)


def test_retrieval_standardises_over_the_texts_of_a_film() -> None:
    torch.manual_seed(0)
    films, texts = EncodedFilms(torch.randn(3, 4), None), EncodedTexts(torch.randn(6, 4), None, None)
    scores = similarity(films, texts, standardise=True)
    assert torch.allclose(scores.mean(1), torch.zeros(3), atol=1e-6)
    assert torch.allclose(scores.std(1, correction=0), torch.ones(3), atol=1e-5)


@pytest.mark.parametrize("stub", [Stub, LocalStub])
def test_zero_shot_in_the_published_form(stub: type[Stub], cohort: Path) -> None:
    found = zero_shot(stub(), Prepared(cohort), "test", ZeroShotOptions(labels=NAMES, form="published"))
    assert found["prompts.count"] <= 5 * len(NAMES)
    assert found["zero_shot.standardised.accuracy"] > 0.5
    assert found["retrieval.precision.5"] > 0.8


def test_as_many_films_of_each_class_as_are_wanted(cohort: Path) -> None:
    prepared = Prepared(cohort)
    found = zero_shot(Stub(), prepared, "test", ZeroShotOptions(labels=NAMES, per_class=2))
    assert found["films.count"] == 2 * len(NAMES) == found["zero_shot.films"]
    assert found["zero_shot.chance"] == found["zero_shot.commonest"]
    with pytest.raises(ConfigError, match="edema"):
        zero_shot(Stub(), prepared, "test", ZeroShotOptions(labels=(*NAMES, "edema"), per_class=2))
