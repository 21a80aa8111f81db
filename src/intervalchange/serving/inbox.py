"""Films that are sent here by C-STORE: kept until their study is answered, so that a kill loses none."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
from pynetdicom import AE, evt
from pynetdicom import ALL_TRANSFER_SYNTAXES as ALL_SYNTAXES
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # Made when it is imported.

from intervalchange.archive.dimse import FILMS
from intervalchange.archive.films import ArchivedFilm
from intervalchange.atomic_files import write_durably
from intervalchange.data.dicom import silenced
from intervalchange.errors import ConfigError
from intervalchange.serving.limits import Limits

if TYPE_CHECKING:
    from pynetdicom.transport import ThreadedAssociationServer

TAKEN, REFUSED, TOO_LARGE = 0x0000, 0xC000, 0xA700
ASSOCIATIONS = 8
"""At once."""


class Inbox:
    """A folder of its owner alone, with a folder for each study. Names are hashes; what is in them is not renamed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder

    def add(self, study: str, instance: str, file: bytes) -> None:
        """Keep a film; it is on the disk when this returns."""
        place = self._place(study)
        place.mkdir(exist_ok=True)
        write_durably(place / f"{_name(instance)}.dcm", file)

    def take(self, file: bytes) -> ArchivedFilm | None:
        """Keep what was sent, under the UIDs that are in it; None for what is no DICOM object with UIDs."""
        try:
            with silenced():
                film = ArchivedFilm(pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True))
        except Exception:  # a foreign parser fails in every way there is
            return None
        if not (film.study and film.instance):
            return None
        self.add(film.study, film.instance, file)
        return film

    def studies(self) -> list[str]:
        """UIDs of the studies that films were sent of."""
        firsts = (next(iter(self._films(place)), None) for place in sorted(self.folder.iterdir()))
        return [film.study for film in firsts if film is not None]

    def films_of(self, study: str) -> list[ArchivedFilm]:
        """Its films, by their headers."""
        return list(self._films(self._place(study)))

    def fetch(self, film: ArchivedFilm) -> bytes:
        """The DICOM file of a film."""
        return (self._place(film.study) / f"{_name(film.instance)}.dcm").read_bytes()

    def drop(self, study: str) -> None:
        """Remove the films of a study."""
        shutil.rmtree(self._place(study), ignore_errors=True)

    def _place(self, study: str) -> Path:
        return self.folder / _name(study)

    @staticmethod
    def _films(place: Path) -> Iterator[ArchivedFilm]:
        for path in sorted(place.glob("*.dcm")):
            with silenced():
                yield ArchivedFilm(pydicom.dcmread(path, stop_before_pixels=True, force=True))


def _name(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:32]


def listen(inbox: Inbox, host: str, port: int, title: str, senders: list[str], limits: Limits) -> Any:
    """Take films by C-STORE; returns the server, which `shutdown()` ends.

    senders: the application entity titles that may send; empty for any. Raises ConfigError for an address that cannot
    be had.
    """

    def store(event: evt.Event) -> int:
        file = event.encoded_dataset()
        if len(file) > limits.upload_bytes:
            return TOO_LARGE
        # By the bytes that are kept: what the sender says beside them may be of another film.
        return REFUSED if inbox.take(file) is None else TAKEN

    entity = AE(ae_title=title)
    entity.maximum_associations = ASSOCIATIONS
    entity.require_called_aet = True
    entity.require_calling_aet = senders
    entity.add_supported_context(Verification)
    for film in FILMS:
        entity.add_supported_context(film, ALL_SYNTAXES)
    try:
        server: ThreadedAssociationServer | None = entity.start_server(
            (host, port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
        )
    except OSError as problem:
        raise ConfigError(f"{host}:{port} cannot be had: {problem.strerror}.", remedy="Choose another port.") from None
    return server
