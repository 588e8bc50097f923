"""BG/BB: derivatives, distributions, simulated truth, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import beta as B

from crmlab.errors import ContractError
from crmlab.models import BetaGeoBetaBinomial, BetaGeoBetaBinomialResults, ConvergenceError
from crmlab.models.occasions import history_terms
from tests.models.test_tenure_properties import check_derivatives, logs

HISTORIES = tuple(np.array(one, dtype=float) for one in zip((0, 0, 6), (2, 3, 6), (6, 6, 6), (1, 9, 40), strict=True))
TRUTH = {"alpha": 1.2, "beta": 0.75, "gamma": 0.66, "delta": 2.8}


def at(**params: float) -> BetaGeoBetaBinomialResults:
    """A fit with these parameters."""
    named = pd.Series(params)
    return BetaGeoBetaBinomialResults("", named, pd.DataFrame(np.eye(len(named))), 0.0, 1.0, 0.0, "occasion")


@given(st.lists(logs, min_size=3, max_size=4))
@settings(deadline=None)
def test_derivatives(point):
    check_derivatives(history_terms, HISTORIES, point)


@given(st.lists(st.floats(0.1, 20), min_size=4, max_size=4))
def test_the_likelihood_is_the_published_sum(params):
    """Fader, Hardie & Shang (2010), eq. 5, term by term."""
    a, b, c, d = params
    for x, last, n, found in zip(*HISTORIES, history_terms(HISTORIES, params).value, strict=True):
        stayed = B(a + x, b + n - x) * B(c, d + n)
        left = sum(B(a + x, b + last - x + i) * B(c + 1, d + last + i) for i in range(int(n - last)))
        assert found == pytest.approx(np.log((stayed + left) / (B(a, b) * B(c, d))), rel=1e-9)


@given(st.lists(st.floats(0.1, 20), min_size=4, max_size=4), st.integers(0, 12))
@settings(deadline=None)
def test_probabilities_are_a_distribution_with_the_expected_mean(params, n):
    fit = at(**dict(zip(TRUTH, params, strict=True)))
    shares = fit.purchase_probabilities(n)
    assert shares.sum() == pytest.approx(1)
    assert shares @ np.arange(n + 1) == pytest.approx(fit.expected_purchases_of_new_customer(n), abs=1e-9)


def test_the_truth_is_found_again_and_the_future_is_foreseen():
    truth = at(**TRUTH)
    whole = truth.simulate(np.full(60_000, 10), seed=2)
    fit = BetaGeoBetaBinomial(whole).fit()
    assert (np.abs(fit.params - truth.params) < 4 * fit.bse).all()
    rng = np.random.default_rng(3)
    stays = rng.geometric(rng.beta(0.66, 2.8, 200_000)) - 1
    bought = (rng.random((200_000, 12)) < rng.beta(1.2, 0.75, (200_000, 1))) & (np.arange(12) < stays[:, None])
    seen = bought[:, :7]
    history = pd.DataFrame({"frequency": seen.sum(axis=1), "recency": (seen * np.arange(1, 8)).max(axis=1), "T": 7})
    table = history.assign(
        future=bought[:, 7:].sum(axis=1),
        there=stays >= 8,
        expected=truth.expected_purchases(5, history),
        alive=truth.probability_alive(history),
    )
    groups = table.groupby(["frequency", "recency"])
    size, means = groups.size(), groups.mean()
    large = size > 2_000
    np.testing.assert_allclose(means["future"][large], means["expected"][large], atol=0.1)
    np.testing.assert_allclose(means["there"][large], means["alive"][large], atol=0.035)


def test_discounted_purchases_are_the_sum_of_those_expected():
    history, truth = pd.DataFrame({"frequency": [2, 0], "recency": [3, 0], "T": [5, 4]}), at(**TRUTH)
    ahead = np.array([truth.expected_purchases(n, history) for n in range(400)])
    direct = (np.diff(ahead, axis=0) / 1.1 ** np.arange(1, 400)[:, None]).sum(axis=0)
    np.testing.assert_allclose(truth.discounted_purchases(0.1, history), direct, rtol=1e-8)


def test_one_chance_to_leave_is_the_limit():
    history = pd.DataFrame({"frequency": [2, 0, 5], "recency": [3, 0, 5], "T": [5, 4, 8]})
    limit = at(alpha=1.2, beta=0.75, theta=0.2)
    near = at(alpha=1.2, beta=0.75, gamma=0.2 * 1e9, delta=0.8 * 1e9)
    calls = {"expected_purchases": (6,), "probability_alive": (), "discounted_purchases": (0.1,)}
    for name, arguments in calls.items():
        one, other = (getattr(fit, name)(*arguments, history) for fit in (limit, near))
        np.testing.assert_allclose(one, other, rtol=1e-6)
    np.testing.assert_allclose(limit.purchase_probabilities(6), near.purchase_probabilities(6), rtol=1e-6)
    assert limit.purchase_probabilities(6).sum() == pytest.approx(1)


def test_intervals_and_draws():
    table = at(**TRUTH).simulate(np.full(3_000, 6), seed=1)
    fit = BetaGeoBetaBinomial(table).fit()
    delta = fit.expected_purchases(5, level=0.9)
    assert (delta["low"] < delta["estimate"]).all()
    other = fit.expected_purchases(5, level=0.9, draws=fit.posterior(400, seed=1))
    np.testing.assert_allclose(other, delta, atol=0.1)
    assert len(fit.bootstrap(3, seed=1)) == 3
    assert list(delta.index) == list(table.index)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((3, 2, 6), "frequency: larger than recency, with one purchase an occasion in 1 rows (first: 2)"),
        ((1, 1.5, 6), "recency: not a whole number of occasions in 1 rows (first: 2)"),
        ((1, 2, 6.5), "T: not a whole number of occasions in 1 rows (first: 2)"),
        ((1, 7, 6), "recency: larger than T in 1 rows (first: 2)"),
        ((1.5, 2, 6), "frequency: not a whole number in 1 rows (first: 2)"),
    ],
)
def test_histories_that_cannot_be_are_refused(history, row, message):
    with pytest.raises(ContractError) as error:
        BetaGeoBetaBinomial(history((1, 2, 6), row))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([(0, 0, 6), (0, 0, 5)], "nobody bought again"),
        ([(2, 3, 6)], "one history has no differences to learn from"),
        ([(0, 0, 6), (6, 6, 6)], "BG/BB did not converge"),
    ],
)
def test_data_without_a_maximum_are_told(history, rows, why):
    with pytest.raises(ConvergenceError) as error:
        BetaGeoBetaBinomial(history(*rows)).fit()
    assert why in str(error.value)
    assert "customers, of whom" in str(error.value)


@pytest.mark.parametrize("n", [-1, 0.5, np.nan])
def test_occasions_are_whole_numbers(n):
    with pytest.raises(ContractError, match="must be a whole number of occasions"):
        at(**TRUTH).expected_purchases_of_new_customer(n)
