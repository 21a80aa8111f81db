"""Answers and changes: every published form reads back, and nothing is dropped in silence."""

import itertools
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intervalchange import answer_reader, answer_template
from intervalchange.findings import ALIASES, FINDINGS, LEVELS
from intervalchange.grammar import NOTHING, parse, render, reverse
from intervalchange.records import Change, LevelChange

names = st.sets(st.sampled_from(FINDINGS), max_size=6)


@st.composite
def changes(draw: st.DrawFn) -> Change:
    levels = []
    for finding in draw(st.sets(st.sampled_from(FINDINGS), max_size=3)):
        prior, current = draw(st.lists(st.sampled_from(LEVELS), min_size=2, max_size=2, unique=True))
        levels.append(LevelChange(finding, prior, current))
    return Change.of(draw(names), draw(names), levels)


def test_the_published_forms() -> None:
    change = Change.of(["lung opacity", "pneumonia"], ["edema"], [("pleural effusion", "small", "moderate to severe")])
    assert render(change) == (
        "the level of pleural effusion has changed from small to moderate to severe. "
        "the main image has additional findings of lung opacity, and pneumonia than the reference image. "
        "the main image is missing the finding of edema than the reference image."
    )
    assert render(Change()) == NOTHING
    assert parse(NOTHING).nothing and not parse(NOTHING).change


@given(changes())
def test_parse_inverts_render(change: Change) -> None:
    reading = parse(render(change))
    assert reading.unread == ()
    if reading.ambiguous:
        assert ("mild to moderate", "severe") in {(item.prior, item.current) for item in change.levels} | {
            (item.current, item.prior) for item in change.levels
        } or ("mild", "moderate to severe") in {(item.prior, item.current) for item in change.levels}
    else:
        assert reading.change == change


@given(st.lists(changes(), min_size=1, max_size=3), st.sampled_from(["", "a new edema.", "the lungs are clear"]))
def test_template_sentences_are_read_as_the_reader_of_all_wordings_reads_them(parts: list[Change], more: str) -> None:
    text = " ".join([*map(render, parts), more]).strip()
    looked_up = answer_template.read_template(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answer_reader, "read_template", lambda text: None)
        assert looked_up in (None, parse(text))
    assert (looked_up is None) == (bool(more) or any(change.levels for change in parts))


@given(changes())
def test_lower_case_and_lost_punctuation(change: Change) -> None:
    text = render(change)
    bare = "".join(character for character in text if character not in string.punctuation)
    assert parse(bare).change == parse(text).change
    assert parse(text.upper()).change == parse(text).change
    assert parse(text + " ").change == parse(text).change
    assert parse(bare).unread == ()


@given(changes(), st.randoms(use_true_random=False))
def test_order_of_sentences_and_items_does_not_matter(change: Change, random) -> None:
    shuffled = list(change.added)
    random.shuffle(shuffled)
    sentences = [piece + "." for piece in render(change, shuffled).removesuffix(".").split(". ")]
    random.shuffle(sentences)
    assert parse(" ".join(sentences)).change == parse(render(change)).change


@given(changes())
@example(Change.of((), (), [("pleural effusion", "moderate to large", "mild")]))
def test_reverse_is_an_involution(change: Change) -> None:
    assert change.reverse().reverse() == change
    if not parse(render(change)).ambiguous and not parse(render(change.reverse())).ambiguous:
        assert parse(reverse(render(change))).change == change.reverse()


def test_every_pair_of_levels_is_read_or_called_ambiguous() -> None:
    for prior, current in itertools.permutations(LEVELS, 2):
        change = Change.of((), (), [("edema", prior, current)])
        reading = parse(render(change))
        assert not reading.unread
        assert reading.ambiguous or reading.change == change


def test_every_alias_reads_as_its_finding() -> None:
    for finding, aliases in ALIASES.items():
        for alias in aliases:
            reading = parse(f"the main image has an additional finding of {alias} than the reference image.")
            assert reading.change == Change.of([finding]) and not reading.unread, alias


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("new pleural effusion.", Change.of(["pleural effusion"])),
        ("There is a new opacity and consolidation.", Change.of(["lung opacity", "consolidation"])),
        ("the pneumothorax has resolved.", Change.of((), ["pneumothorax"])),
        ("pulmonary edema is no longer seen", Change.of((), ["edema"])),
        (
            "pleural effusion has increased from small to moderate",
            Change.of(levels=[("pleural effusion", "small", "moderate")]),
        ),
        ("additional findings of edema and hernia", Change.of(["edema", "hernia"])),
        ("the current image is missing the finding of chf", Change.of((), ["heart failure"])),
    ],
)
def test_plain_wordings(text: str, change: Change) -> None:
    reading = parse(text)
    assert (reading.change, reading.unread) == (change, ())


