"""A script in one or several processes of gloo, each with one thread."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_script(script: str, out: Path, world: int, *more: str) -> None:
    """Runs `script` once a rank. Its arguments: this folder, `out`, rank, world, and more. Fails where one fails.

    Gloo's threads can outlive the group and abort a process while its interpreter is taken down, about once in a few
    hundred starts. What was asked is in files by then, so a script leaves without taking anything down.
    """
    here = Path(__file__).resolve().parent
    environment = {**os.environ, "PYTHONPATH": str(here.parent / "src"), "OMP_NUM_THREADS": "1"}
    leaving = "\nimport os, sys\nsys.stderr.flush()\nos._exit(0)\n"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script + leaving, str(here), str(out), str(rank), str(world), *more],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    for process in running:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
