"""C2F's stages over films, and the region store between them and the stages over pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from PIL import Image

from intervalchange import cli
from intervalchange.config import load_preset
from intervalchange.data.batch import collate
from intervalchange.data.dataset import FilmDataset, PairDataset
from intervalchange.data.prepared import Prepared
from intervalchange.data.region_store import RegionPairs, RegionStore, weight_hash, write_region_store
from intervalchange.errors import ConfigError, SourceError
from intervalchange.findings import C2F_LABELS, C2F_REGIONS, EKAID_REGIONS, FINDINGS
from intervalchange.inference import load
from intervalchange.methods import method_class
from intervalchange.methods.c2f.anatomy import RegionOutputs, region_metrics, region_targets
from intervalchange.records import Region
from intervalchange.training import train

BRIEF = {"train.max_steps": 2, "train.eval_every": 2, "train.eval_cases": 8, "train.batch_size": 4}
STORED = {**BRIEF, "model.vision_rate": 0.0, "model.regions": "store"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.cohort(tmp_path_factory.mktemp("toy"), train=12, val=4, test=2)


@pytest.fixture(scope="module")
def diseases(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of c2f/diseases, and its regions stored."""
    run = train("c2f/diseases", prepared, tmp_path_factory.mktemp("runs") / "diseases", "tiny", overrides=BRIEF)
    write_region_store(Prepared(prepared), load(run).model, progress=False)
    return run


# --- films -----------------------------------------------------------------------------------------------------


def test_region_names_are_those_of_the_two_papers() -> None:
    assert (len(set(C2F_REGIONS)), len(set(EKAID_REGIONS))) == (24, 26)
    assert (C2F_REGIONS[0], C2F_REGIONS[16], C2F_REGIONS[23]) == ("right lung", "spine", "cavoatrial junction")
    assert (EKAID_REGIONS[16], EKAID_REGIONS[25]) == ("trachea", "carina")


def test_a_missing_region_is_missing_and_an_unmarked_film_says_nothing() -> None:
    marked = {
        "current": (Region("anatomy", "left lung", (32.0, 0.0, 64.0, 48.0)), Region("finding", "edema", (0, 0, 9, 9)))
    }
    targets = region_targets([marked, {"current": ()}], ("right lung", "left lung"), 64)
    assert targets.there.tolist() == [[False, True], [False, False]]
    assert targets.boxes[0, 1].tolist() == [0.5, 0.0, 1.0, 0.75]
    assert targets.presence[0].tolist() == [0.0, 1.0]
    assert targets.presence[1].isnan().all()
    only_lungs = region_targets([marked], ("left lung", *C2F_REGIONS[1:4]), 64)
    assert only_lungs.presence[0].isnan().tolist() == [False, True, True, True], "a data set that marks only lungs"


def test_labels_of_chest_imagenome_are_looked_for(tmp_path: Path) -> None:
    """38 labels: those of the library in its columns, the others from the film's own labels and the regions they are
    said to be in."""
    assert len(set(C2F_LABELS)) == 38
    kind = method_class("c2f/diseases")
    config = kind.config_class(**{**load_preset("c2f/diseases", "tiny").model, "findings": ("imagenome",)})
    assert config.findings == C2F_LABELS
    assert "vascular calcification" in config.labels
    assert not {"atelectasis", "airspace opacity", "tortuous aorta"} & {*config.labels}
    torch.manual_seed(0)
    model, batch = kind(config), toy.film_batch(2, names=config.labels)
    chosen = config.labels.index("vascular calcification")
    batch["labels_current"][:] = 0
    batch["labels_current"][0, chosen] = 1
    right = batch.regions[0]["current"][0]
    said = Region("located", "vascular calcification", right.box)
    batch["regions"] = [{**sides, "current": (*sides["current"], said)} for sides in batch.regions]
    config.region_names = ("right lung", "left lung")
    _, findings, inside, _ = model._targets(batch)
    column = C2F_LABELS.index("vascular calcification")
    assert findings[:, column].tolist() == [1, 0]
    assert inside[0, :, column].tolist() == [1, 0]
    effusion = FINDINGS.index("pleural effusion")
    assert torch.equal(findings[:, C2F_LABELS.index("pleural effusion")], batch.findings_current[:, effusion])


