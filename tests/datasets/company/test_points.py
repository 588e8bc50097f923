"""The ledger of points and the tiers, replayed from the orders."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets.company import scenario, simulate

GROCER: Any = scenario("grocer")
PLAN = dataclasses.replace(GROCER.programme, expiry=90, reward=300)


@pytest.fixture(scope="module")
def firm():
    return simulate(3_000, seed=8, scenario=dataclasses.replace(GROCER, programme=PLAN))


def test_every_member_order_earns_from_the_joining_order_on(firm):
    orders = firm["orders"].merge(firm["members"], on="customer_id")
    orders = orders[orders["date"].dt.floor("D") >= orders["joined_on"]]
    earned = firm["points"].query("kind == 'earn'").set_index("order_id")["points"]
    expected = np.floor(orders.set_index("order_id")["amount"])
    expected = expected[expected > 0]
    missing = expected.index.difference(earned.index.astype(int))
    same_day = orders.set_index("order_id").loc[missing]
    assert (same_day["date"].dt.floor("D") == same_day["joined_on"]).all()  # earlier on the day of joining
    assert len(missing) < 0.01 * len(expected)
    assert (earned == expected.loc[earned.index.astype(int)].to_numpy()).all()


def replayed(moves: pd.DataFrame) -> None:
    """Follow one member's ledger and hold every movement against the rules."""
    balance, last = 0, pd.Timestamp.min
    for kind, points, date in zip(moves["kind"], moves["points"], moves["date"], strict=True):
        if kind == "expire":
            assert points == -balance
            assert date - last == pd.Timedelta(days=PLAN.expiry)
        else:
            assert balance == 0 or date - last <= pd.Timedelta(days=PLAN.expiry + 1)
        if kind == "redeem":
            assert points == -PLAN.reward
        last = date if kind == "earn" else last
        balance += points
        assert balance >= 0
    assert balance == 0 or pd.Timestamp("2024-12-31") - last <= pd.Timedelta(days=PLAN.expiry)


def test_the_running_sum_is_a_balance_that_expires_as_it_should(firm):
    points = firm["points"]
    assert set(points["kind"]) == {"earn", "redeem", "expire"}
    for _, moves in points.groupby("customer_id"):
        replayed(moves)
    assert points["order_id"].isna().equals(points["kind"] == "expire")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_chance_of_redeeming_is_recovered(seed):
    firm = simulate(4_000, seed=seed)
    points, reward = firm["points"], firm["points"].query("kind == 'redeem'")["points"].iloc[0]
    balance = points.groupby("customer_id")["points"].cumsum() - points["points"]
    could = points[(points["kind"] == "earn") & (balance >= -reward)]
    did = points[points["kind"] == "redeem"]
    chance = firm.truth["members"].set_index("customer_id")["redeeming"]
    stayed = could[~could["order_id"].isin(did["order_id"])]
    expected = chance.loc[np.concatenate([stayed["customer_id"], did["customer_id"]])]
    error = np.sqrt((expected * (1 - expected)).sum())
    # an order that redeems may still find enough points left: it is counted once, among those that did
    assert abs(len(did) - expected.sum()) < 4 * error
    a, b = GROCER.programme.redeeming
    assert chance.mean() == pytest.approx(a / (a + b), abs=4 * 0.25 / np.sqrt(len(chance)))


def test_true_effects_are_those_of_the_need(firm):
    truth = firm.truth["members"].merge(firm.truth["customers"], on="customer_id")
    assert (truth["effect"] == truth["need"].map(PLAN.effect)).all()
    assert list(truth["customer_id"]) == list(firm["members"]["customer_id"])


def test_tiers_follow_the_points_of_a_year(firm):
    earned = firm["points"].query("kind == 'earn'")
    changes = firm["tiers"]
    assert set(changes["tier"]) == set(PLAN.tiers)
    days = pd.date_range("2022-02-01", "2024-12-01", freq="MS")
    for customer in firm["members"]["customer_id"][:60]:
        own, told = earned[earned["customer_id"] == customer], changes[changes["customer_id"] == customer]
        level, expected = "basic", []
        for day in days:
            year = own[(own["date"] < day) & (own["date"] >= day - pd.Timedelta(days=365))]["points"].sum()
            now = [name for name, least in PLAN.tiers.items() if year >= least][-1]
            if now != level:
                expected.append((day, now))
            level = now
        assert list(zip(told["date"], told["tier"], strict=True)) == expected
