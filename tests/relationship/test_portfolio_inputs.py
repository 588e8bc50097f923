"""What the functions of a portfolio refuse, with every problem at once and where it is."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.relationship.portfolio import relationship_economics, relationship_types
from crmlab.relationship.portfolio_risk import choice_risk
from crmlab.relationship.portfolio_views import delivered_value, gap_scores

SEGMENTS = pd.DataFrame({"customers": [1.0, 2.0, 3.0], "margin": [3.0, 2.0, 1.0]}, index=list("abc"))


def changed(frame: pd.DataFrame, at: Any, column: str, value: Any) -> pd.DataFrame:
    copy = frame.astype(object)
    copy.loc[at, column] = value
    return copy


@pytest.mark.parametrize(
    ("segments", "options", "message"),
    [
        (SEGMENTS.drop(columns="margin"), {}, "'margin'"),
        (SEGMENTS.iloc[:0], {}, "no row"),
        (changed(SEGMENTS, "b", "margin", np.nan), {}, "margin: not a finite number in 1 rows (first: 2)"),
        (changed(SEGMENTS, "b", "margin", np.inf), {}, "margin: not a finite number"),
        (changed(SEGMENTS, "b", "margin", "much"), {}, "margin: not a finite number"),
        (changed(SEGMENTS, "c", "customers", 0), {}, "customers: not above 0 in 1 rows (first: 3)"),
        (SEGMENTS.set_axis(list("aab")), {}, "index: the same name twice in 1 rows (first: 2)"),
        (SEGMENTS.head(2), {}, "thirds of customers need three segments that differ, got 2 segments"),
        (SEGMENTS.assign(margin=1.0), {}, "got 3 segments with 1 different values: give own cuts"),
        (SEGMENTS, {"cuts": {"margin": (2, 1)}}, "cuts of margin must be two rising numbers; got [2, 1]"),
        (SEGMENTS, {"cuts": {"margin": (1,)}}, "cuts of margin must be two rising numbers"),
        (SEGMENTS, {"cuts": {"margin": (1, np.nan)}}, "cuts of margin must be two rising numbers"),
        (
            SEGMENTS,
            {"cuts": {"sales": (1, 2)}},
            "cuts are for customers and margin under the rule number_margin; got sales",
        ),
        (SEGMENTS, {"rule": "size"}, "rule must be one of number_margin, loyalty_sales; got 'size'"),
        (SEGMENTS, {"rule": "loyalty_sales"}, "'loyalty'"),
    ],
)
def test_types_refuse(segments, options, message):
    with pytest.raises(ContractError) as caught:
        relationship_types(segments, **options)
    assert message in str(caught.value)


PLANS = pd.DataFrame({"yearly_cost": [0.0, 5.0], "hazard_ratio": [1.0, 0.5]}, index=["a", "b"])
ALL: dict[str, float] = {"margin": 100.0, "retention": 0.7, "annual_discount_rate": 0.1}


@pytest.mark.parametrize(
    ("plans", "options", "message"),
    [
        (PLANS.head(1), {}, "two plans are the least that can be compared, got 1"),
        (PLANS.iloc[:0], {}, "no row"),
        (PLANS[::-1], {}, "yearly_cost: less than in the row above in 1 rows (first: 2)"),
        (changed(PLANS, "a", "yearly_cost", -1), {}, "yearly_cost: negative"),
        (changed(PLANS, "a", "hazard_ratio", 0), {}, "hazard_ratio: not above 0"),
        (pd.concat([PLANS.head(1)] * 2).set_axis(["a", "b"]), {}, "the same cost and hazard ratio as another plan"),
        (PLANS, {"retention": 1.0}, "retention must lie strictly between 0 and 1; got 1.0"),
        (PLANS, {"retention": np.nan}, "retention must lie strictly between 0 and 1"),
        (PLANS, {"margin": np.inf}, "margin must be a finite number; got inf"),
        (PLANS, {"annual_discount_rate": -0.1}, "annual_discount_rate must be 0 or more"),
    ],
)
def test_economics_refuse(plans, options, message):
    with pytest.raises(ContractError) as caught:
        relationship_economics(plans, **(ALL | options))
    assert message in str(caught.value)


def test_problems_are_collected():
    with pytest.raises(ContractError) as caught:
        relationship_economics(changed(PLANS, "a", "hazard_ratio", -1), **(ALL | {"margin": np.nan, "retention": 0.0}))
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("margins", [[], [np.nan], [[1.0, 2.0]]])
def test_margins_must_be_numbers(margins):
    with pytest.raises(ContractError, match="margins must be finite numbers"):
        relationship_economics(PLANS, **ALL).best(margins)


LIMITS = pd.DataFrame(
    [[0.0, 0.0, 1.0, 1.0], [5.0, 10.0, 0.4, 0.8]],
    ["a", "b"],
    ["yearly_cost_low", "yearly_cost_high", "hazard_ratio_low", "hazard_ratio_high"],
)
WIDE: dict[str, Any] = {"margin": (50.0, 90.0), "retention": (0.5, 0.8), "annual_discount_rate": 0.1, "seed": 1}


@pytest.mark.parametrize(
    ("plans", "options", "message"),
    [
        (LIMITS.head(1), {}, "at least 2 plans and 1,000 draws are needed; got 1 and 10,000"),
        (LIMITS, {"draws": 10}, "got 2 and 10"),
        (LIMITS.drop(columns="yearly_cost_low"), {}, "'yearly_cost_low'"),
        (
            changed(LIMITS, "b", "yearly_cost_low", 11),
            {},
            "yearly_cost_low: above yearly_cost_high in 1 rows (first: 2)",
        ),
        (changed(LIMITS, "b", "yearly_cost_low", 0), {}, "yearly_cost_low: not above 0, unless both limits are 0"),
        (changed(LIMITS, "b", "hazard_ratio_low", 0), {}, "hazard_ratio_low: not above 0"),
        (LIMITS.iloc[[1, 1]].set_axis(["a", "b"]), {}, "the same limits as another plan"),
        (LIMITS, {"margin": (90.0, 50.0)}, "margin needs two limits, rising or equal, within 0 and infinity"),
        (LIMITS, {"margin": (0.0, 50.0)}, "margin needs two limits"),
        (LIMITS, {"retention": (0.5, 1.0)}, "retention needs two limits, rising or equal, within 0 and 1"),
        (LIMITS, {"retention": (0.5,)}, "retention needs two limits"),
        (LIMITS, {"annual_discount_rate": np.nan}, "annual_discount_rate must be 0 or more"),
    ],
)
def test_risk_refuses(plans, options, message):
    with pytest.raises(ContractError) as caught:
        choice_risk(plans, **(WIDE | options))
    assert message in str(caught.value)


def test_risk_refuses_what_is_known():
    known = LIMITS.assign(yearly_cost_low=[0.0, 10.0], hazard_ratio_low=[1.0, 0.8])
    with pytest.raises(ContractError, match="nothing is uncertain: use relationship_economics"):
        choice_risk(known, **(WIDE | {"margin": (50.0, 50.0), "retention": (0.5, 0.5)}))


RATINGS = pd.DataFrame({"product": [8.0, 6.0], "money": [7.0, 3.0]}, index=["x", "y"])
WEIGHTS = pd.DataFrame({"product": [1.0, 2.0], "money": [1.0, 1.0]})


@pytest.mark.parametrize(
    ("ratings", "weights", "options", "message"),
    [
        (RATINGS.head(1), WEIGHTS, {}, "two offers and one respondent are the least; got 1 and 2"),
        (RATINGS, WEIGHTS.head(0), {}, "got 2 and 0"),
        (RATINGS, WEIGHTS.rename(columns={"money": "price"}), {}, "only one of them has money, price"),
        (RATINGS, WEIGHTS, {"costs": []}, "costs must be some, not all"),
        (RATINGS, WEIGHTS, {"costs": ["product", "money"]}, "costs must be some, not all"),
        (RATINGS, WEIGHTS, {"costs": ["time"]}, "costs must be some, not all"),
        (RATINGS.set_axis(["x", "x"]), WEIGHTS, {}, "an offer or a component appears twice"),
        (changed(RATINGS, "y", "money", np.nan), WEIGHTS, {}, "ratings: negative or not finite in 1 rows (first: 2)"),
        (RATINGS, changed(WEIGHTS, 0, "money", -1.0), {}, "weights: negative or not finite in 1 rows (first: 1)"),
        (RATINGS, WEIGHTS.mul([0.0, 1.0], axis=0), {}, "a respondent to whom nothing matters in 1 rows (first: 1)"),
        (RATINGS, WEIGHTS * [0.0, 1.0], {}, "nobody gives weight to the values, or nobody to the costs"),
        (RATINGS * 0 + 5, WEIGHTS, {}, "the offers have the same ratings throughout"),
        (RATINGS, WEIGHTS, {"level": 1.0}, "level must lie strictly between 0 and 1"),
    ],
)
def test_delivered_value_refuses(ratings, weights, options, message):
    with pytest.raises(ContractError) as caught:
        delivered_value(ratings, weights, **({"costs": ["money"]} | options))
    assert message in str(caught.value)


FIRM = pd.DataFrame({"trust": [8.0, 9, 7, 9], "quality": [7.0, 6, 8, 8]})
CUSTOMER = pd.DataFrame({"trust": [6.0, 8, 6, 6], "quality": [7.0, 5, 9, 7]})


@pytest.mark.parametrize(
    ("firm", "customer", "options", "message"),
    [
        (FIRM.head(3), CUSTOMER.head(3), {}, "four relationships with both views are the least; got 3"),
        (FIRM, CUSTOMER[::-1], {}, "both need the same index"),
        (FIRM, CUSTOMER.head(3), {}, "both need the same index"),
        (FIRM, CUSTOMER[["trust"]], {}, "both need the same items; the firm has ['trust', 'quality']"),
        (FIRM[[]], CUSTOMER[[]], {}, "both need the same items"),
        (FIRM.set_axis([1, 1, 2, 3]), CUSTOMER.set_axis([1, 1, 2, 3]), {}, "a relationship appears twice"),
        (changed(FIRM, 1, "trust", np.nan), CUSTOMER, {}, "firm: trust not a finite number in 1 rows (first: 2)"),
        (FIRM, changed(CUSTOMER, 1, "quality", "good"), {}, "customer: quality not a finite number"),
        (FIRM.assign(trust=8.0), CUSTOMER, {}, "firm: trust does not vary"),
        (FIRM, FIRM + 1, {}, "the difference: trust does not vary"),
        (FIRM, CUSTOMER, {"level": 0.0}, "level must lie strictly between 0 and 1, got 0.0"),
    ],
)
def test_gaps_refuse(firm, customer, options, message):
    with pytest.raises(ContractError) as caught:
        gap_scores(firm, customer, **options)
    assert message in str(caught.value)