FIRST, SECOND = "edema", "pneumothorax"


@pytest.mark.parametrize(
    ("text", "added", "missing"),
    [
        # Denials, before and after what they deny.
        ("the main image has no additional finding of edema than the reference image.", (), ()),
        ("there is no new finding of edema.", (), ()),
        ("the main image is not missing the finding of edema than the reference image.", (), ()),
        (
            "the main image doesn't have additional findings of edema, and pneumothorax than the reference image.",
            (),
            (),
        ),
        ("neither an additional finding of edema nor of pneumothorax is seen", (), ()),
        ("an additional finding of edema is not seen.", (), ()),
        ("the edema has not resolved.", (), ()),
        ("no new edema or pneumothorax", (), ()),
        # A denial ends with its clause.
        ("new edema, no pneumothorax.", (FIRST,), ()),
        ("no edema, new pneumothorax", (SECOND,), ()),
        (
            "the main image has an additional finding of edema but no pneumothorax than the reference image.",
            (FIRST,),
            (),
        ),
        ("an additional finding of edema, and the main image is not missing the finding of pneumothorax", (FIRST,), ()),
        ("no additional finding of edema. the main image is missing the finding of pneumothorax.", (), (SECOND,)),
        # The reference image as the subject: the other way round.
        ("the reference image has an additional finding of edema than the main image.", (), (FIRST,)),
        ("the reference image is missing the finding of edema than the main image.", (FIRST,), ()),
        (
            "the prior film shows an additional finding of edema and is missing the finding of pneumothorax",
            (SECOND,),
            (FIRST,),
        ),
        ("an additional finding of edema compared to the main image", (), (FIRST,)),
        ("the reference image does not have an additional finding of edema.", (), ()),
        # Two clauses, each with its own word.
        ("new pneumothorax and resolved edema", (SECOND,), (FIRST,)),
        ("edema has resolved and pneumothorax is new", (SECOND,), (FIRST,)),
        ("new left edema, and right pneumothorax has resolved", (FIRST,), (SECOND,)),
        ("edema and pneumothorax have resolved", (), (FIRST, SECOND)),
        ("New: edema; Resolved: pneumothorax", (FIRST,), (SECOND,)),
        (
            "the main image is missing the finding of edema and new pneumothorax than the reference image",
            (SECOND,),
            (FIRST,),
        ),
        # Compared in other words.
        ("the main image has an additional finding of edema that is not seen on the reference image", (FIRST,), ()),
        ("the main image has an additional finding of edema than the reference", (FIRST,), ()),
    ],
)
def test_denials_and_subjects(text: str, added: tuple[str, ...], missing: tuple[str, ...]) -> None:
    reading = parse(text)
    assert reading.change == Change.of(added, missing)
    assert not reading.nothing
    if added or missing:
        assert not reading.unread
    else:
        assert reading.unread and reading.denied, "a denial says that it does not say what has changed"


@pytest.mark.parametrize(
    "text",
    [
        "the main image may have an additional finding of edema than the reference image.",
        "it is unlikely that the main image has an additional finding of edema",
        "the main image is no longer missing the finding of edema",
        "the main image has an additional finding of edema than the main image",
        "the reference image has an additional finding of edema than the reference image",
        "the level of edema has not changed from mild to severe.",
        "it is not true that the level of edema has changed from mild to severe.",
        "not only edema is new",
        "Unchanged: edema",
    ],
)
def test_what_cannot_be_told_is_unread_and_not_an_item(text: str) -> None:
    reading = parse(text)
    assert reading.unread and not reading.change and not reading.nothing


@pytest.mark.parametrize("text", ["", "   ", "...", "the heart is on the wrong side", "yes", "edema"])
def test_what_cannot_be_read_is_returned(text: str) -> None:
    reading = parse(text)
    assert reading.unread and not reading.nothing and not reading.change


def test_the_unread_part_of_a_list_is_kept() -> None:
    reading = parse("the main image has additional findings of edema, and zebra than the reference image.")
    assert reading.change == Change.of(["edema"]) and reading.unread == ("zebra",)
    assert parse("new small left pleural effusion").modifiers == ("small", "left")


def test_the_one_ambiguity_of_the_published_levels() -> None:
    reading = parse("the level of edema has changed from mild to moderate to severe.")
    assert reading.ambiguous
    assert reading.change == Change.of(levels=[("edema", "mild", "moderate to severe")])


def test_reverse_refuses_what_it_cannot_read() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        reverse("zebra")
