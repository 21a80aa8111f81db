"""From the address of an archive to the archive."""

from __future__ import annotations

import os
import urllib.parse

from intervalchange.archive.dimse import DimseArchive
from intervalchange.archive.interface import Archive
from intervalchange.archive.web import WebArchive
from intervalchange.errors import ConfigError

USER = "INTERVALCHANGE_ARCHIVE_USER"
OUR_TITLE = "INTERVALCHANGE"
FORMS = "Write http://HOST:PORT/dicom-web, or dicom://TITLE@HOST:PORT."


def open_archive(address: str, title: str = OUR_TITLE) -> Archive:
    """The archive at an address: `http(s)://...` is DICOMweb, `dicom://TITLE@HOST:PORT` is DIMSE.

    title: our own application entity title. The name and password of DICOMweb are in the environment variable USER, as
    name:password. Raises ConfigError for another form.
    """
    try:
        parts = urllib.parse.urlsplit(address)
        port = parts.port
    except ValueError as problem:
        raise ConfigError(f"{problem}.", where=address, remedy=FORMS) from None
    if parts.scheme in ("http", "https") and parts.hostname:
        if "@" in parts.netloc:  # The address is printed, so it is not repeated here.
            raise ConfigError("the address of an archive holds no password.", remedy=f"Put name:password into {USER}.")
        return WebArchive(address, os.environ.get(USER, ""))
    if parts.scheme == "dicom" and parts.hostname and parts.username and port:
        return DimseArchive(parts.username, parts.hostname, port, title)
    raise ConfigError("this is no address of an archive.", where=address, remedy=FORMS)
