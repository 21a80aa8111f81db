"""What asking adds to an endpoint that takes one second: films encoded, requests, retries, the journal.

    python benchmarks/endpoint_overhead.py

A server in a process of its own speaks OpenAI's chat completions and answers after exactly `--seconds`. Each question
is about two other films, the bundled ones shifted, which are in memory before the clock starts. The overhead is what a
run takes longer than a bare client that posts the same requests, made beforehand, as many at once; a busy machine
delays both. Neither can pass the floor.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

import intervalchange
from intervalchange.foreign_models import film_png
from intervalchange.foreign_models.addresses import Address
from intervalchange.foreign_models.chat import ChatModel
from intervalchange.foreign_models.kept_answers import KeptAnswers
from intervalchange.foreign_models.prompts import common_prompt
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
    paths = sorted((Path(intervalchange.__file__).parent / "samples").glob("*.jpg"))
    films = [np.asarray(Image.open(path).convert("L").resize((pixels, pixels))) for path in paths]
    for number in range(count):
        prior, current = (np.roll(films[(number + side) % len(films)], number, axis=1) for side in (0, 1))
        yield number, FilmQuestion(prior, current, "what has changed compared to the reference image?")


def post(url: str, body: bytes) -> bytes:
    """As little as a client can do."""
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"})) as reply:
        content: bytes = reply.read()
    return content


def main() -> None:
    """Print the figures."""
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
    model = ChatModel(address, common_prompt("prose"), ForeignOptions(concurrency=chosen.concurrency))
    count = chosen.concurrency * chosen.rounds
    asked = list(questions(count, chosen.pixels))
    bodies = [model._body(question) for _, question in asked]
    start = time.monotonic()
    with ThreadPoolExecutor(chosen.concurrency) as pool:
        list(pool.map(lambda body: post(f"{address}/chat/completions", body), bodies))
    bare, start, busy = time.monotonic() - start, time.monotonic(), time.process_time()
    film_png._encoded.cache_clear()  # What encoded the bodies of the bare client is not to help.
    with tempfile.TemporaryDirectory() as folder:
        replies = dict(replies_once(model, "any", asked, KeptAnswers(Path(folder) / "answers.jsonl")))
    ours, busy = time.monotonic() - start, time.process_time() - busy
    server.terminate()
    assert len(replies) == count
    print(f"{count} answers, {chosen.concurrency} at once: {ours:.2f} s, a bare client {bare:.2f} s, ", end="")
    print(f"floor {chosen.rounds * chosen.seconds:.2f} s")
    print(f"overhead {100 * (ours / bare - 1):.1f}%; {1000 * busy / count:.0f} ms of processor a question")


if __name__ == "__main__":
    main()
