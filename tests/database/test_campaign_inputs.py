"""Everything that cannot be read out is refused in words."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from crmlab.database.campaign import incremental_profit, read_arms, read_out
from crmlab.database.campaign_design import balance, plan_test, sample_ratio_p_value
from crmlab.database.policy import best_depth, policy_value, qini_curve, response_group_bounds, uplift_curve
from crmlab.database.uplift import cross_fit_uplift, fit_uplift
from crmlab.errors import ContractError

Y = [1.0, 2.0, 3.0, 5.0, 8.0, 13.0]
T = [1, 0, 1, 0, 1, 0]
S = [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
NO_TABLE: Any = np.ones(6)
X = pd.DataFrame({"age": [20, 30, 40, 50, 60, 70]})

EXPERIMENTS: dict[str, tuple[Any, Any, str]] = {
    "empty": ([], [], "empty"),
    "lengths": (Y[:5], T, "same length, got outcome 5, treated 6"),
    "nan": ([*Y[:5], np.nan], T, r"outcome: not a finite number in 1 rows \(first: 6\)"),
    "infinite": ([np.inf, *Y[1:]], T, r"first: 1\)"),
    "words": (["a", *Y[1:]], T, "outcome: no numbers but object"),
    "constant": ([2.0] * 6, T, "every customer has the same outcome, 2"),
    "one arm": (Y, [1] * 6, "the control arm has 0 customers"),
    "three arms": (Y, [0, 1, 2, 0, 1, 2], "treated: not 0 or 1"),
    "table": (np.ones((6, 2)), T, r"one value per row in outcome, got shape \(6, 2\)"),
    "index": (pd.Series(Y), pd.Series(T, index=range(1, 7)), "the same index on"),
}


def functions(y, t):
    n = np.shape(y)[0]
    features = pd.DataFrame({"age": np.arange(n)}, index=y.index if isinstance(y, pd.Series) else None)
    return {
        "read_out": lambda: read_out(y, t),
        "fit_uplift": lambda: fit_uplift(features, y, t, LinearRegression()),
        "cross_fit_uplift": lambda: cross_fit_uplift(features, y, t, LinearRegression(), folds=2, seed=1),
        "policy_value": lambda: policy_value(y, t, {"all": np.ones(n)}),
    }


@pytest.mark.parametrize("case", EXPERIMENTS)
@pytest.mark.parametrize("name", ["read_out", "fit_uplift", "cross_fit_uplift", "policy_value"])
def test_an_experiment_that_is_none(name: str, case: str):
    y, t, words = EXPERIMENTS[case]
    with pytest.raises(ContractError, match=words):
        functions(y, t)[name]()


@pytest.mark.parametrize("case", ["empty", "lengths", "nan", "one arm", "three arms", "index"])
@pytest.mark.parametrize("curve", [uplift_curve, qini_curve])
def test_a_curve_of_no_experiment(curve, case: str):
    y, t, words = EXPERIMENTS[case]
    with pytest.raises(ContractError, match=words):
        curve(y, t, y.to_numpy() if isinstance(y, pd.Series) else np.arange(len(y)))


CASES = {
    "level": (lambda: read_out(Y, T, level=95), "level must lie"),
    "no spread": (lambda: read_out([1, 1, 0, 0], [1, 1, 0, 0]), "does not vary within either arm"),
    "before words": (lambda: read_out(Y, T, before=pd.DataFrame({"sex": list("mfmfmf")})), "sex: no numbers but str"),
    "before constant": (
        lambda: read_out(Y, T, before=X.assign(one=0.1)),
        "leave out one: all customers have the same value",
    ),
    "before empty": (lambda: read_out(Y, T, before=X[[]]), "no columns"),
    "before index": (lambda: read_out(pd.Series(Y), pd.Series(T), before=X.set_index("age")[[]]), "the same index on"),
    "before dates": (
        lambda: read_out(Y, T, before=X.assign(d=pd.Timestamp("2024-01-01"))),
        "d: no numbers but datetime",
    ),
    "before names": (lambda: read_out(Y, T, before=pd.concat([X, X], axis=1)), "two of the same name"),
    "cluster table": (lambda: read_out(Y, T, cluster=X), "one value per row in cluster"),
    "before array": (lambda: read_out(Y, T, before=NO_TABLE), "DataFrame or a Series"),
    "before twice": (lambda: read_out(Y, T, before=X.assign(months=X["age"] * 12)), "repeat one another"),
    "few clusters": (lambda: read_out(Y, T, cluster=list("abcdef")), "10 groups in each arm"),
    "cluster gap": (lambda: read_out(Y, T, cluster=["a", None, *"bcde"]), "cluster is missing"),
    "split clusters": (lambda: read_out(Y * 10, T * 10, cluster=np.arange(60) // 2), "30 clusters are in both arms"),
    "no arm": (lambda: read_arms(pd.DataFrame({"arm": ["a", "b"], "customers": 9, "mean": 0.1}), "a", "c"), "'c'"),
    "arm twice": (lambda: read_arms(pd.DataFrame({"arm": ["a", "a"], "customers": 9, "mean": 0.1}), "a", "a"), "two"),
    "arm columns": (lambda: read_arms(pd.DataFrame({"arm": ["a"], "customer": 1, "mean": 1}), "a", "b"), "did you"),
    "no share": (lambda: read_arms(pd.DataFrame({"arm": ["a", "b"], "customers": 9, "mean": 2}), "a", "b"), "no share"),
    "one customer": (
        lambda: read_arms(pd.DataFrame({"arm": ["a", "b"], "customers": [1, 9], "mean": 0.1}), "a", "b"),
        "2 or more",
    ),
    "arm words": (
        lambda: read_arms(pd.DataFrame({"arm": ["a", "b"], "customers": 9, "mean": ["1", "x"]}), "a", "b"),
        "mean: no",
    ),
    "margin": (lambda: incremental_profit(read_out(Y, T), margin=0, contact_cost=1), "margin must be above 0"),
    "cost": (
        lambda: incremental_profit(read_out(Y, T), margin=1, contact_cost=-1),
        "contact_cost must be 0 or more, got -1",
    ),
    "plan neither": (lambda: plan_test(difference=1), "baseline"),
    "plan all": (lambda: plan_test(sd=1, difference=1, customers=100), "exactly one"),
    "plan range": (lambda: plan_test(baseline=1.2, difference=0.1, alpha=0), "alpha must lie"),
    "plan share": (lambda: plan_test(baseline=0.9, difference=0.2), "must be a share; got 1.1"),
    "plan power": (lambda: plan_test(sd=1, difference=1, power=0.04), "above alpha"),
    "plan numbers": (lambda: plan_test(sd=-1, difference=0), "sd must be above 0"),
    "plan fraction": (lambda: plan_test(sd=1, customers=10.5), "whole number of 4 or more"),  # type: ignore[arg-type]
    "plan few": (lambda: plan_test(sd=1, customers=3), "4 or more"),
    "plan hopeless": (lambda: plan_test(baseline=0.5, customers=4, power=0.99), "no possible effect"),
    "balance nan": (lambda: balance(pd.DataFrame({"a": [1, np.nan, 2, 4]}), [1, 0, 1, 0]), "fill or drop"),
    "balance arms": (lambda: balance(X, [1, 1, 1, 1, 1, 0]), "the control arm has 1"),
    "ratio shares": (lambda: sample_ratio_p_value([5, 5], [0.5, 0.4]), "add up to 1"),
    "ratio words": (lambda: sample_ratio_p_value(["5", "5"], [0.5, 0.5]), "customers: no numbers"),  # type: ignore[list-item]
    "ratio counts": (lambda: sample_ratio_p_value([0, 0], [0.5, 0.5]), "need a count"),
    "score constant": (lambda: uplift_curve(Y, T, [1] * 6), "nothing says whom"),
    "score nan": (lambda: qini_curve(Y, T, [*S[:5], np.nan]), "score: not a finite number in 1 rows"),
    "no outcome": (lambda: qini_curve([0] * 6, T, S), "same outcome, 0"),
    "depth on qini": (lambda: best_depth(qini_curve(Y, T, S), margin=1, contact_cost=1), "uplift curve"),
    "no policy": (lambda: policy_value(Y, T, {}), "at least one policy"),
    "policy chance": (
        lambda: policy_value(Y, T, {"p": [2, 1, 1, 1, 1, 1]}),
        "'p': no chance between 0 and 1",
    ),
    "policy one arm": (lambda: policy_value(Y, T, {"p": T}), "'p' selects customers of one arm"),
    "policy length": (lambda: policy_value(Y, T, {"p": [1]}), "policy 'p'"),
    "policy unknown": (lambda: policy_value(Y, T, {"p": [1] * 6}).difference("p", "q"), "no policy is called 'q'"),
    "propensity": (lambda: policy_value(Y, T, {"p": [1] * 6}, propensity=1.0), "strictly between 0 and 1"),
    "rates": (lambda: response_group_bounds(1.2, 0), "shares between 0 and 1"),
    "method": (lambda: fit_uplift(X, Y, T, LinearRegression(), method="s_learner"), "two_model, transformed_outcome"),  # type: ignore[arg-type]
    "transformed class": (
        lambda: fit_uplift(X, [0, 1, 1, 0, 0, 1], T, LogisticRegression(), method="transformed_outcome"),
        "give a regressor",
    ),
    "class of numbers": (lambda: fit_uplift(X, Y, T, LogisticRegression()), "use a regressor"),
    "one class": (lambda: fit_uplift(X, [1, 0, 1, 1, 1, 0], T, LogisticRegression()), "the treated arm has one class"),
    "no features": (lambda: fit_uplift(NO_TABLE, Y, T, LinearRegression()), "needs a DataFrame, not ndarray"),
    "features": (lambda: fit_uplift(X[[]], Y, T, LinearRegression()), "one column"),
    "infinite feature": (lambda: fit_uplift(X.assign(b=np.inf), Y, T, LinearRegression()), "infinite: b"),
    "unknown feature": (
        lambda: fit_uplift(X, Y, T, LinearRegression()).predict(X.rename(columns={"age": "Age"})),
        "age",
    ),
    "folds": (lambda: cross_fit_uplift(X, Y, T, LinearRegression(), folds=3, seed=1), "two customers of each arm"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_in_words(case: str):
    call, words = CASES[case]
    with pytest.raises(ContractError, match=words):
        call()
