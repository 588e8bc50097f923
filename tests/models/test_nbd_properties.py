"""NBD: derivatives, distributions, simulated truth, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom

from crmlab.errors import ContractError
from crmlab.models import NBD, ConvergenceError, NBDResults
from crmlab.models.nbd import count_terms, tail_terms
from tests.models.test_tenure_properties import check_derivatives, logs


def at(**params: float) -> NBDResults:
    """A fit with these parameters."""
    return NBDResults("", pd.Series(params), pd.DataFrame(np.eye(len(params))), 0.0, 1.0, 0.0, "")


@given(st.lists(logs, min_size=2, max_size=3))
@settings(deadline=None)
def test_derivatives(point):
    check_derivatives(count_terms, (np.array([0.0, 1, 2, 30, 10_000]),), point)


@given(st.lists(st.floats(-1.5, 1.5), min_size=2, max_size=3))
@settings(deadline=None)
def test_derivatives_of_an_open_class(point):
    check_derivatives(tail_terms, (np.array([1.0, 3, 8]),), point)


@given(st.floats(0.05, 20), st.floats(0.05, 20), st.floats(0.01, 0.9), st.floats(0.1, 10))
@settings(deadline=None)
def test_probabilities_and_shares(r, alpha, pi, t):
    fit = at(r=r, alpha=alpha, pi=pi)
    most = int(nbinom.isf(1e-13, r, alpha / (alpha + t))) + 2
    shares, x = fit.probabilities(most, t).to_numpy(), np.arange(most + 1)
    assert shares.sum() == pytest.approx(1)
    assert x @ shares == pytest.approx(fit.mean(t), rel=1e-6)
    heaviest = [fit.share_of_heaviest(one, t) for one in (0.01, 0.1, 0.5, 1.0)]
    assert heaviest == sorted(heaviest)
    assert heaviest[-1] == pytest.approx(1)
    by_count = np.minimum(np.cumsum(shares[::-1]), 0.1)[::-1]  # people among the heaviest tenth, by number of purchases
    taken = by_count - np.append(by_count[1:], 0.0)
    assert heaviest[1] == pytest.approx(x @ taken / fit.mean(t), rel=1e-6, abs=1e-9)


def test_the_truth_is_found_again_in_any_unit_of_time():
    truth = at(r=0.8, alpha=0.5, pi=0.2)
    counts = truth.simulate(40_000, 2.0, seed=1).value_counts()
    fit = NBD(counts, zero_class=True, exposure=2.0).fit()
    assert (np.abs(fit.params - truth.params) < 4 * fit.bse).all()
    assert NBD(counts, zero_class=True).fit().llf == pytest.approx(fit.llf)
    assert fit.likelihood_ratio(NBD(counts, exposure=2.0).fit())["p_value"] < 1e-6
    cut = counts.groupby(np.minimum(counts.index, 6)).sum()
    open_class = NBD(cut, zero_class=True, censored_from=6, exposure=2.0).fit()
    assert (np.abs(open_class.params - truth.params) < 4 * open_class.bse).all()
    assert fit.goodness_of_fit().p_value > 0.001
    np.testing.assert_allclose(fit.posterior(400, seed=1).mean(), fit.coefficients, atol=0.1)


def test_the_next_period_of_those_who_bought_so_often_is_foreseen():
    truth = at(r=0.8, alpha=0.5, pi=0.2)
    rng = np.random.default_rng(5)
    rates = rng.gamma(0.8, 1 / 0.5, 400_000) * (rng.random(400_000) >= 0.2)
    now, then = rng.poisson(rates), rng.poisson(3 * rates)
    expected = truth.expected_next(range(5), 3.0)
    for x in range(5):
        assert then[now == x].mean() == pytest.approx(expected[x], rel=0.03)


def test_goodness_of_fit_counts_everybody():
    fit = NBD(pd.Series([400, 60, 30, 20, 8, 8, 9, 6, 27]), censored_from=8).fit()
    found = fit.goodness_of_fit(5)
    assert found.table["observed"].sum() == pytest.approx(568)
    assert found.table["expected"].sum() == pytest.approx(568)
    assert found.df == 3
    assert list(found.table.index) == ["0", "1", "2", "3", "4", "5+"]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (pd.Series([5.0, -1.0]), "people: not a number, 0 or more in 1 rows (first: 2)"),
        (pd.Series([5, 1], index=[0.5, 1]), "number of purchases: not a whole number, 0 or more in 1 rows (first: 1)"),
        (pd.Series([5, 1], index=[1, 1]), "number of purchases: there twice in 1 rows (first: 2)"),
        (pd.Series([0, 0]), "there are no people"),
        (pd.Series([], dtype=float), "there are no people"),
        (pd.DataFrame({"packs": [0, 1]}), "counts need two columns"),
    ],
)
def test_these_are_no_counts(counts, message):
    with pytest.raises(ContractError) as error:
        NBD(counts)
    assert message in str(error.value)


@pytest.mark.parametrize("zero_class", [False, True])
@pytest.mark.parametrize("people", [[10], [0, 7], [10, 30, 10], [5, 5]])
def test_counts_without_a_maximum_are_told(people, zero_class):
    with pytest.raises(ConvergenceError, match=r"people, .* of them without a purchase"):
        NBD(pd.Series(people), zero_class=zero_class).fit()


def test_arguments_are_checked():
    counts = pd.Series([5, 3, 2])
    with pytest.raises(ContractError, match="must be the largest number of purchases, 2"):
        NBD(counts, censored_from=1)
    with pytest.raises(ContractError, match="exposure must be positive"):
        NBD(counts, exposure=0)
    with pytest.raises(ContractError, match="share must be above 0"):
        at(r=1.0, alpha=1.0).share_of_heaviest(0)
