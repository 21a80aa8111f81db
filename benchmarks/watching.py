"""The watcher beside a real archive: studies an hour, and what kills lose.

    python benchmarks/watching.py demo --studies 200

Orthanc is started, and `intervalchange watch` beside it. --studies new studies of simulated patients (each with a prior
that is there already) are stored at once: how long until all are answered. Then as many again, a little at a time,
while at random moments the watcher, a process that reads its films, or Orthanc is killed (kill -9) and started again.
At the end: studies without an answer, with more than one report or picture, answers in a study of another patient.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from harness.command import Command, write_result

from intervalchange.simulation.cohort import simulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
from orthanc import Orthanc

REPORT, CAPTURE = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.7"
BETWEEN_KILLS = (2.0, 8.0)
"""Seconds."""


@dataclass
class Watching:
    """`intervalchange watch`, begun again when it has died."""

    run: str
    archive: Orthanc
    state: Path

    def begin(self) -> None:
        """Start it."""
        when = ("--days", "0", "--every", "1", "--settle", "1", "--state", str(self.state))
        command = [sys.executable, "-m", "intervalchange", "watch", self.run, "--archive", self.archive.web, *when]
        with (self.state.parent / "watcher.txt").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)

    def readers(self) -> list[int]:
        """The processes that read films for it."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(line) for line in found.stdout.split()]

    def kill(self) -> None:
        """kill -9, and start it again."""
        self.process.kill()
        self.process.wait()
        self.begin()

    def end(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait()


@dataclass(frozen=True)
class Study:
    """A study that is to be answered: its film, and the one that is its prior."""

    uid: str
    patient: str
    film: bytes
    prior: bytes


def studies(folder: Path, count: int, seed: int) -> list[Study]:
    """The last two visits of simulated patients."""
    simulate(folder, patients=2 * count, seed=seed, layout="dicom", pixels=256, quirks=False)
    found = []
    for patient in sorted((folder / "EXPORT").iterdir()):
        films = sorted(path for path in patient.rglob("*") if path.is_file())
        if len(films) >= 2 and len(found) < count:
            header = pydicom.dcmread(films[-1], stop_before_pixels=True)
            name = str(header.StudyInstanceUID), str(header.PatientID)
            found.append(Study(*name, films[-1].read_bytes(), films[-2].read_bytes()))
    if len(found) < count:
        raise SystemExit(f"only {len(found)} simulated patients have two visits")
    return found


def held(archive: Orthanc) -> list[dict[str, str]]:
    """Every instance of the archive: its study, patient and kind."""
    tags = {"Study": "StudyInstanceUID", "Patient": "PatientID", "Kind": "SOPClassUID"}
    query = {"Level": "Instance", "Query": {}, "Expand": True, "RequestedTags": list(tags.values())}
    url = f"http://127.0.0.1:{archive.web_port}/tools/find"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(query).encode()), timeout=120) as reply:
        instances = json.load(reply)
    found = []
    for instance in instances:
        own = f"http://127.0.0.1:{archive.web_port}/instances/{instance['ID']}/simplified-tags"
        with urllib.request.urlopen(own, timeout=30) as reply:
            facts = json.load(reply)
        found.append({name: facts[tag] for name, tag in tags.items()})
    return found


def answered(state: Path) -> Counter[str]:
    """State -> studies of the ledger."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(f"file:{state / 'ledger.sqlite'}?mode=ro", uri=True)) as ledger:
        return Counter(dict(ledger.execute("SELECT state, COUNT(*) FROM studies GROUP BY state")))


def all_answered(state: Path, count: int, seconds: float) -> float:
    """Seconds until so many studies are filed or refused; raises SystemExit where it takes longer."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        with contextlib.suppress(Exception):
            states = answered(state)
            if states["filed"] + states["refused"] >= count:
                return time.monotonic() - begun
        time.sleep(0.5)
    raise SystemExit(f"after {seconds:g} seconds: {dict(answered(state))}")


def add_until_taken(archive: Orthanc, film: bytes) -> None:
    """As a scanner does: again and again while the archive is down."""
    while True:
        try:
            return archive.add(film)
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)


def kills(watching: Watching, archive: Orthanc, over: threading.Event, seed: int) -> Counter[str]:
    """Kill something at random moments until it is over; how often what."""
    draw, done = random.Random(seed), Counter[str]()
    while not over.wait(draw.uniform(*BETWEEN_KILLS)):
        what = draw.choice(["watcher", "reader", "Orthanc"])
        if what == "watcher":
            watching.kill()
        elif what == "Orthanc":
            archive.kill()
            archive.start()
        else:
            readers = watching.readers()
            if not readers:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(draw.choice(readers), signal.SIGKILL)
        done[what] += 1
    return done


def verdict(archive: Orthanc, wanted: list[Study]) -> dict[str, int]:
    """What is there of what should be."""
    patients = {study.uid: study.patient for study in wanted}
    counts: Counter[tuple[str, str]] = Counter()
    strangers = 0
    for instance in held(archive):
        if instance["Kind"] in (REPORT, CAPTURE):
            counts[instance["Study"], instance["Kind"]] += 1
            strangers += patients.get(instance["Study"]) != instance["Patient"]
    pairs = [counts[study.uid, kind] for study in wanted for kind in (REPORT, CAPTURE)]
    lost, twice = sum(count == 0 for count in pairs), sum(count > 1 for count in pairs)
    return {"studies": len(wanted), "lost": lost, "twice": twice, "in another study": strangers}


def trial(run: str, folder: Path, wanted: list[Study], killing: bool, seed: int) -> dict[str, Any]:
    """Store studies and wait for their answers."""
    count = len(wanted)
    with Orthanc(folder / "archive") as archive:
        for study in wanted:
            archive.add(study.prior)
        watching = Watching(run, archive, folder / "state")
        watching.begin()
        all_answered(folder / "state", 0, 120)
        while answered(folder / "state")["passed"] < count:
            time.sleep(0.5)
        over, killed = threading.Event(), Counter[str]()
        killer = threading.Thread(target=lambda: killed.update(kills(watching, archive, over, seed)))
        begun = time.monotonic()
        if killing:
            killer.start()
        for study in wanted:
            add_until_taken(archive, study.film)
            time.sleep(0.3 if killing else 0)
        all_answered(folder / "state", count, 1800)
        seconds = time.monotonic() - begun
        over.set()
        if killing:
            killer.join()
        watching.end()
        return {
            **verdict(archive, wanted),
            "seconds": round(seconds, 1),
            "studies_an_hour": round(3600 * count / seconds),
            "killed": dict(killed),
            "states": dict(answered(folder / "state")),
        }


def main() -> None:
    options = Command(__doc__)
    options.add_argument("run", nargs="?", default="demo")
    options.add_argument("--studies", type=int, default=200)
    options.add_argument("--seed", type=int, default=900_700)
    options.result("--results", "watching.json")
    chosen = options.parse_args()
    result = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wanted = studies(folder / "cohort", chosen.studies, chosen.seed)
        for name, killing in (("undisturbed", False), ("killed", True)):
            result[name] = trial(chosen.run, folder / name, wanted, killing, chosen.seed)
    write_result(chosen.results, result)


if __name__ == "__main__":
    main()
