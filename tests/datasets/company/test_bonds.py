"""Relationship bonds: drawn by lot, and a factor on the drop-out rate from their start."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets.company import scenario, simulate
from crmlab.errors import ContractError

MAKER: Any = scenario("maker")
RATIOS = {"none": 1.0} | {name: one.hazard_ratio for name, one in MAKER.bonds.levels.items()}
END = pd.Timestamp("2025-01-01")


@pytest.fixture(scope="module")
def maker():
    return simulate(12_000, seed=1, scenario=MAKER)


@pytest.fixture(scope="module")
def table(maker):
    known = maker["bonds"].merge(maker.truth["bonds"], on="customer_id").merge(maker["customers"], on="customer_id")
    return known.merge(maker.truth["customers"], on="customer_id")


def ratios(table):
    return table["level"].map(RATIOS)


def test_laws(maker, table):
    assert len(table) == len(maker["bonds"]) <= 12_000
    assert (table["assigned_on"] >= table["acquired_on"]).all()
    assert (table["assigned_on"] < END).all()
    bonded = table["level"] != "none"
    assert (table["since"].notna() == bonded).all()
    assert (table["since"] == table["assigned_on"])[bonded].all()
    waves = table.loc[table["assigned_on"] > table["acquired_on"], "assigned_on"].unique()
    assert sorted(waves) == list(pd.date_range("2022-10-01", periods=4, freq="QS"))
    orders = maker["orders"].merge(maker.truth["customers"], on="customer_id")
    assert (orders["date"].dt.normalize() <= orders["left_on"].fillna(END)).all()


def test_what_remains_of_the_lifetime_is_divided_by_the_ratio(table):
    before = (table["assigned_on"] - table["acquired_on"]).dt.days
    untouched = ~table["present"] | (table["level"] == "none")
    assert np.array_equal(table.loc[untouched, "lifetime"], table.loc[untouched, "lifetime_without"])
    changed = table[~untouched]
    remaining = (changed["lifetime_without"] - before[changed.index]) / ratios(changed)
    assert (abs(changed["lifetime"] - before[changed.index] - remaining) < 3).all()  # days are cut to whole ones


def test_levels_are_drawn_by_lot(table):
    for level in RATIOS:
        part = table[table["level"] == level]
        assert len(part) / len(table) == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / len(table)))
        for column in ("loyalty", "employees", "dropout"):
            error = table[column].std() / np.sqrt(len(part))
            assert abs(part[column].mean() - table[column].mean()) < 4 * error


def test_losses_over_exposure_find_the_ratios(table):
    """Given the drop-out rates, losses are Poisson about ratio times rate times time at risk."""
    present = table[table["present"]]
    start = (present["assigned_on"] - present["acquired_on"]).dt.days
    watched = (END - present["assigned_on"]).dt.days
    stayed = np.minimum(present["lifetime"] - start, watched)
    lost = present["lifetime"] - start < watched
    for name, ratio in RATIOS.items():
        part = present["level"] == name
        expected = (present["dropout"] / 7 * stayed)[part].sum()
        assert abs(lost[part].sum() / expected - ratio) < 4 * np.sqrt(ratio / expected)


def test_shares_of_accounts_kept_for_a_year_differ_as_they_should(table):
    """A difference in means, seen by nobody but the truth, against the exponential law."""
    present = table[table["present"]]
    start = (present["assigned_on"] - present["acquired_on"]).dt.days
    kept = present["lifetime"] > start + 365
    expected = np.exp(-present["dropout"] / 7 * 365 * ratios(present))
    for level in RATIOS:
        part = present["level"] == level
        error = np.sqrt((expected * (1 - expected))[part].mean() / part.sum())
        assert abs(kept[part].mean() - expected[part].mean()) < 4 * error


def test_orders_show_the_best_bond(maker, table):
    """Without the truth: of accounts that ordered in 2022, more of the bonded order in the last half-year."""
    dates = maker["orders"].groupby("customer_id")["date"].agg(["min", "max"])
    old = table[table["customer_id"].isin(dates.index[dates["min"] < "2022-10-01"])]
    alive = (dates["max"].loc[old["customer_id"]] > "2024-07-01").to_numpy()
    shares = pd.Series(alive).groupby(old["level"].to_numpy()).agg(["mean", "size"])
    error = np.sqrt(2 * 0.25 / shares["size"].min())
    assert shares["mean"]["structural"] - shares["mean"]["none"] > 2 * error


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            dataclasses.replace(MAKER, buying=dataclasses.replace(MAKER.buying, process="bg", s=0.8, beta=2.4)),
            "bonds: act on a drop-out rate, set buying.process to pareto",
        ),
        (dataclasses.replace(scenario("textbook"), bonds=MAKER.bonds), "bonds: are for accounts"),
    ],
)
def test_bonds_are_refused_where_they_cannot_act(kind, words):
    with pytest.raises(ContractError, match=words):
        simulate(10, seed=1, scenario=kind)