def test_boxes_of_an_oblong_film_lie_on_their_region(tmp_path: Path) -> None:
    """A bright mark on a film that is not square: its box, after padding and scaling, holds the mark."""
    from intervalchange.data.films import film_from_file

    picture = np.zeros((80, 160), np.uint8)
    picture[10:30, 100:140] = 255
    Image.fromarray(picture).save(tmp_path / "oblong.png")
    film = film_from_file(tmp_path / "oblong.png", 64)
    place = film.geometry
    box = np.array([100, 10, 140, 30]) * place.scale + [place.offset_x, place.offset_y] * 2
    from intervalchange.blocks.region_queries import crop_regions

    square = torch.from_numpy(film.pixels.astype(np.float32))[None, None]
    inside = crop_regions(square, torch.tensor(box[None, None] / 64, dtype=torch.float32), 4)
    assert inside.min() > 200
    mirrored = torch.tensor([[[box[1], box[0], box[3], box[2]]]], dtype=torch.float32) / 64
    assert crop_regions(square, mirrored, 4).mean() < 100


def test_figures_of_right_and_of_wrong_boxes() -> None:
    box, elsewhere = np.array([[0.1, 0.1, 0.5, 0.5]]), np.array([[0.6, 0.6, 0.9, 0.9]])
    there = np.array([True])
    right = region_metrics([RegionOutputs(box, np.array([0.9]), box, there)], ("left lung",))
    assert (right["regions.iou"], right["regions.map"], right["regions.presence.accuracy"]) == (1.0, 1.0, 1.0)
    wrong = region_metrics([RegionOutputs(elsewhere, np.array([0.1]), box, there)], ("left lung",))
    assert (wrong["regions.iou"], wrong["regions.map"], wrong["regions.presence.accuracy"]) == (0.0, 0.0, 0.0)


def test_one_query_a_region_learns_where_regions_are() -> None:
    torch.manual_seed(0)
    kind = method_class("c2f/anatomy")
    preset = load_preset("c2f/anatomy", "tiny").model
    model = kind(kind.config_class(**{**preset, "region_names": ("right lung", "left lung")}))
    batch, optimiser = toy.film_batch(8), torch.optim.AdamW(model.parameters(), lr=3e-3)
    before = model.validation_scores(model.validation_outputs(batch))["regions.iou"]
    for _ in range(40):
        optimiser.zero_grad()
        model(**batch).loss.backward()
        optimiser.step()
    after = model.eval().validation_scores(model.validation_outputs(batch))["regions.iou"]
    assert after > 0.8 > before


@pytest.mark.slow
def test_38_labels_go_from_the_films_to_the_answers(prepared: Path, tmp_path: Path) -> None:
    """Labels that the data lack are unknown; the run that follows has a graph of 62 nodes."""
    labels = {**BRIEF, "model.findings": ["imagenome"]}
    films = train("c2f/diseases", prepared, tmp_path / "films", "tiny", overrides=labels)
    texts = {**labels, "model.aliases": ["published"], "model.contrast": "published", "model.slots": 0}
    run = train("c2f/answer", prepared, tmp_path / "run", "tiny", sources=[films], overrides=texts)
    assert load(run).model.node_vectors.shape[0] == 62


# --- the store -------------------------------------------------------------------------------------------------


def test_the_store_holds_what_the_films_give(prepared: Path, diseases: Path) -> None:
    folder = Prepared(prepared)
    store, model = RegionStore.of(folder), load(diseases).model
    films = FilmDataset(folder, "all", pixels=64)
    with torch.no_grad():
        view, _ = model.vision(collate([films[row] for row in range(3)]).current)
    for row in range(3):
        stored = store.read(int(films.studies[row]))
        assert np.allclose(stored, view.packed()[row].numpy(), atol=2e-3, rtol=2e-3)
    assert store.bytes_per_film == 24 * (5 + 2 * 16 + 30) * 2 < 8192
    assert store.folder.name.removeprefix("regions-") == weight_hash(model.vision.state_dict())[:16]


