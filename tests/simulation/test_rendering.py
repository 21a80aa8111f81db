"""The X-ray renderer: determinism, geometry, physics and place of every finding, exact truth, visibility."""

from dataclasses import replace

import numpy as np
import pytest

from intervalchange.findings import SIMULATED
from intervalchange.simulation.anatomy import Anatomy, sample_anatomy
from intervalchange.simulation.camera import Camera
from intervalchange.simulation.rendering import Exposure, render, without
from intervalchange.simulation.scene import REFERENCE, Acquisition, Lesion, RenderedFilm, State
from intervalchange.simulation.visibility import CNR_THRESHOLD, visible

PIXELS = 128
BEDSIDE = Acquisition(view="AP", source_distance_cm=100.0, scatter=0.5, inspiration=0.6, seed=3)


def patient(seed: int = 7) -> Anatomy:
    return sample_anatomy(np.random.default_rng(seed))


def film(
    *lesions: Lesion, seed: int = 7, acquisition: Acquisition = REFERENCE, devices: tuple[str, ...] = ()
) -> RenderedFilm:
    return render(patient(seed), State(lesions, devices), acquisition, PIXELS)


def test_same_arguments_same_pixels_and_no_global_randomness() -> None:
    before = np.random.get_state()[1].copy()
    lesion = Lesion("edema", 0.6, "both", seed=4)
    first, second = film(lesion, acquisition=BEDSIDE), film(lesion, acquisition=BEDSIDE)
    assert np.array_equal(first.pixels, second.pixels)
    assert np.array_equal(np.random.get_state()[1], before)


def test_film_is_float32_between_zero_and_one_at_any_size() -> None:
    for pixels in (64, 128, 200):
        image = render(patient(), State(), BEDSIDE, pixels, truth=False).pixels
        assert image.shape == (pixels, pixels)
        assert image.dtype == np.float32
        assert 0 <= image.min() < 0.2 < 0.7 < image.max() <= 1


def test_field_of_view_does_not_depend_on_pixels() -> None:
    small, large = (render(patient(), State(), REFERENCE, pixels) for pixels in (128, 256))
    for name, box in small.region_boxes.items():
        assert np.allclose(np.array(box) * 2, large.region_boxes[name], atol=6), name
    shrunk = large.pixels.reshape(128, 2, 128, 2).mean((1, 3))
    assert np.corrcoef(shrunk.ravel(), small.pixels.ravel())[0, 1] > 0.98


def test_healthy_patients_differ() -> None:
    """Noise-free healthy films of different patients correlate below .98."""
    plain = replace(REFERENCE, seed=1)
    films = np.array([render(patient(seed), State(), plain, 96, truth=False).pixels.ravel() for seed in range(24)])
    correlation = np.corrcoef(films) - np.eye(len(films))
    assert correlation.max() < 0.98


