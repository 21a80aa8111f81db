"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parent.parent


# Small networks on a busy machine: a second thread mostly waits for the first (seconds became a minute).
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of open real data beside the repository. Its absence is a failure in CI and a loud skip elsewhere."""
    folder = Path(os.environ.get("INTERVALCHANGE_SHARED", REPOSITORY.parent / "shared"))
    if (folder / "data").is_dir():
        return folder
    if os.environ.get("CI") == "true":
        pytest.fail(f"the open real data is missing at {folder}: set INTERVALCHANGE_SHARED")
    pytest.skip("real data not at hand: set INTERVALCHANGE_SHARED")