def test_a_film_part_has_one_hash(diseases: Path) -> None:
    tensors = load(diseases).model.vision.state_dict()
    assert weight_hash(tensors) == weight_hash(dict(reversed(tensors.items())))
    name = next(iter(tensors))
    assert weight_hash({**tensors, name: tensors[name] + 1}) != weight_hash(tensors)
    assert weight_hash({**tensors, name: tensors[name].flatten()}) != weight_hash(tensors)


def test_storing_goes_on_and_is_done_once(prepared: Path, diseases: Path) -> None:
    store, model = RegionStore.of(Prepared(prepared)), load(diseases).model
    given = (store.folder / "features-00000.npy").read_bytes()
    (store.folder / "store.json").unlink()
    with pytest.raises(ConfigError, match="no regions are stored"):
        RegionStore.of(Prepared(prepared))
    with pytest.raises(SourceError, match="not a finished region store"):
        RegionStore(store.folder)
    written = (store.folder / "features-00000.npy").stat().st_mtime_ns
    assert write_region_store(Prepared(prepared), model, progress=False) == store.folder
    assert (store.folder / "features-00000.npy").stat().st_mtime_ns == written
    (store.folder / "store.json").unlink()
    (store.folder / "features-00000.npy").unlink()
    write_region_store(Prepared(prepared), model, progress=False)
    assert (store.folder / "features-00000.npy").read_bytes() == given


def test_stored_and_seen_regions_are_the_same_tokens(prepared: Path, diseases: Path, tmp_path: Path) -> None:
    run = train("c2f/answer", prepared, tmp_path / "run", "tiny", sources=[diseases], overrides=STORED)
    folder, model = Prepared(prepared), load(run).model
    seen = collate([PairDataset(folder, "val", pixels=64)[row] for row in range(4)])
    stored = collate([RegionPairs(folder, "val", pixels=64)[row] for row in range(4)])
    assert stored.current is None
    with torch.no_grad():
        films, regions = model.encode_films(seen), model.encode_films(stored)
    for name in ("current", "prior"):
        assert torch.allclose(getattr(films, name), getattr(regions, name), atol=0.05)
    assert [one.answer for one in model.answer(seen)] == [one.answer for one in model.answer(stored)]


def test_regions_of_other_weights_are_refused(prepared: Path, diseases: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="made by weights"):
        train("c2f/answer", prepared, tmp_path / "none", "tiny", overrides=STORED)
    other = train("c2f/diseases", prepared, tmp_path / "other", "tiny", overrides={**BRIEF, "train.seed": 1})
    with pytest.raises(ConfigError, match="made by weights"):
        train("c2f/align", prepared, tmp_path / "run", "tiny", sources=[other], overrides=STORED)
    write_region_store(Prepared(prepared), load(other).model, progress=False)
    try:
        with pytest.raises(ConfigError, match="several region stores"):
            RegionStore.of(Prepared(prepared))
        digits = weight_hash(load(other).model.vision.state_dict())[:8]
        named = {**STORED, "model.region_store": digits}
        train("c2f/align", prepared, tmp_path / "named", "tiny", sources=[other], overrides=named)
    finally:
        for file in (extra := next(prepared.glob(f"regions-{digits}*"))).iterdir():
            file.unlink()
        extra.rmdir()


def test_a_run_that_sees_no_findings_stores_nothing(prepared: Path, tmp_path: Path) -> None:
    kind = method_class("c2f/anatomy")
    model = kind(kind.config_class(**load_preset("c2f/anatomy", "tiny").model))
    with pytest.raises(ConfigError, match="does not see findings"):
        write_region_store(Prepared(prepared), model, progress=False)


def test_prepare_stores_regions(prepared: Path, diseases: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    source = prepared.parent / "source"
    command = ["prepare", "pairs", str(source), str(out), "--pixels", "64"]
    assert cli.main([*command, "--regions", str(diseases)]) == 0
    store = RegionStore.of(Prepared(out))
    assert store.facts["regions"] == list(C2F_REGIONS)
    assert cli.main(command) == 0, "a store beside it does not change a prepared folder"
