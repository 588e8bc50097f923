import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from crmlab.datasets.company import scenario, simulate

GROCER = dataclasses.replace(scenario("grocer"), programme=None, desk=None, surveys=None)
PLAN: Any = GROCER.decisions
MONTH = pd.Timedelta(days=28)


@pytest.fixture(scope="module")
def shop():
    return simulate(6000, seed=31, scenario=GROCER)


@pytest.fixture(scope="module")
def log(shop):
    return shop["decisions"].merge(shop["customers"]).merge(shop.truth["customers"], on="customer_id")


def test_propensities_are_known_and_positive(shop, log):
    truth, k = shop.truth["decisions"], 1 + len(PLAN.messages)
    assert log["decision_id"].is_unique
    assert len(truth) == k * len(log)
    assert truth["propensity"].min() >= PLAN.floor
    assert truth.groupby("decision_id")["propensity"].sum().round(12).eq(1).all()
    chosen = shop["decisions"].merge(truth, on=["decision_id", "action"])
    assert (chosen["propensity_x"] == chosen["propensity_y"]).all()
    spread = np.sqrt((truth["propensity"] * (1 - truth["propensity"])).groupby(truth["action"]).sum())
    surplus = log["action"].value_counts() - truth.groupby("action")["propensity"].sum()
    assert (surplus.abs() < 4 * spread).all()


def test_only_customers_who_agree_are_decided_on(shop, log):
    assert log["date"].nunique() == PLAN.weeks
    assert (log["date"].diff().dropna().loc[lambda gap: gap > pd.Timedelta(0)] == pd.Timedelta(days=7)).all()
    assert (log["acquired_on"] < log["date"]).all()
    agreed = log.merge(shop["consents"].query("channel == 'email'"), on="customer_id")
    assert len(agreed) == len(log)
    assert (agreed["withdrawn_on"].isna() | (agreed["withdrawn_on"] > agreed["date"])).all()
    last = log["date"].max()
    email = shop["consents"].query("channel == 'email'").merge(shop["customers"])
    open_to = (email["acquired_on"] < last) & (email["withdrawn_on"].isna() | (email["withdrawn_on"] > last))
    assert open_to.sum() == (log["date"] == last).sum()


def test_the_grounds_of_a_decision_can_be_counted_again(shop, log):
    orders = shop["orders"].merge(log[["decision_id", "customer_id", "date"]], on="customer_id")
    recent = orders[(orders["date_x"] < orders["date_y"]) & (orders["date_x"] >= orders["date_y"] - MONTH)]
    counted = recent.groupby("decision_id").size().reindex(log["decision_id"], fill_value=0)
    assert (counted.to_numpy() == log["recent_orders"]).all()
    sent = log.loc[log["action"] != "none", ["customer_id", "date"]].merge(log, on="customer_id")
    before = sent[(sent["date_x"] < sent["date_y"]) & (sent["date_x"] >= sent["date_y"] - MONTH)]
    counted = before.groupby("decision_id").size().reindex(log["decision_id"], fill_value=0)
    assert (counted.to_numpy() == log["contacts_last_28_days"]).all()


def test_nobody_clicks_without_a_message_or_after_leaving(shop, log):
    gone = log["left_on"] < log["date"]
    assert gone.mean() > 0.3
    assert not log.loc[gone | (log["action"] == "none"), "clicked"].any()
    truth = shop.truth["decisions"]
    assert (truth.loc[truth["action"] == "none", "click_probability"] == 0).all()
    chosen = log.merge(truth, on=["decision_id", "action"])["click_probability"]
    assert abs(log["clicked"].sum() - chosen.sum()) < 4 * np.sqrt((chosen * (1 - chosen)).sum())


def test_inverse_propensities_recover_the_value_of_a_policy():
    """The value of always sending the same: clicks over propensity, against the mean of the true probabilities."""
    scores = []
    for seed in range(4):
        shop = simulate(4096, seed=seed, scenario=GROCER)
        log, truth = shop["decisions"], shop.truth["decisions"]
        for action in PLAN.messages:
            weighted = (log["action"] == action) * log["clicked"] / log["propensity"]
            value = truth.loc[truth["action"] == action, "click_probability"].mean()
            scores.append((weighted.mean() - value) / (weighted.std() / np.sqrt(len(log))))
    assert np.abs(scores).max() < 3.5
    assert np.mean(scores) ** 2 < 9 / len(scores)


def test_logistic_regression_recovers_fatigue_and_needs():
    scenario_ = dataclasses.replace(GROCER, campaigns=None)
    shop = simulate(12_000, seed=32, scenario=scenario_)
    log = shop["decisions"].merge(shop["customers"]).merge(shop.truth["customers"], on="customer_id")
    message = PLAN.messages["recipe"]
    rows = log[(log["action"] == "recipe") & ~(log["left_on"] <= log["date"])]
    grounds = pd.DataFrame(
        {
            "constant": 1.0,
            "contacts": rows["contacts_last_28_days"],
            "gourmet": rows["need"] == "gourmet",
            "age": (2022 - rows["birth_year"] - 45) / 10,
        }
    )
    fit = sm.Logit(rows["clicked"].astype(float), grounds.astype(float)).fit(disp=0)
    true = np.array([message.click, -PLAN.fatigue, message.click_by_need["gourmet"], message.click_by_age])
    assert (np.abs(fit.params - true) < 3.5 * fit.bse).all()
    assert fit.bse["contacts"] < PLAN.fatigue / 3
