"""Change figures: blind to order, sharp on direction, and not fooled by what cannot be read."""

import math
import random
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intervalchange.evaluation.metrics import change, kinds
from intervalchange.evaluation.metrics.change import change_scores
from intervalchange.evaluation.metrics.statistics import point_estimates, totals
from intervalchange.evaluation.metrics.text import text_scores
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


def test_added_missing_and_levels_by_hand() -> None:
    up = "the level of edema has changed from mild to severe."
    upper = "the level of edema has changed from moderate to severe."
    said = [EDEMA, NO_EDEMA, f"{LEVEL} {EDEMA}", up]
    true = [EDEMA, EDEMA, f"{LEVEL} {NO_EDEMA}", upper]
    scores = change_scores(said, true)
    # Added: said 2, true 2, right 1. Missing: said 1, true 1, right 0. Levels: said 2, true 2, right 1, both rise.
    for figure in ("precision", "recall", "f1"):
        assert scores[f"added.micro.{figure}"] == scores[f"added.macro.{figure}"] == pytest.approx(1 / 2)
        assert scores[f"missing.micro.{figure}"] == scores[f"missing.macro.{figure}"] == 0
        assert scores[f"levels.{figure}"] == scores[f"levels.macro.{figure}"] == pytest.approx(1 / 2)
        assert scores[f"levels.direction.{figure}"] == scores[f"levels.direction.macro.{figure}"] == 1


def test_each_finding_by_hand() -> None:
    both = "the main image has additional findings of edema, and hernia than the reference image."
    sums = totals(change.tally([both, NO_EDEMA], [EDEMA, EDEMA]))
    scores, support = change.by_finding(sums)
    edema, hernia = FINDINGS.index("edema"), FINDINGS.index("hernia")
    assert support[edema] == 2 and support[hernia] == 0
    assert [scores[name][edema] for name in ("precision", "recall", "f1")] == [0.5, 0.5, 0.5]
    assert scores["precision"][hernia] == 0 and math.isnan(scores["recall"][hernia])
    added, _ = change.by_finding(sums, ["added"])
    assert added["precision"][edema] == 1 and added["recall"][edema] == 0.5


def test_a_finding_that_is_never_said_has_no_precision_in_the_mean() -> None:
    hernia = "the main image has an additional finding of hernia than the reference image."
    scores = change_scores([EDEMA, NOTHING], [EDEMA, hernia])
    assert scores["findings.micro.precision"] == 1
    assert scores["findings.macro.precision"] == scores["findings.macro.recall"] == pytest.approx(1 / 2)


@settings(max_examples=30)
@given(st.lists(st.tuples(changes(), changes()), min_size=1, max_size=8))
def test_findings_are_the_sum_of_added_and_missing(pairs: list[tuple[Change, Change]]) -> None:
    sums = totals(change.tally([render(one) for one, _ in pairs], [render(two) for _, two in pairs]))
    for part in change.PARTS:
        assert sums[f"added_{part}"] + sums[f"missing_{part}"] == sums[f"findings_{part}"]
        for scope in change.SCOPES:
            assert sums[f"{scope}_{part}_by_finding"].sum() == sums[f"{scope}_{part}"]


@pytest.fixture(scope="module")
def blind_spots() -> dict[str, dict[str, float | str | None]]:
    """The table of benchmarks/blind_spots.py on fewer pairs."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
    try:
        return import_module("blind_spots").table(600, meteor=False)
    finally:
        sys.path.pop(0)


def test_change_f1_orders_answers_as_a_radiologist_would(blind_spots: dict) -> None:
    f1 = {name: row["change.findings.micro.f1"] for name, row in blind_spots.items()}
    assert f1["identical"] == f1["order shuffled"] == 1
    assert 0.6 < f1["one finding dropped"] < 1
    worthless = ("every finding replaced", "most common answer", "random other patient")
    assert all(f1[name] < 0.2 < f1["one finding dropped"] for name in worthless)
    assert f1["direction inverted"] == 0, "the dangerous one is not above any other"
    wrong_way = {name: row["change.direction_error.rate"] for name, row in blind_spots.items()}
    assert wrong_way["direction inverted"] == 1
    assert wrong_way["identical"] == wrong_way["one finding dropped"] == 0


@pytest.mark.parametrize("name", ["text.bleu4", "text.rouge_l_coco", "text.cider_d"])
def test_ngrams_put_the_opposite_above_a_small_omission(blind_spots: dict, name: str) -> None:
    assert blind_spots["direction inverted"][name] > blind_spots["one finding dropped"][name]


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
def test_reversing_both_sides_exchanges_added_and_missing_and_no_more(pairs: list[tuple[Change, Change]]) -> None:
    forth = change_scores([render(one) for one, _ in pairs], [render(two) for _, two in pairs])
    back = change_scores([render(one.reverse()) for one, _ in pairs], [render(two.reverse()) for _, two in pairs])
    turned = {"added": "missing", "missing": "added"}
    names = {name: ".".join([turned.get(part, part) for part in name.split(".")]) for name in forth}
    assert {names[name]: value for name, value in forth.items()} == pytest.approx(back, nan_ok=True)


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
    assert (kinds.items(said) == kinds.items(true)) is same


def test_kinds_by_hand() -> None:
    said = ["yes", "no", "edema, hernia", "pa view"]
    true = ["yes", "yes", "edema, fracture, hernia", "PA view"]
    of_case = ["presence", "presence", "abnormality", "view"]
    names = ["abnormality", "presence", "view"]
    counts = kinds.tally(said, true, of_case, names)
    scores = point_estimates(counts, lambda sums: kinds.measures(sums, names))
    assert scores["presence.accuracy"] == scores["closed.accuracy"] == 0.5
    assert scores["abnormality.accuracy"] == 0
    assert scores["abnormality.set.f1"] == pytest.approx(4 / 5)
    assert scores["open.accuracy"] == 0.5
    assert scores["macro.accuracy"] == pytest.approx(0.5)
    assert np.isfinite(list(scores.values())).all()
