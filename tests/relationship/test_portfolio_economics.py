"""Economics of plans: by hand, by adding up years, by a simulation of customers, and laws of the break-even margins."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from crmlab.metrics import margin_multiple
from crmlab.relationship.portfolio import relationship_economics

EXACT = 1e-9  # closed forms against closed forms
PLANS = pd.DataFrame(
    {"yearly_cost": [0.0, 5.0, 20.0, 60.0], "hazard_ratio": [1.0, 0.95, 0.8, 0.5]}, index=["a", "b", "c", "d"]
)
SETTINGS = {"margin": 150.0, "retention": 0.7, "annual_discount_rate": 0.1}


def test_by_adding_up_the_years():
    found = relationship_economics(PLANS, **SETTINGS).table
    years = np.arange(2_000)
    for name, plan in PLANS.T.items():
        kept = 0.7 ** (plan["hazard_ratio"] * years)
        worth = ((150.0 - plan["yearly_cost"]) * kept / 1.1**years).sum()
        assert found["value"][str(name)] == pytest.approx(worth, rel=EXACT)
        assert found["retention"][str(name)] == pytest.approx(kept[1], rel=EXACT)


def test_multiple_is_that_of_lifetime_value_tables():
    found = relationship_economics(PLANS, **SETTINGS).table
    other = margin_multiple(found["retention"].iloc[2], 0.1, timing="advance")
    assert found["multiple"].iloc[2] == pytest.approx(float(other), rel=EXACT)


def test_simulated_customers_are_worth_as_much():
    plan = relationship_economics(PLANS, **SETTINGS)
    rng = np.random.default_rng(1)
    stay = rng.geometric(1 - plan.table["retention"]["d"], 200_000)  # years with a payment
    worth = (150.0 - 60.0) * (1 - 1.1 ** -stay.astype(float)) / (1 - 1 / 1.1)
    assert plan.table["value"]["d"] == pytest.approx(worth.mean(), abs=4 * worth.std() / np.sqrt(len(worth)))


def test_break_even_is_where_the_lines_cross():
    plan = relationship_economics(PLANS, **SETTINGS)
    for above, name in zip("abc", "bcd", strict=True):
        crossing = brentq(lambda m, pair=[above, name]: np.diff(plan.values([m])[pair].to_numpy()).item(), 1, 1e4)
        assert plan.table["break_even"][name] == pytest.approx(crossing, rel=1e-6)
    assert np.isnan(plan.table["break_even"]["a"])


def test_a_plan_that_keeps_nobody_more_never_pays():
    plans = pd.DataFrame({"yearly_cost": [0.0, 10.0, 20.0], "hazard_ratio": [0.8, 0.8, 0.9]}, index=["a", "b", "c"])
    table = relationship_economics(plans, **SETTINGS).table
    assert table["break_even"].tolist()[1:] == [np.inf, np.inf]
    assert table["best_from"].tolist()[0] == 0.0
    assert table[["best_from", "best_to"]].iloc[1:].isna().all().all()
    assert table["best_to"].iloc[0] == np.inf


def test_best_at_a_break_even_is_the_cheaper_plan_and_none_below_all_costs():
    plans = pd.DataFrame({"yearly_cost": [10.0, 30.0], "hazard_ratio": [1.0, 0.5]}, index=["less", "more"])
    plan = relationship_economics(plans, **SETTINGS)
    even = plan.table["break_even"]["more"]
    best = plan.best(pd.Series({"low": 5.0, "cost": 10.0, "even": even, "high": even + 1}))
    assert best.to_dict() == {"low": "none", "cost": "less", "even": "less", "high": "more"}


def test_values_carry_the_index_and_the_repr_its_definitions():
    plan = relationship_economics(PLANS, **SETTINGS)
    margins = pd.Series({"north": 150.0, "south": 20.0})
    assert plan.values(margins).T["north"].tolist() == pytest.approx(plan.table["value"].tolist())
    assert plan.values([150.0]).index.name == "margin"
    assert "0.7 to the power of the hazard ratio" in repr(plan)
    assert "at a margin of 150" in repr(plan)


@st.composite
def random_plans(draw):
    n = draw(st.integers(2, 5))
    cost = np.cumsum(draw(st.lists(st.floats(0.5, 50), min_size=n, max_size=n)))
    ratio = draw(st.lists(st.floats(0.2, 1.5), min_size=n, max_size=n))
    return pd.DataFrame({"yearly_cost": cost, "hazard_ratio": ratio}, index=[f"p{i}" for i in range(n)])


@settings(max_examples=60, deadline=None)
@given(plans=random_plans(), retention=st.floats(0.2, 0.95), rate=st.floats(0, 0.5))
def test_ranges_of_the_best_plan_are_those_of_brute_force(plans, retention, rate):
    found = relationship_economics(plans, margin=100.0, retention=retention, annual_discount_rate=rate)
    grid = np.linspace(0, 2_000, 1_501)
    best = found.best(grid)
    edges = found.table[["best_from", "best_to"]].to_numpy()
    for name, (begin, end) in zip(plans.index, edges, strict=True):
        inside = (grid > begin * (1 + 1e-9) + 1e-9) & (grid < end * (1 - 1e-9) - 1e-9)
        assert (best.to_numpy()[inside] == name).all()
        if np.isnan(begin):
            near = np.isin(grid, best.index[best == name])
            assert near.sum() <= 1  # a plan that is best nowhere may touch at one point
