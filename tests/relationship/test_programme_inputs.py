"""Panels and joiners that cannot be studied are refused in words."""

import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.relationship.programme import group_time_effects
from crmlab.relationship.programme_averages import effects_by, encouraged_effect, overall_effect, two_way_effect
from crmlab.relationship.programme_panel import joining_panel

RNG = np.random.default_rng(1)
Y = pd.DataFrame(RNG.standard_normal((30, 5)))
G = pd.Series(np.repeat([2.0, 3.0, np.nan], 10))


def with_one(value: float) -> pd.DataFrame:
    numbers = Y.to_numpy().copy()
    numbers[3, 1] = value
    return pd.DataFrame(numbers)


@pytest.mark.parametrize("estimate", [group_time_effects, two_way_effect])
@pytest.mark.parametrize(
    ("outcome", "joined", "words"),
    [
        (Y.to_numpy(), G, "must be a DataFrame"),
        (Y.iloc[:0], G.iloc[:0], "needs 4 customers"),
        (Y[[0]], G, "2 periods"),
        (Y.set_axis(list("abcde"), axis=1), G, "consecutive whole numbers"),
        (Y[[0, 1, 3]], G, "consecutive whole numbers"),
        (Y * 0, G, "all outcomes are the same"),
        (with_one(np.nan), G, r"no finite number in 1 rows \(first: 4\)"),
        (with_one(np.inf), G, "no finite number"),
        (Y.set_axis([0] * 30), G.set_axis([0] * 30), "the same customer twice"),
        (Y, G.iloc[:20], "joined has 20 rows, outcome 30"),
        (Y, G.set_axis(range(1, 31)), "different indexes"),
        (Y, G.to_numpy(), "must be pandas"),
        (Y, G + 0.5, "not a whole period"),
        (Y, pd.Series(["soon"] * 30), "not a number"),
        (Y, G * np.nan, "nobody joins"),
        (Y, G * 0, "nobody joins"),
    ],
)
def test_broken_panels(estimate, outcome, joined, words):
    with pytest.raises(ContractError, match=words):
        estimate(outcome, joined)


def test_broken_options():
    cases: list[tuple[dict, str]] = [
        ({"controls": "all"}, "controls must be one of not_yet, never"),
        ({"base": "first"}, "base must be one of last, mean"),
        ({"level": 1.0}, "level must lie"),
        ({"anticipation": 4}, "anticipation must be a whole number from 0 to 3"),
        ({"anticipation": 0.5}, "anticipation must be a whole number"),
        ({"clusters": pd.Series([1] * 30)}, "need 10 groups; got 1"),
        ({"clusters": pd.Series([None] * 30)}, "clusters is missing"),
        ({"clusters": pd.Series(range(29))}, "clusters has 29 rows"),
        ({"covariates": pd.DataFrame(index=Y.index)}, "at least one column"),
        ({"covariates": pd.DataFrame({"x": [1.0] * 30})}, "x: all customers have the same value"),
        ({"covariates": pd.DataFrame({"x": [np.nan] * 30})}, "x: not a finite number"),
        ({"covariates": pd.Series(range(30))}, "must be a DataFrame"),
    ]
    for options, words in cases:
        with pytest.raises(ContractError, match=words):
            group_time_effects(Y, G, **options)


def test_covariates_that_leave_nobody_to_compare_are_named():
    apart = pd.DataFrame({"x": G.notna() + 0.01 * RNG.standard_normal(30)})
    with pytest.raises(ContractError, match="for certain"):
        group_time_effects(Y, G, controls="never", covariates=apart)
    twice = pd.DataFrame({"x": range(30), "z": range(30)})
    with pytest.raises(ContractError, match="repeat one another"):
        group_time_effects(Y, G, covariates=twice)


