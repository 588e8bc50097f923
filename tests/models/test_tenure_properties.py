"""sBG and BdW over their whole range: derivatives, limits, sums, simulated truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import hyp2f1

from crmlab.models import BetaDiscreteWeibull, ShiftedBetaGeometric
from crmlab.models.survivors import stay_terms
from tests.models.test_tenure_published import at

STEP = 1e-4  # of a log-parameter, for central differences; rounding leaves them some 1e-5 of the largest term
logs = st.floats(-4, 4)


def check_derivatives(terms, data, logs):
    """Derivatives of `terms` by log-parameters against central differences."""
    logs = np.array(logs)
    found = terms(data, np.exp(logs))
    for j, step in enumerate(STEP * np.eye(len(logs))):
        up, down = terms(data, np.exp(logs + step)), terms(data, np.exp(logs - step))
        scale = 1 + np.abs(found.value) + np.abs(found.gradient).max(axis=0)
        assert np.isfinite(found.value).all()
        assert (np.abs((up.value - down.value) / (2 * STEP) - found.gradient[j]) < 1e-5 * scale).all()
        for k in range(j, len(logs)):
            slope = (up.gradient[k] - down.gradient[k]) / (2 * STEP)
            assert (np.abs(slope - found.hessian[j, k]) < 1e-4 * (scale + np.abs(found.hessian[j, k]))).all()


@given(st.lists(logs, min_size=2, max_size=2), st.floats(-0.7, 0.7), st.booleans())
@settings(deadline=None)
def test_derivatives(pair, power, weibull):
    data = (np.array([0.0, 0, 1, 5, 12, 3, 60]), np.array([1.0, np.inf, 2, 6, np.inf, 9, 61]))
    check_derivatives(stay_terms, data, [*pair, power] if weibull else pair)


@given(st.lists(logs, min_size=2, max_size=2), st.floats(-0.7, 0.7))
@settings(deadline=None)
def test_probabilities_are_a_distribution_and_agree(pair, power):
    model, times = at(*np.exp([*pair, power])), np.arange(1, 40)
    survival = model.survival(np.arange(40))
    assert survival[0] == 1
    assert survival.between(0, 1).all()
    assert (survival.diff()[1:] <= 1e-15).all()
    np.testing.assert_allclose(model.churn_probability(times), -np.diff(survival), atol=1e-12)
    np.testing.assert_allclose(model.retention(times) * survival.to_numpy()[:-1], survival[1:], rtol=1e-9)


@given(st.floats(0.05, 30), st.floats(0.05, 30), st.floats(0.03, 2))
@settings(deadline=None)
def test_discounted_lifetimes_are_the_published_closed_forms(alpha, beta, rate):
    """Fader & Hardie (2010): Gaussian hypergeometric functions."""
    model, z = at(alpha, beta), 1 / (1 + rate)
    assert model.discounted_lifetime(rate) == pytest.approx(hyp2f1(1, beta, alpha + beta, z), rel=1e-7)
    for n in (0, 3):
        closed = (beta + n) / (alpha + beta + n) * hyp2f1(1, beta + n + 1, alpha + beta + n + 1, z)
        assert model.discounted_residual_lifetime(n, rate) == pytest.approx(closed, rel=1e-7)


@pytest.mark.parametrize("params", [(0.7, 1.2), (3.0, 2.0), (0.5, 0.9, 1.7)])
@pytest.mark.parametrize("rate", [1e-4, 0.01, 3.0])
def test_a_slow_discounted_sum_equals_the_sum_of_its_terms(params, rate):
    model, times = at(*params), np.arange(1_000_000)
    direct = model.survival(times).to_numpy() @ (1 + rate) ** -times.astype(float)
    assert model.discounted_lifetime(rate) == pytest.approx(direct, rel=1e-8)


def test_value_is_made_of_this_payment_and_those_to_come():
    """DEL = 1 + DERL at no renewal, discounted by a period; monthly rates compound to the annual one."""
    model = at(0.7, 3.8, 1.2)
    assert model.discounted_lifetime(0.1) == pytest.approx(1 + model.discounted_residual_lifetime(0, 0.1) / 1.1)
    assert model.discounted_lifetime(1.1**12 - 1, 12) == pytest.approx(model.discounted_lifetime(0.1))


def test_expected_tenure():
    assert at(3.0, 2.0).expected_tenure() == pytest.approx(2.0)  # (alpha + beta - 1) / (alpha - 1)
    assert at(3.0, 2.0, 1 + 1e-9).expected_tenure() == pytest.approx(2.0, rel=1e-6)
    assert at(0.7, 1.2).expected_tenure(3) == pytest.approx(at(0.7, 1.2).survival([0, 1, 2]).sum())


def test_a_bdw_with_power_one_is_the_sbg():
    times = np.arange(20)
    np.testing.assert_allclose(at(0.7, 1.2, 1.0).survival(times), at(0.7, 1.2).survival(times), rtol=1e-14)


def test_the_truth_is_found_again_and_customers_one_by_one_are_the_same_as_counted():
    truth = at(0.7, 1.2, 1.3)
    people = truth.simulate(np.full(60_000, 15), seed=3)
    fit = BetaDiscreteWeibull.from_tenures(people).fit()
    assert (np.abs(fit.params - truth.params) < 4 * fit.bse).all()
    survivors = [((people["tenure"] > t) | ((people["tenure"] == t) & ~people["churned"])).sum() for t in range(16)]
    counted = BetaDiscreteWeibull([60_000, *survivors[1:]]).fit()
    assert counted.llf == pytest.approx(fit.llf)
    pd.testing.assert_series_equal(counted.params, fit.params, rtol=1e-6)
    smaller = ShiftedBetaGeometric.from_tenures(people).fit()
    assert fit.likelihood_ratio(smaller)["p_value"] < 1e-6


def test_intervals_agree_by_three_ways():
    survivors = [1000, 869, 743, 653, 593, 551, 517, 491]
    fit = ShiftedBetaGeometric(survivors).fit()
    delta = fit.survival([12], level=0.9)
    for draws in (fit.bootstrap(150, seed=1), fit.posterior(600, seed=1)):
        other = fit.survival([12], level=0.9, draws=draws)
        np.testing.assert_allclose(other, delta, atol=0.015)
    low, high = delta[["low", "high"]].iloc[0]
    assert low < fit.survival(12) < high


def test_projection_is_beside_what_was_observed():
    survivors = np.array([1000, 869, 743, 653])
    table = ShiftedBetaGeometric(survivors).fit().projection(6, level=0.9)
    assert list(table) == ["observed", "estimate", "low", "high"]
    np.testing.assert_allclose(table["observed"][:4], survivors / 1000)
    assert table["observed"][4:].isna().all()
