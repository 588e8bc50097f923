"""Gamma-Gamma: derivatives, scale, simulated truth, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.errors import ContractError
from crmlab.models import ConvergenceError, GammaGamma, GammaGammaResults
from crmlab.models.spend import count_terms, money_terms
from tests.models.test_tenure_properties import check_derivatives, logs

TRUTH = pd.Series({"p": 6.0, "q": 3.7, "gamma": 15.0})


def at(**params: float) -> GammaGammaResults:
    """A fit with these parameters."""
    named = pd.Series(params)
    return GammaGammaResults("", named, pd.DataFrame(np.eye(3)), 0.0, 1.0, 0.0, "")


@pytest.fixture(scope="module")
def drawn() -> pd.DataFrame:
    x = np.random.default_rng(2).geometric(0.4, 4_000) - 1
    return at(**TRUTH).simulate(x, seed=1)


@given(st.lists(logs, min_size=3, max_size=3))
@settings(deadline=None)
def test_derivatives(point):
    x = np.array([1.0, 2, 10, 10_000])
    mean = np.array([1e-6, 1.0, 3.0, 1e6])
    check_derivatives(money_terms, (x, x * mean, np.log(mean)), point)
    check_derivatives(count_terms, (x,), point)


def test_the_truth_is_found_again(drawn):
    fit = GammaGamma(drawn).fit()
    assert (np.abs(fit.params - TRUTH) < 4 * fit.bse).all()
    assert fit.gradient < 1e-8
    assert abs(fit.independence().estimate) < 0.1


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_another_currency_changes_gamma_alone(drawn, factor):
    one, other = (
        GammaGamma(drawn).fit(),
        GammaGamma(drawn.assign(monetary_value=drawn["monetary_value"] * factor)).fit(),
    )
    np.testing.assert_allclose(other.params, one.params * [1, 1, factor], rtol=1e-6)
    np.testing.assert_allclose(other.bse, one.bse * [1, 1, factor], rtol=1e-5)
    assert other.llf == pytest.approx(one.llf - one.customers * np.log(factor))
    np.testing.assert_allclose(other.expected_value(), one.expected_value() * factor, rtol=1e-6)
    other_draws, draws = other.posterior(50, seed=1), one.posterior(50, seed=1)
    np.testing.assert_allclose(other_draws["gamma"] - np.log(factor), draws["gamma"], atol=1e-4)


def test_weights_are_customers(drawn):
    once = drawn[drawn["frequency"] > 0]
    twice = GammaGamma(once.assign(weight=2.0)).fit()
    doubled = GammaGamma(pd.concat([once, once])).fit()
    assert twice.llf == pytest.approx(doubled.llf)
    np.testing.assert_allclose(twice.params, doubled.params, rtol=1e-6)
    assert twice.independence().estimate == pytest.approx(doubled.independence().estimate)


@given(st.floats(1.5, 20), st.floats(1.5, 20), st.floats(0.1, 100), st.integers(0, 1000), st.floats(0.01, 1e6))
def test_expected_spend_lies_between_the_own_mean_and_that_of_all(p, q, gamma, x, mean):
    fit = at(p=p, q=q, gamma=gamma)
    found = fit.expected_value(pd.DataFrame({"frequency": [x], "monetary_value": [mean if x else 0.0]}))[0]
    ends = sorted([fit.population_mean, mean if x else fit.population_mean])
    assert ends[0] * (1 - 1e-9) <= found <= ends[1] * (1 + 1e-9)


def test_one_enormous_value_is_fitted(drawn):
    again = drawn.index[drawn["frequency"] > 0][0]
    fit = GammaGamma(drawn.assign(monetary_value=drawn["monetary_value"].where(drawn.index != again, 1e12))).fit()
    assert np.isfinite(fit.bse).all()
    assert np.isfinite(fit.expected_value()).all()


def test_equal_spends_are_told():
    frame = pd.DataFrame({"frequency": np.arange(50), "monetary_value": np.where(np.arange(50) > 0, 30.0, 0.0)})
    with pytest.raises(ConvergenceError) as error:
        GammaGamma(frame).fit()
    assert "1 different values" in str(error.value)
    assert "all spend nearly the same" in str(error.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1.0, "monetary_value: negative in 1 rows (first: 2)"),
        (0.0, "monetary_value: 0 with repeat purchases in 1 rows (first: 2, counted from 1)"),
        (np.nan, "monetary_value: not a finite number in 1 rows (first: 2)"),
        (np.inf, "monetary_value: not a finite number in 1 rows (first: 2)"),
    ],
)
def test_spend_that_cannot_be_is_refused(value, message):
    frame = pd.DataFrame({"frequency": [0, 1, 2], "monetary_value": [0.0, value, 5.0]})
    with pytest.raises(ContractError) as error:
        GammaGamma(frame)
    assert message in str(error.value)


@pytest.mark.parametrize("frequency", [[0, 0], [0, 3]])
def test_too_few_buyers_are_told(frequency):
    frame = pd.DataFrame({"frequency": frequency, "monetary_value": np.multiply(frequency, 2.0)})
    with pytest.raises(ConvergenceError, match="fewer than two rows with purchases"):
        GammaGamma(frame).fit()


def test_an_infinite_mean_is_told():
    with pytest.raises(ContractError, match=r"p x \+ q must be above 1, and q = 0.9"):
        _ = at(p=2.0, q=0.9, gamma=3.0).population_mean
    own = at(p=2.0, q=0.9, gamma=3.0).expected_value(pd.DataFrame({"frequency": [1], "monetary_value": [4.0]}))
    assert own[0] == pytest.approx(2 * (3 + 4) / (2 + 0.9 - 1))