def test_lungs_are_darker_than_mediastinum_and_abdomen() -> None:
    healthy = film()
    x1, y1, x2, y2 = (int(v) for v in healthy.region_boxes["cardiac silhouette"])
    centre = healthy.pixels[(y1 + y2) // 2, (x1 + x2) // 2 - 4 : (x1 + x2) // 2 + 4].mean()
    assert np.median(healthy.pixels[healthy.lung]) < centre - 0.15
    assert healthy.opacity.max() == 0
    assert healthy.finding_masks == {}


def test_portable_view_magnifies_the_heart_and_noise_leaves_truth_alone() -> None:
    a = patient()
    camera = Camera.of(replace(BEDSIDE, inspiration=1.0))
    front = np.array([[-5.0, 5.0, 4.0], [5.0, 5.0, 4.0]])
    near, far = camera.project(front), Camera.of(REFERENCE).project(front)
    assert np.ptp(near[:, 0]) > 1.1 * np.ptp(far[:, 0])
    quiet = render(a, State(), replace(BEDSIDE, noise=0.0), PIXELS)
    loud = render(a, State(), replace(BEDSIDE, noise=3.0, seed=9), PIXELS)
    assert quiet.region_boxes == loud.region_boxes
    assert not np.array_equal(quiet.pixels, loud.pixels)


def test_expiration_raises_the_diaphragm() -> None:
    full = film().region_boxes["right hemidiaphragm"][1]
    out = film(acquisition=replace(REFERENCE, inspiration=0.0)).region_boxes["right hemidiaphragm"][1]
    assert out < full - 4


def test_style_b_is_another_look_of_the_same_patient() -> None:
    a = film().pixels
    b = film(acquisition=replace(REFERENCE, style="b")).pixels
    assert 0.6 < np.corrcoef(a.ravel(), b.ravel())[0, 1] < 0.999


def test_region_boxes_have_the_names_of_chest_imagenome() -> None:
    boxes = film().region_boxes
    for side in ("right", "left"):
        for name in (
            "lung",
            "upper lung zone",
            "mid lung zone",
            "lower lung zone",
            "costophrenic angle",
            "hemidiaphragm",
            "hilar structures",
            "clavicle",
            "apical zone",
        ):
            assert f"{side} {name}" in boxes
    assert {
        "cardiac silhouette",
        "mediastinum",
        "upper mediastinum",
        "aortic arch",
        "trachea",
        "carina",
        "spine",
        "abdomen",
    } <= set(boxes)
    assert boxes["right lung"][0] < boxes["left lung"][0]
    for x1, y1, x2, y2 in boxes.values():
        assert 0 <= x1 < x2 <= PIXELS
        assert 0 <= y1 < y2 <= PIXELS


@pytest.mark.parametrize("finding", SIMULATED)
def test_every_finding_has_a_mask_and_grows_with_severity(finding: str) -> None:
    states = [State((Lesion(finding, s, "left", seed=2),)) for s in (0.05, 0.4, 0.7, 1.0)]
    ratios = [visible(patient(), state, 128)[finding] for state in states]
    assert ratios == sorted(ratios)
    assert ratios[0] < CNR_THRESHOLD < ratios[-1]
    mask = film(Lesion(finding, 0.8, "left", seed=2)).finding_masks[finding]
    assert mask.dtype == bool
    assert 0 < mask.mean() < 0.5


@pytest.mark.parametrize(
    "finding",
    ["pleural effusion", "pneumothorax", "consolidation", "lung opacity", "granuloma", "fracture", "atelectasis"],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_side_is_honoured(finding: str, side: str) -> None:
    """The patient's left is on the right of the film."""
    mask = film(Lesion(finding, 0.55, side, seed=5)).finding_masks[finding]
    columns = np.nonzero(mask)[1]
    assert (np.median(columns) > PIXELS / 2) == (side == "left")


@pytest.mark.parametrize("finding", ["consolidation", "lung opacity", "granuloma"])
def test_zone_is_honoured(finding: str) -> None:
    rows = [
        np.nonzero(film(Lesion(finding, 0.4, "right", zone, seed=5)).finding_masks[finding])[0].mean()
        for zone in ("upper", "middle", "lower")
    ]
    assert rows[0] < rows[1] < rows[2]


def test_a_lesion_grows_in_place() -> None:
    small, large = (film(Lesion("consolidation", s, "left", "middle", seed=8)) for s in (0.4, 0.8))
    a, b = (x.finding_masks["consolidation"] for x in (small, large))
    assert (a & b).sum() > 0.8 * a.sum()
    assert b.sum() > a.sum()


@pytest.mark.parametrize("finding", ["pleural effusion", "consolidation", "lung opacity", "edema", "atelectasis"])
def test_densities_fill_the_opacity_map_inside_the_lungs(finding: str) -> None:
    result = film(Lesion(finding, 0.8, "both", seed=3))
    assert result.opacity.max() > 0.1
    assert result.opacity.max() <= 1
    assert not result.opacity[~result.lung].any()


@pytest.mark.parametrize("finding", ["pneumothorax", "cardiomegaly", "granuloma", "fracture", "scoliosis"])
def test_other_findings_are_no_opacity(finding: str) -> None:
    assert film(Lesion(finding, 0.8, "left", seed=3)).opacity.max() == 0


def test_pneumothorax_leaves_no_lung_beyond_the_pleura() -> None:
    channels = Exposure.of(patient(), State((Lesion("pneumothorax", 0.6, "left"),)), REFERENCE).channels(64)
    assert channels["free"].max() > 3
    assert channels["air_left"].sum() < 0.8 * channels["lung_left"].sum()
    assert np.allclose(channels["air_right"], channels["lung_right"])


def test_visibility_ignores_devices_and_acquisition_has_no_say() -> None:
    lesion = Lesion("granuloma", 0.5, "left", seed=1)
    assert visible(patient(), State((lesion,))) == visible(patient(), State((lesion,), ("pacemaker", "leads")))


def test_devices_are_drawn_and_unlabelled() -> None:
    plain = film()
    for device in ("leads", "endotracheal tube", "central line", "pacemaker"):
        shown = film(devices=(device,))
        assert np.abs(shown.pixels - plain.pixels).max() > 0.04, device
        assert shown.finding_masks == {}


WET = (
    Lesion("pleural effusion", 0.5, "left", seed=5),
    Lesion("edema", 0.5, "both", seed=4),
    Lesion("cardiomegaly", 0.6, seed=1),
)
DRY = (
    Lesion("pneumothorax", 0.5, "right", seed=2),
    Lesion("consolidation", 0.6, "left", "lower", seed=8),
    Lesion("fracture", 0.7, "left", seed=6),
    Lesion("granuloma", 0.5, "right", seed=1),
)
# Made by the renderer of commit 65c4f73, before it was made faster: mean grey level of 4 x 4 blocks, contrast-to-noise,
# pixels in each mask, in the lungs, sum of the opacity map. Trained weights depend on films that look like this.
PINNED = (
    (
        WET,
        BEDSIDE,
        [
            [61.23, 113.51, 102.83, 58.06],
            [72.85, 98.01, 104.22, 70.77],
            [51.79, 136.07, 195.07, 96.72],
            [98.96, 192.95, 198.18, 129.81],
        ],
        {"pleural effusion": 20.5428, "edema": 5.2628, "cardiomegaly": 3.7249},
        {"pleural effusion": 5608, "edema": 13076, "cardiomegaly": 3588, "lung": 29701, "opacity": 8218.6},
    ),
    (
        DRY,
        REFERENCE,
        [
            [55.93, 123.53, 122.95, 58.33],
            [89.47, 98.64, 106.51, 97.74],
            [61.63, 114.75, 174.12, 85.8],
            [98.3, 189.93, 182.97, 104.57],
        ],
        {"pneumothorax": 8.4667, "consolidation": 9.7171, "fracture": 3.5066, "granuloma": 5.7793},
        {"pneumothorax": 10120, "consolidation": 3412, "fracture": 452, "granuloma": 36}
        | {"lung": 29167, "opacity": 1149.5},
    ),
)


@pytest.mark.parametrize(("lesions", "acquisition", "grey", "contrast", "areas"), PINNED)
def test_films_stay_what_they_were(
    lesions: tuple[Lesion, ...],
    acquisition: Acquisition,
    grey: list[list[float]],
    contrast: dict[str, float],
    areas: dict[str, float],
) -> None:
    made = render(patient(), State(lesions), acquisition, 256)
    blocks = 255 * made.pixels.astype(float).reshape(4, 64, 4, 64).mean((1, 3))
    assert np.abs(blocks - grey).max() < 0.03
    assert visible(patient(), State(lesions)) == pytest.approx(contrast, abs=2e-4)
    found = {name: mask.sum() for name, mask in made.finding_masks.items()}
    # Another processor may round a pixel on an edge the other way.
    assert found | {"lung": made.lung.sum(), "opacity": made.opacity.sum()} == pytest.approx(areas, rel=2e-4, abs=1)


@pytest.mark.parametrize("acquisition", [REFERENCE, BEDSIDE])
@pytest.mark.parametrize("finding", SIMULATED)
def test_tracing_what_differs_is_tracing_everything(finding: str, acquisition: Acquisition) -> None:
    """For every finding, alone and among others, to the last bit."""
    others = (*WET, *DRY)
    ill = State((*(x for x in others if x.finding != finding), Lesion(finding, 0.7, "left", seed=2)))
    full = Exposure.of(patient(), ill, acquisition)
    rest = Exposure.of(patient(), without(ill, finding), acquisition)
    reused, anew = rest.channels_from(full, full.channels(64)), rest.channels(64)
    for name, values in anew.items():
        assert np.array_equal(reused[name], values), name
