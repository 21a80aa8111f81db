"""An answer as a DICOM Comprehensive SR by TID 1500, Measurement Report (PS3.16).

One measurement group for each finding of the change, with its code, site, change, levels, probability and, where the
model gives a map, the region of the current film; what is said of the whole (question, answer, warnings) is in the
qualitative evaluations. An answer that was abstained from, and one of no change, have no group. Which code is where is
in docs/structured-report.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from intervalchange import __version__
from intervalchange.archive import codes
from intervalchange.archive.filing import CHARACTERS, DEVICE, Filing, derived_uid
from intervalchange.data.dicom import silenced
from intervalchange.data.dicom_grey import upright
from intervalchange.data.dicom_selection import view_of
from intervalchange.errors import InputError
from intervalchange.evaluation.metrics.calibration import ABSTAINED
from intervalchange.findings import RANKED_LEVELS
from intervalchange.inference import shown_answer
from intervalchange.policy import RESEARCH_USE

if TYPE_CHECKING:
    from intervalchange.data.films import Geometry
    from intervalchange.inference import Answered
    from intervalchange.records import Box, Prediction

SERIES_NUMBER = 9101
STRONG = 0.5
"""Share of a map's own peak from which a place counts to the region."""
LONGEST_LABEL = 64
Item = tuple[str, ...]
"""(added, finding), (missing, finding) or (level, finding, prior, current), as in `Change.items`."""


def structured_report(answered: Answered, filing: Filing) -> Dataset:
    """The report, with everything of the answer that can be read back (`read_report`).

    Raises InputError where the change has a finding or level that has no code.
    """
    with silenced():  # highdicom warns of patients' names that lack a comma
        return sr.ComprehensiveSR(
            evidence=filing.films,
            content=_content(answered, filing),
            series_instance_uid=derived_uid(filing.uids.report, "series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=filing.uids.report,
            instance_number=1,
            manufacturer=DEVICE,
            manufacturer_model_name=filing.model[:LONGEST_LABEL],
            software_versions=__version__,
            series_description=f"{DEVICE}: {RESEARCH_USE}",
            is_complete=True,
            specific_character_set=CHARACTERS,
            coding_schemes=[
                CodingSchemeIdentificationItem(
                    codes.SCHEME, codes.SCHEME_NAME, __version__, uid=codes.SCHEME_UID, responsible_organization=DEVICE
                )
            ],
        )


# --- the tree ------------------------------------------------------------------------------------------------------


def _content(answered: Answered, filing: Filing) -> Dataset:
    """As `sr.MeasurementReport`, which knows neither a report without measurements nor qualitative evaluations."""
    root = sr.ContainerContentItem(name=codes.REPORT_TITLE, template_id="1500")
    root.ContentSequence = sr.ContentSequence(
        [
            *sr.LanguageOfContentItemAndDescendants(sr.CodedConcept.from_code(codes.LANGUAGE)),
            *_observation_context(filing),
            sr.CodeContentItem(
                name=codes.PROCEDURE_REPORTED,
                value=codes.CHEST_IMAGING,
                relationship_type=sr.RelationshipTypeValues.HAS_CONCEPT_MOD,
            ),
            _container(codes.IMAGE_LIBRARY, [_container(codes.IMAGE_LIBRARY_GROUP, _library(filing))]),
            *_measurements(answered, filing),
            _container(codes.EVALUATIONS, _evaluations(answered.prediction, filing)),
        ]
    )
    return root


def _observation_context(filing: Filing) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid(DEVICE, filing.model),
        name=DEVICE,
        manufacturer_name=DEVICE,
        model_name=filing.model,
        serial_number=__version__,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=dictionary.DCM.Device, observer_identifying_attributes=device
        )
    )


def _library(filing: Filing) -> list[sr.ContentItem]:
    """The films, each with its part in the comparison and its date."""
    items: list[sr.ContentItem] = []
    for film, role in zip(filing.films, (codes.CURRENT, codes.PRIOR), strict=False):
        image = sr.ImageContentItem(
            name=codes.SOURCE,
            referenced_sop_class_uid=film.SOPClassUID,
            referenced_sop_instance_uid=film.SOPInstanceUID,
            relationship_type=sr.RelationshipTypeValues.CONTAINS,
        )
        context = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
        image.ContentSequence = sr.ContentSequence([sr.CodeContentItem(codes.ROLE, role, context)])
        if film.StudyDate:
            image.ContentSequence.append(sr.DateContentItem(dictionary.DCM.StudyDate, film.StudyDate, context))
        items.append(image)
    return items


