"""Each new study is answered once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from memory_archive import MemoryArchive, film_file
from served import Echo

from intervalchange.archive.interface import ArchiveError
from intervalchange.archive.pairs import NoFrontalFilmError, PairFinder
from intervalchange.errors import ImageError
from intervalchange.serving.ledger import Ledger
from intervalchange.serving.limits import Limits
from intervalchange.serving.study_filer import Filed, StudyFiler, shown_study
from intervalchange.serving.watcher import Outcome, Watcher, WatchOptions, compare_link, file_once
from intervalchange.simulation.dicom_files import uid

PRIOR, CURRENT = film_file("first", "20300101", seed=1), film_file("second", "20300301", seed=2)
STUDY = uid("second")


@pytest.fixture(scope="module")
def filer() -> Iterator[StudyFiler]:
    filer = StudyFiler(Echo(), PairFinder(MemoryArchive()), limits=Limits(readers=1))  # type: ignore[arg-type]
    yield filer
    filer.close()


class Clock:
    """A clock that the test turns."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A watcher over an archive in memory; `again` is what is left after a kill."""

    def __init__(self, filer: StudyFiler, folder: Path, *films: bytes, **options: object) -> None:
        self.archive = filer.finder.archive = MemoryArchive(*films)
        self.filer, self.folder, self.clock = filer, folder, Clock()
        self.options = WatchOptions(days=0, **options)  # type: ignore[arg-type]
        self.again()

    def again(self) -> None:
        self.watcher = Watcher(self.filer, Ledger(self.folder / "ledger.sqlite"), self.options, clock=self.clock)

    def step(self, later: float = 60.0) -> list[tuple[str, str]]:
        """(state, why) of what was tried."""
        list(self.watcher.step())
        self.clock.now += later
        return [(outcome.state, outcome.why) for outcome in self.watcher.step()]


@pytest.fixture
def bench(filer: StudyFiler, tmp_path: Path) -> Callable[..., Bench]:
    return lambda *films, **options: Bench(filer, tmp_path, *films, **options)


def test_a_new_study_is_answered_once(bench: Callable[..., Bench]) -> None:
    watched = bench(PRIOR)
    assert watched.step() == []  # It was there before.
    watched.archive.add(CURRENT)
    assert watched.step() == [("filed", "the nearest earlier PA film, 59 days before.")]
    assert watched.step() == []
    assert len(watched.archive.stored) == 2
    assert {each.StudyInstanceUID for each in watched.archive.objects.values()} == {STUDY}


def test_what_is_there_already_is_answered_on_request(bench: Callable[..., Bench]) -> None:
    watched = bench(PRIOR, CURRENT, backlog=True)
    assert sorted(watched.step()) == [
        ("filed", "the nearest earlier PA film, 59 days before."),
        ("refused", "there is no prior: films that are later (1)."),
    ]


def test_a_kill_between_the_archive_and_the_ledger_leaves_one_answer(bench: Callable[..., Bench]) -> None:
    watched = bench(PRIOR, CURRENT, backlog=True)
    watched.filer.file(STUDY)  # Filed, and killed before it was noted.
    watched.again()
    states = dict(watched.step())
    assert states["filed"].startswith("the answer was there already")
    assert len(watched.archive.stored) == len(watched.archive.objects) == 2


def test_half_an_answer_is_made_whole_under_the_same_uids(bench: Callable[..., Bench]) -> None:
    watched = bench(PRIOR, CURRENT, backlog=True)
    watched.filer.file(STUDY)
    first = dict(watched.archive.objects)
    del watched.archive.objects[watched.archive.stored[1]]
    watched.step()
    assert watched.archive.objects.keys() == first.keys()


def test_a_study_seen_while_the_watcher_was_down_is_answered(bench: Callable[..., Bench]) -> None:
    watched = bench()
    watched.step()  # It has looked, and there was nothing.
    watched.archive.add(PRIOR)
    watched.archive.add(CURRENT)
    watched.again()
    assert len(watched.step()) == 2


