"""Every code is that of a dictionary, or says that it is ours."""

from __future__ import annotations

import pytest
from pydicom.sr import _concepts_dict
from pydicom.sr.coding import Code

from intervalchange import findings
from intervalchange.archive import codes

NOT_IN_PYDICOM = {codes.EVALUATIONS, codes.LANGUAGE}
"""Row 12 of TID 1500, which DCMTK has; a language, which has no dictionary."""


def all_codes() -> list[Code]:
    tables = [coded for table in (codes.LEVELS, codes.SEVERITIES) for coded in table.values()]
    places = [code for coded in codes.FINDINGS.values() for code in (coded.code, coded.site)]
    return [*tables, *places, *(value for value in vars(codes).values() if isinstance(value, Code))]


def meanings(code: Code) -> set[str]:
    """What pydicom's dictionary says of a code, in lower case."""
    concepts = _concepts_dict.concepts[code.scheme_designator].values()
    return {entry[code.value][0].lower() for entry in concepts if code.value in entry}


@pytest.mark.parametrize("code", sorted(set(all_codes()) - NOT_IN_PYDICOM, key=str), ids=lambda code: code.meaning)
def test_a_code_of_others_has_this_meaning_in_the_dictionary(code: Code) -> None:
    if code.scheme_designator != codes.SCHEME:
        known = meanings(code)
        assert any(meaning.startswith(code.meaning.lower()) for meaning in known), (code, known)


def test_the_tables_cover_the_vocabulary() -> None:
    assert tuple(codes.FINDINGS) == findings.FINDINGS
    assert tuple(codes.LEVELS) == findings.LEVELS
    assert set(codes.SEVERITIES) < set(findings.LEVELS)


def test_nothing_is_told_by_two_words() -> None:
    assert len({(coded.code, coded.site) for coded in codes.FINDINGS.values()}) == len(findings.FINDINGS)
    assert len(set(codes.LEVELS.values())) == len(findings.LEVELS)
    ours = {code for code in all_codes() if code.scheme_designator == codes.SCHEME}
    assert len({code.value for code in ours}) == len(ours)


def test_our_codes_fit_their_element() -> None:
    assert len(codes.SCHEME) <= 16
    for code in all_codes():
        assert len(code.value) <= 16 and len(code.meaning) <= 64, code


def test_the_docstring_counts_right() -> None:
    verified = [name for name, coded in codes.FINDINGS.items() if coded.code.scheme_designator != codes.SCHEME]
    assert len(verified) == 12
    assert len(set(codes.SEVERITIES.values())) == 8 and len(codes.SEVERITIES) == 11
    for name, coded in codes.FINDINGS.items():
        assert coded.site.scheme_designator == "SCT"
        if name not in verified:
            assert coded.code.meaning == name
