"""One exposure of one patient: optical depth of everything on the way, the film made of it, and the exact truth."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter

from intervalchange.simulation import devices, film, foreign_objects, pathology, rays, regions, splatting
from intervalchange.simulation.anatomy import Anatomy
from intervalchange.simulation.camera import Camera
from intervalchange.simulation.casting import Blobs, Solids
from intervalchange.simulation.pathology import WATER
from intervalchange.simulation.scene import Acquisition, RenderedFilm, State
from intervalchange.simulation.skeleton import callus, skeleton
from intervalchange.simulation.solids import Scene
from intervalchange.simulation.thorax import build, lung_table
from intervalchange.simulation.vessels import carry, vessel_tree

VESSEL_CAP = 0.8
"""Crowded vessels saturate at this optical depth."""
VESSEL_CONTRAST = 1.4
"""Walls and sheaths make a vessel's shadow wider than its blood."""
TRUTH_PIXELS = 128
"""Masks of findings are computed at no more than this and enlarged."""


@dataclass(frozen=True)
class Exposure:
    """A patient in a state, in front of the tube: everything solid, before any pixel is computed."""

    anatomy: Anatomy
    """As deformed by disease and breath."""
    state: State
    acquisition: Acquisition
    camera: Camera
    scene: Scene
    solids: Solids
    blobs: Blobs
    healthy: Anatomy
    """As sampled."""

    @classmethod
    def of(cls, anatomy: Anatomy, state: State, acquisition: Acquisition) -> "Exposure":
        """Sets the patient up."""
        shape = pathology.breathe(pathology.deform(anatomy, state), acquisition)
        scene = build(shape, acquisition.view)
        pathology.afflict(scene, shape, state, acquisition.view)
        devices.attach(scene, shape, state, acquisition)
        foreign_objects.attach(scene, shape, state.objects)
        camera = Camera.of(acquisition)
        solids, blobs = scene.pack(camera)
        return cls(shape, state, acquisition, camera, scene, solids, blobs, anatomy)

    def channels(self, size: int, smooth: bool = False) -> dict[str, np.ndarray]:
        """Path lengths (size, size) by the names of `rays.CHANNELS`; `smooth` edges cost a third more."""
        density = float(self.anatomy.lung_density)
        values = rays.trace(*self.camera.rays(), size, self.solids, self.blobs, density, smooth)
        return dict(zip(rays.CHANNELS, values, strict=True))

    def channels_from(self, other: "Exposure", channels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`channels` of another state under the same acquisition, traced anew only where the solids differ.

        The result is what `self.channels` of that size would be, to the last bit.
        """
        size = len(channels["body"])
        density = float(self.anatomy.lung_density)
        values = np.stack([channels[name] for name in rays.CHANNELS])
        wanted = rays.touched((self.solids, self.blobs), (other.solids, other.blobs), size)
        if density != float(other.anatomy.lung_density):
            wanted[:] = True
        if wanted.any():
            rays.retrace(values, wanted, *self.camera.rays(), self.solids, self.blobs, density)
        return dict(zip(rays.CHANNELS, values, strict=True))


def soft_depth(channels: dict[str, np.ndarray], lung_density: float, excess: np.ndarray | None = None) -> np.ndarray:
    """Optical depth of everything but thin things."""
    air = channels["air_right"] + channels["air_left"]
    extra = channels["excess"] if excess is None else excess
    tissue = channels["body"] - channels["gas"] - channels["free"] - air * (1 - lung_density) + extra
    depth: np.ndarray = WATER * np.maximum(tissue, 0) + channels["dense"]
    return depth


@lru_cache(maxsize=2)
def _tree(anatomy: Anatomy, style: str) -> tuple[np.ndarray, np.ndarray]:
    return vessel_tree(anatomy, style)


def bone_depth(exposure: Exposure, size: int) -> np.ndarray:
    """Optical depth (size, size) of the skeleton."""
    view = splatting.view_of(exposure.camera)
    image = np.zeros((size, size), np.float32)
    broken = pathology.fractures(exposure.anatomy, exposure.state)
    shells, marrow = skeleton(exposure.anatomy, exposure.acquisition.view, broken)
    (quads, depths), (tubes, tube_densities) = shells, marrow
    balls, ball_densities = callus(exposure.anatomy, broken)
    splatting.splat_quads(image, quads, depths, view)
    splatting.splat_tubes(image, tubes, tube_densities, view)
    splatting.splat_balls(image, balls, ball_densities, view)
    return image


def thin_depth(exposure: Exposure, size: int) -> np.ndarray:
    """Optical depth (size, size) of pleural lines, septa, calcium and devices."""
    view = splatting.view_of(exposure.camera)
    image = np.zeros((size, size), np.float32)
    for quads, weights in exposure.scene.shells:
        splatting.splat_quads(image, quads, weights, view)
    for tubes, densities in exposure.scene.tubes:
        splatting.splat_tubes(image, tubes, densities, view)
    for balls, densities in exposure.scene.balls:
        splatting.splat_balls(image, balls, densities, view)
    return image


def vessel_depth(exposure: Exposure, size: int) -> np.ndarray:
    """Optical depth (size, size) of the vessels in aerated lung."""
    style = exposure.acquisition.style
    tree, sides = _tree(exposure.healthy, style)
    now = exposure.anatomy
    for side in (0, 1):
        own = sides == side
        target = lung_table(now, side)
        collapse = [x for x in exposure.state.lesions if x.finding == "pneumothorax"]
        for lesion in collapse:
            if side in pathology.sides_of(lesion, pathology.generator(lesion))[:1]:
                target = pathology.collapsed_table(now, side, lesion.severity)
        moved = carry(tree[own], lung_table(exposure.healthy, side), target, now.lift[side], now)
        tree = np.where(own[:, None], 0.0, tree)
        tree[own] = moved
    middle = 0.5 * (tree[:, :3] + tree[:, 4:7])
    air = rays.aerated_at(np.ascontiguousarray(middle), sides, exposure.solids, exposure.blobs)
    edema = exposure.state.severity("edema")
    emphysema = exposure.state.severity("emphysema")
    if edema:
        # Cuffs widen the vessels and blur them; the upper ones fill.
        upper = np.clip((now.hilum + 1 - middle[:, 1]) / 5, 0, 1)
        tree[:, [3, 7]] *= 1 + 0.35 * edema + 0.5 * edema * upper[:, None]
        air = air * (1 - 0.45 * edema)
    if emphysema:
        keep = np.random.default_rng([now.vessel_seed, 9]).random(len(air)) > 0.6 * emphysema
        thin = tree[:, 7] < 0.09
        air = np.where(thin & ~keep, 0.0, air)
        tree[:, [3, 7]] *= 1 - 0.2 * emphysema
    image = np.zeros((size, size), np.float32)
    splatting.splat_tubes(
        image, tree, VESSEL_CONTRAST * WATER * (1 - now.lung_density) * air, splatting.view_of(exposure.camera)
    )
    if edema:
        image = film.blur(image, (0.05 + 0.22 * edema) / exposure.acquisition.field_cm * size)
    depth: np.ndarray = VESSEL_CAP * (1 - np.exp(-image / VESSEL_CAP))
    return depth


def optical_depth(exposure: Exposure, channels: dict[str, np.ndarray], size: int) -> np.ndarray:
    """Everything on the way of every ray, (size, size)."""
    full = {name: film.resize(channels[name], size) for name in ("excess", "air_right", "air_left")}
    air = np.maximum(full["air_right"] + full["air_left"], 0)
    # A little blur stands for the focal spot and hides the last stairs of the coarse grid.
    soft = gaussian_filter(soft_depth(channels, exposure.anatomy.lung_density), 0.35, mode="nearest")
    depth = film.resize(soft, size)
    pattern = film.texture(exposure.healthy.texture_seed, exposure.camera, exposure.acquisition.style, size)
    # Interstitium: sums of many small things grow with the root of the path.
    depth = depth + 0.011 * np.sqrt(air) * pattern[0]
    # Where the air is gone there is nothing left to be patchy.
    filled = np.clip(full["excess"] / np.maximum((1 - exposure.anatomy.lung_density) * air, 0.5), 0, 1)
    depth = depth + WATER * full["excess"] * (1 - filled) * np.clip(0.26 * pattern[1], -0.7, 0.7)
    body = np.maximum(film.resize(channels["body"], size), 0)
    # Fat and muscle are uneven; over the lungs there is little of them.
    depth = depth + 0.034 * np.maximum(body - air, 0) / np.sqrt(np.maximum(body, 1.0)) * pattern[2]
    depth = depth + vessel_depth(exposure, size) + bone_depth(exposure, size) + thin_depth(exposure, size)
    total: np.ndarray = np.maximum(depth, 0)
    return total


def render(
    anatomy: Anatomy, state: State, acquisition: Acquisition, pixels: int = 512, truth: bool = True
) -> RenderedFilm:
    """One film of one patient. Same arguments, same pixels; `truth=False` leaves masks and boxes empty."""
    exposure = Exposure.of(anatomy, state, acquisition)
    coarse = max(pixels // 2, 64)
    channels = exposure.channels(coarse, smooth=True)
    image = film.finish(optical_depth(exposure, channels, pixels), acquisition)
    if not truth:
        empty = np.zeros((pixels, pixels))
        return RenderedFilm(image, empty.astype(bool), empty.astype(np.float32))
    return _with_truth(exposure, channels, image)


def _with_truth(exposure: Exposure, channels: dict[str, np.ndarray], image: np.ndarray) -> RenderedFilm:
    pixels = len(image)
    right, left = (film.resize(channels[name], pixels) > 0.25 for name in ("lung_right", "lung_left"))
    path = channels["lung_right"] + channels["lung_left"]
    abnormal = channels["fluid"] + channels["excess"]
    fraction = np.where(path > 0.25, abnormal / np.maximum(path, 0.25), 0.0)
    opacity = np.clip(film.resize(fraction.astype(np.float32), pixels), 0, 1) * (right | left)
    masks = {name: film.resize(mask.astype(np.float32), pixels) > 0.5 for name, mask in finding_masks(exposure).items()}
    return RenderedFilm(
        pixels=image,
        lung=right | left,
        opacity=opacity.astype(np.float32),
        finding_masks=masks,
        object_masks=tuple(
            foreign_objects.mask(item, exposure.anatomy, exposure.camera, pixels) for item in exposure.state.objects
        ),
        region_boxes=regions.region_boxes(exposure.anatomy, exposure.scene, exposure.camera, right, left),
    )


def without(state: State, finding: str) -> State:
    """The state with all lesions of one finding removed."""
    return replace(state, lesions=tuple(x for x in state.lesions if x.finding != finding))


def depths_without(exposure: Exposure, size: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Finding -> optical depths (size, size) without bones, vessels and texture: with everything, and with that
    finding's lesions taken away.

    Bones cancel in the difference and are left out, but where they are what is ill.
    """
    names = list(dict.fromkeys(lesion.finding for lesion in exposure.state.lesions))
    if not names:
        return {}
    channels = exposure.channels(size)
    full = soft_depth(channels, exposure.anatomy.lung_density) + thin_depth(exposure, size)
    result = {}
    for name in names:
        rest = Exposure.of(exposure.healthy, without(exposure.state, name), exposure.acquisition)
        if name == "fracture":
            result[name] = (full + bone_depth(exposure, size), full + bone_depth(rest, size))
        else:
            soft = soft_depth(rest.channels_from(exposure, channels), rest.anatomy.lung_density)
            result[name] = (full, soft + thin_depth(rest, size))
    return result


def finding_masks(exposure: Exposure) -> dict[str, np.ndarray]:
    """Finding -> (TRUTH_PIXELS,) * 2 bool: where its removal changes the depth of the shadow."""
    masks = {}
    for name, (full, rest) in depths_without(exposure, TRUTH_PIXELS).items():
        change = np.abs(full - rest)
        masks[name] = change > max(0.03, 0.15 * float(change.max()))
    return masks
