"""One exam for all plug-ins."""

from __future__ import annotations

import pytest
from exam import Exam, write_exam


@pytest.fixture(scope="session")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Exam:
    """The folders of `exam.write_exam`."""
    return write_exam(tmp_path_factory.mktemp("exam"))
