"""Prepared folder -> items -> Batch: shapes, time, randomness, geometry."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from film_files import chest, save
from mimic_tree import dicom_id, film, write_tree
from torch.utils.data import DataLoader

from intervalchange.data.batch import Batch, collate
from intervalchange.data.dataset import FilmDataset, PairDataset, item_from_films
from intervalchange.data.films import film_from_file, standardise
from intervalchange.data.prepare import prepare
from intervalchange.data.prepared import Prepared
from intervalchange.data.transforms import Affine, Augment, _equalised
from intervalchange.errors import ConfigError
from intervalchange.findings import FINDINGS

SIDE = 96


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("data")
    root = write_tree(folder / "root", side=SIDE)
    truth = root / "simulated-truth"
    rows = []
    for study in ("69000001", "68000002"):
        opacity = np.zeros((48, 42), np.float32)
        opacity[12:24, 6:18] = 1
        save(opacity, truth / "opacity" / f"{dicom_id(study)}.png")
        box = {"x1": 12.0, "y1": 24.0, "x2": 36.0, "y2": 48.0}
        rows.append({"dicom_id": dicom_id(study), "kind": "finding", "name": "edema", "rle": None} | box)
    pd.DataFrame(rows).to_parquet(truth / "regions.parquet")
    prepare("mimic_diff_vqa", root, folder / "out", pixels=SIDE, progress=False)
    return Prepared(folder / "out")


def at(dataset: PairDataset, *words: str) -> int:
    """Index of the first case whose id has these words."""
    return next(i for i, name in enumerate(dataset.case_ids) if all(word in name for word in words))


def test_batch_shapes_and_contents(prepared: Prepared) -> None:
    dataset = PairDataset(prepared, "all", pixels=48)
    batch = collate([dataset[index] for index in range(len(dataset))])
    b, f = len(dataset), len(FINDINGS)
    assert isinstance(batch, Batch)
    assert batch.current is not None
    assert batch.current.shape == batch.prior.shape == (b, 1, 48, 48)
    assert batch.current.dtype == torch.float32
    assert batch.has_prior.dtype == torch.bool
    for side in ("current", "prior"):
        assert batch[f"findings_{side}"].shape == batch[f"levels_{side}"].shape == (b, f)
        assert batch[f"findings_{side}"].dtype == torch.float32
        assert batch[f"opacity_{side}"].shape == (b, 1, 32, 32)
    for name in (
        "question",
        "answer",
        "report_current",
        "report_prior",
        "kind",
        "case_id",
        "patient_id",
        "tags",
        "regions",
    ):
        assert len(batch[name]) == b
    single = at(dataset, "view")
    assert not batch.has_prior[single]
    assert not batch.prior[single].any()
    assert batch.findings_prior[single].isnan().all()
    pair = at(dataset, "68000002-69000001")
    edema, effusion = FINDINGS.index("edema"), FINDINGS.index("pleural effusion")
    assert batch.findings_prior[pair, [edema, effusion]].tolist() == [1, 0]
    assert batch.findings_current[pair, [edema, effusion]].tolist() == [1, 1]
    assert (batch.levels_prior[pair, edema], batch.levels_current[pair, edema]) == (2, 4)
    assert batch.levels_current[pair, effusion].isnan()
    assert "Report of 68000002" in batch.report_current[pair]
    undone = at(dataset, "64000006-65000005")
    assert batch.opacity_current[undone].isnan().all()


def test_films_are_standardised_and_inference_sees_the_same(prepared: Prepared, tmp_path: Path) -> None:
    dataset = PairDataset(prepared, "all", pixels=48)
    item = dataset[at(dataset, "68000002-69000001")]
    root = prepared.folder.parent / "root" / "mimic-cxr-jpg"
    current, prior = (film_from_file(root / film(study), SIDE).pixels for study in ("68000002", "69000001"))
    fresh = item_from_films(current, prior, 48, item["question"])
    assert np.array_equal(fresh["current"], item["current"])
    assert np.array_equal(fresh["prior"], item["prior"])
    alone = item_from_films(current, None, 48, "which view is this image taken?", "view")
    assert not alone["has_prior"]
    assert not alone["prior"].any()
    assert set(collate([fresh, fresh]).keys()) <= set(collate([item]).keys())
    with pytest.raises(ConfigError):
        item_from_films(current, prior, 200, "q")


def test_batch_travels(prepared: Prepared) -> None:
    dataset = PairDataset(prepared, "all", pixels=32)
    batch = collate([dataset[0], dataset[1]])
    assert batch.to(torch.float64).current.dtype == torch.float64
    assert "answer" not in batch.without("answer", "tags")
    rebuilt = type(batch)(dict(batch.items()))  # as Trainer moves inputs to a device
    assert rebuilt.keys() == batch.keys()
    assert torch.equal(rebuilt["current"], batch["current"])
    again = pickle.loads(pickle.dumps(batch))
    assert torch.equal(again.prior, batch.prior)


def test_splits_kinds_and_limit(prepared: Prepared) -> None:
    everything = PairDataset(prepared, "all", pixels=32)
    parts = [PairDataset(prepared, split, pixels=32) for split in ("train", "val", "test")]
    assert sum(map(len, parts)) == len(everything)
    assert not set(parts[0].patient_ids) & set(parts[2].patient_ids)
    difference = PairDataset(prepared, "all", kinds=("difference",), pixels=32)
    assert all(difference[index]["has_prior"] for index in range(len(difference)))
    few = PairDataset(prepared, "all", pixels=32, limit=3)
    assert len(few) == 3
    assert few.case_ids[0] == everything.case_ids[0]
    assert few.case_ids[-1] == everything.case_ids[-1]
    with pytest.raises(ConfigError, match="no split"):
        PairDataset(prepared, "dev", pixels=32)
    with pytest.raises(ConfigError, match="kinds"):
        PairDataset(prepared, "all", kinds=("opinion",), pixels=32)
    with pytest.raises(ConfigError, match="no case"):
        PairDataset(prepared, "val", kinds=("view",), pixels=32)


def test_more_pixels_than_stored_name_the_command(prepared: Prepared) -> None:
    with pytest.raises(ConfigError, match=r"intervalchange prepare mimic_diff_vqa .* --pixels 224"):
        PairDataset(prepared, "all", pixels=224)


def test_augmentation_is_a_function_of_seed_epoch_and_case(prepared: Prepared) -> None:
    def films(seed: int = 0, epoch: int = 0, kinds: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
        dataset = PairDataset(prepared, "all", kinds=kinds, pixels=32, augment=Augment(), seed=seed)
        dataset.set_epoch(epoch)
        return {item["case_id"]: item["current"] for item in (dataset[i] for i in reversed(range(len(dataset))))}

    usual = films()
    again, fewer = films(), films(kinds=("difference",))
    assert all(np.array_equal(usual[name], again[name]) for name in usual)
    assert all(np.array_equal(usual[name], fewer[name]) for name in fewer)
    for other in (films(seed=1), films(epoch=1)):
        assert not any(np.array_equal(usual[name], other[name]) for name in usual)


def test_workers_see_the_epoch(prepared: Prepared) -> None:
    dataset = PairDataset(prepared, "all", pixels=32, augment=Augment())
    loader = DataLoader(dataset, batch_size=4, num_workers=1, collate_fn=collate, persistent_workers=True)
    first = torch.cat([batch.current for batch in loader])
    dataset.set_epoch(1)
    second = torch.cat([batch.current for batch in loader])
    assert not torch.equal(first, second)
    assert torch.equal(second, torch.stack([torch.from_numpy(dataset[i]["current"]) for i in range(len(dataset))]))


def test_boxes_and_maps_move_with_the_film(prepared: Prepared) -> None:
    """The marked corner of film, box and map stays one place under strong geometry."""
    strong = Augment(degrees=20, scale=0.2, shift=0.15)
    for augment in (None, strong):
        dataset = PairDataset(prepared, "all", kinds=("difference",), pixels=SIDE, augment=augment)
        for epoch in range(5):
            dataset.set_epoch(epoch)
            item = dataset[at(dataset, "68000002-69000001")]
            for side in ("current", "prior"):
                (region,) = item["regions"][side]
                x1, y1, x2, y2 = (edge / SIDE * 32 for edge in region.box)
                y, x = np.nonzero(item[f"opacity_{side}"][0] > 0.5)
                assert np.abs(np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) - (x1, y1, x2, y2)).max() < 1.6


def test_regions_without_augmentation_are_exact(prepared: Prepared) -> None:
    dataset = PairDataset(prepared, "all", kinds=("difference",), pixels=48)
    (region,) = dataset[at(dataset, "68000002-69000001")]["regions"]["current"]
    assert region.box == (8, 12, 20, 24), "original / 2, after 4 pixels of padding"


def test_affine_film_and_boxes_agree() -> None:
    picture = np.zeros((64, 64), np.float32)
    picture[20:30, 40:50] = 1
    motion = Affine(0, 1.25, 0.1, -0.05)
    moved = motion.warp(picture)
    y, x = np.nonzero(moved > 0.5)
    (box,) = motion.boxes(np.array([[40, 20, 50, 30]]) / 64) * 64
    assert np.abs(np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) - box).max() <= 1
    quarter = Affine(90).boxes(np.array([[0.0, 0.0, 0.2, 0.1]]))
    assert np.allclose(quarter, [[0.9, 0.0, 1.0, 0.2]])
    assert np.allclose(Affine().warp(picture), picture)


def test_augmentation_shares_what_it_must() -> None:
    rng = np.random.default_rng(0)
    augment = Augment()
    pairs = [augment.geometry(rng, 2) for _ in range(300)]
    angles = np.array([[one.degrees, other.degrees] for one, other in pairs])
    assert np.corrcoef(angles.T)[0, 1] > 0.75, "turned together"
    assert np.abs(angles[:, 0] - angles[:, 1]).max() > 1, "and a little apart"
    assert np.abs(angles).max() <= augment.degrees * (1 + augment.jitter)
    assert Augment.of_strength(0) is None
    assert Augment.of_strength(0.5).degrees == augment.degrees / 2
    assert Augment.of_strength(0.5).frame == augment.frame / 2
    assert Augment.of_strength(0.5).jitter == augment.jitter
    assert Augment.of_strength(1) == augment


def test_exposures_differ_and_the_film_remains() -> None:
    pixels = chest(128, 128)
    rng = np.random.default_rng(0)
    seen = [Augment(frame=0, collimation=0).exposure(pixels.copy(), rng) for _ in range(30)]
    assert all(film.dtype == np.float32 and film.min() >= 0 and film.max() <= 1 for film in seen)
    usual = standardise(pixels)
    likeness = [np.corrcoef(standardise(film).ravel(), usual.ravel())[0, 1] for film in seen]
    assert min(likeness) > 0.8
    assert max(likeness) < 1
    dark = np.zeros((32, 32), np.float32)
    assert not Augment(collimation=0).exposure(dark, rng).any(), "padding stays black"


def test_nothing_is_decoded_in_an_epoch(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was decoded")

    monkeypatch.setattr("PIL.Image.open", refuse)
    dataset = PairDataset(prepared, "all", pixels=48, augment=Augment())
    for index in range(len(dataset)):
        dataset[index]


def test_lone_films_stand_beside_another_patients(prepared: Prepared) -> None:
    cases = PairDataset(prepared, "all", ["difference"], 32, limit=1, answered=True)
    both = PairDataset(prepared, "all", ["difference"], 32, seed=3, limit=1, answered=True, lone_films=True)
    shown = {int(study) for name in ("current", "prior") for study in cases._studies[name] if study >= 0}
    alone = set(FilmDataset(prepared, "all", 32).studies.tolist()) - shown
    assert len(both) == len(cases) + len(alone) > len(cases) + 1
    names = prepared.studies["study_id"]
    assert {names[study] for study in alone} == {name.removeprefix("alone ") for name in both.case_ids[len(cases) :]}
    drawn = []
    for epoch in (0, 1):
        both.set_epoch(epoch)
        items = [both[row] for row in range(len(cases), len(both))]
        assert all(item["has_prior"] and item["tags"] == ("strangers",) and item["answer"] == "" for item in items)
        assert not any(np.array_equal(item["current"], item["prior"]) for item in items)
        drawn.append(np.stack([item["prior"] for item in items]))
    assert not np.array_equal(*drawn)


def test_items_carry_how_frequent_findings_and_changes_are(prepared: Prepared) -> None:
    dataset = PairDataset(prepared, "all", ["difference"], 32, rates=True)
    current, prior = (prepared.findings[dataset._studies[name]] for name in ("current", "prior"))
    films = prepared.findings[np.unique(np.concatenate([*dataset._studies.values()]))]
    item = dataset[0]
    for finding in range(films.shape[1]):
        known = films[~np.isnan(films[:, finding]), finding]
        step = (current - prior)[:, finding]
        step = step[~np.isnan(step)]
        if not len(known):
            assert np.isnan(item["finding_rates"][finding]) and np.isnan(item["change_rates"][finding])
            continue
        assert item["finding_rates"][finding] == pytest.approx((known.sum() + 1) / (len(known) + 2))
        assert item["change_rates"][finding] == pytest.approx((np.abs(step).sum() + 1) / (2 * len(step) + 2))
    assert np.nanmax(item["finding_rates"]) > 0.1
    assert "finding_rates" not in PairDataset(prepared, "all", ["difference"], 32)[0]


def test_a_film_made_flat_keeps_its_order_and_its_black() -> None:
    film = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(4, 0) ** 3
    flat = _equalised(film)
    assert flat.dtype == np.float32
    assert (np.diff(flat, axis=1) >= 0).all()
    assert (flat[:, film[0] < 1 / 512] == 0).all()
    seen = flat[:, film[0] > 1 / 512]
    assert abs(float(np.median(seen)) - 0.5) < 0.05 and flat.max() == 1