def test_joiners_without_a_base_period_are_left_out_and_told():
    early = G.replace({2.0: 0.0})
    effects = group_time_effects(Y, early)
    assert "10 customers who joined before there was a base period" in repr(effects)
    assert set(effects.table["cohort"]) == {3}
    pd.testing.assert_frame_equal(effects.table, group_time_effects(Y.iloc[10:], G.iloc[10:]).table)
    assert group_time_effects(Y, G.replace({2.0: 99.0})).table["cohort"].unique().tolist() == [3]


def test_nobody_left_to_compare_with():
    with pytest.raises(ContractError, match="no effect can be estimated"):
        group_time_effects(Y, pd.Series([2.0] * 30))
    with pytest.raises(ContractError, match="no effect can be estimated"):
        group_time_effects(Y, pd.Series([2.0] + [3.0] * 29), controls="never")
    with pytest.raises(ContractError, match="membership follows from customer and period alone"):
        two_way_effect(Y, pd.Series([2.0] * 30))


def test_periods_may_have_any_first_number():
    later = group_time_effects(Y.set_axis(range(7, 12), axis=1), G + 7)
    now = group_time_effects(Y, G)
    assert later.table["estimate"].tolist() == now.table["estimate"].tolist()
    assert (later.table["period"] - now.table["period"]).eq(7).all()
    assert overall_effect(later) == overall_effect(now)


def test_averages_refuse_what_they_do_not_have():
    effects = group_time_effects(Y, G)
    with pytest.raises(ContractError, match="by must be one of"):
        effects_by(effects, "month")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="event times are -3 to 2"):
        overall_effect(effects, first=9)
    assert "Effects by cohort" in repr(effects_by(effects, "cohort"))
    assert "Two-way" in repr(two_way_effect(Y, G))


def test_an_invitation_needs_membership():
    exposure = pd.DataFrame(np.where(RNG.random((30, 5)) < 0.5, 0.5, 0.0))
    with pytest.raises(ContractError, match="between 0 and 1"):
        encouraged_effect(Y, exposure * 3, G)
    with pytest.raises(ContractError, match="the columns of outcome"):
        encouraged_effect(Y, exposure[[0, 1]], G)
    with pytest.raises(ContractError, match="all outcomes are the same"):
        encouraged_effect(Y, exposure * 0, G)
    with pytest.raises(ContractError, match="no finite number"):
        encouraged_effect(Y, exposure.where(exposure > 0), G)


def test_a_log_that_makes_no_panel():
    days = pd.date_range("2024-01-01", periods=40)
    log = pd.DataFrame({"customer_id": range(40), "date": days, "amount": 1.0})
    joined = pd.Series(pd.to_datetime(["2024-01-30"]), index=[0])
    cases: list[tuple[pd.DataFrame, pd.Series, dict, str]] = [
        (log.drop(columns="amount"), joined, {}, "'amount'"),
        (log.iloc[:0], joined, {}, "no row"),
        (log.assign(amount=np.inf), joined, {}, "amount: not a finite number"),
        (log.assign(date="2024-01-01"), joined, {}, "date: not dates"),
        (log, joined.astype(str), {}, "joined: not dates"),
        (log, pd.concat([joined, joined]), {}, "the same customer twice"),
        (log.assign(customer_id=None), joined, {}, "customer_id: missing"),
        (log, joined.set_axis(["0"]), {}, "none of its 1 customers bought"),
        (log, joined, {"days": 0}, "days must be 1 or more"),
        (log, joined, {"days": 30}, "a panel needs three"),
        (log, joined, {"begin": "2023-12-01"}, "nobody had bought"),
        (log, joined, {"measure": "visits"}, "measure must be one of amount, orders"),
    ]
    for frame, when, options, words in cases:
        with pytest.raises(ContractError, match=words):
            joining_panel(frame, when, **({"begin": "2024-01-10", "days": 5} | options))
    before = log.copy()
    joining_panel(log, joined, begin="2024-01-10", days=5)
    pd.testing.assert_frame_equal(log, before)
