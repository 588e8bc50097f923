"""Intervals hold the truth as often as they say: over hundreds of simulated experiments, and over simulated firms."""

import numpy as np
import pandas as pd
from scipy.stats import binom

from crmlab.database.campaign import read_out
from crmlab.database.policy import policy_value
from crmlab.datasets.company import simulate

RUNS = 400


def assert_covers(held, level: float = 0.95) -> None:
    """The count lies where a binomial with the stated level has all but 0.2 % of its mass: 367 to 393 of 400."""
    low, high = binom.interval(0.998, len(held), level)
    assert low <= sum(held) <= high, (
        f"{sum(held)} of {len(held)} intervals hold the truth; {low:.0f} to {high:.0f} are due"
    )


def holds(interval, truth: float) -> bool:
    return bool(interval.low <= truth <= interval.high)


def customers(seed: int, n: int = 1_500) -> pd.DataFrame:
    """Skewed sales of the past; a contact adds more for some and takes from others; one in four is contacted."""
    rng = np.random.default_rng(seed)
    past = rng.gamma(1, 10, n)
    age = rng.uniform(-1, 1, n)
    effect = 1.0 + 3.0 * age + 0.05 * (past - 10)  # mean 1
    treated = rng.random(n) < 0.25
    future = rng.poisson(0.6 * past + 3, n) + effect * treated + rng.normal(0, 2, n)
    return pd.DataFrame({"past": past, "age": age, "treated": treated, "sales": future, "bought": future > 12})


def test_read_out_covers_at_the_stated_rate():
    plain, ratio, adjusted, tight = [], [], [], []
    for seed in range(RUNS):
        data = customers(seed)
        result = read_out(data["sales"], data["treated"], before=data[["past", "age"]])
        assert result.relative is not None
        assert result.adjusted is not None
        plain.append(holds(result.difference, 1.0))
        ratio.append(holds(result.relative, 1.0 / 9.0))  # mean without a contact: 0.6 x 10 + 3
        adjusted.append(holds(result.adjusted, 1.0))
        tight.append(result.variance_reduction)
    for held in (plain, ratio, adjusted):
        assert_covers(held)
    assert np.mean(np.array(tight, dtype=float)) > 0.5


def test_share_covers_at_the_stated_rate():
    held, relative = [], []
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        treated = np.arange(2_000) < 500
        y = rng.random(2_000) < np.where(treated, 0.03, 0.02)
        result = read_out(y, treated)
        held.append(holds(result.difference, 0.01))
        relative.append(holds(result.relative, 0.5))
    assert_covers(held)
    assert_covers(relative)


def test_clustered_read_out_covers_where_the_plain_one_does_not():
    clustered, plain = [], []
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        store = np.repeat(np.arange(60), 20)
        treated = (rng.permutation(60) < 30)[store]
        y = rng.normal(0, 1, 60)[store] + rng.normal(0, 1, 1_200) + treated
        clustered.append(holds(read_out(y, treated, cluster=store).difference, 1.0))
        plain.append(holds(read_out(y, treated).difference, 1.0))
    assert_covers(clustered)
    assert np.mean(plain) < 0.6


def test_policy_value_and_differences_cover_at_the_stated_rate():
    """The chance to be contacted hangs on the past, so that raw means would be biased."""
    rng = np.random.default_rng(0)
    age = rng.uniform(-1, 1, 2_000_000)
    truth_all, truth_old = 2.0 * 1.0 - 1.5, float(np.where(age > 0.2, 2.0 * (1 + 3 * age) - 1.5, 0).mean())
    held: dict[str, list[bool]] = {"all": [], "old": [], "half": [], "difference": []}
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        age, past = rng.uniform(-1, 1, 2_000), rng.gamma(2, 5, 2_000)
        chance = np.clip(past / 20, 0.15, 0.85)
        treated = rng.random(2_000) < chance
        y = past + (1 + 3 * age) * treated + rng.normal(0, 2, 2_000)
        rules = {"all": np.ones(2_000), "old": age > 0.2, "half": np.full(2_000, 0.5)}
        result = policy_value(y, treated, rules, propensity=chance, margin=2.0, contact_cost=1.5)
        truths = pd.Series({"all": truth_all, "old": truth_old, "half": truth_all / 2})
        table = result.table.set_index("policy").assign(truth=truths)
        for name, inside in table["truth"].between(table["low"], table["high"]).items():
            held[str(name)].append(bool(inside))
        held["difference"].append(holds(result.difference("old", "all"), truth_old - truth_all))
    for one in held.values():
        assert_covers(one)


def test_simulated_firms_hold_their_truth():
    """Eight firms, every randomised campaign of each: the mean expected change of orders by a contact is known."""
    held, adjusted, contacted = [], [], []
    for seed in range(8):
        firm = simulate(4_000, seed=seed)
        campaigns = firm["campaigns"].query("design == 'randomised'")
        people = firm["assignments"].merge(firm.truth["assignments"], on=["campaign_id", "customer_id"])
        orders = firm["orders"]
        for campaign, start, end in campaigns[["campaign_id", "start_date", "end_date"]].to_numpy():
            drawn = people[people["campaign_id"] == campaign].set_index("customer_id")
            window = orders[orders["date"].between(start, end + pd.Timedelta(days=1), inclusive="left")]
            earlier = orders[orders["date"].between(start - pd.Timedelta(days=90), start, inclusive="left")]
            y = window.groupby("customer_id").size().reindex(drawn.index, fill_value=0)
            before = earlier.groupby("customer_id").size().reindex(drawn.index, fill_value=0).rename("before")
            treated = drawn["group"] == "treated"
            result = read_out(y, treated, before=before)
            truth = drawn["expected_orders"].mean()
            assert result.adjusted is not None
            held.append(holds(result.difference, truth))
            adjusted.append(holds(result.adjusted, truth))
            policy = policy_value(y, treated, {"all": np.ones(len(y))}, propensity=drawn["propensity"]).table.iloc[0]
            contacted.append(bool(policy["low"] <= truth <= policy["high"]))
    assert len(held) == 64
    for one in (held, adjusted, contacted):
        assert_covers(one)
