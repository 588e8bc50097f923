import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

from crmlab.datasets.company import scenario, simulate

GROCER = dataclasses.replace(scenario("grocer"), campaigns=None, programme=None, desk=None, surveys=None)
PLAN: Any = GROCER.network
BLOCK = 4096


@pytest.fixture(scope="module")
def shop():
    return simulate(5 * BLOCK, seed=21, scenario=GROCER)


def test_each_pair_of_friends_is_there_once_and_within_a_block(shop):
    pairs = shop["friendships"]
    assert (pairs["customer_id"] < pairs["friend_id"]).all()
    assert not pairs.duplicated().any()
    assert ((pairs["customer_id"] - 1) // BLOCK == (pairs["friend_id"] - 1) // BLOCK).all()
    assert pairs["customer_id"].min() >= 1
    assert pairs["friend_id"].max() <= 5 * BLOCK


def test_degrees_and_homophily(shop):
    """Given sociability w the number of friends is Poisson with mean degree × w, so its variance is d + d²/shape."""
    pairs, plan, n = shop["friendships"], PLAN, 5 * BLOCK
    degree = np.bincount(np.concatenate([pairs["customer_id"], pairs["friend_id"]]), minlength=n + 1)[1:]
    assert 0.98 * plan.degree < degree.mean() < plan.degree * 1.02  # some meet twice
    expected = plan.degree + plan.degree**2 / plan.evenness
    assert 0.88 * expected < degree.var() < 1.06 * expected
    region = shop["customers"].set_index("customer_id")["region"]
    same = region[pairs["customer_id"]].to_numpy() == region[pairs["friend_id"]].to_numpy()
    chance = plan.homophily + (1 - plan.homophily) / region.nunique()
    assert abs(same.mean() - chance) < 0.015


def test_referrers_are_friends_who_were_customers(shop):
    referrals, customers = shop["referrals"], shop["customers"].set_index("customer_id")
    assert referrals["customer_id"].is_unique
    referred = customers.loc[referrals["customer_id"]]
    assert (referred["acquisition_channel"] == "referral").all()
    assert (referred["acquired_on"].to_numpy() == referrals["date"].to_numpy()).all()
    referrer = customers.loc[referrals["referrer_id"]]
    assert (referrer["acquired_on"].to_numpy() <= referrals["date"].to_numpy()).all()
    left = shop.truth["customers"].set_index("customer_id").loc[referrals["referrer_id"], "left_on"]
    assert (left.fillna(pd.Timestamp("2100-01-01")).to_numpy() >= referrals["date"].to_numpy()).all()
    low, high = np.sort(referrals[["customer_id", "referrer_id"]], axis=1).T
    friends = pd.MultiIndex.from_frame(shop["friendships"])
    assert pd.MultiIndex.from_arrays([low, high]).isin(friends).all()
    assert (referrals["reward"] == PLAN.reward).all()


def test_who_could_have_referred_is_known(shop):
    truth, referrals = shop.truth["referrals"], shop["referrals"]
    assert truth.groupby("customer_id")["probability"].sum().round(12).eq(1).all()
    assert set(truth["customer_id"]) == set(referrals["customer_id"])
    chosen = truth.merge(referrals, left_on=["customer_id", "friend_id"], right_on=["customer_id", "referrer_id"])
    assert len(chosen) == len(referrals)
    surprise = chosen["probability"].sum() - (truth["probability"] ** 2).sum()
    spread = (truth["probability"] ** 2 * (1 - truth["probability"])).sum() ** 0.5
    assert abs(surprise) < 4 * spread
    referred = (shop["customers"]["acquisition_channel"] == "referral").sum()
    assert 0.6 < len(referrals) / referred < 0.85


def kappa(shop):
    """Conditional logit of the referrer on satisfaction, with its standard error from the information."""
    satisfaction = shop.truth["customers"].set_index("customer_id")["satisfaction"]
    sets = shop.truth["referrals"].merge(shop["referrals"], on="customer_id")
    score = satisfaction[sets["friend_id"]].to_numpy()
    chosen = (sets["friend_id"] == sets["referrer_id"]).to_numpy()
    group = sets["customer_id"].to_numpy()
    group = np.unique(group, return_inverse=True)[1]

    def loss(slope):
        return np.log(np.bincount(group, weights=np.exp(slope * score))).sum() - slope * score[chosen].sum()

    best = minimize_scalar(loss, bounds=(-3, 3), method="bounded").x
    step = 1e-3
    return best, (step**2 / (loss(best + step) - 2 * loss(best) + loss(best - step))) ** 0.5


def test_conditional_logit_recovers_kappa():
    found = np.array([kappa(simulate(2 * BLOCK, seed=seed, scenario=GROCER)) for seed in range(4)])
    z = (found[:, 0] - PLAN.kappa) / found[:, 1]
    assert np.abs(z).max() < 3.5
    assert abs(z.mean()) < 3 / np.sqrt(len(z))
    assert found[:, 1].max() < 0.06


def test_a_firm_without_referrals_has_friends_all_the_same():
    textbook = dataclasses.replace(scenario("textbook"), network=GROCER.network)
    shop = simulate(500, seed=1, scenario=textbook)
    assert len(shop["friendships"]) > 1500
    assert len(shop["referrals"]) == len(shop.truth["referrals"]) == 0
