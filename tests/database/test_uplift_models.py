"""Uplift models: by hand on small tables, against known effects, and nobody scored by a model that saw them."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor

from crmlab.database.policy import policy_value, qini_curve
from crmlab.database.uplift import cross_fit_uplift, fit_uplift


def experiment(n: int = 6_000, seed: int = 1) -> pd.DataFrame:
    """The effect is 2 x age; the level hangs on income; the chance to be contacted on income, too."""
    rng = np.random.default_rng(seed)
    age, income = rng.uniform(-1, 1, n), rng.normal(0, 1, n)
    chance = np.where(income > 0, 0.7, 0.3)
    treated = rng.random(n) < chance
    y = 3 + income + 2 * age * treated + rng.normal(0, 1, n)
    return pd.DataFrame({"age": age, "income": income, "chance": chance, "treated": treated, "y": y})


def test_two_models_by_hand():
    who = pd.DataFrame({"new": [0, 0, 1, 1, 0, 0, 1, 1]})
    y, t = [1, 3, 5, 5, 1, 1, 2, 4], [1, 1, 1, 1, 0, 0, 0, 0]
    model = fit_uplift(who, y, t, DecisionTreeRegressor())
    assert model.predict(who).tolist() == [1.0, 1.0, 2.0, 2.0] * 2  # 2 - 1 and 5 - 3
    assert len(model.estimators) == 2


def test_transformed_outcome_by_hand():
    """With half treated the mean of 4 y (t - 1/2) in a leaf is the difference of its arms' means."""
    who = pd.DataFrame({"new": [0, 0, 1, 1, 0, 0, 1, 1]})
    y, t = [1, 3, 5, 5, 1, 1, 2, 4], [1, 1, 1, 1, 0, 0, 0, 0]
    model = fit_uplift(who, y, t, DecisionTreeRegressor(), method="transformed_outcome")
    assert model.predict(who).tolist() == [1.0, 1.0, 2.0, 2.0] * 2
    assert len(model.estimators) == 1


@pytest.mark.parametrize("method", ["two_model", "transformed_outcome"])
def test_the_known_effect_is_found(method):
    data = experiment(20_000)
    model = fit_uplift(
        data[["age", "income"]],
        data["y"],
        data["treated"],
        LinearRegression(),
        method=method,
        propensity=data["chance"],
    )
    new = pd.DataFrame({"age": [-0.5, 0.0, 0.5], "income": 0.0}, index=list("abc"))
    scores = model.predict(new)
    assert scores.index.tolist() == ["a", "b", "c"]
    assert scores.to_numpy() == pytest.approx([-1, 0, 1], abs=0.3)  # about three errors of the transformed outcome


def test_the_transformed_outcome_needs_the_true_propensity():
    data = experiment(20_000)
    inputs = (data[["age", "income"]], data["y"], data["treated"], LinearRegression())
    new = pd.DataFrame({"age": 0.0, "income": [-1.0, 1.0]})
    right = fit_uplift(*inputs, method="transformed_outcome", propensity=data["chance"]).predict(new)
    wrong = fit_uplift(*inputs, method="transformed_outcome", propensity=0.5).predict(new)
    assert np.ptp(right) < 0.6 < 2 < np.ptp(wrong)


def test_a_classifier_gives_differences_of_chances():
    data = experiment()
    bought = data["y"] > 3
    model = fit_uplift(data[["age", "income"]], bought, data["treated"], LogisticRegression())
    scores = model.predict(data[["age", "income"]])
    assert scores.between(-1, 1).all()
    assert spearmanr(scores, data["age"]).statistic > 0.9


def test_nobody_is_scored_by_a_model_that_saw_him():
    """One nearest neighbour repeats what it saw: on pure noise its own Qini is high, the cross-fitted one is chance."""
    rng = np.random.default_rng(1)
    who = pd.DataFrame({"x": rng.normal(size=2_000)}, index=rng.permutation(2_000))
    t, y = rng.random(2_000) < 0.5, rng.normal(size=2_000)
    memory = KNeighborsRegressor(1)
    seen = fit_uplift(who, y, t, memory).predict(who)
    unseen = cross_fit_uplift(who, y, t, memory, seed=1)
    assert unseen.index.equals(who.index)
    assert qini_curve(y, t, seen).area > 0.1
    assert abs(qini_curve(y, t, unseen).area) < 0.03
    for fold_seed in (2, 3):
        assert not np.allclose(unseen, cross_fit_uplift(who, y, t, memory, seed=fold_seed))
    pd.testing.assert_series_equal(unseen, cross_fit_uplift(who, y, t, memory, seed=1))


def test_the_estimator_and_the_table_are_left_alone():
    data = experiment(500)
    copy, estimator = data.copy(deep=True), LinearRegression()
    fit_uplift(data[["age"]], data["y"], data["treated"], estimator)
    assert not hasattr(estimator, "coef_")
    pd.testing.assert_frame_equal(data, copy)


def test_missing_features_are_the_estimators_business():
    data = experiment(2_000)
    holes = data[["age", "income"]].mask(np.random.default_rng(1).random((2_000, 2)) < 0.2)
    scores = fit_uplift(holes, data["y"], data["treated"], HistGradientBoostingRegressor(max_iter=20)).predict(holes)
    assert np.isfinite(scores).all()


def test_uplift_beats_response_where_the_two_differ():
    """Likely buyers need no letter: the rank of the level loses money, the rank of the effect earns it."""
    data = experiment(20_000)
    learn, judge = data.iloc[:10_000], data.iloc[10_000:]
    features = ["age", "income"]
    score = fit_uplift(
        learn[features], learn["y"], learn["treated"], HistGradientBoostingRegressor(max_iter=50, random_state=1)
    ).predict(judge[features])
    rules = {"uplift": score > 0.5, "response": judge["income"] > judge["income"].quantile(1 - (score > 0.5).mean())}
    worth = policy_value(judge["y"], judge["treated"], rules, propensity=judge["chance"], contact_cost=0.5)
    gain = worth.difference("uplift", "response")
    truth = float((2 * judge["age"] - 0.5).where(score > 0.5, 0).mean())
    value = worth.table.set_index("policy").loc["uplift"]
    assert gain.low > 0
    assert value["low"] <= truth <= value["high"]
