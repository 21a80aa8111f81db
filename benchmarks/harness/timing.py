"""Seconds, budgets of CPU time, and peaks of memory."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def wall_seconds(work: Callable[[], Any]) -> float:
    """Of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def least_cpu_seconds(work: Callable[[], Any], times: int) -> float:
    """The least of several calls."""
    spent = []
    for _ in range(times):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def cpu_budget(minutes: float) -> Iterator[float]:
    """The share of the CPU minutes that has been used, 0 to 1, asked before each step until none is left."""
    start = time.process_time()
    while (used := (time.process_time() - start) / (60 * minutes)) < 1:
        yield used


def peak_mebibytes() -> float:
    """Largest resident size of this process so far; NaN where the system has no /proc."""
    # Not getrusage: its peak is inherited from the process that started this one.
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii")) if status.is_file() else None
    return int(peak[1]) / 1024 if peak else math.nan


def in_own_process(script: str, *arguments: str) -> Any:
    """The JSON that a script prints last, run in a process of its own so that its caches and peak are its own."""
    call = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=True)
    return json.loads(call.stdout.splitlines()[-1])
