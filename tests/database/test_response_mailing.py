"""Profit by depth against hand-made and printed numbers; intervals and optimism against simulated truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.database import (
    break_even_rate,
    depth_uncertainty,
    gains,
    mailing_profit,
    profit_curve,
    value_of_limit,
)

COST, MARGIN = 0.3343, 161.50  # printed: cost of a letter, and what an order leaves, USD


@pytest.fixture
def curve():
    """Five customers, two with equal scores, responses worth 10, 4 and 8."""
    return profit_curve(gains([5, 4, 3, 3, 1], [1, 0, 1, 1, 0], [10.0, 0, 4, 8, 0]), margin=0.5, contact_cost=2.0)


def test_profit_by_depth(curve):
    assert curve.table["contacted"].tolist() == [0, 1, 2, 4, 5]
    assert curve.table["profit"].tolist() == [0.0, 3.0, 1.0, 3.0, 1.0]
    assert curve.table["cost"].tolist() == [0.0, 2.0, 4.0, 8.0, 10.0]
    assert curve.table["return_on_cost"].tolist() == pytest.approx([np.nan, 1.5, 0.25, 0.375, 0.1], nan_ok=True)
    assert curve.break_even_rate == pytest.approx(2 / (0.5 * 22 / 3))


def test_of_equal_profits_the_smaller_mailing_is_chosen(curve):
    assert (curve.best_depth, curve.score_limit, curve.best["profit"]) == (0.2, 5.0, 3.0)
    assert "contact 1 (20.0%)" in repr(curve)


def test_a_fixed_cost_is_paid_once_and_only_if_somebody_is_contacted(curve):
    dear = profit_curve(curve.gains, margin=0.5, contact_cost=2.0, fixed_cost=3.5)
    assert dear.table["profit"].tolist() == [0.0, -0.5, -2.5, -0.5, -2.5]
    assert (dear.best_depth, dear.score_limit) == (0.0, np.inf)


def test_capacity_never_cuts_a_tie():
    found = gains([9, 5, 5, 5, 1], [1, 1, 1, 1, 0])
    curves = [profit_curve(found, margin=10.0, contact_cost=1.0, capacity=k) for k in (0, 1, 3, 4, 5)]
    assert [one.best["contacted"] for one in curves] == [0, 1, 1, 4, 4]
    assert "at most 3 contacts" in repr(curves[2])


def test_three_published_rules(published):
    """Printed contacts and responses of three rules give the printed profits."""
    for letter in "abc":
        contacts, responses = published(f"DBM-006{letter}"), published(f"DBM-007{letter}")
        profit = mailing_profit(contacts, responses, margin=MARGIN, contact_cost=COST)
        assert profit == pytest.approx(published(f"DBM-008{letter}"), abs=1)  # printed to the dollar
    assert break_even_rate(COST, MARGIN) == pytest.approx(published("DBM-005a"), abs=5e-6)
    assert 100 * break_even_rate(0.50, 18 - 9 - 3) == pytest.approx(published("DBM-010"), abs=0.01)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), cost=st.floats(0.1, 5), margin=st.floats(0.5, 20), capacity=st.integers(0, 40))
def test_no_limit_within_the_capacity_earns_more(seed, cost, margin, capacity):
    rng = np.random.default_rng(seed)
    score, response = rng.integers(0, 9, 40), rng.random(40) < 0.3
    response[:2] = [True, False]
    score[:2] = [0, 1]
    found = profit_curve(gains(score, response), margin, cost, capacity=capacity)
    by_hand = [
        margin * response[score >= limit].sum() - cost * (score >= limit).sum()
        for limit in [*np.unique(score), np.inf]
        if (score >= limit).sum() <= capacity
    ]
    assert found.best["profit"] == pytest.approx(max(by_hand))
    applied = value_of_limit(found, found.gains, seed=1, n=2)
    assert applied.profit.estimate == pytest.approx(found.best["profit"])
    assert (applied.contacted, applied.depth) == (found.best["contacted"], pytest.approx(found.best_depth))


def market(n, seed):
    """Customers whose true chance is the score, so that the best limit is the break-even rate."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(1, 6, n)
    return gains(chance, rng.random(n) < chance)


def test_the_best_limit_of_true_chances_is_the_break_even_rate():
    found = profit_curve(market(200_000, 1), margin=10.0, contact_cost=2.0)
    # near the optimum profit is flat: the chosen limit of so many customers scatters by some 0.01
    assert found.score_limit == pytest.approx(0.2, abs=0.03)


def test_optimism_is_what_choices_promise_beyond_what_they_earn():
    """The bootstrap's estimate, in the mean of some samples, against the truth from a market of 200,000."""
    large = market(200_000, 2)
    promised, earned, told, covered = [], [], [], []
    for seed in range(60):
        curve = profit_curve(market(300, 100 + seed), margin=10.0, contact_cost=2.0)
        found = depth_uncertainty(curve, seed=seed, n=60)
        truth = 300 * value_of_limit(curve, large, seed=1, n=2).profit_per_customer
        promised.append(curve.best["profit"])
        earned.append(truth)
        told.append(found.optimism)
        covered.append(found.depth.low <= curve.best_depth <= found.depth.high)
        assert found.honest_profit == pytest.approx(found.profit.estimate - found.optimism)
    true_gap = np.mean(np.subtract(promised, earned))
    assert true_gap > 0
    # 60 samples: the standard error of the mean gap is about 5
    assert np.mean(told) == pytest.approx(true_gap, abs=15)
    assert min(told) >= 0
    assert np.mean(covered) > 0.9


def test_interval_of_the_value_covers_the_truth():
    large = market(200_000, 3)
    curve = profit_curve(market(2_000, 4), margin=10.0, contact_cost=2.0)
    truth = value_of_limit(curve, large, seed=1, n=2).profit_per_customer
    inside = 0
    for seed in range(60):
        found = value_of_limit(curve, market(500, 500 + seed), seed=seed, n=200)
        inside += found.profit.low <= 500 * truth <= found.profit.high
    assert inside >= 50  # 57 expected of 60 at 95 %; fewer than 50 has a chance below 1 in 1,000


def test_a_limit_may_be_given():
    curve = profit_curve(gains([0.9, 0.5, 0.1], [1, 1, 0]), margin=10.0, contact_cost=4.0, fixed_cost=1.0)
    new = gains([0.8, 0.4, 0.2], [1, 0, 1])
    assert value_of_limit(curve, new, seed=1, limit=0.3, n=2).profit.estimate == 10 - 8 - 1
    assert value_of_limit(curve, new, seed=1, limit=np.inf, n=2).profit.estimate == 0
    assert value_of_limit(curve, new, seed=1, limit=-np.inf, n=2).responses == 2


def test_profit_takes_numbers_and_columns():
    table = mailing_profit(pd.Series([0, 10]), pd.Series([0, 2]), margin=6.0, contact_cost=1.0, fixed_cost=1.0)
    assert list(table) == [0.0, 1.0]
