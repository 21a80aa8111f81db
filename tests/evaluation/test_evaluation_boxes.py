"""Mean average precision: strict equals COCO's own code, compat equals the same code on the films it lets in."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from pycocotools.coco import COCO as FirstCOCO
from pycocotools.cocoeval import COCOeval

from intervalchange.errors import SourceError
from intervalchange.evaluation.metrics.boxes import COMPAT, STRICT, Boxes, average_precision, box_metrics, iou, matched

NAMES = ("opacity", "nodule")


def cohort(films: int, seed: int) -> tuple[Boxes, Boxes]:
    """Truth and detections: jittered copies, false alarms, scores with ties; a third of the films are healthy."""
    rng = np.random.default_rng(seed)
    true_film = np.repeat(np.arange(films), np.where(rng.random(films) < 0.33, 0, rng.integers(1, 5, films)))
    corner = rng.uniform(0, 160, (len(true_film), 2))
    box = np.concatenate([corner, corner + rng.uniform(20, 60, corner.shape)], axis=1)
    label = rng.integers(0, 2, len(true_film))
    seen = rng.random(len(true_film)) < 0.8
    near = box[seen] + rng.normal(0, 3, (seen.sum(), 4))
    false = rng.integers(0, films, films)
    corner = rng.uniform(0, 160, (films, 2))
    alarms = np.concatenate([corner, corner + rng.uniform(20, 60, corner.shape)], axis=1)
    found_box = np.concatenate([near, near + 2, alarms])
    found_film = np.concatenate([true_film[seen], true_film[seen], false])
    found_label = np.concatenate([label[seen], label[seen], rng.integers(0, 2, films)])
    score = rng.random(len(found_film)).round(2)
    return Boxes.of(true_film, box, label), Boxes.of(found_film, found_box, found_label, score)


def coco_json(truth: Boxes, found: Boxes, films: list[int]) -> tuple[dict, list[dict]]:
    def rows(boxes: Boxes) -> list[dict]:
        return [
            {"id": row + 1, "image_id": int(film), "category_id": int(label), "iscrowd": 0, "score": float(score)}
            | {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
            for row, (film, label, score, (x1, y1, x2, y2)) in enumerate(
                zip(boxes.film, boxes.label, boxes.score, boxes.box.tolist(), strict=True)
            )
            if film in films
        ]

    categories = [{"id": number, "name": name} for number, name in enumerate(NAMES)]
    return {"images": [{"id": film} for film in films], "categories": categories, "annotations": rows(truth)}, rows(
        found
    )


def theirs(
    truth: Boxes, found: Boxes, films: list[int], thresholds: tuple[float, ...], first: bool = False
) -> np.ndarray:
    """(t, labels) average precision by faster-coco-eval, or by pycocotools."""
    annotations, detections = coco_json(truth, found, films)
    with contextlib.redirect_stdout(io.StringIO()):
        known = FirstCOCO() if first else COCO(annotations)
        if first:
            known.dataset = annotations
            known.createIndex()
        run = (COCOeval if first else COCOeval_faster)(known, known.loadRes(detections), "bbox")
        run.params.iouThrs = np.array(thresholds)
        run.evaluate()
        run.accumulate()
    return run.eval["precision"][:, :, :, 0, -1].mean(1)


@pytest.mark.parametrize("first", [False, True], ids=["faster-coco-eval", "pycocotools"])
@pytest.mark.parametrize("seed", range(4))
def test_strict_is_cocos(seed: int, first: bool) -> None:
    truth, found = cohort(60, seed)
    ours = box_metrics(truth, found, 60, NAMES, replicates=0)
    oracle = theirs(truth, found, list(range(60)), STRICT.thresholds, first)
    assert ours["boxes.strict.map"] == pytest.approx(oracle.mean(), abs=1e-9)
    assert ours["boxes.strict.ap50"] == pytest.approx(oracle[0].mean(), abs=1e-9)
    assert ours["boxes.strict.ap75"] == pytest.approx(oracle[5].mean(), abs=1e-9)
    assert ours["boxes.strict.ap.nodule"] == pytest.approx(oracle[:, 1].mean(), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_compat_lets_the_misses_go(seed: int) -> None:
    truth, found = cohort(60, seed)
    ours = box_metrics(truth, found, 60, NAMES, replicates=0)
    films = sorted(set(truth.film.tolist()) & set(found.film.tolist()))
    oracle = theirs(truth, found, films, COMPAT.thresholds)
    assert ours["boxes.compat.map"] == pytest.approx(oracle.mean(), abs=1e-9)
    assert ours["boxes.compat.films"] == len(films) < 60
    same = box_metrics(truth, found, 60, NAMES, rules=[replace(COMPAT, both_needed=False)], replicates=0)
    assert same["boxes.compat.map"] < ours["boxes.compat.map"], "the rule flatters"


def test_more_boxes_than_count_are_left_out() -> None:
    """101 boxes on one film: the only right one is the least sure, and does not count."""
    truth = Boxes.of([0], [[0, 0, 10, 10]])
    wrong = np.tile([50.0, 50, 60, 60], (100, 1))
    found = Boxes.of(np.zeros(101), [*wrong, [0, 0, 10, 10]], score=np.linspace(1, 0.1, 101))
    assert box_metrics(truth, found, 1, replicates=0)["boxes.strict.map"] == 0
    fewer = found.chosen(np.arange(1, 101))
    assert box_metrics(truth, fewer, 1, replicates=0)["boxes.strict.ap50"] == pytest.approx(0.01)


def test_by_hand() -> None:
    """Two true boxes, one found twice: the second copy is a false alarm; recall ends at one half."""
    truth = Boxes.of([0, 1], [[0, 0, 10, 10], [0, 0, 10, 10]])
    found = Boxes.of([0, 0], [[0, 0, 10, 10], [0, 0, 10, 9]], score=[0.9, 0.8])
    assert matched(truth, found, STRICT).right.tolist()[0] == [True, False]
    ours = box_metrics(truth, found, 2, replicates=0)
    assert ours["boxes.strict.ap50"] == pytest.approx(51 / 101)
    assert ours["boxes.compat.map"] == pytest.approx(1), "film 1 was missed, and does not count"
    assert iou(truth.box[:1], found.box[1:]) == pytest.approx(0.9)


def test_nothing_to_find_and_nothing_found() -> None:
    nothing = Boxes.of([], [])
    truth, found = cohort(20, 0)
    assert np.isnan(box_metrics(nothing, found, 20, NAMES, replicates=0)["boxes.strict.map"])
    missed = box_metrics(truth, nothing, 20, NAMES, replicates=20)
    assert missed["boxes.strict.map"] == 0 and np.isnan(missed["boxes.compat.map"])


def test_intervals_are_those_of_drawn_films() -> None:
    """A film that weighs two is two films: weights and copies give the same figure."""
    truth, found = cohort(30, 5)
    patients = [f"p{film // 2}" for film in range(30)]
    ours = box_metrics(truth, found, 30, NAMES, patients, replicates=200)
    assert ours["boxes.strict.map.low"] < ours["boxes.strict.map"] < ours["boxes.strict.map.high"]
    one, two = (boxes.chosen(boxes.label == 0) for boxes in (truth, found))
    weights = np.ones((1, 30))
    weights[0, :10] = 2
    copies = [
        Boxes.of(*(np.concatenate([part, extra]) for part, extra in zip(columns(b), copy_of(b), strict=True)))
        for b in (one, two)
    ]
    weighed = average_precision(matched(one, two, STRICT), weights)
    copied = average_precision(matched(*copies, STRICT), np.ones((1, 40)))
    assert weighed == pytest.approx(copied, abs=0.02), "one step of weight two, or two steps of one"


def columns(boxes: Boxes) -> tuple[np.ndarray, ...]:
    return boxes.film, boxes.box, boxes.label, boxes.score


def copy_of(boxes: Boxes) -> tuple[np.ndarray, ...]:
    """The boxes of films 0 .. 9 as films 30 .. 39."""
    first = boxes.chosen(boxes.film < 10)
    return first.film + 30, first.box, first.label, first.score


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"film": [0], "box": [[5, 5, 1, 9]]}, "x1, y1, x2, y2"),
        ({"film": [0, 1], "box": [[0, 0, 1, 1]]}, "one of each"),
        ({"film": [0], "box": [[0, 0, 1, 1]], "score": [np.nan]}, "not a finite number"),
    ],
)
def test_boxes_that_are_none(given: dict, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        Boxes.of(**given)


def test_a_film_or_label_that_is_not_listed() -> None:
    truth, found = cohort(20, 0)
    with pytest.raises(SourceError, match="outside 0"):
        box_metrics(truth, found, 5, NAMES)
    with pytest.raises(SourceError, match="list of names"):
        box_metrics(truth, found, 20)
