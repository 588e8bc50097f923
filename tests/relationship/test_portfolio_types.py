"""Types of relationship by rule: the printed table, cut points by value, ties, and laws."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.relationship.portfolio import TYPES, relationship_types

#: Kotler (1997, ch. 2): rows many, medium, few customers; columns low, medium, high margin.
PRINTED = [
    ["basic", "reactive", "accountable"],
    ["reactive", "accountable", "proactive"],
    ["accountable", "proactive", "partnership"],
]
NINE = pd.DataFrame(
    [(n, m) for n in (9_000.0, 500.0, 10.0) for m in (1.0, 20.0, 300.0)], columns=["customers", "margin"]
)


def types_of(result) -> list[str]:
    return [str(one) for one in result.table["type"]]


def test_the_printed_table():
    result = relationship_types(NINE)
    assert result.grid.to_numpy().tolist() == PRINTED
    assert types_of(result) == [name for row in PRINTED for name in row]
    assert result.table["customers_level"].tolist() == ["many"] * 3 + ["medium"] * 3 + ["few"] * 3
    assert result.table["margin_level"].tolist() == ["low", "medium", "high"] * 3
    assert result.cuts == {"customers": (10.0, 500.0), "margin": (1.0, 20.0)}
    assert "customers up to 10 and up to 500" in repr(result)
    assert "partnership" in repr(result)


def test_types_are_ordered_by_effort():
    order = relationship_types(NINE).table["type"].cat
    assert order.ordered
    assert list(order.categories) == list(TYPES)


def test_loyalty_and_sales_add_up_in_the_same_way():
    nine = pd.DataFrame([(x, y) for x in (0.1, 0.4, 0.9) for y in (1.0, 20.0, 300.0)], columns=["loyalty", "sales"])
    result = relationship_types(nine, "loyalty_sales")
    assert types_of(result) == [name for row in PRINTED for name in row]
    assert result.grid.index.tolist() == ["low", "medium", "high"]


def test_own_cuts_include_their_limit_and_do_not_depend_on_the_other_segments():
    cuts = {"customers": (100, 1_000), "margin": (5, 50)}
    two = pd.DataFrame({"customers": [100, 101], "margin": [50.0, 50.1]}, index=["at", "above"])
    assert types_of(relationship_types(two, cuts=cuts)) == ["proactive", "proactive"]
    assert types_of(relationship_types(two.head(1), cuts=cuts)) == ["proactive"]
    assert relationship_types(two, cuts=cuts).table["margin_level"].tolist() == ["medium", "high"]


def test_the_frame_is_left_alone():
    before = NINE.copy()
    relationship_types(NINE)
    pd.testing.assert_frame_equal(NINE, before)


SEGMENTS = st.lists(st.tuples(st.integers(1, 6), st.integers(-3, 3)), min_size=3, max_size=12).filter(
    lambda rows: len({a for a, _ in rows}) > 1 and len({b for _, b in rows}) > 1
)


@settings(max_examples=40, deadline=None)
@given(rows=SEGMENTS, seed=st.integers(0, 99))
def test_more_margin_and_fewer_customers_never_mean_less_effort_and_order_is_nothing(rows, seed):
    segments = pd.DataFrame(rows, columns=["customers", "margin"]).astype(float)
    result = relationship_types(segments)
    effort = result.table["type"].cat.codes.to_numpy()
    for i in range(len(rows)):
        better = (segments["customers"] <= segments.loc[i, "customers"]) & (
            segments["margin"] >= segments.loc[i, "margin"]
        )
        assert (effort[better] >= effort[i]).all()
    assert result.table.groupby(["customers", "margin"])["type"].nunique().max() == 1
    shuffled = relationship_types(segments.sample(frac=1, random_state=seed)).table.sort_index()
    pd.testing.assert_frame_equal(shuffled, result.table)
    scaled = relationship_types(segments * np.array([3.0, 7.0]))
    assert types_of(scaled) == types_of(result)


def test_thirds_are_values_that_a_third_does_not_exceed():
    margins = pd.Series([1.0, 1.0, 1.0, 1.0, 5.0, 9.0])
    result = relationship_types(pd.DataFrame({"customers": range(1, 7), "margin": margins}))
    assert result.cuts["margin"] == (1.0, 1.0)
    assert result.table["margin_level"].tolist() == ["low"] * 4 + ["high"] * 2
    assert result.cuts["customers"] == pytest.approx((2.0, 4.0))
