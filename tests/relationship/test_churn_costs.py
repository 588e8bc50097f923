"""Costs of each customer's own: by hand, by brute force, and the optimism of a threshold that was chosen."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.datasets import load
from crmlab.errors import ContractError
from crmlab.relationship import COSTS, ask_at_minimum_risk, savings_curve, targeting_value


def table(*rows):
    return pd.DataFrame(list(rows), columns=list(COSTS), dtype=float)


HAND = table((20, 10, 100, 0), (30, 5, 200, 1), (20, 10, 100, 0), (8, 40, 50, 2))


def test_costs_by_hand():
    found = targeting_value([1, 0, 0, 1], [1, 1, 0, 0], HAND, seed=1)
    assert found.cost == 20 + 200 + 0 + 40
    assert (found.cost_nobody, found.cost_everybody) == (100 + 200 + 0 + 2, 20 + 30 + 10 + 40)
    assert found.saved.estimate == 302 - 260
    assert found.savings == (100 - 260) / 100
    assert (found.asked, found.leavers, found.customers) == (2, 1, 4)
    assert "saved     42.00" in repr(found)


def test_curve_by_hand_asks_equal_scores_together():
    curve = savings_curve([0.9, 0.4, 0.4, 0.1], [1, 1, 0, 0], HAND)
    assert curve.table["saved"].tolist() == [0.0, 80.0, 80 + 170 - 10, 240 - 38]
    assert curve.table["asked"].tolist() == [0, 1, 3, 4]
    assert curve.table["leavers"].tolist() == [0, 1, 2, 2]
    assert curve.best["threshold"] == 0.4


def firm(n: int, seed: int):
    rng = np.random.default_rng(seed)
    chance = rng.beta(1, 9, n)
    value = rng.gamma(4, 50, n)
    costs = pd.DataFrame(
        {
            "cost_true_positive": 0.1 * value + 10,
            "cost_false_positive": 10.0,
            "cost_false_negative": value,
            "cost_true_negative": 0.0,
        }
    )
    return chance, (rng.random(n) < chance).astype(int), costs


@given(st.integers(0, 1_000), st.integers(20, 80))
@settings(max_examples=10, deadline=None)
def test_every_point_of_the_curve_is_a_targeting(seed, n):
    chance, left, costs = firm(n, seed)
    if not 0 < left.sum() < n:
        return
    score = chance.round(1)
    if len(set(score)) < 2:
        return
    for _, row in savings_curve(score, left, costs).table.iloc[1:].iterrows():
        value = targeting_value(score >= row["threshold"], left, costs, seed=1, n=2)
        assert value.saved.estimate == pytest.approx(row["saved"])
        assert (value.asked, value.leavers) == (row["asked"], row["leavers"])


def test_minimum_risk_with_the_true_chances_beats_every_threshold_on_many_customers():
    chance, left, costs = firm(60_000, 3)
    asked = ask_at_minimum_risk(chance, costs)
    mine = targeting_value(asked, left, costs, seed=1, n=50)
    assert mine.saved.estimate > savings_curve(chance, left, costs).best["saved"]


def test_minimum_risk_is_the_cheaper_expectation():
    chance, _, costs = firm(500, 4)
    asked = ask_at_minimum_risk(chance, costs).to_numpy()
    tp, fp, fn, tn = (costs[name].to_numpy() for name in COSTS)
    gain = chance * (fn - tp) + (1 - chance) * (tn - fp)
    assert (asked == (gain > 0)).all()
    assert not ask_at_minimum_risk([0.5], table((1, 1, 1, 1))).any()  # a tie is not asked


def test_optimism_is_what_other_customers_show():
    """The mean loss of a threshold on fresh customers, over 40 samples, within four standard errors."""
    promised, kept, optimism = [], [], []
    fresh_chance, fresh_left, fresh_costs = firm(40_000, 999)
    weak = np.random.default_rng(0)
    for seed in range(40):
        chance, left, costs = firm(300, seed)
        score, fresh = chance + weak.normal(0, 0.3, 300), fresh_chance + weak.normal(0, 0.3, 40_000)
        curve = savings_curve(score, left, costs)
        found = curve.uncertainty(seed=seed, n=60)
        promised.append(curve.best["saved"] / 300)
        optimism.append(found.optimism / 300)
        value = targeting_value(fresh >= curve.best["threshold"], fresh_left, fresh_costs, seed=1, n=2)
        kept.append(value.saved.estimate / 40_000)
    gap = np.array(promised) - np.array(kept)
    assert np.mean(gap) > 0
    assert abs(np.mean(gap) - np.mean(optimism)) < 4 * gap.std(ddof=1) / np.sqrt(40)


def test_tv_subscribers_as_on_the_card():
    people = load("tv_churn")["customers"]
    nobody = targeting_value(np.zeros(len(people)), people["response"], people, seed=1, n=2)
    left = people["response"] == 1
    assert nobody.cost == pytest.approx(people.loc[left, "cost_false_negative"].sum())
    assert nobody.saved.estimate == 0
    assert nobody.savings == 0


BAD: dict[str, Any] = {
    "empty": ([], [], HAND.iloc[:0], "no row"),
    "lengths": ([1, 0], [1, 0], HAND, "same length"),
    "nan": ([1, 0, np.nan, 1], [1, 1, 0, 0], HAND, "not a finite number"),
    "one class": ([1, 0, 0, 1], [0, 0, 0, 0], HAND, "nobody left"),
    "costs": ([1, 0, 0, 1], [1, 1, 0, 0], HAND.drop(columns="cost_true_negative"), "cost_true_negative"),
    "endless": ([1, 0, 0, 1], [1, 1, 0, 0], HAND.replace(200, np.inf), "cost_false_negative: not a finite"),
    "index": (pd.Series([1, 0, 0, 1], index=list("abcd")), [1, 1, 0, 0], HAND, "same index"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_valued_is_refused(case: str):
    first, left, costs, words = BAD[case]
    for function in (lambda: targeting_value(first, left, costs, seed=1), lambda: savings_curve(first, left, costs)):
        with pytest.raises(ContractError, match=words):
            function()


def test_other_refusals():
    with pytest.raises(ContractError, match="asked must be 0 or 1"):
        targeting_value([2, 0, 0, 1], [1, 1, 0, 0], HAND, seed=1)
    with pytest.raises(ContractError, match="same score"):
        savings_curve([1, 1, 1, 1], [1, 1, 0, 0], HAND)
    with pytest.raises(ContractError, match="not between 0 and 1"):
        ask_at_minimum_risk([0.5, 2, 0.1, 0.1], HAND)
    n: Any
    for n in (0, 1, 2.5):
        with pytest.raises(ContractError, match="whole number of resamples"):
            savings_curve([1, 2, 3, 4], [1, 1, 0, 0], HAND).uncertainty(seed=1, n=n)
        with pytest.raises(ContractError, match="whole number of resamples"):
            targeting_value([1, 0, 0, 1], [1, 1, 0, 0], HAND, seed=1, n=n)
