"""An answer about two films of an archive -> what is filed of it, in the current study, each in a series of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
from pydicom.dataset import Dataset

from intervalchange.archive.encapsulated_pdf import encapsulated_pdf
from intervalchange.archive.filing import Filing, ResultUids, cited, result_uids
from intervalchange.archive.secondary_capture import drawn, secondary_capture
from intervalchange.archive.structured_report import structured_report
from intervalchange.data.dicom import silenced
from intervalchange.data.png_jpeg import JPEG, PNG
from intervalchange.errors import InputError

if TYPE_CHECKING:
    from intervalchange.inference import Answered

__all__ = ["ResultUids", "film_header", "result_uids", "results_of"]


def results_of(
    answered: Answered,
    current: Dataset,
    prior: Dataset | None,
    *,
    model: str,
    why: str = "",
    pdf: bool = False,
    abstain_at: float | None = None,
) -> list[Dataset]:
    """The structured report, the secondary capture and, if asked for, the PDF of an answer, ready to be stored.

    current, prior: the headers of the two films; pixels are not looked at. model: the name of the run, a part of the
    UIDs (`result_uids`). why: the sentence that says why this prior was chosen. abstain_at: the run's threshold.
    Raises InputError for a film that cannot be cited (no UIDs), and for an answer about a pair without both headers.
    """
    if (answered.prior is None) != (prior is None):
        raise InputError("an answer about a pair of films cites both.", remedy="Give the header of either film.")
    filing = Filing(
        header=current,
        current=cited(current, "current"),
        prior=None if prior is None else cited(prior, "prior"),
        model=model,
        question=answered.prediction.question,
        why=why,
        abstain_at=abstain_at,
    )
    picture = drawn(answered, filing)
    pages = [encapsulated_pdf(picture, filing)] if pdf else []
    return [structured_report(answered, filing), secondary_capture(picture, filing), *pages]


def film_header(path: Path) -> Dataset:
    """The header of a film that an answer is filed for. Raises InputError for a PNG or JPEG, which has none."""
    try:
        with path.open("rb") as file:
            if file.read(8).startswith((PNG, JPEG)):
                raise InputError(
                    "a PNG or JPEG names no study in which an answer could be filed.",
                    where=path,
                    remedy="Give the DICOM file of the film, or leave --dicom out.",
                )
        with silenced():
            return pydicom.dcmread(path, stop_before_pixels=True, force=True)
    except InputError:
        raise
    except OSError as problem:
        raise InputError(f"it cannot be read ({problem.strerror}).", where=path, remedy="Check the path.") from None
    except Exception as problem:  # a foreign parser fails in every way there is; its message may quote the header
        raise InputError(
            f"its header cannot be read ({type(problem).__name__}).", where=path, remedy="Export the film again."
        ) from None