def _measurements(answered: Answered, filing: Filing) -> list[sr.ContentItem]:
    groups: list[Any] = []
    for item in change_items(answered.prediction):
        groups.extend(_group(item, answered, filing))
    return [_container(codes.IMAGING_MEASUREMENTS, groups)] if groups else []


def _evaluations(prediction: Prediction, filing: Filing) -> list[sr.ContentItem]:
    """What is said of the whole. The notice is last: a report without it was cut short."""
    unsure = ABSTAINED in prediction.warnings
    items = [_text(codes.QUESTION, prediction.question), _text(codes.ANSWER, shown_answer(prediction) or "(no answer)")]
    if unsure or prediction.change is not None:
        changed = codes.CHANGED if prediction.change else codes.NO_CHANGE
        items.append(_code(codes.DIFFERENCE, codes.UNSURE if unsure else changed))
    certainty = (prediction.confidence or {}).get("answer")
    if certainty is not None:
        items.append(
            sr.NumContentItem(
                codes.CERTAINTY_OF_ANSWER, _percent(certainty), codes.PERCENT, None, sr.RelationshipTypeValues.CONTAINS
            )
        )
    items += [_text(codes.WARNING, text) for text in prediction.warnings if text != ABSTAINED]
    items += [_text(codes.WHY, filing.why)] if filing.why else []
    return [*items, _text(codes.MODEL, filing.model), _text(codes.NOTICE, RESEARCH_USE)]


def _container(name: Code, items: list[sr.ContentItem]) -> sr.ContentItem:
    container = sr.ContainerContentItem(name=name, relationship_type=sr.RelationshipTypeValues.CONTAINS)
    container.ContentSequence = sr.ContentSequence(items)
    return container


def _text(name: Code, text: str) -> sr.ContentItem:
    return sr.TextContentItem(name, text, sr.RelationshipTypeValues.CONTAINS)


def _code(name: Code, value: Code) -> sr.ContentItem:
    return sr.CodeContentItem(name, value, sr.RelationshipTypeValues.CONTAINS)


def _percent(probability: float) -> float:
    return round(100 * float(probability), 4)


# --- one finding ---------------------------------------------------------------------------------------------------


def change_items(prediction: Prediction) -> list[Item]:
    """What the answer says of findings, in a fixed order; nothing where the model was not sure."""
    if prediction.change is None or ABSTAINED in prediction.warnings:
        return []
    return sorted(prediction.change.items)


def _group(item: Item, answered: Answered, filing: Filing) -> sr.ContentSequence:
    way, finding, *levels = item
    if finding not in codes.FINDINGS or not set(levels) <= codes.LEVELS.keys():
        raise InputError(
            f"there is no code for {' '.join(item)!r}, so that it cannot be filed.",
            remedy="Use a model that answers in the words of findings.py.",
        )
    coded, prediction = codes.FINDINGS[finding], answered.prediction
    probability = (prediction.confidence or {}).get(f"{way}:{finding}")
    about: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(derived_uid(filing.uids.report, *item), f"{way}: {finding}"),
        "finding_type": coded.code,
        "finding_sites": [sr.FindingSite(coded.site)],
        "algorithm_id": _algorithm(filing),
        "measurements": None
        if probability is None
        else [sr.Measurement(codes.CERTAINTY, _percent(probability), codes.PERCENT)],
        "qualitative_evaluations": [sr.QualitativeEvaluation(name, value) for name, value in _qualities(way, levels)],
    }
    film = (filing.current.SOPClassUID, filing.current.SOPInstanceUID)
    attribution = (prediction.evidence or {}).get(finding)
    box = region(attribution, answered.current.geometry) if attribution is not None else None
    corners = None if box is None else stored_corners(box, answered.current.geometry, filing.header)
    if corners is None:
        image = sr.SourceImageForMeasurementGroup(*film)
        return sr.MeasurementsAndQualitativeEvaluations(**about, source_images=[image])
    outline = sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, corners, sr.SourceImageForRegion(*film))
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(**about, referenced_region=outline)


