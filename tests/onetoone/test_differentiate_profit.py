"""Profit per customer and the whale curve: by hand, as laws, and how often the intervals hold the truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.errors import ContractError
from crmlab.onetoone import customer_profit, whale_curve

IDS = ["ann", "bob", "eve"]
GROSS = pd.Series([90.0, 30.0, 0.0], IDS)
DRIVERS = pd.DataFrame({"orders": [3, 6, 0], "minutes": [0.0, 20.0, 5.0], "letters": [12, 12, 12]}, index=IDS)
RATES = {"orders": 4.0, "minutes": 0.5, "letters": 0.1}


def test_profit_by_hand():
    found = customer_profit(GROSS, DRIVERS, RATES)
    assert found.table["cost_to_serve"].tolist() == pytest.approx([13.2, 35.2, 3.7])
    assert found.table["profit"].tolist() == pytest.approx([76.8, -5.2, -3.7])  # eve bought nothing and still costs
    assert found.costs["cost"].to_dict() == pytest.approx({"orders": 36.0, "minutes": 12.5, "letters": 3.6})
    assert found.costs["share"].sum() == pytest.approx(1)
    assert found.costs["customers"].tolist() == [2, 2, 3]
    assert "66.7% of the customers are below zero" in repr(found)


def test_cost_spread_by_sales_hides_who_costs():
    found = customer_profit(GROSS, DRIVERS, RATES)
    spread = found.spread_by(pd.Series([300.0, 100.0, 0.0], IDS))
    assert spread.tolist() == pytest.approx([90 - 52.1 * 0.75, 30 - 52.1 * 0.25, 0.0])
    assert spread.sum() == pytest.approx(found.table["profit"].sum())


money = st.lists(st.tuples(st.floats(-50, 500), st.floats(0, 40), st.floats(0, 9)), min_size=2, max_size=30)


@given(money, st.floats(0, 20))
@settings(max_examples=30, deadline=None)
def test_nothing_is_lost_and_a_rate_is_a_slope(rows, rate):
    gross, one, two = (pd.Series(column) for column in zip(*rows, strict=True))
    drivers = pd.DataFrame({"one": one, "two": two})
    found = customer_profit(gross, drivers, {"one": rate, "two": 1.0})
    assert found.table["profit"].sum() == pytest.approx(gross.sum() - rate * one.sum() - two.sum(), abs=1e-6)
    dearer = customer_profit(gross, drivers, {"one": rate + 1, "two": 1.0})
    np.testing.assert_allclose(found.table["profit"] - dearer.table["profit"], one, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gross": GROSS.iloc[:2]}, "same length"),
        ({"gross": GROSS.rename({"ann": "zoe"})}, "same index"),
        ({"gross": GROSS.where(GROSS > 0)}, "gross: not a finite number in 1 rows (first: 3)"),
        (
            {"drivers": DRIVERS.assign(minutes=[0, -1, np.inf])},
            "driver minutes: not a finite number in 1 rows (first: 3)",
        ),
        ({"drivers": DRIVERS.assign(minutes=[0, -1, 2])}, "driver minutes: negative in 1 rows (first: 2)"),
        ({"drivers": DRIVERS.assign(minutes="a")}, "driver minutes: no numbers"),
        ({"rates": {"orders": 4.0, "minutes": 0.5}}, "'letters' is a driver without a rate"),
        ({"rates": RATES | {"lettres": 1.0}}, "'lettres' is a rate without a driver (did you mean 'letters'?)"),
        ({"rates": RATES | {"letters": -1.0}}, "rate of 'letters' must be a finite number of 0 or more, got -1.0"),
        ({"rates": RATES | {"letters": "1"}}, "rate of 'letters'"),
        ({"drivers": DRIVERS.iloc[:, :0], "rates": {}}, "at least one column"),
        ({"drivers": DRIVERS.set_axis([1, 2, 3], axis=1), "rates": {1: 1, 2: 1, 3: 1}}, "1: names of drivers are text"),
        (
            {
                "drivers": DRIVERS.rename(columns={"letters": "profit"}),
                "rates": {"orders": 1, "minutes": 1, "profit": 1},
            },
            "'profit' is the name of a result",
        ),
    ],
)
def test_what_does_not_fit_is_refused(change, told):
    asked = {"gross": GROSS, "drivers": DRIVERS, "rates": RATES} | change
    with pytest.raises(ContractError) as error:
        customer_profit(**asked)
    assert told in str(error.value)


def test_the_same_customer_twice_is_refused():
    twice = ["ann", "ann", "eve"]
    with pytest.raises(ContractError, match="index: the same customer twice in 1 rows \\(first: 2\\)"):
        customer_profit(GROSS.set_axis(twice), DRIVERS.set_axis(twice), RATES)


def test_spreading_needs_a_base():
    found = customer_profit(GROSS, DRIVERS, RATES)
    for base in ([0.0, 0.0, 0.0], [1.0, -1.0, 5.0]):
        with pytest.raises(ContractError, match="in proportion to numbers of 0 or more"):
            found.spread_by(pd.Series(base, IDS))


def test_no_cost_at_all():
    found = customer_profit(GROSS, DRIVERS, dict.fromkeys(RATES, 0))
    assert found.table["profit"].tolist() == GROSS.tolist()
    assert found.costs["share"].isna().all()


def test_whale_by_hand():
    found = whale_curve([0, 30, -20, 10], seed=1, n=50)
    assert found.table["share_customers"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found.table["profit"].tolist() == [0, 7.5, 10, 10, 5]
    assert (found.below_zero.estimate, found.lost.estimate, found.mean.estimate) == (0.25, 5.0, 5.0)
    assert found.peak is None  # four customers do not make a total that is clearly positive
    assert "no ratio" in repr(found)


@given(st.lists(st.integers(-20, 60), min_size=2, max_size=40))
@settings(max_examples=30, deadline=None)
def test_whale_laws(profit):
    found = whale_curve(profit, seed=1, n=20)
    curve = found.table["profit"].to_numpy()
    assert curve[-1] == pytest.approx(np.mean(profit))
    assert curve.max() - curve[-1] == pytest.approx(found.lost.estimate)  # what is lost after the peak
    assert (np.diff(curve, 2) <= 1e-9).all()  # it bends down all the way
    assert found.table["share_customers"].iloc[int(curve.argmax())] <= 1 - found.below_zero.estimate + 1e-9
    if found.peak:
        assert found.peak.estimate == pytest.approx(curve.max() / curve[-1])


def test_order_and_index_do_not_matter():
    profit = np.random.default_rng(1).normal(1, 3, 200)
    one, two = whale_curve(profit, seed=1, n=20), whale_curve(pd.Series(profit[::-1], range(200, 400)), seed=1, n=20)
    np.testing.assert_allclose(one.table, two.table)


def test_intervals_hold_the_truth_at_their_rate():
    rng, hits, rounds = np.random.default_rng(5), np.zeros(4), 200
    population = rng.gamma(1.2, 60, 200_000) - rng.gamma(2, 20, 200_000)
    true_peak = np.maximum(population, 0).sum() / population.sum()
    truth = [(population < 0).mean(), true_peak, np.maximum(-population, 0).mean(), population.mean()]
    for number in range(rounds):
        found = whale_curve(rng.choice(population, 400), seed=number, n=200)
        assert found.peak is not None
        got = [found.below_zero, found.peak, found.lost, found.mean]
        hits += [one.low <= true <= one.high for one, true in zip(got, truth, strict=True)]
    assert (hits / rounds >= 0.90).all(), hits / rounds
    assert (hits / rounds <= 0.99).all(), hits / rounds


@pytest.mark.parametrize(
    ("profit", "told"),
    [
        ([], "empty"),
        ([1.0], "at least two customers"),
        ([1.0, np.nan], "not a finite number in 1 rows"),
        (["a", "b"], "no numbers"),
    ],
)
def test_no_whale_of_this(profit, told):
    with pytest.raises(ContractError, match=told):
        whale_curve(profit, seed=1)


def test_levels_are_checked():
    with pytest.raises(ContractError, match="level"):
        whale_curve([1.0, 2.0], seed=1, level=1.0)
