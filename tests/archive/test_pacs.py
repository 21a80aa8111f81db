"""`make pacs`, to its first answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from orthanc import orthanc_program

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "pacs.py"


@pytest.mark.slow
def test_the_answer_to_a_new_film_comes_back() -> None:
    if orthanc_program() is None:
        pytest.skip("orthanc is not installed")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--once"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the report says the same" in done.stdout
