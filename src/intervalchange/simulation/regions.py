"""Boxes of the anatomy on the film, by the names of Chest ImaGenome."""

import numpy as np

from intervalchange.simulation.anatomy import Anatomy, spine_offset
from intervalchange.simulation.camera import Camera
from intervalchange.simulation.skeleton import RAISED, clavicle_path
from intervalchange.simulation.solids import Scene

Box = tuple[float, float, float, float]


def _around(mask: np.ndarray) -> Box | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _projected(points: np.ndarray, camera: Camera, size: int, margin: float = 0.0) -> Box:
    flat = (camera.project(points) + 0.5) * size
    pad = margin / camera.field * size
    (x1, y1), (x2, y2) = flat.min(0) - pad, flat.max(0) + pad
    return float(x1), float(y1), float(x2), float(y2)


def _lung_boxes(side: str, lung: np.ndarray) -> dict[str, Box]:
    box = _around(lung)
    if box is None:
        return {}
    x1, y1, x2, y2 = box
    boxes = {f"{side} lung": box}
    step = (y2 - y1) / 3
    for index, name in enumerate(("upper", "mid", "lower")):
        band = np.zeros_like(lung)
        low, high = round(y1 + index * step), round(y1 + (index + 1) * step)
        band[low:high] = lung[low:high]
        box = _around(band)
        if box:
            boxes[f"{side} {name} lung zone"] = box
    tip = np.zeros_like(lung)
    tip[round(y1) : round(y1 + 0.16 * (y2 - y1))] = lung[round(y1) : round(y1 + 0.16 * (y2 - y1))]
    box = _around(tip)
    if box:
        boxes[f"{side} apical zone"] = box
    wide, tall = 0.30 * (x2 - x1), 0.16 * (y2 - y1)
    lateral = (x1, x1 + wide) if side == "right" else (x2 - wide, x2)
    columns = lung[:, round(lateral[0]) : max(round(lateral[1]), round(lateral[0]) + 1)]
    rows = np.flatnonzero(columns.any(1))
    if len(rows):
        boxes[f"{side} costophrenic angle"] = (lateral[0], rows[-1] + 1 - tall, lateral[1], float(rows[-1] + 1))
    return boxes


def region_boxes(a: Anatomy, scene: Scene, camera: Camera, right: np.ndarray, left: np.ndarray) -> dict[str, Box]:
    """Anatomy name -> (x1, y1, x2, y2) in pixels; `right` and `left` (h, w) bool are the projected lungs."""
    size = len(right)
    boxes = {**_lung_boxes("right", right), **_lung_boxes("left", left)}
    for name in (
        "cardiac silhouette",
        "aortic arch",
        "trachea",
        "carina",
        "right hilar structures",
        "left hilar structures",
    ):
        boxes[name] = _projected(scene.named[name], camera, size)
    raised = RAISED["PA" if camera.detector_z > 0 else "AP"]
    for index, side in enumerate(("right", "left")):
        boxes[f"{side} clavicle"] = _projected(clavicle_path(a, index, raised), camera, size, 0.7)
        lung = boxes.get(f"{side} lung")
        if lung:
            top = _projected(scene.named[f"{side} hemidiaphragm"][:1], camera, size)[1]
            boxes[f"{side} hemidiaphragm"] = (lung[0], top - 0.01 * size, lung[2], lung[3])
    y = np.linspace(-21, 24, 46)
    boxes["spine"] = _projected(np.stack([spine_offset(a, y), y, np.full(46, -5.0)], 1), camera, size, a.spine_width)
    heart, arch, trachea = boxes["cardiac silhouette"], boxes["aortic arch"], boxes["trachea"]
    top = min(boxes[f"{s} lung"][1] for s in ("right", "left") if f"{s} lung" in boxes) if len(boxes) else 0.0
    half = 1.25 * a.mediastinum / camera.field * size
    centre = 0.5 * (trachea[0] + trachea[2])
    boxes["upper mediastinum"] = (min(centre - half, arch[0]), top, max(centre + half, arch[2]), boxes["carina"][3])
    boxes["mediastinum"] = (min(heart[0], centre - half), top, max(heart[2], arch[2]), heart[3])
    boxes |= _great_vessels(boxes, centre, size)
    domes = [boxes[f"{s} hemidiaphragm"][1] for s in ("right", "left") if f"{s} hemidiaphragm" in boxes]
    boxes["abdomen"] = (0.08 * size, min(domes, default=0.75 * size), 0.92 * size, float(size))
    return _in_view(boxes, size)


def _great_vessels(boxes: dict[str, Box], centre: float, size: int) -> dict[str, Box]:
    """The two halves of the heart's shadow, and what lies at its right upper corner.

    The superior vena cava runs down the right border of the upper mediastinum; it meets the atrium about two vertebral
    bodies (4.5% of the film) below the carina. The patient's right is on the left of the film.
    """
    heart, upper, carina = boxes["cardiac silhouette"], boxes["upper mediastinum"], boxes["carina"][3]
    junction = max(heart[1], carina + 0.045 * size)
    half = 0.03 * size
    edge = min(max(upper[0], heart[0]), centre)
    return {
        "right cardiac silhouette": (heart[0], heart[1], centre, heart[3]),
        "left cardiac silhouette": (centre, heart[1], heart[2], heart[3]),
        "svc": (edge, boxes["aortic arch"][1], centre, junction),
        "cavoatrial junction": (edge - half, junction - half, edge + half, junction + half),
    }


def _in_view(boxes: dict[str, Box], size: int) -> dict[str, Box]:
    """Clips to the film and drops what has less than a pixel left."""
    kept = {}
    for name, (x1, y1, x2, y2) in boxes.items():
        x1, x2 = (float(np.clip(v, 0, size)) for v in (x1, x2))
        y1, y2 = (float(np.clip(v, 0, size)) for v in (y1, y2))
        if x2 - x1 >= 1 and y2 - y1 >= 1:
            kept[name] = (x1, y1, x2, y2)
    return kept
