"""The assignment of accounts: against all plans, another solver, and the meaning of a shadow price."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from crmlab.errors import ContractError
from crmlab.onetoone import assign_accounts


def tables(gain, load, capacity):
    gain = pd.DataFrame(gain, dtype=float).add_prefix("o")
    return gain, pd.Series(load, gain.index, dtype=float), pd.Series(capacity, gain.columns, dtype=float)


def test_one_account_each_is_the_hungarian_method():
    money = np.random.default_rng(1).uniform(1, 100, (9, 6))
    plan = assign_accounts(*tables(money, 1, 1), tolerance=0)
    rows, columns = linear_sum_assignment(-money)
    assert plan.total == pytest.approx(money[rows, columns].sum())
    assert plan.bound == pytest.approx(plan.total)  # whole loads: nothing is lost by whole accounts
    expected = pd.Series("o" + pd.Series(columns, rows).astype(str)).reindex(range(9))
    assert plan.table["owner"].fillna("-").tolist() == expected.fillna("-").tolist()
    assert "6 of 9 accounts looked after" in repr(plan)


small = st.integers(1, 5).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.integers(-5, 40), min_size=2, max_size=2), min_size=n, max_size=n),
        st.lists(st.integers(1, 6), min_size=n, max_size=n),
        st.lists(st.integers(0, 12), min_size=2, max_size=2),
    )
)


@given(small)
@settings(max_examples=40, deadline=None)
def test_best_of_all_plans(case):
    gain, load, capacity = tables(*case)
    plan = assign_accounts(gain, load, capacity, tolerance=0)
    money, hours, room = gain.to_numpy(), load.to_numpy(), capacity.to_numpy()
    best = 0.0
    for owners in itertools.product(range(-1, 2), repeat=len(gain)):
        who = np.array(owners)
        if all(hours[who == j].sum() <= room[j] for j in range(2)):
            best = max(best, sum(money[i, j] for i, j in enumerate(owners) if j >= 0))
    assert plan.total == pytest.approx(best)
    assert plan.total <= plan.bound + 1e-6
    assert (plan.owners["used"] <= plan.owners["capacity"] + 1e-9).all()
    assert plan.table["gain"].sum() == pytest.approx(plan.owners["gain"].sum())
    assert plan.table.loc[plan.table["owner"].notna(), "gain"].gt(0).all()
    assert plan.owners["accounts"].sum() == plan.table["owner"].notna().sum()


def test_shadow_price_is_what_one_more_hour_brings():
    rng = np.random.default_rng(2)
    gain, load, capacity = tables(rng.uniform(1, 100, (200, 3)), rng.integers(5, 20, 200), [400.0, 600.0, 3000.0])
    plan = assign_accounts(gain, load, capacity, tolerance=0.01)
    for owner in gain:
        more = assign_accounts(gain, load, capacity + 0.01 * (capacity.index == owner), tolerance=0.01)
        assert (more.bound - plan.bound) / 0.01 == pytest.approx(plan.owners.loc[owner, "shadow_price"], abs=1e-4)
    slack = plan.owners["used"] < plan.owners["capacity"] - 20
    assert (plan.owners.loc[slack, "shadow_price"] == 0).all()


def test_tolerance_is_kept():
    rng = np.random.default_rng(3)
    asked = tables(rng.uniform(1, 100, (120, 4)), rng.integers(5, 40, 120), [500.0] * 4)
    exact = assign_accounts(*asked, tolerance=0.001)
    loose = assign_accounts(*asked, tolerance=0.05)
    assert loose.total >= 0.95 * exact.total
    assert exact.total <= exact.bound


def test_a_pair_that_is_not_allowed_is_never_made():
    gain, load, capacity = tables([[np.nan, 1.0], [5.0, np.nan]], 1, 2)
    assert assign_accounts(gain, load, capacity).table["owner"].tolist() == ["o1", "o0"]


def test_nothing_to_gain():
    plan = assign_accounts(*tables([[-1.0, 0.0], [np.nan, -2.0]], 1, 2))
    assert plan.table["owner"].isna().all()
    assert (plan.total, plan.bound) == (0.0, 0.0)
    assert (plan.owners["shadow_price"] == 0).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"load": pd.Series([1.0])}, "same length"),
        ({"load": pd.Series([1.0, 2.0], ["x", "y"])}, "same index"),
        ({"load": pd.Series([1.0, 0.0])}, "load: not a finite number above 0 in 1 rows (first: 2)"),
        ({"load": pd.Series(["a", "b"])}, "load: not a finite number above 0 in 2 rows"),
        ({"capacity": pd.Series({"o0": 1.0})}, "a capacity for each column of gain"),
        ({"capacity": [1.0, 1.0]}, "a capacity for each column of gain"),
        (
            {"capacity": pd.Series({"o0": 1.0, "o1": -1.0})},
            "capacity: not a finite number of 0 or more in 1 rows (first: 2)",
        ),
        (
            {"gain": pd.DataFrame({"o0": [1.0, np.inf], "o1": [1.0, 2.0]})},
            "gain: no finite number in 1 rows (first: 2)",
        ),
        ({"gain": pd.DataFrame({"o0": ["a", 1.0], "o1": [1.0, 2.0]})}, "gain: no finite number in 1 rows (first: 1)"),
        ({"tolerance": 1.0}, "tolerance must be at least 0 and below 1, got 1.0"),
    ],
)
def test_refusals(change, told):
    gain, load, capacity = tables([[1.0, 2.0], [3.0, 4.0]], 1, 2)
    asked = {"gain": gain, "load": load, "capacity": capacity} | change
    with pytest.raises(ContractError) as error:
        assign_accounts(**asked)
    assert told in str(error.value)


def test_names_appear_once():
    gain, load, capacity = tables([[1.0, 2.0], [3.0, 4.0]], 1, 2)
    with pytest.raises(ContractError, match="accounts: the same name twice in 1 rows"):
        assign_accounts(gain.set_axis([5, 5]), load.set_axis([5, 5]), capacity)
    with pytest.raises(ContractError, match="owners: the same name twice in 1 rows"):
        assign_accounts(gain.set_axis(["o", "o"], axis=1), load, capacity.set_axis(["o", "o"]))