def _algorithm(filing: Filing) -> sr.AlgorithmIdentification:
    threshold = [] if filing.abstain_at is None else [f"abstain at = {filing.abstain_at:g}"]
    return sr.AlgorithmIdentification(DEVICE, __version__, [f"model = {filing.model}", *threshold])


def _qualities(way: str, levels: list[str]) -> list[tuple[Code, Code]]:
    """The change in codes, and how the finding was on either film."""
    if way != "level":
        new = way == "added"
        return [
            (codes.DIFFERENCE, codes.NEW if new else codes.RESOLVED),
            (codes.PRIOR_PRESENCE, codes.ABSENT if new else codes.PRESENT),
            (codes.CURRENT_PRESENCE, codes.PRESENT if new else codes.ABSENT),
        ]
    prior, current = levels
    severities = ((codes.PRIOR_SEVERITY, prior), (codes.CURRENT_SEVERITY, current))
    return [
        (codes.DIFFERENCE, _course(prior, current)),
        (codes.PRIOR_PRESENCE, codes.PRESENT),
        (codes.CURRENT_PRESENCE, codes.PRESENT),
        *((name, codes.SEVERITIES[level]) for name, level in severities if level in codes.SEVERITIES),
        (codes.PRIOR_LEVEL, codes.LEVELS[prior]),
        (codes.CURRENT_LEVEL, codes.LEVELS[current]),
    ]


def _course(prior: str, current: str) -> Code:
    """Worse or better where both levels have a place on the scale of severity, and another one."""
    ranks = [RANKED_LEVELS.get(level) for level in (prior, current)]
    if None in ranks or ranks[0] == ranks[1]:
        return codes.OTHER_LEVEL
    return codes.WORSE if ranks[0] < ranks[1] else codes.BETTER  # type: ignore[operator]


# --- where ---------------------------------------------------------------------------------------------------------


def region(attribution: np.ndarray, geometry: Geometry) -> Box | None:
    """The box around the largest connected area of a map, (g, g) in the frame of the square, that is at least `STRONG`
    of its peak: in pixels of the film as it was read. None for a map without a peak, or one beside the film."""
    from scipy import ndimage

    cells = np.nan_to_num(np.asarray(attribution, float))
    if cells.ndim != 2 or cells.size == 0 or cells.max() <= 0:
        return None
    areas, _ = ndimage.label(cells >= STRONG * cells.max())
    largest = int(np.argmax(np.bincount(areas.ravel())[1:])) + 1
    rows, columns = ndimage.find_objects(areas)[largest - 1]
    side = max(geometry.height, geometry.width) * geometry.scale
    down, across = (side / cells.shape[axis] for axis in (0, 1))
    box = geometry.to_film((columns.start * across, rows.start * down, columns.stop * across, rows.stop * down))
    return box if box[2] > box[0] and box[3] > box[1] else None


def stored_corners(box: Box, geometry: Geometry, header: Dataset) -> np.ndarray | None:
    """(5, 2) column and row of the closed outline of a box, in the pixels that the file stores.

    A film is turned upright when it is read (`dicom_grey.upright`); here it is turned back. The origin is the top left
    corner of the top left pixel (PS3.3 C.18.6.1.2). None where the header says another size than the film has.
    """
    columns, rows = (header.get(name) for name in ("Columns", "Rows"))
    if not isinstance(columns, int) or not isinstance(rows, int):
        return None
    names = np.array([[0, 1], [2, 3]])  # the corners of the stored film
    turned = names if view_of(header) == "lateral" else upright(names, header)[0]
    transposed = turned[0, 1] - turned[0, 0] in (2, -2)
    if (geometry.width, geometry.height) != ((rows, columns) if transposed else (columns, rows)):
        return None
    x1, y1, x2, y2 = box
    outline = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]]) / (geometry.width, geometry.height)
    origin, right, down = (_corner(turned[place]) for place in ((0, 0), (0, 1), (1, 0)))
    corners: np.ndarray = (origin + outline[:, :1] * (right - origin) + outline[:, 1:] * (down - origin)) * (
        columns,
        rows,
    )
    return corners


def _corner(name: int) -> np.ndarray:
    """A corner of the stored film as fractions of its width and height."""
    return np.array([name % 2, name // 2], float)
