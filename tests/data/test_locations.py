"""Coarse maps of where findings are, from boxes and masks."""

from __future__ import annotations

import numpy as np

from intervalchange.data import run_length
from intervalchange.data.films import Geometry
from intervalchange.data.locations import GRID, finding_locations, location_maps
from intervalchange.data.transforms import Affine
from intervalchange.findings import FINDINGS
from intervalchange.records import Region

EDEMA, EFFUSION = FINDINGS.index("edema"), FINDINGS.index("pleural effusion")
# A film of 200 x 100 pixels in the middle of a square of 64: scale .32, 16 pixels of padding left and right.
GEOMETRY = Geometry(height=200, width=100, scale=0.32, offset_x=16, offset_y=0)


def masked(rows: slice, columns: slice, name: str = "edema") -> Region:
    mask = np.zeros((200, 100), bool)
    mask[rows, columns] = True
    box = (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
    return Region("finding", name, box, run_length.encode(mask))


def test_a_mask_lands_in_its_cells() -> None:
    maps = location_maps(finding_locations([masked(slice(0, 50), slice(50, 100))], GEOMETRY, 64))
    # Rows 0 to 16 and columns 32 to 48 of the square of 64: the first eight rows and columns 16 to 24 of 32.
    expected = np.zeros((GRID, GRID), np.float32)
    expected[:8, 16:24] = 1
    np.testing.assert_array_equal(maps[EDEMA], expected)
    assert np.isnan(maps[EFFUSION]).all(), "a finding without a region says nothing"


def test_a_box_is_unknown_inside_and_empty_outside() -> None:
    region = Region("finding", "pleural effusion", (50.0, 0.0, 100.0, 50.0))
    (map_,) = location_maps(finding_locations([region], GEOMETRY, 64))[[EFFUSION]]
    assert np.isnan(map_[:8, 16:24]).all() and np.isnan(map_).sum() == 64
    assert (np.nan_to_num(map_, nan=0) == 0).all()


def test_a_lesion_smaller_than_a_cell_is_kept() -> None:
    maps = location_maps(finding_locations([masked(slice(100, 101), slice(50, 51))], GEOMETRY, 64))
    assert maps[EDEMA].sum() == 1


def test_masks_move_with_the_film() -> None:
    locations = finding_locations([masked(slice(0, 50), slice(50, 100))], GEOMETRY, 64)
    moved = location_maps(locations, Affine(shift_x=0.25, shift_y=0.5))[EDEMA]
    expected = np.zeros((GRID, GRID), np.float32)
    expected[16:24, 24:32] = 1
    np.testing.assert_array_equal(moved, expected)


def test_two_regions_of_one_finding_are_joined() -> None:
    both = [masked(slice(0, 50), slice(0, 25)), masked(slice(100, 150), slice(50, 100))]
    maps = location_maps(finding_locations(both, GEOMETRY, 64))
    assert maps[EDEMA].sum() == 8 * 4 + 8 * 8


def test_anatomy_and_unknown_names_are_left_out() -> None:
    anatomy = Region("anatomy", "edema", (0.0, 0.0, 1.0, 1.0))
    assert finding_locations([anatomy, Region("finding", "buttons", (0.0, 0.0, 9.0, 9.0))], GEOMETRY, 64) == ()