def test_an_archive_that_is_down_loses_nothing(bench: Callable[..., Bench]) -> None:
    watched = bench(PRIOR, CURRENT, backlog=True)
    list(watched.watcher.step())
    watched.archive.down = True
    watched.clock.now += 60
    with pytest.raises(ArchiveError):
        list(watched.watcher.step())
    assert {outcome.state for outcome in watched.watcher.answer_due()} == {"waiting"}
    watched.archive.down = False
    assert sorted(state for state, _ in watched.step(600)) == ["filed", "refused"]


def test_a_frontal_film_may_come_late(bench: Callable[..., Bench]) -> None:
    watched = bench(PRIOR, film_file("second", "20300301", ViewPosition="LL", SOPInstanceUID=uid("lateral")))
    watched.watcher.ledger.add([STUDY], 0.0)
    why = "the study has no frontal chest film: films that are lateral (1)."
    assert watched.step() == [("waiting", why)]
    watched.archive.add(CURRENT)
    assert watched.step() == [("filed", "the nearest earlier PA film, 59 days before.")]


def test_but_not_for_ever(bench: Callable[..., Bench]) -> None:
    watched = bench(film_file("second", "20300301", BodyPartExamined="HAND"), backlog=True, tries=3)
    why = "the study has no frontal chest film: films of another part of the body (1)."
    assert [watched.step(600)[0] for _ in range(3)] == [("waiting", why), ("waiting", why), ("refused", why)]
    assert watched.step() == []


class Failing:
    """Stands for a filer whose one study goes wrong."""

    def __init__(self, problem: Exception) -> None:
        self.problem, self.finder = problem, PairFinder(MemoryArchive(CURRENT))

    def file(self, study: str) -> Filed:
        raise self.problem


@pytest.mark.parametrize(
    ("problem", "tries"),
    [(ImageError("the process was killed."), 5), (ZeroDivisionError(), 5), (NoFrontalFilmError("none."), 5)],
)
def test_a_film_that_cannot_be_read_is_tried_some_times(problem: Exception, tries: int, tmp_path: Path) -> None:
    watched = Bench(Failing(problem), tmp_path, CURRENT, backlog=True)  # type: ignore[arg-type]
    states = [state for _ in range(tries + 2) for state, _ in watched.step(600)]
    assert states == ["waiting"] * (tries - 1) + ["refused"]


def test_an_archive_is_asked_for_ever(tmp_path: Path) -> None:
    watched = Bench(Failing(ArchiveError("it is full.")), tmp_path, CURRENT, backlog=True)  # type: ignore[arg-type]
    assert [watched.step(600) for _ in range(20)] == [[("waiting", "it is full.")]] * 20


def test_an_archive_that_was_down_is_not_held_against_a_study(tmp_path: Path) -> None:
    failing = Failing(ArchiveError("it is down."))
    watched = Bench(failing, tmp_path, CURRENT, backlog=True)  # type: ignore[arg-type]
    for _ in range(10):
        watched.step(600)
    failing.problem = ImageError("the process was killed.")
    assert watched.step(600) == [("waiting", "the process was killed.")]


def test_a_film_other_than_the_archive_said_is_refused(bench: Callable[..., Bench]) -> None:
    watched = bench(PRIOR, CURRENT)
    lateral = film_file("second", "20300301", ViewPosition="LL")
    real = watched.archive.fetch
    watched.archive.fetch = lambda film: lateral if film.study == STUDY else real(film)  # type: ignore[method-assign]
    (outcome,) = file_once(watched.filer, [STUDY])
    assert outcome.state == "refused" and "that are lateral" in outcome.why
    assert watched.archive.stored == []


def test_a_log_line_holds_no_uid() -> None:
    outcome = Outcome(STUDY, "filed", "the nearest earlier PA film, 59 days before.", 0.42, uid("first"))
    assert outcome.line == (
        f"study {shown_study(STUDY)} filed after 0.4 s: the nearest earlier PA film, 59 days before."
    )
    assert STUDY not in repr(outcome) and uid("first") not in repr(replace(outcome, link=uid("first")))


def test_the_link_opens_both_studies_in_ohif() -> None:
    assert compare_link("http://127.0.0.1:3000/", "1.2", "1.1") == (
        "http://127.0.0.1:3000/viewer?StudyInstanceUIDs=1.2,1.1&hangingprotocolId=@ohif/hpCompare"
    )
