"""The page on a study of an archive."""

from __future__ import annotations

import pytest
from browser import echoing, opened_page
from film_files import chest
from memory_archive import MemoryArchive, film_file

from intervalchange.archive.pairs import PairFinder
from intervalchange.simulation.dicom_files import uid


@pytest.mark.slow
def test_a_link_opens_a_study_with_its_prior() -> None:
    films = [
        film_file(study, day, pixels=chest(seed=len(study))) for study, day in (("a", "20300101"), ("new", "20300301"))
    ]
    with echoing(PairFinder(MemoryArchive(*films))) as address:
        with opened_page(f"{address}/#study={uid('new')}") as page:
            page.wait_for_selector("#warnings:has-text('prior: the nearest earlier PA film, 59 days before.')")
            assert page.inner_text("#answer").split()[0].isdecimal()
        with opened_page(f"{address}/#study=1.2.3") as page:
            assert "no frontal chest film" in page.inner_text("#answer")
