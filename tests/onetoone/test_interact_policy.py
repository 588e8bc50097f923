"""Off-policy values: by hand, against an independent sum, and the coverage of the intervals over many logs."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from sklearn.linear_model import LinearRegression

from crmlab.datasets.company import simulate
from crmlab.errors import ContractError
from crmlab.onetoone import cross_fit_rewards, off_policy_value

ACTIONS = ["none", "recipe", "discount", "new product"]


def made(customers: int, seed: int, *, sharp: float = 1.0, each: int = 4) -> Any:
    """A log of customers with something of their own, a policy, its true value, and predictions from outside."""
    rng = np.random.default_rng(seed)
    age = rng.normal(size=customers)
    own = rng.normal(0, 0.8, customers)
    who = np.repeat(np.arange(customers), each)
    scores = sharp * np.column_stack([np.zeros(customers), 0.5 * age, -0.5 * age])[who]
    logging = 0.02 + 0.94 * np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    chance = 1 / (1 + np.exp(-np.column_stack([0 * own - 9, own - 1.5 + 0.6 * age, own - 1.2 - 0.6 * age])[who]))
    action = (rng.random((len(who), 1)) > logging.cumsum(axis=1)).sum(axis=1).clip(max=2)
    reward = (rng.random(len(who)) < chance[np.arange(len(who)), action]).astype(int)
    policy = np.zeros_like(logging)
    policy[np.arange(len(who)), np.where(age[who] > 0, 1, 2)] = 1
    rough = np.column_stack([0 * age, 0.2 + 0.08 * age, 0.25 - 0.08 * age])[who].clip(0, 1)
    log = {
        "action": np.array(["none", "a", "b"])[action],
        "reward": reward,
        "propensity": logging[np.arange(len(who)), action],
        "policy": pd.DataFrame(policy, columns=["none", "a", "b"]),
    }
    return log, who, pd.DataFrame(rough, columns=["none", "a", "b"]), age


def true_value() -> float:
    """Mean chance of a reward under the policy of `made`, by a large draw of customers."""
    rng = np.random.default_rng(0)
    age, own = rng.normal(size=2_000_000), rng.normal(0, 0.8, 2_000_000)
    score = own + np.where(age > 0, -1.5 + 0.6 * age, -1.2 - 0.6 * age)
    return float((1 / (1 + np.exp(-score))).mean())


TRUE = true_value()


def test_by_hand():
    policy = pd.DataFrame({"A": [1.0, 0.5, 0.5, 0.0], "B": [0.0, 0.5, 0.5, 1.0]})
    q = pd.DataFrame({"A": [0.2, 0.4, 0.6, 0.1], "B": [0.3, 0.5, 0.1, 0.2]})
    action, reward, p = ["A", "B", "A", "A"], [1, 0, 1, 1], [0.5, 0.25, 0.8, 0.5]
    found = off_policy_value(action, reward, p, policy, predicted=q)
    w = np.array([2, 2, 0.625, 0])
    dm = np.array([0.2, 0.45, 0.35, 0.2])
    dr = dm + w * (np.array(reward) - [0.2, 0.5, 0.6, 0.1])
    expected = {"IPS": (w @ reward) / 4, "SNIPS": (w @ reward) / w.sum(), "DR": dr.mean(), "DM": dm.mean()}
    assert found.table["value"].to_dict() == pytest.approx(expected)
    assert found.table["gain"].to_dict() == pytest.approx({k: v - 0.75 for k, v in expected.items()})
    reach = student.ppf(0.975, 3) * (w * reward).std(ddof=1) / 2
    assert found["IPS"].high - found["IPS"].estimate == pytest.approx(reach)
    gain = w * reward - reward
    assert found.table.loc["IPS", "gain_high"] == pytest.approx(
        gain.mean() + student.ppf(0.975, 3) * gain.std(ddof=1) / 2
    )
    assert found.table.loc["DM", ["low", "gain_high"]].isna().all()
    assert found.effective == pytest.approx(w.sum() ** 2 / (w @ w))
    squares = (w * (np.array(reward) - expected["SNIPS"])) ** 2
    assert found.carriers == pytest.approx(squares.sum() ** 2 / (squares @ squares))
    assert (found.largest_weight, found.clipped, found.decisions, found.customers) == (2, 0, 4, 4)
    assert found.mean_weight.estimate == pytest.approx(w.mean())
    assert "too few for the intervals" in repr(found)


def test_clusters_against_an_independent_sandwich():
    log, who, q, _ = made(200, 1)
    found = off_policy_value(**log, predicted=q, customers=who)
    w = (
        log["policy"].to_numpy()[np.arange(len(who)), log["policy"].columns.get_indexer(log["action"])]
        / log["propensity"]
    )
    num, den = w * log["reward"], w
    residual = pd.Series(num - found["SNIPS"].estimate * den).groupby(who).sum()
    error = np.sqrt(200 / 199 * (residual**2).sum()) / den.sum()
    assert found["SNIPS"].high - found["SNIPS"].estimate == pytest.approx(student.ppf(0.975, 199) * error)
    assert found.customers == 200


def test_the_logging_policy_values_itself():
    log, who, _, _ = made(500, 2)
    log["propensity"] = np.full(len(who), 0.25)
    log["policy"] = pd.DataFrame(0.25, index=range(len(who)), columns=["none", "a", "b", "c"])
    log["action"] = np.array([*log["action"][:-1], "c"])
    found = off_policy_value(**log, customers=who)
    assert found.table["gain"].abs().max() == pytest.approx(0)
    assert found.effective == pytest.approx(len(who))


def coverage(customers: int, seeds: int, **change):
    """Share of logs whose interval covers the truth, by estimator, and of those whose mean weight covers 1."""
    inside = []
    for seed in range(seeds):
        log, who, q, _ = made(customers, 1_000 + seed, sharp=change.get("sharp", 1.0))
        if change.get("wrong"):
            log["propensity"] = np.full(len(who), 1 / 3)
        found = off_policy_value(**log, predicted=q, customers=who, clip=change.get("clip"))
        hits = {name: found[name].low <= TRUE <= found[name].high for name in ("IPS", "SNIPS", "DR")}
        inside.append(hits | {"mean weight": found.mean_weight.low <= 1 <= found.mean_weight.high})
    return pd.DataFrame(inside).mean()


def test_intervals_cover_the_truth_at_their_rate():
    # 400 logs: the standard error of a coverage of 0.95 is 0.011
    assert coverage(300, 400).between(0.92, 0.98).all()


def test_ignoring_that_decisions_share_a_customer_is_too_sure():
    rng = np.random.default_rng(3)
    short: list[bool] = []
    right: list[bool] = []
    for _ in range(200):
        own = rng.beta(0.3, 1.0, 60)
        who = np.repeat(np.arange(60), 20)
        action = rng.integers(0, 2, len(who))
        reward = (rng.random(len(who)) < own[who]).astype(int)
        args = np.array(["A", "B"])[action], reward, np.full(len(who), 0.5)
        policy = pd.DataFrame({"A": np.ones(len(who)), "B": 0.0})
        truth = 0.3 / 1.3
        for kept, customers in ((short, None), (right, who)):
            one = off_policy_value(*args, policy, customers=customers)["SNIPS"]
            kept.append(one.low <= truth <= one.high)
    assert np.mean(right) > 0.9
    assert np.mean(short) < 0.75


def test_poor_overlap_and_wrong_chances_lose_the_truth():
    poor = coverage(60, 200, sharp=-6.0)
    assert (poor[["IPS", "SNIPS"]] < 0.9).all()
    wrong = coverage(600, 200, wrong=True)
    assert wrong["IPS"] < 0.85
    assert wrong["mean weight"] < 0.1


def test_clipping_shrinks_the_error_and_biases():
    values: dict[float | None, list[float]] = {None: [], 4.0: []}
    for seed in range(150):
        log, who, _, _ = made(100, seed, sharp=-4.0)
        for clip, kept in values.items():
            kept.append(off_policy_value(**log, customers=who, clip=clip)["IPS"].estimate)
    assert np.std(values[4.0]) < 0.6 * np.std(values[None])
    assert np.mean(values[4.0]) < 0.8 * TRUE
    found = off_policy_value(**log, customers=who, clip=4.0)
    assert 0 < found.clipped < 0.2
    assert found.largest_weight > 4


def test_values_on_the_simulated_firm_cover_the_truth():
    firm = simulate(5_000, seed=3)
    log, truth = firm["decisions"], firm.truth["decisions"]
    clicks = truth.pivot(index="decision_id", columns="action", values="click_probability").loc[
        log["decision_id"], ACTIONS
    ]
    chances = truth.pivot(index="decision_id", columns="action", values="propensity").loc[log["decision_id"], ACTIONS]
    features = pd.DataFrame(
        {"recent": log["recent_orders"].clip(upper=5), "idle": log["recent_orders"].eq(0).astype(int)}
    )
    q = cross_fit_rewards(features, log["action"], log["clicked"], customers=log["customer_id"], seed=1)[ACTIONS]
    args = log["action"], log["clicked"].astype(int), log["propensity"]
    for name in ("recipe", "discount"):
        policy = pd.DataFrame({one: float(one == name) for one in ACTIONS}, index=log.index)
        found = off_policy_value(*args, policy, predicted=q, customers=log["customer_id"])
        for estimator in ("IPS", "SNIPS", "DR"):
            assert found[estimator].low <= clicks[name].mean() <= found[estimator].high, (name, estimator)
        assert found.mean_weight.low <= 1 <= found.mean_weight.high
        width = {one: found[one].high - found[one].low for one in ("IPS", "DR")}
        assert width["DR"] < width["IPS"]
    mixed = off_policy_value(*args, chances.set_axis(log.index), customers=log["customer_id"])
    np.testing.assert_allclose(mixed["IPS"].estimate, log["clicked"].mean())


def test_no_reward_behind_an_estimate_gives_no_interval():
    policy = pd.DataFrame({"A": [1.0] * 4, "B": 0.0})
    found = off_policy_value(["A", "A", "B", "B"], [0, 0, 1, 0], [0.5] * 4, policy)
    assert found["IPS"].estimate == 0
    assert found.table[["low", "high", "gain_low", "gain_high"]].isna().all(axis=None)
    assert found.carriers == 0


def test_labels_may_be_numbers_or_text_but_agree():
    log, who, _, _ = made(100, 4)
    plain = off_policy_value(**log, customers=who)
    codes = {"none": 0, "a": 1, "b": 2}
    numbered = log | {
        "action": pd.Series(log["action"]).map(codes),
        "policy": log["policy"].rename(columns=codes),
    }
    pd.testing.assert_frame_equal(off_policy_value(**numbered, customers=who).table, plain.table)
    with pytest.raises(ContractError, match="action: none of the policy's"):
        off_policy_value(**(numbered | {"policy": log["policy"]}), customers=who)


def refused(match: str, **changes):
    log, who, q, _ = made(30, 5)
    arguments = {"customers": who, "predicted": q} | log | changes
    with pytest.raises(ContractError, match=match):
        off_policy_value(**arguments)


def test_refusals():
    log, who, q, _ = made(30, 5)
    refused("propensity: no chance above 0", propensity=np.zeros(len(who)))
    refused("propensity: not a finite number", propensity=np.full(len(who), np.nan))
    refused("reward", reward=log["reward"][:-1])
    refused("reward", reward=np.full(len(who), np.inf))
    refused("customers: missing", customers=np.full(len(who), np.nan))
    refused("at least 2 customers", customers=np.zeros(len(who)))
    refused("policy must be a DataFrame", policy=log["policy"].iloc[:-1])
    refused("policy must be a DataFrame", policy=log["policy"].to_numpy())
    refused("an action twice", policy=log["policy"].set_axis(["a", "a", "b"], axis=1))
    refused("do not add up to 1", policy=log["policy"] / 2)
    refused("do not add up to 1", policy=log["policy"] * np.nan)
    refused("must hold numbers", policy=log["policy"].astype(str).replace("0.0", "no"))
    refused("'c', which the log never does", policy=log["policy"].assign(a=0.0, b=0.0, c=1.0), predicted=None)
    refused("predicted must be a DataFrame", predicted=q.iloc[1:])
    refused("predicted has the columns", predicted=q[["a", "b", "none"]])
    refused("not a finite number", predicted=q.replace(q.iloc[0, 1], np.nan))
    refused("same index: take both from one table", predicted=q.iloc[::-1])
    refused("needs the same index on action and", action=pd.Series(log["action"]), policy=log["policy"].iloc[::-1])
    refused("clip", clip=0)
    refused("level", level=0)
    with pytest.raises(ContractError, match="there is no estimate 'DR'"):
        off_policy_value(**log)["DR"]
    with pytest.raises(ContractError, match="no overlap"):
        off_policy_value(["A", "B"], [1, 0], [0.5, 0.5], pd.DataFrame({"A": [0.0, 1.0], "B": [1.0, 0.0]}))


# predictions


def test_cross_fit_predicts_and_does_not_see_the_customer():
    log, who, _, age = made(1_500, 6)
    features = pd.DataFrame({"age": age[who]})
    q = cross_fit_rewards(features, log["action"], log["reward"], customers=who, seed=1)
    assert list(q.columns) == ["a", "b", "none"]
    assert np.corrcoef(q["a"], age[who])[0, 1] > 0.95
    assert q.mean()[["a", "b"]].tolist() == pytest.approx([0.24, 0.28], abs=0.05)
    memory = pd.get_dummies(pd.Series(who[:400]), dtype=float)  # one column per customer: all that a leak could use
    small = cross_fit_rewards(
        memory, log["action"][:400], log["reward"][:400] * 1.5, customers=who[:400], model=LinearRegression(), seed=1
    )
    assert abs(np.corrcoef(small["a"], log["reward"][:400])[0, 1]) < 0.15


def test_constant_rewards_and_other_models():
    x = pd.DataFrame({"x": np.arange(40.0)})
    action = np.array(["A", "B"] * 20)
    reward = np.where(action == "A", 2 * x["x"], 7.0)
    q = cross_fit_rewards(x, action, reward, model=LinearRegression(), folds=4, seed=2)
    np.testing.assert_allclose(q["A"], 2 * x["x"], atol=1e-9)
    np.testing.assert_allclose(q["B"], 7.0)
    ridge = cross_fit_rewards(x, action, reward, folds=4, seed=2)
    assert np.corrcoef(ridge["A"], x["x"])[0, 1] > 0.95


def test_features_keep_apart_that_differ_in_type_only():
    x = pd.DataFrame({"1": 0.0, 1: np.arange(40.0), "what": 0.0})
    action, reward = np.array(["A", "B"] * 20), 2 * np.arange(40.0)
    q = cross_fit_rewards(x, action, reward, model=LinearRegression(), folds=4, seed=2)
    np.testing.assert_allclose(q["A"], reward, atol=1e-9)


def test_cross_fit_refusals():
    x = pd.DataFrame({"x": np.arange(6.0)})
    good: dict[str, Any] = {"action": ["A", "B"] * 3, "reward": [0, 1] * 3, "seed": 1}
    with pytest.raises(ContractError, match="too rare"):
        cross_fit_rewards(x, ["A"] * 5 + ["B"], [0, 1] * 3, folds=6, seed=1)
    with pytest.raises(ContractError, match="folds"):
        cross_fit_rewards(x, **good, folds=7)
    with pytest.raises(ContractError, match="folds"):
        cross_fit_rewards(x, **good, folds=1)
    with pytest.raises(ContractError, match="some are missing"):
        cross_fit_rewards(x, **(good | {"action": ["A", None] * 3}))
    with pytest.raises(ContractError, match="x: not a finite number"):
        cross_fit_rewards(x.replace(0.0, np.nan), **good)
    with pytest.raises(ContractError, match="needs features, each of another name"):
        cross_fit_rewards(x[[]], **good)
    with pytest.raises(ContractError, match="each of another name; got"):
        cross_fit_rewards(pd.concat([x, x], axis=1), **good)
    with pytest.raises(ContractError, match="DataFrame"):
        cross_fit_rewards([1, 2], **good)  # type: ignore[arg-type]
