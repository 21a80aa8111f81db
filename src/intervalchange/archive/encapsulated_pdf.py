"""The picture of an answer as a PDF of one page, in DICOM (Encapsulated PDF Storage, PS3.3 A.45)."""

from __future__ import annotations

import io

from highdicom.base import SOPClass
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from intervalchange import __version__
from intervalchange.archive.filing import CHARACTERS, DEVICE, Filing, derived_uid
from intervalchange.archive.structured_report import LONGEST_LABEL
from intervalchange.data.dicom import silenced
from intervalchange.policy import RESEARCH_USE

SERIES_NUMBER = 9103
DOTS_PER_INCH = 150
QUALITY = 92


def encapsulated_pdf(picture: Image.Image, filing: Filing) -> Dataset:
    """The picture on one page, in the current study."""
    page = io.BytesIO()
    picture.convert("RGB").save(page, "PDF", resolution=DOTS_PER_INCH, quality=QUALITY)
    film = filing.current
    with silenced():
        document = SOPClass(
            study_instance_uid=film.StudyInstanceUID,
            series_instance_uid=derived_uid(filing.uids.pdf, "series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=filing.uids.pdf,
            sop_class_uid=EncapsulatedPDFStorage,
            instance_number=1,
            modality="DOC",
            manufacturer=DEVICE,
            manufacturer_model_name=filing.model[:LONGEST_LABEL],
            software_versions=__version__,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            series_description=f"{DEVICE}: {RESEARCH_USE}",
            specific_character_set=CHARACTERS,
        )
        document.copy_patient_and_study_information(film)
    document.ConversionType = "WSD"
    document.AcquisitionDateTime = None
    document.BurnedInAnnotation = "YES"
    document.DocumentTitle = RESEARCH_USE
    document.ConceptNameCodeSequence = []
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    data = page.getvalue()
    document.EncapsulatedDocument = data + b"\0" * (len(data) % 2)
    document.EncapsulatedDocumentLength = len(data)
    return document
