"""The read-out of a campaign against hand-made numbers, statsmodels, and data with a known effect."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from crmlab.database.campaign import incremental_profit, read_arms, read_out

#: Same formula, other code: only rounding may differ.
EXACT: Any = {"rel": 1e-9, "abs": 1e-12}


def sales(n: int = 400, seed: int = 1, effect: float = 2.0) -> pd.DataFrame:
    """Sales that hang on last year's, with a treatment that adds `effect`, drawn for three in ten."""
    rng = np.random.default_rng(seed)
    before = rng.gamma(2, 10, n)
    treated = rng.random(n) < 0.3
    return pd.DataFrame(
        {"before": before, "treated": treated, "sales": before + rng.normal(0, 5, n) + effect * treated}
    )


def test_by_hand():
    result = read_out([4, 6, 1, 3], [1, 1, 0, 0])
    assert result.arms["mean"].tolist() == [5.0, 2.0]
    assert result.arms["se"].tolist() == [1.0, 1.0]
    assert result.difference.estimate == 3.0
    assert result.relative is not None
    assert result.relative.estimate == pytest.approx(1.5, **EXACT)
    assert result.statistic == pytest.approx(3 / np.sqrt(2), **EXACT)
    assert (result.adjusted, result.variance_reduction) == (None, None)
    assert result.effect == result.difference


def test_mean_is_welch():
    data = sales()
    result = read_out(data["sales"], data["treated"], level=0.9)
    arms = (DescrStatsW(data.loc[data["treated"] == arm, "sales"]) for arm in (True, False))
    welch = CompareMeans(*arms)
    low, high = welch.tconfint_diff(alpha=0.1, usevar="unequal")
    statistic, p_value, _ = welch.ttest_ind(usevar="unequal")
    assert result.outcome == "mean"
    assert (result.difference.low, result.difference.high) == pytest.approx((low, high), **EXACT)
    assert (result.statistic, result.p_value) == pytest.approx((statistic, p_value), **EXACT)


@pytest.mark.parametrize(("answered", "of"), [((30, 20), (400, 500)), ((0, 7), (60, 80)), ((3, 0), (40, 900))])
def test_share_has_newcombes_interval(answered, of):
    y = np.concatenate([np.r_[np.ones(k), np.zeros(n - k)] for k, n in zip(answered, of, strict=True)])
    result = read_out(y, np.repeat([1, 0], of))
    expected = confint_proportions_2indep(answered[0], of[0], answered[1], of[1], method="newcomb", compare="diff")
    assert result.outcome == "share"
    assert (result.difference.low, result.difference.high) == pytest.approx(expected, **EXACT)
    assert (result.relative is None) == (0 in answered)


def test_adjusted_is_the_interacted_regression():
    data = sales()
    result = read_out(data["sales"], data["treated"], before=data["before"])
    x = data["before"] - data["before"].mean()
    design = pd.DataFrame({"one": 1.0, "t": data["treated"].astype(float), "x": x, "tx": x * data["treated"]})
    fit = sm.OLS(data["sales"], design).fit(cov_type="HC2")
    variance = fit.bse["t"] ** 2 + fit.params["tx"] ** 2 * x.var() / len(x)
    assert result.adjusted is not None
    assert result.adjusted.estimate == pytest.approx(fit.params["t"], **EXACT)
    plain = result.arms["se"].pow(2).sum()
    assert result.variance_reduction == pytest.approx(1 - variance / plain, **EXACT)
    assert result.effect == result.adjusted


def test_adjusted_is_near_cuped_with_one_slope():
    """Deng et al. (2013): Y - theta (X - mean X), theta = cov / var; the slopes of the arms differ by chance only."""
    data = sales(20_000)
    result = read_out(data["sales"], data["treated"], before=data["before"])
    theta = np.cov(data["sales"], data["before"])[0, 1] / data["before"].var()
    cuped = read_out(data["sales"] - theta * (data["before"] - data["before"].mean()), data["treated"])
    assert result.adjusted is not None
    assert result.adjusted.estimate == pytest.approx(cuped.difference.estimate, abs=0.01)  # an eighth of its error
    correlation = np.corrcoef(data["sales"], data["before"])[0, 1]
    assert result.variance_reduction == pytest.approx(correlation**2, abs=0.02)


