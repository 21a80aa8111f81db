"""The whole way through an archive, on this machine: `make pacs`.

    python examples/pacs.py
    python examples/pacs.py --once

Orthanc is started, and `intervalchange watch` beside it. Three visits of a simulated patient are stored, then the
fourth: its prior is found, and the answer comes back into the fourth study as a structured report and a picture. Then
it stays up, with the page of `intervalchange serve`, until ctrl-c (`--once`: it ends, with exit code 1 where the answer
was not there in time or is not that of the command line).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
from orthanc import Orthanc

import intervalchange as ic
from intervalchange.archive.addresses import open_archive
from intervalchange.archive.read_report import whole_report
from intervalchange.archive.results import result_uids
from intervalchange.policy import RESEARCH_USE
from intervalchange.simulation.cohort import simulate

VISITS = 4
SEED = 900_601
"""An evaluation seed: none of its patients was trained on."""
SECONDS = 60
"""In which the answer has to be there."""


def visits(folder: Path) -> list[Path]:
    """The first films of a simulated patient, in time order."""
    simulate(folder, patients=2, seed=SEED, layout="dicom", pixels=256, quirks=False)
    for patient in sorted((folder / "EXPORT").iterdir()):
        films = sorted(path for path in patient.rglob("*") if path.is_file())
        if len(films) >= VISITS:
            return films[:VISITS]
    raise SystemExit("no simulated patient has as many visits")


@contextmanager
def running(*command: object) -> Iterator[subprocess.Popen[str]]:
    """A verb of the command line that runs beside this one."""
    arguments = [sys.executable, "-m", "intervalchange", *map(str, command)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def answer_of_command_line(films: list[Path]) -> dict[str, object]:
    """What `answer` says of the last two visits."""
    command = ["answer", "demo", "--prior", films[-2], "--current", films[-1], "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "intervalchange", *map(str, command)], capture_output=True, text=True, check=True
    )
    plain: dict[str, object] = json.loads(done.stdout)
    return plain


def main() -> int:
    """0 where the answer came back as it should."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--once", action="store_true", help="end when the answer is there")
    once = options.parse_args().once
    with tempfile.TemporaryDirectory() as temporary, Orthanc(Path(temporary, "archive")) as archive:
        films = visits(Path(temporary, "cohort"))
        state = Path(temporary, "state")
        print(f"Orthanc is up: {archive.page}")
        for film in films[:-1]:
            archive.add(film.read_bytes())
        print(f"{VISITS - 1} visits of a simulated patient are stored")
        watching = ("--days", 0, "--every", 1, "--settle", 2, "--state", state)
        with running("watch", "demo", "--archive", archive.web, *watching) as watcher:
            _wait_for(watcher, "watching")
            time.sleep(2)  # It looks at what is there before anything new comes.
            right = _new_visit(archive, films)
            if not once:
                _stay(archive)
    return 0 if right else 1


def _wait_for(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return
    raise SystemExit("the watcher ended")


def _new_visit(archive: Orthanc, films: list[Path]) -> bool:
    """Whether the answer to the last visit is there in time, and the right one."""
    prior, current = (pydicom.dcmread(film, stop_before_pixels=True) for film in films[-2:])
    uids = result_uids(str(current.SOPInstanceUID), str(prior.SOPInstanceUID), ic.load("demo").identity)
    begun = time.monotonic()
    archive.add(films[-1].read_bytes())
    print(f"visit {VISITS} is stored ...")
    client, study = open_archive(archive.web), str(current.StudyInstanceUID)
    while not (client.holds(study, uids.report) and client.holds(study, uids.capture)):
        if time.monotonic() - begun > SECONDS:
            print(f"no answer after {SECONDS} seconds")
            return False
        time.sleep(0.2)
    print(f"the answer is in its study after {time.monotonic() - begun:.1f} seconds, as a report and as a picture")
    file = _fetched(archive, study, uids.report, archive.folder / "report.dcm")
    report, expected = whole_report(file), answer_of_command_line(films)
    print(f"the command line answers: {expected['answer']}")
    same = report.answer == expected["answer"]
    if not report.unsure:
        same = same and ic.read_report(file).as_json() == expected["change"]
    print("the report says the same" if same else f"the report says: {report.answer}")
    return _show(file) and same


def _show(report: Path) -> bool:
    """Print the report as others read it; whether they find it to be valid, where they are installed."""
    if shutil.which("dsrdump"):
        print(subprocess.run(["dsrdump", str(report)], capture_output=True, text=True, check=True).stdout)
    if not shutil.which("dciodvfy"):
        return True
    said = subprocess.run(["dciodvfy", str(report)], capture_output=True, text=True, check=False)
    errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
    print("\n".join(["dciodvfy finds no error" if not errors else "dciodvfy:", *errors]))
    return not errors


def _fetched(archive: Orthanc, study: str, instance: str, path: Path) -> Path:
    from dicomweb_client.web import DICOMwebClient

    client = DICOMwebClient(archive.web)
    (found,) = client.search_for_instances(study, search_filters={"SOPInstanceUID": instance})
    series = str(pydicom.Dataset.from_json(found).SeriesInstanceUID)
    client.retrieve_instance(study, series, instance).save_as(path, enforce_file_format=True)
    return path


def _stay(archive: Orthanc) -> None:
    with running("serve", "demo", "--archive", archive.web):
        print(f"\n{archive.page}\nhttp://127.0.0.1:7860/   (ctrl-c ends all of it)\n{RESEARCH_USE}")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    sys.exit(main())
