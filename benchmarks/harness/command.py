"""Command lines of benchmarks, and the JSON files that they write with their provenance: command, commit, machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

RESULTS = Path("benchmarks/results")


class Command(argparse.ArgumentParser):
    """A parser that shows the script's docstring. `required` are options that take a path."""

    def __init__(self, doc: str | None, *required: str) -> None:
        super().__init__(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        for name in required:
            self.add_argument(f"--{name}", type=Path, required=True)

    def result(self, option: str, name: str) -> None:
        """Where the result is written: `option`, by default a file of benchmarks/results."""
        self.add_argument(option, type=Path, default=RESULTS / name)


def provenance() -> dict[str, str]:
    """The command, the commit of the code (`+`: changed since) and the machine."""
    from intervalchange.training.provenance import commit

    script = Path(sys.argv[0])
    command = ["python", *(["benchmarks/" + script.name] if script.name else []), *sys.argv[1:]]
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return {"command": shlex.join(command), "commit": commit(), "machine": machine}


def read_result(path: Path) -> dict[str, Any]:
    """What an earlier call wrote; empty where there is none."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def write_part(path: Path, name: str, part: dict[str, Any]) -> None:
    """Write and print one part of a result, its provenance last; the other parts stay."""
    whole = {**part, "provenance": provenance()}
    write_json(path, {**read_result(path), name: whole})
    print(name, json.dumps(whole, indent=1))


def write_json(path: Path, content: Any) -> None:
    """Indented by one, folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_result(path: Path, content: dict[str, Any]) -> None:
    """Write and print a result, its provenance last."""
    whole = {**content, "provenance": provenance()}
    write_json(path, whole)
    print(json.dumps(whole, indent=1))
