"""Tests before joining: size and power by simulation, bounds by hand."""

import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.relationship.programme import group_time_effects
from crmlab.relationship.programme_averages import Averages, effects_by, overall_effect
from crmlab.relationship.programme_trends import pre_trend_test, sensitivity


def event_study(estimates: dict[int, float], se: float = 0.1, customers: int = 10, base: int = -1) -> Averages:
    index = pd.Index(list(estimates), name="event_time")
    table = pd.DataFrame({"estimate": list(estimates.values()), "se": se}, index=index)
    for name, side in (("low", -1), ("high", 1), ("band_low", -1), ("band_high", 1)):
        table[name] = table["estimate"] + side * 2 * se
    table["customers"] = customers
    return Averages(table, pd.DataFrame(np.eye(len(index)) * se**2, index, index), "event_time", base, 0.95)


def test_statistic_by_hand():
    result = pre_trend_test(event_study({-3: 0.1, -2: 0.2, 0: 1.0, 1: 1.0}))
    assert result.statistic == pytest.approx(1 + 4)
    assert result.df == 2
    assert result.p_value == pytest.approx(np.exp(-2.5))  # the tail of chi-square with 2 df
    assert result.passed
    assert "no difference found" in repr(result)
    assert "differed" in repr(pre_trend_test(event_study({-3: 0.4, -2: 0.2, 0: 1.0})))


@pytest.mark.parametrize("power", [0.3, 0.8])
def test_the_slope_is_found_as_often_as_it_says(power):
    """4,000 draws of the estimates around the slope: the share of rejections is the power within 3 standard errors."""
    study = event_study({-4: 0.0, -3: 0.0, -2: 0.0, 0: 1.0, 1: 1.0})
    told = pre_trend_test(study, power=power)
    rng, steps = np.random.default_rng(1), np.array([-3.0, -2.0, -1.0])
    drawn = told.slope_seen * steps + 0.1 * rng.standard_normal((4_000, 3))
    found = ((drawn / 0.1) ** 2).sum(axis=1) > 7.814728  # 95 % point of chi-square with 3 df
    assert found.mean() == pytest.approx(power, abs=3 * np.sqrt(power * (1 - power) / 4_000))
    assert told.bias_unseen == pytest.approx(told.slope_seen * 1.5)  # event times 0 and 1 are 1 and 2 steps ahead


def test_a_level_five_test_rejects_five_percent_of_true_nulls():
    """80 panels without any trend: 5 %, and not more than 3 standard errors above."""
    rng, failed = np.random.default_rng(2), 0
    for _ in range(80):
        joined = pd.Series(np.where(rng.random(80) < 0.4, 4.0, np.nan))
        outcome = pd.DataFrame(rng.standard_normal((80, 6)))
        failed += not pre_trend_test(effects_by(group_time_effects(outcome, joined))).passed
    assert failed / 80 <= 0.123


def test_bounds_by_hand():
    result = sensitivity(event_study({-3: 0.3, -2: 0.1, 0: 1.0, 1: 2.0}), [0, 1, 2])
    assert result.step_before == pytest.approx(0.2)  # from -3 to -2; from -2 to the base it is 0.1
    assert result.estimate == pytest.approx(1.5)
    reach = 1.959963984540054 * 0.1 / np.sqrt(2)
    assert result.table["bias"].tolist() == pytest.approx([0, 0.3, 0.6])
    assert result.table["low"].tolist() == pytest.approx([1.5 - reach, 1.2 - reach, 0.9 - reach])
    assert result.undone_at == pytest.approx((1.5 - reach) / 0.3)
    assert "1.5" in repr(result)
    assert sensitivity(event_study({-2: 0.1, 0: 0.01})).undone_at == 0
    assert np.isinf(sensitivity(event_study({-2: 0.0, 0: 1.0})).undone_at)


def test_anticipation_counts_steps_from_the_base():
    result = sensitivity(event_study({-4: 0.1, -3: 0.2, -1: 5.0, 0: 1.0}, base=-2), [1])
    assert result.step_before == pytest.approx(0.2)
    assert result.table["bias"].item() == pytest.approx(0.2 * 2)


def test_without_a_violation_the_bounds_are_the_overall_effect():
    rng = np.random.default_rng(3)
    joined = pd.Series(rng.choice([2, 3, np.nan], 200))
    effects = group_time_effects(pd.DataFrame(rng.standard_normal((200, 6))), joined)
    plain, bounded = overall_effect(effects), sensitivity(effects_by(effects), [0])
    assert bounded.estimate == pytest.approx(plain.estimate, abs=1e-12)
    # the interval of the bounds takes the cohorts' shares as known; that is all the difference
    assert bounded.table["low"].item() == pytest.approx(plain.low, abs=0.01)


def test_refusals():
    rng = np.random.default_rng(4)
    outcome, joined = pd.DataFrame(rng.standard_normal((40, 4))), pd.Series(np.repeat([1.0, 2.0, 3.0, np.nan], 10))
    effects = group_time_effects(outcome, joined)
    for call in (pre_trend_test, sensitivity):
        with pytest.raises(ContractError, match="an event study is needed"):
            call(effects_by(effects, "cohort"))
        with pytest.raises(ContractError, match="begin the panel earlier"):
            call(effects_by(effects, first=0))
        with pytest.raises(ContractError, match="an event study is needed"):
            call(effects)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="power must lie between alpha and 1"):
        pre_trend_test(effects_by(effects), power=0.01)
    with pytest.raises(ContractError, match="level must lie"):
        pre_trend_test(effects_by(effects), alpha=0.0)
    for times in ([], [-1.0], [np.nan]):
        with pytest.raises(ContractError, match="multiples of 0 or more"):
            sensitivity(effects_by(effects), times)