def test_arms_in_print_say_what_their_customers_say():
    data = sales()
    whole = read_out(data["sales"], data["treated"])
    printed = whole.arms.rename_axis("arm").reset_index()
    again = read_arms(printed, "treated", "control")
    assert again.difference == pytest.approx(whole.difference)
    assert again.p_value == pytest.approx(whole.p_value, **EXACT)
    answered = data["sales"] > 25
    rates = answered.groupby(data["treated"]).agg(["size", "mean"]).set_axis(["customers", "mean"], axis=1)
    table = rates.assign(arm=["none", "letter"])
    again, whole = read_arms(table, "letter", "none"), read_out(answered, data["treated"])
    assert (again.difference.low, again.difference.high) == pytest.approx(
        (whole.difference.low, whole.difference.high), **EXACT
    )
    assert again.statistic == pytest.approx(whole.statistic, **EXACT)


def test_clusters_are_the_unit_that_was_drawn():
    rng = np.random.default_rng(3)
    homes = pd.DataFrame({"home": np.arange(200), "own": rng.normal(0, 3, 200), "treated": rng.permutation(200) < 100})
    people = homes.loc[homes.index.repeat(rng.integers(1, 5, 200))].reset_index(drop=True)
    people["sales"] = 20 + people["own"] + rng.normal(0, 1, len(people))
    result = read_out(people["sales"], people["treated"], cluster=people["home"])
    design = sm.add_constant(people["treated"].astype(float))
    clustered = sm.OLS(people["sales"], design).fit(cov_type="cluster", cov_kwds={"groups": people["home"]})
    error = np.sqrt(result.arms["se"].pow(2).sum())
    assert error == pytest.approx(clustered.bse["treated"], rel=0.01)  # each arm has its own small-sample factor
    alone = read_out(people["sales"], people["treated"])
    assert error > 1.3 * np.sqrt(alone.arms["se"].pow(2).sum())
    assert result.clusters == 200
    adjusted = read_out(people["sales"], people["treated"], cluster=people["home"], before=people["own"])
    assert adjusted.variance_reduction is not None
    assert adjusted.variance_reduction > 0.8


def test_copies_of_a_home_tell_no_more_than_the_home():
    """Four equal people a home, and an effect that differs by home: the adjusted error is that of the homes."""
    rng = np.random.default_rng(4)
    homes = pd.DataFrame({"home": np.arange(400), "past": rng.normal(0, 1, 400), "treated": rng.permutation(400) < 200})
    homes["sales"] = homes["past"] * (1 + 3 * homes["treated"]) + rng.normal(0, 1, 400)
    people = homes.loc[homes.index.repeat(4)].reset_index(drop=True)
    one = read_out(homes["sales"], homes["treated"], before=homes["past"]).adjusted
    four = read_out(people["sales"], people["treated"], before=people["past"], cluster=people["home"]).adjusted
    assert one is not None
    assert four is not None
    assert four.estimate == pytest.approx(one.estimate)
    assert four.high - four.low == pytest.approx(one.high - one.low, rel=0.01)  # small-sample factors differ


def test_a_table_of_arms_may_say_more():
    arms = pd.DataFrame(
        {"arm": ["letter", "none"], "text": ["Dear", ""], "customers": [5_000, 5_000], "mean": [0.024, 0.018]}
    )
    assert read_arms(arms, "letter", "none").difference.estimate == pytest.approx(0.006)


def test_a_negative_mean_has_no_ratio():
    assert read_out([-4, -6, 1, 3], [1, 1, 0, 0]).relative is None


def test_profit_by_hand():
    table = pd.DataFrame({"arm": ["a", "b"], "customers": [1_000, 500], "mean": [3.0, 2.0], "se": [0.3, 0.4]})
    worth = incremental_profit(read_arms(table, "a", "b"), margin=0.5, contact_cost=0.2)
    assert worth.contacted == 1_000
    assert worth.incremental.estimate == pytest.approx(1_000)
    assert worth.profit.estimate == pytest.approx(1_000 * (0.5 * 1 - 0.2))
    assert worth.break_even == pytest.approx(0.4)
    assert worth.return_on_cost is not None
    assert worth.return_on_cost.estimate == pytest.approx(300 / 200)
    assert worth.profit.low < 300 < worth.profit.high
    assert incremental_profit(read_arms(table, "a", "b"), margin=0.5, contact_cost=0).return_on_cost is None


def test_results_print_their_definitions():
    data = sales()
    text = repr(read_out(data["sales"], data["treated"], before=data["before"]))
    for words in ("Welch", "adjusted", "saves", "HC2", "p-value"):
        assert words in text, words
    assert "Newcombe" in repr(read_out([1, 0, 1, 0], [1, 1, 0, 0]))


def test_inputs_are_left_alone():
    data = sales()
    copy = data.copy(deep=True)
    read_out(data["sales"], data["treated"], before=data[["before"]])
    pd.testing.assert_frame_equal(data, copy)
