"""How the loops over rays and pixels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numpy as np
from numba import njit

Array = np.ndarray
P = ParamSpec("P")
R = TypeVar("R")


def compiled(loop: Callable[P, R]) -> Callable[P, R]:
    """A function in machine code that runs without the interpreter's lock, kept in numba's cache on disk.

    Sums may be reordered, so that loops become vectors; a division by zero is infinite.
    """
    return cast("Callable[P, R]", njit(cache=True, nogil=True, fastmath=True, error_model="numpy")(loop))
