"""The server under load, and under uploads that are meant to break it.

    python benchmarks/serving.py demo --seconds 120 --hostile 2000

Starts `intervalchange serve` on this machine. 1, 4 and 16 clients ask about a bundled pair for --seconds each: answers
a second, seconds an answer (50, 95, 99%), memory, and answers that were not those of a single client; beside them the
model's own time for the pair, in a process of its own. Then --hostile requests: films cut short or with bytes changed,
noise, headers that claim too much, names with paths, questions that are no text, JSON that is deep, long or none: how
each ended, whether the server still runs, files left in the temporary folder, replies that hold anything of a header.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from harness.command import Command, write_result

import intervalchange as ic

SAMPLES = Path(ic.__file__).parent / "samples"
PAIR = {"prior": "han-19abe1f3.jpg", "current": "han-24035bda.jpg"}
PORT = 7869
SECRET = b"SECRET"
"""In every header that is sent."""
NAMES = ("a.png", "../../etc/passwd", "C:\\x", "a" * 300, "%2e%2e%2f")
BOUNDARY = "----intervalchange"


def form(fields: list[tuple[str, str, bytes]]) -> tuple[bytes, dict[str, str]]:
    """(name, file name or "", bytes) -> body and headers of a multipart request."""
    parts = []
    for name, file, data in fields:
        of_file = f'; filename="{file}"' if file else ""
        parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{of_file}\r\n\r\n'.encode() + data)
    body = b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
    return body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def asked(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body of a reply."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@contextmanager
def served(run: str) -> Iterator[int]:
    """A server; its process id."""
    command = [sys.executable, "-m", "intervalchange", "serve", run, "--port", str(PORT)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                try:
                    if asked("GET", "/ready")[0] == 200:
                        break
                except OSError:
                    if process.poll() is not None:
                        raise SystemExit("the server did not start.") from None
                    time.sleep(0.2)
            yield process.pid
        finally:
            process.terminate()


def films() -> list[bytes]:
    """A PNG-like, a JPEG and a DICOM film to start from; the header of the last holds SECRET."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    jpeg = (SAMPLES / PAIR["prior"]).read_bytes()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    grey = np.linspace(0, 4095, 256 * 256).reshape(256, 256).astype(np.uint16)
    data = FileDataset("film", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.PatientName = data.PatientID = SECRET.decode()
    data.Modality, data.BodyPartExamined, data.ViewPosition = "CR", "CHEST", "PA"
    data.Rows, data.Columns, data.SamplesPerPixel = 256, 256, 1
    data.PhotometricInterpretation, data.PixelRepresentation = "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelData = grey.tobytes()
    with tempfile.TemporaryFile() as file:
        data.save_as(file, enforce_file_format=True)
        file.seek(0)
        return [jpeg, file.read()]


def damaged(source: random.Random, whole: list[bytes]) -> bytes:
    """A film that is none, or not quite."""
    data = bytearray(source.choice(whole))
    kind = source.randrange(5)
    if kind == 0:
        return bytes(data[: source.randrange(1, len(data))])
    if kind == 1:
        for _ in range(source.randrange(1, 40)):
            data[source.randrange(len(data))] = source.randrange(256)
    elif kind == 2:
        return source.randbytes(source.randrange(1, 5000))
    elif kind == 3:  # A PNG whose header claims up to four thousand million pixels.
        sides = source.choice((1, 9000, 65000)).to_bytes(4, "big") + source.choice((1, 60000)).to_bytes(4, "big")
        return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + sides + b"\x08\0\0\0\0" + source.randbytes(60)
    else:
        data = data[:200] + source.choice(whole) + b"PK\x03\x04"
    return bytes(data)


def hostile(count: int) -> dict[str, Any]:
    """Requests that are meant to break the server."""
    source, whole = random.Random(0), films()
    left = set(Path(tempfile.gettempdir()).iterdir())
    statuses: Counter[str] = Counter()
    leaks = 0
    for _ in range(count):
        kind = source.randrange(10)
        path = source.choice(("/v1/answer", "/v1/answer", "/v1/film"))
        if kind < 8:
            question = source.choice((b"what has changed?", b"\xff\xfe", b"x" * 5000, b"is there edema?"))
            sides = [(side, source.choice(NAMES), damaged(source, whole)) for side in ("prior", "current", "film")]
            body, headers = form([*sides, ("question", "", question)])
        else:
            path, headers = source.choice(("/v1/answers", "/v1/chat/completions")), {"Content-Type": "application/json"}
            film = base64.b64encode(damaged(source, whole)).decode()
            cases = json.dumps({"cases": [{"current": film, "prior": film}] * source.randrange(1, 20)}).encode()
            body = source.choice((cases, b"[" * 100_000, b'{"messages":' + b"[{}]" * 1000, source.randbytes(1000)))
        try:
            status, reply = asked("POST", path, body, headers)
            statuses[str(status)] += 1
            leaks += SECRET in reply
        except (OSError, http.client.HTTPException) as problem:
            statuses[type(problem).__name__] += 1
    files = len(set(Path(tempfile.gettempdir()).iterdir()) - left)
    runs = asked("GET", "/ready")[0] == 200
    return {"requests": count, "ended": dict(sorted(statuses.items())), "leaks": leaks, "files": files, "runs": runs}


@dataclass
class Client(threading.Thread):
    """Asks about the pair until a moment."""

    until: float
    body: bytes
    headers: dict[str, str]
    seconds: list[float] = field(default_factory=list)
    replies: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
        while time.monotonic() < self.until:
            begun = time.monotonic()
            connection.request("POST", "/v1/answer", self.body, self.headers)
            response = connection.getresponse()
            plain = json.loads(response.read())
            self.seconds.append(time.monotonic() - begun)
            self.replies.append((response.status, str(plain.get("confidence"))))
        connection.close()


def memory(process: int) -> float:
    """MiB that a process holds."""
    line = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def load(clients: int, seconds: float, process: int) -> dict[str, Any]:
    """So many clients at once."""
    body, headers = form([(side, name, (SAMPLES / name).read_bytes()) for side, name in PAIR.items()])
    alone = json.loads(asked("POST", "/v1/answer", body, headers)[1])["confidence"]
    before = memory(process)
    threads = [Client(time.monotonic() + seconds, body, headers) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = [value for thread in threads for value in thread.seconds]
    replies = [reply for thread in threads for reply in thread.replies]
    answered = [confidence for status, confidence in replies if status == 200]
    p50, p95, p99 = np.percentile(took, [50, 95, 99]).round(3).tolist()
    return {
        "clients": clients,
        "statuses": dict(Counter(str(status) for status, _ in replies)),
        "other answers": sum(confidence != str(alone) for confidence in answered),
        "answers a second": round(len(answered) / seconds, 2),
        "p50": p50, "p95": p95, "p99": p99,
        "MiB": [before, memory(process)],
    }  # fmt: skip


def own_seconds(run: str, times: int = 20) -> float:
    """The model's own time for the pair, files in, answer out: the median."""
    model = ic.load(run)
    prior, current = SAMPLES / PAIR["prior"], SAMPLES / PAIR["current"]
    took = []
    for _ in range(times):
        begun = time.monotonic()
        model.answer(prior, current)
        took.append(time.monotonic() - begun)
    return round(float(np.median(took)), 3)


def main() -> None:
    options = Command(__doc__)
    options.add_argument("run")
    options.add_argument("--seconds", type=float, default=120.0)
    options.add_argument("--hostile", type=int, default=2000)
    options.result("--out", "serving.json")
    chosen = options.parse_args()
    found: dict[str, Any] = {"seconds an answer without the server": own_seconds(chosen.run)}
    begun = time.monotonic()
    with served(chosen.run) as process:
        found["seconds until ready"] = round(time.monotonic() - begun, 1)
        found["load"] = [load(clients, chosen.seconds, process) for clients in (1, 4, 16)]
        found["hostile"] = hostile(chosen.hostile)
    write_result(chosen.out, found)


if __name__ == "__main__":
    main()
