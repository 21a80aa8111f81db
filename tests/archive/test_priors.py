"""The right prior, or a refusal that says why."""

from __future__ import annotations

import copy

import pytest
from patients import DECOYS, SimulatedCase, simulated_case

from intervalchange.archive.films import ArchivedFilm, frontal_film
from intervalchange.archive.priors import ChosenPrior, choose_prior
from intervalchange.errors import InputError

REFUSED = ("there is no prior: films ", "there is no other study of the patient")


def chosen(case: SimulatedCase) -> str:
    """UID of the prior, empty for a refusal with its reason."""
    try:
        return choose_prior(case.current, case.studies).film.instance
    except InputError as refusal:
        return "" if refusal.what.startswith(REFUSED) else refusal.what


@pytest.mark.parametrize("patients", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_patients_with_decoys(patients: int) -> None:
    cases = [simulated_case(number) for number in range(patients)]
    wrong = [
        number
        for number, case in enumerate(cases)
        if chosen(case) != ("" if case.right is None else case.right.instance)
    ]
    assert not wrong
    refused = sum(case.right is None for case in cases)
    decoys = sum(len(films) for case in cases for films in case.studies) - patients
    assert 0.1 < refused / patients < 0.4 and decoys > 2 * patients  # The cases are what they are meant to be.


def pair(**elements: object) -> tuple[ArchivedFilm, ArchivedFilm]:
    """The current film of a case, and an earlier one with these elements in place of its own."""
    case = next(case for case in map(simulated_case, range(100)) if case.right is not None)
    assert case.right is not None
    header = copy.deepcopy(case.right.header)
    for name, value in elements.items():
        setattr(header, name, value)
    return case.current, ArchivedFilm(header)


def asked(current: ArchivedFilm, *films: ArchivedFilm, **rules: bool) -> ChosenPrior:
    return choose_prior(current, [[film] for film in films], **rules)


@pytest.mark.parametrize(
    ("elements", "why"),
    [
        ({"ViewPosition": "LL"}, "that are lateral"),
        ({"BodyPartExamined": "HAND"}, "of another part of the body"),
        ({"StudyDate": ""}, "without a date"),
        ({"StudyDate": "20310520", "StudyTime": "080000"}, "of the same day"),
        ({"StudyDate": "20320101"}, "that are later"),
        ({"IssuerOfPatientID": "OTHER"}, "whose PatientID has another issuer"),
        ({"IssuerOfPatientID": "", "PatientBirthDate": ""}, "whose PatientID may have another issuer"),
        ({"PatientBirthDate": "19710101"}, "of another sex or date of birth"),
        ({"PatientID": "P*"}, "of another PatientID"),
        ({"NumberOfFrames": 3}, "of several frames"),
        ({"Modality": "MG"}, "of another modality"),
    ],
)
def test_a_refusal_says_why(elements: dict[str, object], why: str) -> None:
    with pytest.raises(InputError, match=rf"^there is no prior: films {why} \(1\)\.$"):
        asked(*pair(**elements))


def test_an_issuer_that_one_film_does_not_name_is_made_up_for_by_the_date_of_birth() -> None:
    assert asked(*pair(IssuerOfPatientID="")).days > 0


def test_a_repeat_of_the_same_day_is_a_prior_where_that_is_wanted() -> None:
    current, earlier = pair(StudyDate="20310520", StudyTime="080000")
    found = asked(current, earlier, same_day=True)
    assert found.days == 0 and "of the same day" in found.reason
    _, later = pair(StudyDate="20310520", StudyTime="230000")
    with pytest.raises(InputError, match="that are later"):
        asked(current, later, same_day=True)


def test_the_same_view_goes_before_a_nearer_one() -> None:
    current, far = pair(StudyDate="20200101")
    far.header.ViewPosition = current.view
    other = "AP" if current.view == "PA" else "PA"
    _, near = pair(StudyDate="20310519", ViewPosition=other, StudyInstanceUID="1.2.3.4", SOPInstanceUID="1.2.3.4.5")
    assert asked(current, near, far).film is far
    alone = asked(current, near)
    assert alone.reason == f"the nearest earlier {other} film (there is no earlier {current.view} film), 1 day before."


def test_what_is_not_said_is_refused_unless_it_is_to_be_taken() -> None:
    current, earlier = pair(BodyPartExamined="", ViewPosition="", StudyDescription="")
    with pytest.raises(InputError, match="do not say that they are frontal and of the chest"):
        asked(current, earlier)
    assert asked(current, earlier, take_unsaid=True).film is earlier


def test_a_film_without_patient_or_date_has_no_prior() -> None:
    for name, why in (("PatientID", "no PatientID"), ("StudyDate", "no date")):
        current, earlier = pair()
        header = copy.deepcopy(current.header)
        setattr(header, name, "")
        with pytest.raises(InputError, match=why):
            asked(ArchivedFilm(header), earlier)


def test_no_more_studies_are_read_than_are_needed() -> None:
    current, earlier = pair()
    earlier.header.ViewPosition = current.view

    def studies() -> object:
        yield [earlier]
        raise AssertionError("a study was read for nothing")

    assert choose_prior(current, studies()).film is earlier  # type: ignore[arg-type]


def test_the_film_of_a_study_is_the_frontal_one_and_nothing_else() -> None:
    current, lateral = pair(ViewPosition="LL")
    assert frontal_film([lateral, current]) is current
    with pytest.raises(InputError, match=r"^the study has no frontal chest film: films that are lateral \(1\)\.$"):
        frontal_film([lateral])


def test_what_a_log_may_show_names_nobody() -> None:
    current, earlier = pair()
    assert current.patient not in repr(current)
    assert current.patient not in asked(current, earlier).reason
    assert len(DECOYS) == 11
