"""A log laid out as customers by items, and what was wanted afterwards, against sums made by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.errors import ContractError
from crmlab.onetoone import fit_recommender, interactions, recommend, score_recommendations
from crmlab.onetoone.customise import wanted


def log_of(rows: list[tuple]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "product_id", "date"])
    return frame.assign(date=pd.to_datetime(frame["date"], format="ISO8601"))


LOG = log_of(
    [
        (7, "tea", "2024-01-01 09:00"),
        (7, "tea", "2024-01-01 18:00"),
        (7, "tea", "2024-01-31"),
        (7, "jam", "2024-01-31"),
        (3, "tea", "2024-01-16"),
        (3, "jam", "2024-01-01"),
        (5, "oil", "2024-01-31"),
    ]
)


def test_days_count_once_and_decay_by_half_life():
    past = interactions(LOG, min_customers=1, half_life=15)
    assert past.customers.tolist() == [3, 5, 7]
    assert past.items.tolist() == ["jam", "oil", "tea"]
    assert past.days.toarray().tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 2]]
    assert np.allclose(past.recent.toarray(), np.array([[0.25, 0, 0.5], [0, 1, 0], [1, 0, 1.25]]))
    assert past.popularity.tolist() == [2 / 3, 1 / 3, 2 / 3]
    assert np.allclose(past.recent_popularity, [1.25 / 3, 1 / 3, 1.5 / 3])
    assert past.end == pd.Timestamp("2024-01-31")
    assert "3 customers x 3 items" in repr(past)
    assert "no line" in repr(past)


def test_rare_items_are_no_candidates_but_their_buyers_stay():
    past = interactions(LOG, min_customers=2)
    assert past.items.tolist() == ["jam", "tea"]
    assert past.customers.tolist() == [3, 5, 7]
    assert past.left_out["lines of items with fewer than 2 customers"] == 1
    assert "1 lines of items" in repr(past)


def test_returns_and_lines_without_item_are_left_out_and_told():
    log = LOG.assign(amount=[1, 1, 1, 1, 1, -1, 1], quantity=[1, 1, 0, 1, 1, 1, 1])
    log.loc[6, "product_id"] = None
    past = interactions(log, min_customers=1)
    assert dict(past.left_out) == {
        "lines without product_id": 1,
        "lines of returns": 2,
        "lines of items with fewer than 1 customers": 0,
    }
    assert past.days.toarray().tolist() == [[0, 1], [1, 1]]
    assert past.end == pd.Timestamp("2024-01-31")  # the log goes on, whatever its last line was


@pytest.mark.parametrize("make", [str, np.int32, lambda value: pd.Timestamp(value, unit="D")])
def test_ids_of_any_kind(make):
    log = LOG.assign(customer_id=LOG["customer_id"].map(make))
    assert interactions(log, min_customers=1).days.sum() == 6


def test_nullable_and_categorical_ids_meet_plain_ones():
    past = interactions(LOG.astype({"customer_id": "Int64", "product_id": "category"}), min_customers=1)
    later = log_of([(5, "tea", "2024-02-01"), (3, "oil", "2024-02-01")])
    assert wanted(past, later, new_only=True).bought.toarray().tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]


@given(st.permutations(range(len(LOG))), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_order_and_the_index_of_rows_change_nothing(order, same_label):
    shuffled = LOG.iloc[list(order)]
    shuffled = shuffled.set_axis([0] * len(LOG)) if same_label else shuffled
    one, two = interactions(LOG, min_customers=1), interactions(shuffled, min_customers=1)
    assert (one.recent != two.recent).nnz == 0
    assert one.items.equals(two.items)


def test_input_is_not_changed():
    before = LOG.copy(deep=True)
    interactions(LOG, min_customers=1)
    pd.testing.assert_frame_equal(LOG, before)


LATER = log_of(
    [
        (3, "tea", "2024-02-01"),  # had it
        (3, "oil", "2024-02-02"),  # new
        (3, "oil", "2024-02-03"),  # the same pair again
        (5, "tea", "2024-02-01"),  # new
        (5, "rum", "2024-02-01"),  # not to be recommended
        (9, "tea", "2024-02-01"),  # not known before
    ]
)


def test_wanted_counts_by_hand():
    past = interactions(LOG, min_customers=1)
    fresh, anything = wanted(past, LATER, new_only=True), wanted(past, LATER, new_only=False)
    assert fresh.bought.toarray().tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert anything.bought.toarray().tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 0]]
    assert dict(fresh.counts) == {
        "customers of the past": 3,
        "customers scored": 2,
        "customers without a wanted item": 1,
        "customers not known before": 1,
        "pairs scored": 2,
        "pairs bought before": 1,
        "pairs of items that cannot be recommended": 1,
    }
    assert anything.counts["pairs bought before"] == 0


def test_a_look_into_the_future_is_refused():
    past = interactions(LOG, min_customers=1)
    lists = {"popularity": recommend(fit_recommender(past, "popularity", seed=1), 1)}
    with pytest.raises(ContractError, match="later log begins on 2024-01-31, and what was learnt ends on 2024-01-31"):
        score_recommendations(lists, LATER.assign(date=pd.Timestamp("2024-01-31")), seed=1)


@pytest.mark.parametrize(
    ("later", "message"),
    [
        (LATER.assign(customer_id=99), "none of the 3 customers"),
        (LATER.assign(customer_id=LATER["customer_id"].astype(str)), "none of the 3 customers"),
        (LATER.assign(product_id="rum"), "no item of the later log can be recommended"),
        (LATER.iloc[[1]], "1 customers bought a candidate that was new to them later; two are needed"),
        (LATER.drop(columns="product_id"), "'product_id'"),
        (LATER.assign(date="soon"), "needs dates without time zone"),
    ],
)
def test_a_later_log_that_cannot_be_scored_is_refused(later, message):
    with pytest.raises(ContractError, match=message):
        wanted(interactions(LOG, min_customers=1), later, new_only=True)


@pytest.mark.parametrize(
    ("log", "options", "message"),
    [
        (LOG.drop(columns="date"), {}, "'date'"),
        (LOG.drop(columns="customer_id"), {}, "'customer_id'"),
        (LOG, {"item": "produkt_id"}, "did you mean 'product_id'"),
        (LOG, {"item": "customer_id"}, "no column of items"),
        (LOG, {"min_customers": 0}, "min_customers must be a whole number"),
        (LOG, {"min_customers": True}, "min_customers"),
        (LOG, {"half_life": 0}, "half_life must be a finite number above 0"),
        (LOG, {"half_life": np.inf}, "half_life"),
        (LOG, {"min_customers": 3}, "3 customers and 0 items with 3 customers or more"),
        (LOG[LOG["customer_id"] == 7], {"min_customers": 1}, "1 customers and 2 items"),
        (LOG.iloc[:0], {}, "no line is left of 0"),
        (LOG.assign(quantity=0), {}, "no line is left of 7"),
        (LOG.assign(product_id=np.nan), {}, "no line is left of 7"),
        (LOG.assign(customer_id=[7, 7, np.nan, 7, 3, 3, 5]), {}, r"customer_id: missing in 1 rows \(first: 3\)"),
        (LOG.assign(customer_id=[7, "7", 7, 7, 3, 3, 5]), {}, "column 'customer_id' mixes number and str"),
        (LOG.assign(product_id=pd.Series([["tea", "jam"]] * 7)), {}, "several values in a line"),
        (LOG.assign(amount="1,50"), {}, "column 'amount' holds no numbers"),
        (LOG.assign(date=LOG["date"].dt.tz_localize("UTC")), {}, "dates without time zone"),
        (LOG.assign(date=LOG["date"].where(LOG.index > 0)), {}, r"date: missing in 1 rows \(first: 1\)"),
        ([1, 2], {}, "needs a table, not list"),
    ],
)
def test_what_is_no_log_is_refused(log, options, message):
    with pytest.raises(ContractError, match=message):
        interactions(log, **options)
