"""Sales opportunities: stages, chances, waiting times and forecasts."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import logit

from crmlab.datasets.company import scenario, simulate

PLAN: Any = scenario("maker").sales
STAGES = ["lead", "qualified", "proposal", "negotiation"]
END = pd.Timestamp("2025-01-01")


@pytest.fixture(scope="module")
def maker():
    return simulate(12_000, seed=1, scenario="maker")


@pytest.fixture(scope="module")
def table(maker):
    known = maker["opportunities"].merge(maker.truth["opportunities"], on="opportunity_id")
    known = known.merge(maker["customers"], on="customer_id")
    return known.merge(maker.truth["customers"][["customer_id", "trust", "left_on"]], on="customer_id")


@pytest.fixture(scope="module")
def stages(maker, table):
    return maker["opportunity_stages"].merge(table.drop(columns="stage"), on="opportunity_id")


def test_laws(maker, table, stages):
    assert len(table) == len(maker["opportunities"])
    assert table["opportunity_id"].is_unique
    assert (table["opened_on"] >= table["acquired_on"]).all()
    assert (table["closed_on"].fillna(table["opened_on"]) <= table["left_on"].fillna(END)).all()
    assert (table["opened_on"] < END).all()
    closed = table["closed_on"].notna()
    assert (table["outcome"].notna() == closed).all()
    assert (table["stage"] == table["outcome"])[closed].all()
    assert table.loc[~closed, "stage"].isin(STAGES).all()
    assert ((table["outcome"] == "won") == table["won"])[closed].all()
    assert (table["closed_on"] == table["closes_on"])[closed].all()
    assert (table["closes_on"] >= END)[~closed].all()
    assert len(stages) == len(maker["opportunity_stages"])
    assert (table.groupby("customer_id")["owner"].nunique() == 1).all()
    assert table["value"].min() > 0


def test_stages_follow_one_another(table, stages):
    place = stages["stage"].map({name: at for at, name in enumerate([*STAGES, "won", "lost"])})
    same = stages["opportunity_id"].eq(stages["opportunity_id"].shift())
    assert (place[~same] == 0).all()
    assert (stages["entered_on"] >= stages["entered_on"].shift())[same].all()
    assert ((place.diff() == 1) | (stages["stage"] == "lost"))[same].all()
    last = stages.drop_duplicates("opportunity_id", keep="last")
    assert (last["stage"].to_numpy() == table.set_index("opportunity_id")["stage"].loc[last["opportunity_id"]]).all()
    assert (stages["forecast"].isna() == (place >= 4)).all()


def test_opportunities_arise_while_the_account_is_one(maker):
    accounts = maker["customers"].merge(maker.truth["customers"], on="customer_id")
    days = (accounts["left_on"].fillna(END) - accounts["acquired_on"]).dt.days.sum()
    expected = PLAN.per_year * days / 365.25
    assert abs(len(maker["opportunities"]) - expected) < 4 * np.sqrt(expected)


def test_chances_of_winning_hold(table):
    stays = table[~table["account_leaves"]]
    assert table["account_leaves"].mean() < 0.03
    error = np.sqrt((table["win_from_lead"] * (1 - table["win_from_lead"])).mean() / len(table))
    assert abs(stays["won"].mean() - stays["win_from_lead"].mean()) < 4 * error + 0.01  # who leaves would lose more


def passing(stages, name):
    """Opportunities that left a stage for good, other than by losing the account."""
    after = stages["stage"].shift(-1).where(stages["opportunity_id"].eq(stages["opportunity_id"].shift(-1)))
    at = stages[(stages["stage"] == name) & after.notna() & ~stages["account_leaves"]]
    return at, (after != "lost")[at.index]


def test_a_logit_finds_what_passes_a_stage(stages):
    at, passed = passing(stages, "lead")
    size = (np.log(at["employees"]) - 4) / 1.2
    owners = pd.get_dummies(at["owner"]).astype(float)
    fitted = sm.Logit(passed, pd.concat([owners, size.rename("size"), at["trust"]], axis=1)).fit(disp=0)
    true = {name: logit(PLAN.stages.lead.passes) + one.skill for name, one in PLAN.owners.items()}
    true |= {"size": PLAN.by_size, "trust": PLAN.by_trust}
    assert (abs(fitted.params - pd.Series(true)) < 4 * fitted.bse).all()


def test_forecasts_are_as_optimistic_as_their_owners(stages):
    said = stages[stages["forecast"].between(0.03, 0.97)]
    for name in STAGES[1:3]:
        part = said[said["stage"] == name]
        surplus = (logit(part["forecast"]) - logit(part[f"win_from_{name}"])).groupby(part["owner"])
        true = pd.Series({name: one.optimism for name, one in PLAN.owners.items()})
        assert (abs(surplus.mean() - true) < 4 * surplus.std() / np.sqrt(surplus.size()) + 0.01).all()


def test_waiting_times(stages):
    early = stages[(stages["opened_on"] < "2024-01-01") & ~stages["account_leaves"]]
    waits = (early["entered_on"].shift(-1) - early["entered_on"]).dt.days
    waits = waits.where(early["opportunity_id"].eq(early["opportunity_id"].shift(-1)))
    for name in STAGES:
        found = waits[early["stage"] == name].dropna()
        assert abs(found.mean() - getattr(PLAN.stages, name).days) < 4 * found.std() / np.sqrt(len(found))
        assert (found.mean() / found.std()) ** 2 == pytest.approx(PLAN.shape, rel=0.1)


def test_values_are_lognormal(table):
    size = (np.log(table["employees"]) - 4) / 1.2
    fitted = sm.OLS(np.log(table["value"]), sm.add_constant(size)).fit()
    assert abs(fitted.params.iloc[0] - np.log(PLAN.value)) < 4 * fitted.bse.iloc[0]
    assert abs(fitted.params.iloc[1] - PLAN.value_by_size) < 4 * fitted.bse.iloc[1]
    assert np.sqrt(fitted.scale) == pytest.approx(PLAN.spread, rel=0.03)
