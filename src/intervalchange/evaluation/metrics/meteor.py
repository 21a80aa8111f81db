"""METEOR 1.5 (Denkowski and Lavie 2014) as pycocoevalcap runs it: a Java program that comes with that package."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, cast

from intervalchange.evaluation.metrics.tokens import tokenise

COMMAND = ("java", "-jar", "-Xmx2G", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm")

Corpus = tuple[Sequence[str], Sequence[str]]
"""(hypotheses, references)."""


def meteor_absence() -> str:
    """Why METEOR 1.5 cannot run on this machine; empty where it can."""
    if shutil.which("java") is None:
        return "unavailable: needs Java"
    if find_spec("pycocoevalcap") is None:
        return "unavailable: needs pycocoevalcap (pip install 'intervalchange[eval]')"
    return ""


def meteor_java15(corpora: Sequence[Corpus]) -> list[float | str]:
    """METEOR 1.5 of several corpora in one run of Java, or why it is unavailable.

    Each different pair is compared once; the program's own totals are over all of them, as pycocoevalcap's are.
    """
    reason = meteor_absence()
    if reason:
        return [reason] * len(corpora)
    spec = find_spec("pycocoevalcap")
    folder = Path(next(iter((spec and spec.submodule_search_locations) or [""]))) / "meteor"
    try:
        with subprocess.Popen(
            COMMAND, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as program:
            return _scores(cast(IO[bytes], program.stdin), cast(IO[bytes], program.stdout), corpora)
    except (OSError, ValueError) as error:
        return [f"unavailable: METEOR stopped ({error})"] * len(corpora)


def _scores(to_java: IO[bytes], from_java: IO[bytes], corpora: Sequence[Corpus]) -> list[float | str]:
    def line() -> str:
        return from_java.readline().decode().strip()

    def reply(request: str) -> str:
        to_java.write(f"{request}\n".encode())
        to_java.flush()
        return line()

    known: dict[tuple[str, str], str] = {}
    results: list[float | str] = []
    for hypotheses, references in corpora:
        pairs = list(zip(map(tokenise, hypotheses), map(tokenise, references), strict=True))
        for hypothesis, reference in pairs:
            if (hypothesis, reference) not in known:
                plain = hypothesis.replace("|||", "").replace("  ", " ")
                known[hypothesis, reference] = reply(f"SCORE ||| {reference} ||| {plain}")
        values = [reply("EVAL ||| " + " ||| ".join(known[pair] for pair in pairs)), *(line() for _ in pairs)]
        results.append(float(values[-1]))
    return results
