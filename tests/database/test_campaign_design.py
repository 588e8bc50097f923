"""Sample size and power against statsmodels and simulation; balance and sample ratio against known draws."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from statsmodels.stats.multivariate import test_mvmean_2indep as hotelling
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import power_proportions_2indep

from crmlab.database.campaign import read_out
from crmlab.database.campaign_design import balance, plan_test, sample_ratio_p_value


def test_share_by_hand():
    """(1.95996 + 0.84162)^2 x (0.025 x 0.975 + 0.02 x 0.98) / 0.5 / 0.005^2"""
    z = (1.959964 + 0.841621) ** 2
    n = z * (0.025 * 0.975 + 0.02 * 0.98) / 0.5 / 0.005**2
    assert plan_test(baseline=0.02, difference=0.005).customers == int(np.ceil(n))


@pytest.mark.parametrize("share", [0.5, 0.8, 0.1])
def test_mean_is_near_the_t_test(share):
    """The normal law asks for z^2 / 4, about one customer in an arm, less than the t test."""
    plan = plan_test(sd=10, difference=1.0, treated_share=share)
    exact = TTestIndPower().solve_power(effect_size=0.1, power=0.8, alpha=0.05, ratio=(1 - share) / share)
    assert plan.customers == pytest.approx(exact / share, abs=1 + 2 / min(share, 1 - share))


def test_share_is_near_the_power_with_a_pooled_error():
    """statsmodels pools the rates under the null; at equal arms this matters little."""
    plan = plan_test(baseline=0.02, difference=0.005, customers=20_000, power=None)
    other = power_proportions_2indep(0.005, 0.02, nobs1=10_000, ratio=1, alpha=0.05).power
    assert plan.power == pytest.approx(other, abs=0.003)


@settings(max_examples=40, deadline=None)
@given(
    baseline=st.floats(0.005, 0.5),
    rise=st.floats(0.05, 0.6),
    power=st.floats(0.3, 0.97),
    share=st.floats(0.1, 0.9),
)
def test_three_of_four_give_the_fourth(baseline, rise, power, share):
    difference = baseline * rise
    plan = plan_test(baseline=baseline, difference=difference, power=power, treated_share=share)
    shared = {"baseline": baseline, "customers": plan.customers, "treated_share": share}
    reached = plan_test(**shared, difference=difference, power=None).power
    assert power - 1e-6 <= reached <= power + 0.05  # a whole number of customers
    again = plan_test(**shared, power=power).difference
    assert again == pytest.approx(difference, rel=0.02)
    assert again <= difference * (1 + 1e-9)


def test_power_and_exaggeration_are_what_happens():
    """4,000 tests with the planned numbers: share significant, and the mean size of those that are."""
    plan = plan_test(baseline=0.1, difference=0.02, customers=3_000, power=None, treated_share=0.6)
    rng = np.random.default_rng(1)
    runs, n, m = 4_000, 1_800, 1_200
    one, two = rng.binomial(n, 0.12, runs) / n, rng.binomial(m, 0.1, runs) / m
    error = np.sqrt(one * (1 - one) / (n - 1) + two * (1 - two) / (m - 1))
    found = np.abs(one - two) / error > 1.96
    assert found.mean() == pytest.approx(plan.power, abs=3 * np.sqrt(0.25 / runs))
    assert np.abs(one - two)[found].mean() / 0.02 == pytest.approx(plan.exaggeration, abs=0.03)
    assert plan.standard_error == pytest.approx(np.std(one - two), rel=0.04)


def test_a_test_that_is_large_enough_does_not_exaggerate():
    assert plan_test(sd=1, difference=0.5, customers=10_000, power=None).exaggeration == pytest.approx(1, abs=1e-6)
    assert plan_test(sd=1, difference=0.01, customers=400, power=None).exaggeration > 5


def test_plans_print_what_they_are_for():
    assert "60 treated, 40 control" in repr(plan_test(sd=3, customers=100, treated_share=0.6))
    assert "0.02 without the campaign" in repr(plan_test(baseline=0.02, difference=0.01))


def people(n: int = 2_000, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.normal(45, 15, n)
    return pd.DataFrame({"age": age, "income": 20 + age / 2 + rng.normal(0, 5, n), "woman": rng.integers(0, 2, n)})


def test_balance_is_near_hotellings_test():
    """Same statistic up to how the spread is pooled, which matters little without an effect."""
    data = people()
    treated = np.random.default_rng(2).random(len(data)) < 0.3
    result = balance(data, treated)
    other = hotelling(data[treated], data[~treated])
    assert result.df == 3
    assert result.p_value == pytest.approx(other.pvalue, abs=0.005)
    age = data["age"].groupby(treated).agg(["mean", "var"])
    smd = np.diff(age["mean"])[0] / np.sqrt(age["var"].mean())
    assert result.table["smd"][0] == pytest.approx(smd)


def test_balance_is_uniform_under_a_fair_draw():
    data = people(300)
    draws = [balance(data, np.random.default_rng(s).permutation(300) < 120).p_value for s in range(300)]
    assert kstest(draws, "uniform").pvalue > 0.01


def test_balance_finds_a_draw_that_was_not_fair():
    data = people()
    result = balance(data, data["age"] + np.random.default_rng(1).normal(0, 60, len(data)) > 45)
    assert result.p_value < 1e-6
    assert "age" in repr(result)


def test_a_covariate_twice_counts_once():
    data = people()
    treated = np.arange(len(data)) % 2
    once, twice = balance(data, treated), balance(data.assign(again=data["age"] * 12), treated)
    assert (once.df, twice.df) == (3, 3)
    assert once.p_value == pytest.approx(twice.p_value)


def test_sample_ratio():
    assert sample_ratio_p_value([500, 500], [0.5, 0.5]) == 1.0
    assert sample_ratio_p_value([21_307, 21_387, 21_306], [1 / 3] * 3) > 0.5
    assert sample_ratio_p_value([5_300, 4_700], [0.5, 0.5]) < 1e-6
    fair = [
        sample_ratio_p_value([k, 1_000 - k], [0.3, 0.7]) for k in np.random.default_rng(1).binomial(1_000, 0.3, 500)
    ]
    assert np.mean(np.array(fair) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_one_look_finds_nothing_as_often_as_it_says():
    rng = np.random.default_rng(1)
    once = [read_out(rng.normal(size=200), np.arange(200) % 2).p_value < 0.05 for _ in range(400)]
    assert np.mean(once) == pytest.approx(0.05, abs=0.03)
