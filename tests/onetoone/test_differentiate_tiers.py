"""Tiers of value and the grid of value and need: by hand, as laws, and what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crmlab.errors import ContractError
from crmlab.onetoone import value_need_grid, value_tiers
from crmlab.onetoone.differentiate_tiers import TIERS

ACTUAL = [90.0, 60.0, 10.0, 8.0, 5.0, -4.0, -3.0, 20.0, 1.0, 0.0]
POTENTIAL = [95.0, 160.0, 80.0, 9.0, 45.0, -2.0, 30.0, 21.0, 1.0, 0.0]


def test_tiers_by_hand():
    found = value_tiers(ACTUAL, POTENTIAL, valuable=0.2, growable=0.2)
    names = list(found.table["tier"])
    assert [names[i] for i in (0, 1)] == ["most valuable"] * 2  # the second could grow most, and is valuable first
    assert [names[i] for i in (2, 4)] == ["most growable"] * 2  # gaps of 70 and 40
    assert names[5] == "below zero"
    assert names[6] == "migrator"  # loses money today and need not
    assert dict(found.cuts) == {"actual": 60.0, "growth": 40.0}
    assert found.summary["customers"].to_dict() == dict(zip(TIERS, [2, 2, 5, 1], strict=True))
    assert found.summary["growth"]["most growable"] == 55.0
    assert "below zero" in repr(found)


def test_equal_customers_share_a_tier_whatever_their_order():
    for order in (slice(None), slice(None, None, -1)):
        actual = np.array([5.0, 5.0, 5.0, 1.0])[order]
        found = value_tiers(actual, actual + 1, valuable=0.25, growable=0.25)
        assert (found.table["tier"] == "most valuable").tolist() == (actual == 5).tolist()


numbers = st.lists(st.tuples(st.integers(-9, 30), st.integers(-9, 60)), min_size=4, max_size=60)


@given(numbers, st.floats(0.05, 0.6), st.floats(0.05, 0.6))
@settings(max_examples=60, deadline=None)
def test_tier_laws(rows, valuable, growable):
    actual, potential = (np.array(column, float) for column in zip(*rows, strict=True))
    found = value_tiers(actual, potential, valuable=valuable, growable=growable)
    tier = found.table["tier"].to_numpy()
    assert ((tier == "below zero") == ((actual < 0) & (potential < 0))).all()
    open_ = tier != "below zero"
    top = tier == "most valuable"
    assert top.sum() >= min(int(valuable * len(rows) + 1e-9), open_.sum())
    if top.any():
        assert actual[top].min() > actual[open_ & ~top].max(initial=-np.inf)
    rest = open_ & ~top
    grows = tier == "most growable"
    assert grows.sum() >= min(int(growable * len(rows) + 1e-9), rest.sum())
    gap = potential - actual
    if grows.any():
        assert gap[grows].min() > gap[rest & ~grows].max(initial=-np.inf)
    again = value_tiers(actual, potential, cuts=found.cuts)
    assert again.table["tier"].tolist() == list(tier)
    assert found.summary["customers"].sum() == len(rows)


def test_everybody_below_zero():
    found = value_tiers([-1.0, -2.0], [-1.0, -0.5])
    assert (found.table["tier"] == "below zero").all()
    assert found.cuts["actual"] == np.inf


def test_series_keep_their_customers():
    ids = ["k7", "k3", "k9", "k1"]
    found = value_tiers(pd.Series([9.0, 1, 2, 3], ids), pd.Series([9.0, 5, 2, 3], ids), valuable=0.25, growable=0.25)
    assert found.table.index.tolist() == ids
    assert found.table.loc["k3", "tier"] == "most growable"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"actual": ACTUAL[:3]}, "same length"),
        ({"actual": [*ACTUAL[:9], np.nan]}, "actual: not a finite number in 1 rows (first: 10)"),
        ({"potential": ["x"] * 10}, "potential: no numbers"),
        ({"actual": [], "potential": []}, "empty"),
        ({"valuable": 0.0}, "valuable must lie strictly between 0 and 1, got 0.0"),
        ({"growable": 1.5}, "growable must lie strictly between 0 and 1, got 1.5"),
        ({"cuts": {"actual": 3.0}}, "cuts needs a number for 'actual' and one for 'growth'"),
        ({"cuts": {"actual": np.nan, "growth": 1.0}}, "cuts needs a number"),
    ],
)
def test_tiers_refuse(change, told):
    asked = {"actual": ACTUAL, "potential": POTENTIAL} | change
    with pytest.raises(ContractError) as error:
        value_tiers(**asked)
    assert told in str(error.value)


@pytest.fixture
def people():
    rng = np.random.default_rng(3)
    tier = rng.choice(["high", "low"], 200, p=[0.3, 0.7])
    need = rng.choice(["build", "play", "rare"], 200, p=[0.5, 0.45, 0.05])
    return pd.DataFrame({"tier": tier, "need": need, "profit": rng.normal(np.where(tier == "high", 50, -2), 10)})


ACTIONS = {"high": "call", "low": "leave", ("high", "build"): "bricks", ("low", "rare"): "never reached"}


def grid_of(people, **change):
    asked: dict[str, Any] = {"actions": ACTIONS, "least": 20} | change
    return value_need_grid(people["tier"], people["need"], people["profit"], **asked)


def test_grid_counts_and_intervals(people):
    table = grid_of(people).table.set_index(["tier", "need"])
    assert table["customers"].sum() == 200
    assert table["profit"].sum() == pytest.approx(people["profit"].sum())
    cell = people.query("tier == 'high' and need == 'build'")["profit"]
    low, high = stats.t.interval(0.95, len(cell) - 1, cell.mean(), stats.sem(cell))
    assert table.loc[("high", "build"), ["low", "high"]].tolist() == pytest.approx([low, high])
    assert table["too_small"].tolist() == (table["customers"] < 20).tolist()


def test_grid_actions(people):
    actions = grid_of(people).table.set_index(["tier", "need"])["action"]
    assert actions["high", "build"] == "bricks"
    assert actions["high", "play"] == "call"
    assert actions["low", "rare"] == "leave"  # too small for an action of its own
    assert grid_of(people, least=1).table.set_index(["tier", "need"])["action"]["low", "rare"] == "never reached"


def test_an_empty_cell_is_shown(people):
    few = people[~((people["tier"] == "high") & (people["need"] == "rare"))]
    found = grid_of(few)
    assert found.pivot().loc["high", "rare"] == 0
    cell = found.table.query("tier == 'high' and need == 'rare'").iloc[0]
    assert cell["profit"] == 0
    assert np.isnan(cell["mean"])
    assert cell["too_small"]
    assert "6 cells" in repr(found)


def test_a_tier_without_customers_is_shown(people):
    tier = pd.Categorical(people["tier"], categories=["top", "high", "low"], ordered=True)
    found = grid_of(people.assign(tier=tier), actions=ACTIONS | {"top": "none"})
    for field in ("customers", "mean", "action", "too_small"):
        assert found.pivot(field).index.tolist() == ["top", "high", "low"]
    assert found.pivot("mean").loc["top"].isna().all()


def test_the_order_of_tiers_is_kept(people):
    tier = pd.Categorical(people["tier"], categories=["low", "high"], ordered=True)
    assert grid_of(people.assign(tier=tier)).pivot("mean").index.tolist() == ["low", "high"]


def test_one_customer_has_no_interval(people):
    found = grid_of(people.assign(need=["alone", *["play"] * 199]), actions={"high": "call", "low": "leave"})
    alone = found.table.query("need == 'alone' and customers == 1").iloc[0]
    assert np.isnan(alone["low"])


def test_grid_interval_covers(people):
    rng, hits = np.random.default_rng(9), 0
    for _ in range(150):
        need = np.repeat(["a", "b"], 40)
        found = value_need_grid(["t"] * 80, need, rng.gamma(2, 5, 80), actions={"t": "x"})
        row = found.table.iloc[0]
        hits += row["low"] <= 10 <= row["high"]
    assert 0.90 <= hits / 150 <= 0.99


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"actions": {"high": "call"}}, "no action for the tier 'low'"),
        ({"actions": ACTIONS | {("high", "bulid"): "x"}}, "an action for ('high', 'bulid'), which is no cell"),
        ({"least": 0}, "least must be a whole number from 1, got 0"),
        ({"least": True}, "least must be a whole number from 1"),
    ],
)
def test_grid_refuses(people, change, told):
    with pytest.raises(ContractError) as error:
        grid_of(people, **change)
    assert told in str(error.value)


def test_grid_refuses_gaps_and_unknown_fields(people):
    with pytest.raises(ContractError, match="need in 1 rows \\(first: 1\\)"):
        grid_of(people.assign(need=[None, *people["need"][1:]]))
    with pytest.raises(ContractError, match="profit: not a finite number"):
        grid_of(people.assign(profit=np.nan))
    with pytest.raises(ContractError, match="same length"):
        value_need_grid(["a"], ["b", "c"], [1.0], actions={"a": "x"})
    with pytest.raises(ContractError, match="no field 'size'"):
        grid_of(people).pivot("size")
