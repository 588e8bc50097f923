"""Beta-binomial: a classic table, scipy's distribution, derivatives, simulated truth, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, betabinom

from crmlab.errors import ContractError
from crmlab.models import BetaBinomial, BetaBinomialResults, ConvergenceError, load_results
from crmlab.models.betabinomial import trial_terms
from tests.models.test_tenure_properties import check_derivatives

# Boys among the first 12 children of 6,115 families of 13 in Saxony, 1876 to 1885 (Geissler 1889), with the maximum
# of the likelihood as printed under "Beta-binomial distribution" in Wikipedia.
BOYS = [3, 24, 104, 286, 670, 1033, 1343, 1112, 829, 478, 181, 45, 7]
PRINTED = {"alpha": 34.09558, "beta": 31.5715}

logs = st.floats(-3, 5)


def at(alpha: float, beta: float) -> BetaBinomialResults:
    """A fit with these parameters."""
    params = pd.Series({"alpha": alpha, "beta": beta})
    covariance = pd.DataFrame(np.diag((0.1 * params) ** 2), params.index, params.index)
    return BetaBinomialResults("beta-binomial", params, covariance, 0.0, 1.0, 0.0, "")


def test_families_of_thirteen():
    fit = BetaBinomial(np.arange(13), np.full(13, 12), weight=BOYS).fit()
    # the print ends its search where the likelihood differs by less than 1e-4 from the maximum: 3 digits agree
    assert fit.params.to_dict() == pytest.approx(PRINTED, rel=5e-4)
    assert fit.llf == pytest.approx(-12492.9, abs=0.05)
    assert fit.customers == 6115
    expected = 6115 * fit.probabilities(12)
    assert expected.round().tolist() == [2, 23, 105, 311, 656, 1036, 1258, 1182, 854, 462, 178, 44, 5]


@given(logs, logs)
@settings(deadline=None)
def test_derivatives(a, b):
    check_derivatives(trial_terms, (np.array([0.0, 3, 7, 0, 40]), np.array([1.0, 7, 7, 900, 90])), [a, b])


@given(st.floats(0.1, 50), st.floats(0.1, 50), st.integers(1, 40))
@settings(deadline=None)
def test_probabilities_and_posterior_are_those_of_scipy(a, b, trials):
    fit, x = at(a, b), np.arange(trials + 1)
    np.testing.assert_allclose(fit.probabilities(trials), betabinom.pmf(x, trials, a, b), rtol=1e-8)
    rates = fit.rates(x, np.full(len(x), trials), level=0.8)
    np.testing.assert_allclose(rates["low"], beta.ppf(0.1, a + x, b + trials - x), rtol=1e-6)
    np.testing.assert_allclose(fit.chance_above(0.3, x, np.full(len(x), trials)), beta.sf(0.3, a + x, b + trials - x))
    between = rates[["observed"]].assign(mean=fit.mean())
    assert (rates["estimate"] <= between.max(axis=1) + 1e-12).all()
    assert (rates["estimate"] >= between.min(axis=1) - 1e-12).all()


def test_the_truth_is_found_again_and_kept(tmp_path):
    trials = np.random.default_rng(1).integers(5, 200, 4_000)
    drawn = at(0.8, 15.0).simulate(trials, seed=2)
    fit = BetaBinomial(drawn["successes"], drawn["trials"]).fit()
    assert (np.abs(fit.params - [0.8, 15.0]) < 4 * fit.bse).all()
    assert fit.gradient < 1e-8
    better = ((fit.rates()["estimate"] - drawn["rate"]) ** 2).mean()
    assert better < ((fit.rates()["observed"] - drawn["rate"]) ** 2).mean()
    fit.save(tmp_path / "fit.json")
    again = load_results(tmp_path / "fit.json")
    assert again.rates([1], [20]).equals(fit.rates([1], [20]))
    with pytest.raises(ContractError, match="knows no rows"):
        again.rates()
    assert fit.bootstrap(5, seed=1).shape == (5, 2)


def test_equal_rows_may_be_counted():
    rows = pd.DataFrame({"x": [0, 1, 4, 0, 9], "m": [10, 10, 10, 10, 12]})
    counted = rows.value_counts().reset_index()
    one = BetaBinomial(rows["x"], rows["m"]).fit()
    other = BetaBinomial(counted["x"], counted["m"], weight=counted["count"]).fit()
    np.testing.assert_allclose(one.params, other.params, rtol=1e-6)
    assert one.rates().index.equals(rows.index)


@pytest.mark.parametrize(
    ("successes", "trials", "message"),
    [
        ([0, 0, 0], [5, 9, 5], "there is not one success"),
        ([5, 9], [5, 9], "every trial is a success"),
        ([0, 1, 1], [1, 1, 1], "no row has more than one trial"),
        ([1], [5], "there is one row"),
        ([3, 3, 3, 3], [10, 10, 10, 10], "alpha and beta large"),
        ([10, 0, 0, 10], [10, 10, 10, 10], "alpha and beta near 0"),
    ],
)
def test_data_without_a_maximum_are_told(successes, trials, message):
    with pytest.raises(ConvergenceError) as caught:
        BetaBinomial(successes, trials).fit()
    assert message in str(caught.value)
    assert f"in {sum(trials)} trials" in " ".join(caught.value.checklist).replace("\n", " ")


@pytest.mark.parametrize(
    ("successes", "trials", "message"),
    [
        ([], [], "no row"),
        ([1, 2], [5], "same length, got successes 2, trials 1"),
        (pd.Series([1, 2]), pd.Series([5, 5], index=[1, 0]), "the same index on successes and trials"),
        ([1, np.nan], [5, 5], "successes: not a finite number in 1 rows (first: 2)"),
        ([1, 0.5], [5, 5], "successes: not a whole number, 0 or more in 1 rows (first: 2)"),
        ([1, -1], [5, 5], "successes: not a whole number, 0 or more in 1 rows (first: 2)"),
        ([1, 6], [5, 5], "successes: more than trials in 1 rows (first: 2)"),
        ([1, 0], [5, 0], "trials: none in 1 rows (first: 2)"),
    ],
)
def test_these_are_no_trials(successes, trials, message):
    with pytest.raises(ContractError) as caught:
        BetaBinomial(successes, trials)
    assert message in str(caught.value)


def test_arguments_are_checked():
    fit = at(1.0, 9.0)
    with pytest.raises(ContractError, match="weight: not above 0 in 1 rows"):
        BetaBinomial([1, 2], [5, 5], weight=[1, 0])
    with pytest.raises(ContractError, match="together, or neither"):
        fit.rates([1])
    with pytest.raises(ContractError, match="rate must lie between 0 and 1"):
        fit.chance_above(1.5, [1], [5])
    with pytest.raises(ContractError, match="trials must be a whole number"):
        fit.probabilities(0)
    with pytest.raises(ContractError, match="level must lie strictly between"):
        fit.rates([1], [5], level=1.0)


def test_trials_of_a_simulation_are_checked():
    fit = BetaBinomial([0, 1, 2, 9, 4, 0], [10, 12, 10, 11, 10, 9]).fit()
    assert fit.simulate(5, seed=1)["trials"].tolist() == [5]
    for trials, said in (
        ([5, -1], "0 or more"),
        ([2.5], "not a whole number"),
        ("five", "no numbers"),
        ([1e300], "beyond"),
    ):
        with pytest.raises(ContractError, match=said):
            fit.simulate(trials, seed=1)
