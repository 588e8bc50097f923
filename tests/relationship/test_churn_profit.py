"""Maximum profit and its expectation: definitions by hand, laws on random data, numerical integration."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.stats import beta as beta_distribution

from crmlab.errors import ContractError
from crmlab.relationship import expected_maximum_profit, maximum_profit

people = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=3, max_size=40)
money = st.tuples(st.floats(20, 500), st.floats(0, 15), st.floats(0, 5))


def both(rows):
    score, left = (np.array(one, dtype=float) for one in zip(*rows, strict=True))
    assume(0 < left.sum() < len(left) and len(set(score)) > 1)
    return score, left


def by_brute_force(score, left, acceptance, value, incentive, contact):
    """The best of all thresholds, straight from the definition."""
    best = 0.0
    for threshold in set(score):
        asked = score >= threshold
        earned = asked * (left * (acceptance * (value - incentive) - contact) - (1 - left) * (incentive + contact))
        best = max(best, earned.mean())
    return best


@given(people, money, st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_maximum_is_that_of_all_thresholds(rows, costs, acceptance):
    score, left = both(rows)
    value, incentive, contact = costs
    terms = {"lifetime_value": value, "incentive": incentive, "contact": contact}
    found = maximum_profit(score, left, acceptance=acceptance, **terms)
    assert found.profit == pytest.approx(by_brute_force(score, left, acceptance, *costs), abs=1e-9)
    assert found.fraction == pytest.approx((score >= found.threshold).mean())
    known = expected_maximum_profit(score, left, **terms).best_profit(acceptance)
    assert known.item() == pytest.approx(found.profit, abs=1e-9)


@given(people, money, st.floats(0.5, 20), st.floats(0.5, 20))
@settings(max_examples=15, deadline=None)
def test_expectation_is_the_integral(rows, costs, alpha, beta):
    score, left = both(rows)
    value, incentive, contact = costs
    terms = {"lifetime_value": value, "incentive": incentive, "contact": contact}
    found = expected_maximum_profit(score, left, alpha=alpha, beta=beta, **terms)
    quantiles = (np.arange(1_000) + 0.5) / 1_000  # midpoints of equal chance: good to a few thousandths of the value
    brute = found.best_profit(beta_distribution.ppf(quantiles, alpha, beta)).mean()
    assert found.profit == pytest.approx(brute, abs=2e-3 * value / 20)
    assert found.table["chance"].sum() == pytest.approx(1)
    assert found.table["profit"].sum() == pytest.approx(found.profit)
    assert found.fraction == pytest.approx(found.table["fraction"] @ found.table["chance"])


def test_expectation_to_eight_digits():
    rng = np.random.default_rng(1)
    score, left = rng.random(300), rng.random(300) < 0.2
    found = expected_maximum_profit(score + 0.3 * left, left)
    edges = np.unique(found.table[["from_acceptance", "to_acceptance"]])
    density = beta_distribution(6, 14).pdf
    pieces = [
        integrate.quad(lambda g: found.best_profit(g).item() * density(g), a, b, epsabs=1e-12)[0]
        for a, b in itertools.pairwise(edges)
    ]
    assert found.profit == pytest.approx(sum(pieces), abs=1e-9)


@given(people)
@settings(max_examples=30, deadline=None)
def test_only_the_order_of_scores_counts(rows):
    score, left = both(rows)
    one, other = expected_maximum_profit(score, left), expected_maximum_profit(np.exp(score / 3), left)
    back = expected_maximum_profit(score[::-1], left[::-1])
    assert one.profit == pytest.approx(other.profit, abs=1e-12) == back.profit
    assert one.fraction == pytest.approx(other.fraction, abs=1e-12)


def test_a_perfect_score_asks_the_leavers_and_a_useless_one_everybody_or_nobody():
    left = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    assert maximum_profit(left, left).fraction == 0.25
    useless = expected_maximum_profit([2, 1, 2, 1, 1, 1, 2, 1], left)
    assert set(useless.table["fraction"]) <= {0.0, 0.375, 1.0}


def test_expectation_is_not_below_the_maximum_at_the_mean():
    """Jensen: the best profit is convex in the acceptance."""
    rng = np.random.default_rng(2)
    score, left = rng.random(500), rng.random(500) < 0.1
    assert expected_maximum_profit(score, left).profit >= maximum_profit(score, left).profit - 1e-12


def test_nobody_is_worth_it_when_contacts_are_dear():
    found = maximum_profit([1, 2, 3], [0, 1, 0], contact=150.0)
    assert (found.profit, found.fraction, found.threshold) == (0.0, 0.0, np.inf)


BAD = {
    "empty": ([], [], {}, "no row"),
    "lengths": ([1, 2, 3], [0, 1], {}, "same length"),
    "nan": ([1, np.nan, 3], [0, 1, 0], {}, "score: not a finite number"),
    "infinite": ([1, np.inf, 3], [0, 1, 0], {}, "score: not a finite number"),
    "constant": ([1, 1, 1], [0, 1, 0], {}, "same score"),
    "one class": ([1, 2, 3], [0, 0, 0], {}, "nobody left"),
    "other class": ([1, 2, 3], [1, 1, 1], {}, "everybody left"),
    "three classes": ([1, 2, 3], [0, 1, 2], {}, "neither 0 nor 1"),
    "index": (pd.Series([1, 2, 3]), pd.Series([0, 1, 0], index=[3, 4, 5]), {}, "same index"),
    "value": ([1, 2, 3], [0, 1, 0], {"lifetime_value": 5.0}, "lifetime_value above the incentive"),
    "cost": ([1, 2, 3], [0, 1, 0], {"contact": -1.0}, "0 or more"),
    "endless": ([1, 2, 3], [0, 1, 0], {"incentive": np.nan}, "0 or more"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("measure", [maximum_profit, expected_maximum_profit])
def test_what_cannot_be_valued_is_refused(measure, case: str):
    score, left, terms, words = BAD[case]
    with pytest.raises(ContractError, match=words):
        measure(score, left, **terms)


def test_shares_of_acceptance_are_shares():
    with pytest.raises(ContractError, match="share between 0 and 1"):
        maximum_profit([1, 2], [0, 1], acceptance=1.5)
    with pytest.raises(ContractError, match="above 0"):
        expected_maximum_profit([1, 2], [0, 1], alpha=0.0)
    with pytest.raises(ContractError, match="share between 0 and 1"):
        expected_maximum_profit([1, 2], [0, 1]).best_profit([0.5, 2.0])
