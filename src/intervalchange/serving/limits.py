"""What one request may cost."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Of a server; all of them are refusals with a sentence, never a film read in part."""

    upload_bytes: int = 128 * MIB
    """Of a request: both films, the question and what is around them."""
    upload_seconds: float = 60.0
    """Until the last byte of a request is there."""
    decode_seconds: float = 20.0
    """For both films of a pair."""
    decode_bytes: int = 4096 * MIB
    """Memory of the process that reads films."""
    display_pixels: int = 2048
    """Longest side of a film that is shown."""
    waiting: int = 32
    """Questions that wait or are being answered; one more is told to come back (429)."""
    deadline: float = 60.0
    """Seconds from the films being read to the answer."""
    batch: int = 8
    """Questions that are answered together."""
    cases: int = 16
    """Pairs of one batch request."""
    readers: int = 2
    """Processes that read films."""
    recent_bytes: int = 32 * MIB
    """Squares of films that were read lately, kept in memory so that showing, asking and registering decode once."""
    recent_seconds: float = 600.0
    """Until a square that nobody sends again is forgotten."""
