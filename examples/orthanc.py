"""A real DICOM archive to try things on: Orthanc with its DICOMweb plug-in, on this machine alone, in a folder.

Debian: apt install orthanc orthanc-dicomweb. Not for patients: nobody has to log in.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from intervalchange.errors import RunError

TITLE = "ORTHANC"
PLUGIN = "libOrthancDicomWeb.so"
PLACES = ("/usr/share/orthanc/plugins", "/usr/lib/orthanc", "/usr/local/share/orthanc/plugins")
SECONDS = 30
"""Until it answers."""


def orthanc_program() -> tuple[str, Path] | None:
    """The program and its DICOMweb plug-in; None where one of them is not installed."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    plugin = next((path for place in PLACES if (path := Path(place, PLUGIN)).exists()), None)
    return (program, plugin) if program and plugin else None


class Orthanc:
    """A context manager: it runs inside the block. What it keeps stays in the folder."""

    def __init__(self, folder: Path) -> None:
        found = orthanc_program()
        if found is None:
            raise RunError("there is no Orthanc with DICOMweb.", remedy="Debian: apt install orthanc orthanc-dicomweb.")
        self._program, plugin = found
        self.folder = folder
        self.web_port, self.dicom_port = _free_port(), _free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._settings = folder / "orthanc.json"
        settings = {
            "Name": "intervalchange", "StorageDirectory": str(folder / "films"),
            "IndexDirectory": str(folder / "index"),
            "HttpPort": self.web_port, "DicomPort": self.dicom_port, "DicomAet": TITLE, "Plugins": [str(plugin)],
            "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "DicomCheckCalledAet": True,
            "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowStore": True,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }  # fmt: skip
        self._settings.write_text(json.dumps(settings, indent=1), encoding="utf-8")

    @property
    def page(self) -> str:
        """Orthanc's own page."""
        return f"http://127.0.0.1:{self.web_port}/app/explorer.html"

    @property
    def web(self) -> str:
        """Its address for DICOMweb."""
        return f"http://127.0.0.1:{self.web_port}/dicom-web"

    @property
    def dimse(self) -> str:
        """Its address for DIMSE."""
        return f"dicom://{TITLE}@127.0.0.1:{self.dicom_port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen([self._program, str(self._settings)], stdout=log, stderr=log)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}/system", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        self.kill()
        raise RunError("Orthanc does not start.", remedy=f"See {self.folder / 'log.txt'}.")

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def add(self, file: bytes) -> None:
        """Keep a DICOM file, as a scanner would send it."""
        url = f"http://127.0.0.1:{self.web_port}/instances"
        request = urllib.request.Request(url, file, {"Content-Type": "application/dicom"})
        with urllib.request.urlopen(request, timeout=30):
            pass

    def __enter__(self) -> Orthanc:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
