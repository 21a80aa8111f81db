"""What asking adds to an endpoint that takes one second: films encoded, requests, retries, the journal.

    python benchmarks/endpoint_overhead.py

A server in a process of its own speaks OpenAI's chat completions and answers after exactly `--seconds`. Each question
is about two other films of noise, which compress least. Nothing can be faster than questions / concurrency times that;
the overhead is what the run takes longer, as a share of it. The first round, which waits for nobody, is not counted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from intervalchange.foreign_models.addresses import Address
from intervalchange.foreign_models.chat import ChatModel
from intervalchange.foreign_models.kept_answers import KeptAnswers
from intervalchange.foreign_models.prompts import prompt_of
from intervalchange.foreign_models.records import FilmQuestion, ForeignOptions
from intervalchange.foreign_models.replies import replies_once

ANSWER = json.dumps({"choices": [{"message": {"content": "Nothing has changed."}, "finish_reason": "stop"}]}).encode()


class _Patient(BaseHTTPRequestHandler):
    """Reads the request, then answers after the server's `seconds` since it came."""

    def do_POST(self) -> None:
        ready = time.monotonic() + self.server.seconds  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(max(0.0, ready - time.monotonic()))
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        """Silent."""


def serve(seconds: float, port: multiprocessing.Queue[int]) -> None:
    """The endpoint, until it is terminated."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Patient)
    server.seconds = seconds  # type: ignore[attr-defined]
    port.put(server.server_address[1])
    server.serve_forever()


def questions(count: int, pixels: int) -> Iterator[tuple[int, FilmQuestion]]:
    """Each about two films that no other question has."""
    rng = np.random.default_rng(0)
    for number in range(count):
        prior, current = rng.integers(0, 256, (2, pixels, pixels), dtype=np.uint8)
        yield number, (prior, current, "what has changed compared to the reference image?")


def main() -> None:
    """Print the figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=1.0, help="of one answer")
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--concurrency", type=int, default=8)
    options.add_argument("--pixels", type=int, default=512)
    chosen = options.parse_args()
    ports: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(chosen.seconds, ports), daemon=True)
    server.start()
    address = Address.of(f"openai:http://127.0.0.1:{ports.get()}/v1#any")
    model = ChatModel(address, prompt_of("prose", None), ForeignOptions(concurrency=chosen.concurrency))
    count = chosen.concurrency * (chosen.rounds + 1)
    arrived = []
    with tempfile.TemporaryDirectory() as folder:
        keep = KeptAnswers(Path(folder) / "answers.jsonl")
        for _ in replies_once(model, "any", questions(count, chosen.pixels), keep):
            arrived.append(time.monotonic())
    server.terminate()
    took, least = arrived[-1] - arrived[chosen.concurrency - 1], chosen.rounds * chosen.seconds
    print(f"{count - chosen.concurrency} answers, {chosen.concurrency} at once: {took:.2f} s, at least {least:.2f} s")
    print(f"overhead {100 * (took / least - 1):.1f}%")


if __name__ == "__main__":
    main()
