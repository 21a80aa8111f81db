"""The picture that any viewer shows."""

from __future__ import annotations

import numpy as np
from filed import answered, filing, header

from intervalchange.archive.secondary_capture import BACKGROUND, MARGIN, WIDTH, drawn, secondary_capture
from intervalchange.policy import RESEARCH_USE

EVIDENCE = {"change": np.eye(8, dtype=np.float32), "edema": np.eye(8, dtype=np.float32)}


def test_it_is_a_capture_with_words_burned_in() -> None:
    filed = filing()
    picture = drawn(answered(evidence=EVIDENCE), filed)
    capture = secondary_capture(picture, filed)
    assert np.array_equal(capture.pixel_array, np.asarray(picture))
    assert (capture.BurnedInAnnotation, capture.PhotometricInterpretation, capture.Columns) == ("YES", "RGB", WIDTH)
    assert RESEARCH_USE in capture.SeriesDescription
    cited = [item.ReferencedSOPInstanceUID for item in capture.SourceImageSequence]
    assert cited == [filed.current.SOPInstanceUID, filed.prior.SOPInstanceUID]


def test_nothing_of_the_patient_is_drawn() -> None:
    first = drawn(answered(), filing())
    named = header(patient_id="P1", elements={"PatientName": "Somebody^Else", "PatientBirthDate": "19500101"})
    assert np.array_equal(np.asarray(first), np.asarray(drawn(answered(), filing(named))))


def test_the_map_is_on_a_third_film_in_colour() -> None:
    def coloured(picture: np.ndarray) -> np.ndarray:
        return picture[60:400].max(-1).astype(int) - picture[60:400].min(-1) > 60

    plain = np.asarray(drawn(answered(evidence=None), filing()))
    shown = np.asarray(drawn(answered(evidence=EVIDENCE), filing()))
    assert not coloured(plain).any()
    assert coloured(shown)[:, 2 * WIDTH // 3 :].any() and not coloured(shown)[:, : WIDTH // 2].any()


def test_an_abstention_shows_no_map() -> None:
    unsure = answered(evidence=EVIDENCE, warnings=("abstained",))
    said = answered(None, evidence=None, answer="I am not sure.", confidence=None)
    assert np.array_equal(np.asarray(drawn(unsure, filing())), np.asarray(drawn(said, filing())))


def test_long_text_is_wrapped() -> None:
    words = "the main image has an additional finding of consolidation than the reference image. " * 6
    picture = np.asarray(drawn(answered(answer=words, warnings=(words,)), filing(why=words)))
    assert picture.shape[0] > np.asarray(drawn(answered(), filing())).shape[0]
    assert (picture[:, -MARGIN // 2 :] == BACKGROUND).all()


def test_one_film_alone() -> None:
    assert drawn(answered(with_prior=False), filing()).size[0] == WIDTH
