"""A real archive for the tests that want one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from orthanc import Orthanc, orthanc_program


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Orthanc, empty."""
    if orthanc_program() is None:
        pytest.skip("orthanc is not installed")
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as archive:
        yield archive
