"""Next products, hit rates and trends: counted by hand, ties shared, and held against a simulated truth."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.database import basket_trend, baskets, hit_rates, next_products
from crmlab.errors import ContractError
from tests.database.test_basket_sets import of_matrix


def bought(**items: str):
    rows = [(who, item) for who, held in items.items() for item in held]
    return baskets(pd.DataFrame(rows, columns=["customer_id", "product_id"]), basket="customer_id")


HISTORY = bought(ann="ab", bob="ab", cy="a", dee="cd", eve="abc")


def places(table: pd.DataFrame, who: str) -> dict[str, tuple[float, float]]:
    own = table[table["customer_id"] == who]
    return {item: (score, weight) for item, score, weight in own[["item", "score", "weight"]].itertuples(index=False)}


def test_scores_are_mean_conditional_shares():
    """Of four with a, three have b and one c; of two with c, one has a, b, d each."""
    table = next_products(HISTORY, 1).table
    assert places(table, "cy") == {"b": (3 / 4, 1)}
    assert places(table, "ann") == {"c": (pytest.approx((1 / 4 + 1 / 3) / 2), 1)}
    assert places(table, "dee") == {"a": (0.25, 0.5), "b": (0.25, 0.5)}  # equal scores share the place
    assert places(table, "eve") == {"d": (pytest.approx((0 + 0 + 1 / 2) / 3), 1)}


def test_popularity_offers_what_most_have_and_the_customer_lacks():
    found = next_products(HISTORY, 2, method="popularity")
    assert places(found.table, "cy") == {"b": (0.6, 1), "c": (0.4, 1)}
    assert places(found.table, "eve") == {"d": (0.2, 1)}  # one item is left for two places
    assert places(found.table, "dee") == {"a": (0.8, 1), "b": (0.6, 1)}
    assert "2 next products for 5 customers, by share of the customers who have the item" in repr(found)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(1, 4), method=st.sampled_from(["association", "popularity"]))
def test_nobody_is_offered_what_they_have_and_lists_are_full(seed, n, method):
    matrix = np.random.default_rng(seed).random((40, 8)) < 0.4
    matrix[:, 0] |= ~matrix.any(axis=1)
    matrix[0] = True
    found = next_products(of_matrix(matrix, "customer_id"), n, method=method).table
    assert not matrix[found["customer_id"], found["item"]].any()
    filled = found.groupby("customer_id")["weight"].sum().reindex(range(40), fill_value=0.0)
    np.testing.assert_allclose(filled, np.minimum(n, (~matrix).sum(axis=1)))
    lowest = found[found["weight"] < 1]
    assert lowest.groupby("customer_id")["score"].nunique().le(1).all()


def test_rare_items_take_no_part():
    found = next_products(HISTORY, 1, min_support=0.4).table
    assert set(found["item"]) <= {"a", "b", "c"}


def test_more_customers_than_a_block():
    matrix = np.random.default_rng(2).random((4_100, 6)) < 0.5
    matrix[:, 0] = True
    found = next_products(of_matrix(matrix, "customer_id"), 2).table
    alone = next_products(of_matrix(matrix, "customer_id"), 2, method="popularity").table
    assert found["customer_id"].is_monotonic_increasing
    assert set(found["customer_id"]) == set(alone["customer_id"]) == set(np.flatnonzero(~matrix.all(axis=1)))


def test_hits_are_counted_by_hand():
    """Places: ann c, bob c, cy b, eve d and half a, half b for dee; later ann buys c, dee b and eve comes for a."""
    later = bought(ann="ca", dee="b", eve="a", new="d")
    lists = {method: next_products(HISTORY, 1, method=method) for method in ("association", "popularity")}
    found = hit_rates(lists, later, seed=1, n=200)
    assert found.rates[["recommended", "hits"]].to_numpy().tolist() == [[5, 1.5], [5, 1]]  # popularity offers dee a
    assert found.difference.estimate == pytest.approx(0.1)
    assert found.difference.low <= 0.1 <= found.difference.high
    assert found.customers == 5
    assert "association less popularity" in repr(found)


def test_taste_beats_popularity_where_there_is_taste_and_not_where_there_is_none():
    rng = np.random.default_rng(3)
    chance = {"taste": np.where(rng.random((1_500, 1)) < 0.5, [[0.5] * 10 + [0.05] * 10], [[0.05] * 10 + [0.4] * 10])}
    chance["none"] = np.tile(np.linspace(0.05, 0.5, 20), (1_500, 1))
    gain = {}
    for world, chances in chance.items():
        past, future = (of_matrix(rng.random(chances.shape) < chances, "customer_id") for _ in range(2))
        lists = {method: next_products(past, 3, method=method) for method in ("association", "popularity")}
        gain[world] = hit_rates(lists, future, seed=1, n=200).difference
    assert gain["taste"].low > 0.1
    assert abs(gain["none"].estimate) < 0.02


def test_lists_that_cannot_be_compared():
    one, two = next_products(HISTORY, 1), next_products(HISTORY, 2)
    other = next_products(bought(ann="ab", bob="abc"), 1)
    with pytest.raises(ContractError, match="two lists are compared; got 1"):
        hit_rates({"a": one}, HISTORY, seed=1)
    with pytest.raises(ContractError, match="the lists have 1 and 2 places"):
        hit_rates({"a": one, "b": two}, HISTORY, seed=1)
    with pytest.raises(ContractError, match="different customers"):
        hit_rates({"a": one, "b": other}, HISTORY, seed=1)
    with pytest.raises(ContractError) as caught:
        hit_rates({"a": one, "b": one}, bought(zoe="xy"), seed=1)
    assert [problem.split(" ")[0] for problem in caught.value.problems] == ["none", "none"]


def test_lists_and_later_baskets_are_by_the_same_columns():
    one, log = next_products(HISTORY, 1), pd.DataFrame({"order_id": ["ann", "ann", "cy"], "product_id": list("abc")})
    with pytest.raises(ContractError, match="by different columns"):
        hit_rates({"a": one, "b": one}, baskets(log), seed=1)
    with pytest.raises(ContractError, match="these are orders"):
        next_products(baskets(log), 1)


def test_customers_who_lack_nothing_do_not_count():
    """Thirty have all three items; without the two others a resample would often have no place at all."""
    held = bought(**{f"full{i}": "abc" for i in range(30)}, ann="ab", bob="a")
    lists = {method: next_products(held, 1, method=method) for method in ("association", "popularity")}
    found = hit_rates(lists, held, seed=1, n=100)
    assert found.customers == 2
    assert np.isfinite(found.rates.to_numpy()).all()
    full = bought(**{f"full{i}": "abc" for i in range(30)}, ann="ab")
    alone = {method: next_products(full, 1, method=method) for method in ("association", "popularity")}
    with pytest.raises(ContractError, match="fewer than two customers lack an item"):
        hit_rates(alone, full, seed=1)


def test_impossible_recommendations():
    with pytest.raises(ContractError, match="method must be one of association, popularity"):
        next_products(HISTORY, method="magic")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="n must be a whole number of 1 or more"):
        next_products(HISTORY, 0)
    with pytest.raises(ContractError, match=r"4 items are held .* more than n=4"):
        next_products(HISTORY, 4)


def diary() -> pd.DataFrame:
    days = ["2024-01-01", "2024-01-01", "2024-01-20", "2024-03-02", "2024-03-02", "2024-03-30"]
    table = pd.DataFrame({"date": pd.to_datetime(days), "order_id": [1, 1, 2, 3, 3, 4]})
    return table.assign(product_id=list("abaabb"), amount=[1.0, 2, 3, 4, 6, 5])


def test_trend_of_a_diary_counted_by_hand():
    trend = basket_trend(diary())
    assert trend.periods["orders"].tolist() == [2, 0, 2]
    assert trend.periods["items_per_order"].tolist() == pytest.approx([1.5, np.nan, 1.5], nan_ok=True)
    assert trend.periods["amount_per_order"].tolist() == pytest.approx([3, np.nan, 7.5], nan_ok=True)
    assert trend.periods["complete"].tolist() == [True, True, False]
    assert trend.penetration["a"].tolist() == pytest.approx([1, np.nan, 0.5], nan_ok=True)
    assert "3 periods of baskets, 2 items" in repr(trend)


def test_an_order_over_midnight_belongs_to_its_first_line():
    table = diary().assign(order_id=[1, 1, 2, 2, 3, 4])
    assert basket_trend(table).periods["orders"].tolist() == [2, 0, 2]


@pytest.mark.parametrize(("period", "periods"), [("week", 13), ("quarter", 0), ("year", 0)])
def test_other_periods(period, periods):
    if periods:
        trend = basket_trend(diary(), period=period)
        assert len(trend.periods) == periods
        assert trend.periods["complete"].tolist() == [True] * 12 + [False]
    else:
        with pytest.raises(ContractError, match=f"all orders lie in one {period}"):
            basket_trend(diary(), period=period)


def test_returns_count_neither_as_money_nor_as_first_line():
    """The line of January is a return, so that order 1 begins in its second line."""
    days = pd.to_datetime(["2024-01-31", "2024-02-01", "2024-02-01", "2024-03-01"])
    table = pd.DataFrame({"date": days, "order_id": [1, 1, 1, 2], "product_id": list("cabb")})
    trend = basket_trend(table.assign(amount=[-50.0, 2, 3, 4]))
    assert trend.periods["amount_per_order"].tolist() == [5, 4]
    assert [str(period) for period in trend.periods.index] == ["2024-02", "2024-03"]


def test_trend_needs_dates():
    with pytest.raises(ContractError, match="'date' is of another type or has gaps"):
        basket_trend(diary().assign(date="2024-01-01"))
    with pytest.raises(ContractError, match="'date' is of another type or has gaps"):
        basket_trend(diary().assign(date=lambda t: t["date"].where(t["order_id"] > 1)))
    with pytest.raises(ContractError, match="without time zone"):
        basket_trend(diary().assign(date=lambda t: t["date"].dt.tz_localize("UTC")))
    with pytest.raises(ContractError, match="period must be one of"):
        basket_trend(diary(), period="decade")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="'order_id'"):
        basket_trend(diary().drop(columns="order_id"))
