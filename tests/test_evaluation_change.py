"""Change figures: blind to order, sharp on direction, and not fooled by what cannot be read."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intervalchange.evaluation import answers, change
from intervalchange.evaluation.change import change_scores
from intervalchange.evaluation.statistics import figures
from intervalchange.evaluation.text import text_scores
from intervalchange.findings import FINDINGS, RANKED_LEVELS
from intervalchange.grammar import NOTHING, render
from intervalchange.records import Change, Prediction

EDEMA = "the main image has an additional finding of edema than the reference image."
NO_EDEMA = "the main image is missing the finding of edema than the reference image."
LEVEL = "the level of pneumothorax has changed from small to severe."


@st.composite
def changes(draw: st.DrawFn) -> Change:
    added = draw(st.sets(st.sampled_from(FINDINGS), max_size=4))
    missing = draw(st.sets(st.sampled_from(FINDINGS), max_size=4)) - added
    return Change.of(added, missing)


def sample(count: int, seed: int) -> list[Change]:
    source = random.Random(seed)
    return [
        Change.of(
            source.sample(FINDINGS[:15], source.randint(0, 3)), source.sample(FINDINGS[15:], source.randint(0, 2))
        )
        for _ in range(count)
    ]


def test_inverted_direction_keeps_the_ngrams_and_loses_the_change() -> None:
    true = [item for item in sample(400, 0) if item]
    references, inverted = [render(item) for item in true], [render(item.reverse()) for item in true]
    assert text_scores(inverted, references)["bleu4"] > 0.5
    scores = change_scores(inverted, references)
    assert scores["findings.micro.f1"] == 0
    assert scores["direction_error.rate"] == 1
    assert scores["exact.accuracy"] == 0


def test_order_of_a_list_means_nothing() -> None:
    source = random.Random(1)
    true = sample(300, 1)
    shuffled = [render(item, source.sample(sorted(item.added), len(item.added))) for item in true]
    references = [render(item) for item in true]
    assert text_scores(shuffled, references)["bleu4"] < 1
    scores = change_scores(shuffled, references)
    assert scores["findings.micro.f1"] == scores["micro.f1"] == scores["exact.accuracy"] == 1


def test_counts_by_hand() -> None:
    said = [EDEMA, NO_EDEMA, NOTHING, f"{LEVEL} {EDEMA}", NOTHING]
    true = [EDEMA, EDEMA, EDEMA, f"{LEVEL} {NO_EDEMA}", NOTHING]
    scores = change_scores(said, true)
    # Items said: edema+, edema-, level, edema+ = 4; true: edema+ x3, level, edema- = 5; right: edema+, level = 2.
    assert scores["micro.precision"] == pytest.approx(2 / 4)
    assert scores["micro.recall"] == pytest.approx(2 / 5)
    assert scores["micro.f1"] == pytest.approx(4 / 9)
    # Without levels: said 3, true 4, right 1.
    assert scores["findings.micro.f1"] == pytest.approx(2 / 7)
    assert scores["findings.macro.f1"] == pytest.approx(2 / 7)  # edema alone has reference items
    assert scores["macro.f1"] == pytest.approx((2 / 7 + 1) / 2)  # edema and pneumothorax
    assert scores["exact.accuracy"] == pytest.approx(2 / 5)
    assert scores["direction_error.rate"] == pytest.approx(2 / 3)
    assert scores["omission.rate"] == pytest.approx(1 / 4)
    assert scores["false_change.rate"] == 0
    assert scores["detected.accuracy"] == pytest.approx(4 / 5)
    assert scores["levels.f1"] == 1


def test_macro_leaves_out_findings_without_a_reference_item() -> None:
    hernia = "the main image has an additional finding of hernia than the reference image."
    scores = change_scores([EDEMA, hernia], [EDEMA, EDEMA])
    assert scores["findings.macro.f1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("text", ["", "   ", ".", "zebra", "the zebra has changed", "<unk> <unk>"])
def test_the_unreadable_is_never_nothing(text: str) -> None:
    scores = change_scores([text, EDEMA], [NOTHING, EDEMA])
    assert scores["false_change.rate"] == 1
    assert scores["exact.accuracy"] == 0.5
    assert scores["unreadable.rate"] == 0.5
    assert scores["findings.micro.precision"] == pytest.approx(1 / 2), "an unread clause is one false positive"
    assert scores["findings.micro.f1"] == pytest.approx(2 / 3)
    assert not change.readable(text)


def test_an_unread_clause_spoils_an_exact_answer() -> None:
    scores = change_scores([f"{EDEMA} the zebra is striped."], [EDEMA])
    assert scores["exact.accuracy"] == 0
    assert scores["findings.micro.precision"] == pytest.approx(1 / 2)
    assert scores["findings.micro.recall"] == 1


def test_same_state_pairs_are_counted_apart() -> None:
    scores = change_scores([EDEMA, NOTHING, EDEMA], [NOTHING, NOTHING, NOTHING], [True, True, False])
    assert scores["false_change.rate"] == pytest.approx(2 / 3)
    assert scores["false_change.same_state.rate"] == pytest.approx(1 / 2)


def test_direction_of_levels_needs_ranks_only() -> None:
    def level(prior: str, current: str) -> str:
        return f"the level of edema has changed from {prior} to {current}."

    scores = change_scores([level("mild", "severe")], [level("moderate", "severe")])
    assert scores["levels.f1"] == 0
    assert scores["levels.direction.f1"] == 1
    unranked = change_scores([level("acute", "severe")], [level("acute", "severe")])
    assert unranked["levels.f1"] == 1
    assert math.isnan(unranked["levels.direction.f1"])
    assert "acute" not in RANKED_LEVELS


def test_what_was_not_asked_is_undefined_and_not_zero() -> None:
    scores = change_scores([NOTHING], [NOTHING])
    assert scores["exact.accuracy"] == 1
    for name in ("micro.f1", "micro.precision", "findings.macro.f1", "omission.rate", "false_change.same_state.rate"):
        assert math.isnan(scores[name]), name


@given(st.lists(st.tuples(changes(), changes()), min_size=1, max_size=8))
def test_reversing_both_sides_changes_no_figure(pairs: list[tuple[Change, Change]]) -> None:
    forth = change_scores([render(one) for one, _ in pairs], [render(two) for _, two in pairs])
    back = change_scores([render(one.reverse()) for one, _ in pairs], [render(two.reverse()) for _, two in pairs])
    assert forth == pytest.approx(back, nan_ok=True)


@given(st.lists(st.tuples(changes(), changes()), min_size=1, max_size=8))
def test_micro_f1_against_sets(pairs: list[tuple[Change, Change]]) -> None:
    right = sum(len(one.items & two.items) for one, two in pairs)
    whole = sum(len(one.items) + len(two.items) for one, two in pairs)
    scores = change_scores([render(one) for one, _ in pairs], [render(two) for _, two in pairs])
    assert scores["micro.f1"] == pytest.approx(2 * right / whole if whole else math.nan, nan_ok=True)


def test_the_field_is_compared_with_the_text() -> None:
    def case(field: Change | None) -> Prediction:
        return Prediction("1", "p", "difference", "q", EDEMA, change=field)

    cases = [case(None), case(Change.of(["edema"])), case(Change.of([], ["edema"]))]
    assert change.field_disagreements(cases) == (2, 1)


# --- other kinds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "true", "same"),
    [
        ("PA view", "pa view", True),
        (" Yes. ", "yes", True),
        ("edema, hernia", "hernia,edema", True),
        ("plate - like", "plate-like", True),
        ("left area and right area", "right area, and left area", True),
        ("edema", "edema, hernia", False),
        ("", "no", False),
    ],
)
def test_normalised_match(said: str, true: str, same: bool) -> None:
    assert (answers.items(said) == answers.items(true)) is same


def test_kinds_by_hand() -> None:
    said = ["yes", "no", "edema, hernia", "pa view"]
    true = ["yes", "yes", "edema, fracture, hernia", "PA view"]
    kinds = ["presence", "presence", "abnormality", "view"]
    names = ["abnormality", "presence", "view"]
    counts = answers.tally(said, true, kinds, names)
    scores = figures(counts, lambda sums: answers.measures(sums, names))
    assert scores["presence.accuracy"] == scores["closed.accuracy"] == 0.5
    assert scores["abnormality.accuracy"] == 0
    assert scores["abnormality.set.f1"] == pytest.approx(4 / 5)
    assert scores["open.accuracy"] == 0.5
    assert scores["macro.accuracy"] == pytest.approx(0.5)
    assert np.isfinite(list(scores.values())).all()
