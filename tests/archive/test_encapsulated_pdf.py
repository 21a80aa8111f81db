"""The picture as a PDF."""

from __future__ import annotations

from filed import filing
from PIL import Image
from pydicom.uid import EncapsulatedPDFStorage

from intervalchange.archive.encapsulated_pdf import encapsulated_pdf


def test_a_page_in_the_study_of_the_film() -> None:
    filed = filing()
    document = encapsulated_pdf(Image.new("RGB", (64, 48), "white"), filed)
    assert document.SOPClassUID == EncapsulatedPDFStorage
    assert (document.StudyInstanceUID, document.PatientID) == (filed.current.StudyInstanceUID, "P1")
    data = document.EncapsulatedDocument
    assert data.startswith(b"%PDF-") and len(data) % 2 == 0
    page = data[: document.EncapsulatedDocumentLength]
    assert page.rstrip().endswith(b"%%EOF") and page.count(b"/Type /Page\n") <= 1 and b"/DCTDecode" in page
    assert (document.MIMETypeOfEncapsulatedDocument, document.BurnedInAnnotation) == ("application/pdf", "YES")
