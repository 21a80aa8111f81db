"""Intervals by patient against brute force; rank statistics against scikit-learn and scipy's definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intervalchange.evaluation.metrics import calibration
from intervalchange.evaluation.metrics.statistics import (
    Difference,
    auc,
    bootstrap_p,
    holm,
    intervals,
    paired_differences,
    patient_weights,
    percentile_interval,
    point_estimates,
    ratio,
    replicate,
    spearman,
    totals,
    weighted_auc,
    weighted_spearman,
)


def share(sums):
    return {
        "share": ratio(sums["right"], sums["cases"]),
        "worst": ratio(sums["split"], sums["cases"][..., None]).max(-1),
    }


def right_share(sums):
    return {"share": ratio(sums["right"], sums["cases"])}


def counts(cases: int, seed: int):
    rng = np.random.default_rng(seed)
    return {
        "right": rng.integers(0, 2, cases).astype(float),
        "cases": np.ones(cases),
        "split": rng.integers(0, 3, (cases, 4)).astype(float),
    }


def test_replicates_against_brute_force() -> None:
    table, patients = counts(40, 0), [f"p{place % 7}" for place in range(40)]
    fast = replicate(table, patients, share, replicates=120, seed=3)
    names = sorted(set(patients))
    weights = np.concatenate(list(patient_weights(len(names), 120, 3)))
    for row in (0, 7, 99, 119):
        drawn = [name for name, times in zip(names, weights[row], strict=True) for _ in range(int(times))]
        rows = [place for name in drawn for place in range(40) if patients[place] == name]
        slow = point_estimates({name: array[rows] for name, array in table.items()}, share)
        assert {name: values[row] for name, values in fast.items()} == pytest.approx(slow)


def test_every_replicate_draws_as_many_patients() -> None:
    weights = np.concatenate(list(patient_weights(13, 250, 0)))
    assert weights.shape == (250, 13)
    assert (weights.sum(1) == 13).all()
    assert weights.mean(0) == pytest.approx(1, abs=0.25)


def test_interval_follows_the_binomial() -> None:
    cases = 400
    right = (np.arange(cases) < 120).astype(float)
    table = {"right": right, "cases": np.ones(cases), "split": np.ones((cases, 1))}
    low, high = intervals(table, list(range(cases)), share)["share"]
    spread = 1.96 * math.sqrt(0.3 * 0.7 / cases)
    assert (low, high) == pytest.approx((0.3 - spread, 0.3 + spread), abs=0.01)


def test_cases_of_one_patient_count_as_one() -> None:
    # Ten copies of every case of a patient do not make the interval narrower.
    table = counts(30, 1)
    patients = list(range(30))
    copied = {name: np.repeat(array, 10, axis=0) for name, array in table.items()}
    once = intervals(table, patients, share)
    tenfold = intervals(copied, np.repeat(patients, 10).tolist(), share)
    assert once["share"] == pytest.approx(tenfold["share"])


def test_one_patient_has_no_interval() -> None:
    low, high = intervals(counts(5, 2), ["p"] * 5, share)["share"]
    assert math.isnan(low)
    assert math.isnan(high)


def test_undefined_replicates_are_left_out() -> None:
    assert percentile_interval(np.array([np.nan, 1.0, 1.0])) == (1, 1)
    assert all(map(math.isnan, percentile_interval(np.array([np.nan]))))


def test_the_same_seed_gives_the_same_interval() -> None:
    table, patients = counts(40, 4), [place % 9 for place in range(40)]
    assert intervals(table, patients, share, seed=5) == intervals(table, patients, share, seed=5)
    assert intervals(table, patients, share, seed=5) != intervals(table, patients, share, seed=6)


def test_paired_differences_are_narrower() -> None:
    first = counts(200, 6)
    second = {**first, "right": first["right"].copy()}
    second["right"][:10] = 1
    patients = list(range(200))
    found = paired_differences(first, second, patients, share)["share"]
    value, low, high = found.value, found.low, found.high
    assert value == pytest.approx(point_estimates(second, share)["share"] - point_estimates(first, share)["share"])
    assert low <= value <= high
    alone = intervals(second, patients, share)["share"]
    assert high - low < (alone[1] - alone[0]) / 2
    assert paired_differences(first, first, patients, share)["share"] == Difference(0, 0, 0, 1)


def test_holm_by_hand() -> None:
    values = {"a": 0.01, "b": 0.04, "c": 0.03, "d": math.nan, "e": 0.6}
    # Four defined: 4 x .01, 3 x .03, then 2 x .04 may not fall below it, 1 x .6.
    expected = {"a": 0.04, "b": 0.09, "c": 0.09, "d": math.nan, "e": 0.6}
    assert holm(values) == pytest.approx(expected, nan_ok=True)
    assert holm({}) == {}
    assert holm({"a": 0.8, "b": 0.9}) == {"a": 1.0, "b": 1.0}


def test_p_values_by_hand() -> None:
    assert bootstrap_p(np.array([1.0, 2.0, -1.0, 3.0, math.nan])) == pytest.approx(2 * 2 / 5)
    assert bootstrap_p(np.zeros(99)) == 1
    assert bootstrap_p(np.ones(999)) == pytest.approx(0.002)
    assert math.isnan(bootstrap_p(np.array([math.nan])))


def test_p_values_of_no_difference_are_even() -> None:
    # Two answerers of one skill: about one comparison in ten has p below .1.
    below = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        one, two = ({"right": (rng.random(120) < 0.5).astype(float), "cases": np.ones(120)} for _ in range(2))
        found = paired_differences(one, two, list(range(120)), right_share, 200, seed)["share"]
        below += found.p < 0.1
    assert 8 <= below <= 36


def test_small_counts_do_not_overflow() -> None:
    tiny = {"right": np.full(1000, 200, np.uint8), "cases": np.full(1000, 250, np.uint8)}
    assert point_estimates(tiny, right_share)["share"] == pytest.approx(0.8)
    low, high = intervals(tiny, ["p", "q"] * 500, right_share, 20)["share"]
    assert (low, high) == pytest.approx((0.8, 0.8))


def test_totals_are_sums() -> None:
    table = counts(6, 7)
    assert totals(table)["split"] == pytest.approx(table["split"].sum(0))


scores = st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2, max_size=30)


@given(scores)
def test_auc_by_counting_pairs(cases: list[tuple[bool, int]]) -> None:
    pairs = [
        1.0 if one > two else 0.5 if one == two else 0.0 for yes, one in cases if yes for no, two in cases if not no
    ]
    labels, values = zip(*cases, strict=True)
    found = weighted_auc(np.array(labels, float), np.array(values, float), np.ones(len(cases)))
    assert float(found) == pytest.approx(sum(pairs) / len(pairs) if pairs else math.nan, nan_ok=True)


@given(scores, st.lists(st.integers(0, 3), min_size=30, max_size=30))
def test_a_weight_is_that_many_copies(cases: list[tuple[bool, int]], times: list[int]) -> None:
    labels, values = (np.array(column, float) for column in zip(*cases, strict=True))
    weights = np.array(times[: len(cases)])
    if not weights.any():
        return
    copies = np.repeat(np.arange(len(cases)), weights)
    for statistic in (weighted_auc, weighted_spearman):
        by_weight = float(statistic(labels, values, weights.astype(float)))
        by_copies = float(statistic(labels[copies], values[copies], np.ones(len(copies))))
        assert by_weight == pytest.approx(by_copies, nan_ok=True, abs=1e-9)


def test_rank_statistics_against_the_libraries() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    labels, values = rng.integers(0, 2, 200), rng.integers(0, 20, 200)
    assert auc(labels, values, replicates=2)[0] == pytest.approx(metrics.roc_auc_score(labels, values))
    other = values + rng.integers(0, 20, 200)
    assert spearman(values, other, replicates=2)[0] == pytest.approx(stats.spearmanr(values, other).statistic)


def test_intervals_of_rank_statistics() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 50)
    value, low, high = auc(labels, rng.normal(labels, 1), np.arange(100) // 2)
    assert low < value < high
    value, low, high = spearman(labels, labels, np.arange(100) // 2)
    assert (value, low, high) == pytest.approx((1, 1, 1))
    assert math.isnan(auc([], [])[0])


# --- calibration -------------------------------------------------------------------------------------------------


def test_calibration_by_hand() -> None:
    said, true = [0.95, 0.95, 0.15, 0.15], [1, 0, 0, 0]
    scores = point_estimates(calibration.tally(said, true), calibration.measures)
    assert scores["ece"] == pytest.approx((2 * 0.45 + 2 * 0.15) / 4)
    assert scores["brier"] == pytest.approx((0.05**2 + 0.95**2 + 2 * 0.15**2) / 4)
    assert calibration.reliability(said, true) == [
        calibration.Bin(2, pytest.approx(0.15), 0.0),
        calibration.Bin(2, pytest.approx(0.95), 0.5),
    ]


def test_risk_and_coverage_by_hand() -> None:
    coverage, risk = calibration.risk_coverage([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1])
    assert coverage == pytest.approx([0.25, 0.5, 0.75, 1])
    assert risk == pytest.approx([0, 0, 1 / 3, 1 / 4])
    assert calibration.aurc([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1]) == pytest.approx((1 / 3 + 1 / 4) / 4)


@settings(max_examples=30)
@given(st.permutations(range(12)))
def test_equal_confidences_share_a_risk(order: list[int]) -> None:
    said, true = np.repeat([0.9, 0.4, 0.1], 4), np.array([1, 0, 1, 1, 0, 0, 1, 0, 0, 1, 1, 1])
    assert calibration.aurc(said[order], true[order]) == pytest.approx(calibration.aurc(said, true))
    assert calibration.aurc([0.5] * 12, true) == pytest.approx(1 - true.mean())
