"""Shares of variance: against analysis of variance, against the truth of simulations, and their intervals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.datasets.company import simulate
from crmlab.errors import ContractError
from crmlab.onetoone import variance_shares
from crmlab.onetoone.differentiate_variance import PARTS

PRODUCTS = np.array([-3.0, 0.0, 1.0, 2.0])


def halves(rng, customers=300, spread=1.0, pairs=0.8, chance=1.5):
    """Two halves with known parts; products 3.5, customers spread² + pairs² / 4, pairs 3/4 pairs²."""
    true = PRODUCTS + spread * rng.normal(size=(customers, 1)) + pairs * rng.normal(size=(customers, 4))
    return tuple(pd.DataFrame(true + chance * rng.normal(size=true.shape), columns=list("abcd")) for _ in range(2))


def truth(spread=1.0, pairs=0.8, chance=1.5):
    return np.array([PRODUCTS.var(), spread**2 + pairs**2 / 4, 0.75 * pairs**2, chance**2])


def test_close_to_mean_squares():
    """The classical estimators from mean squares of a balanced layout, for products as the whole assortment."""
    one, two = halves(np.random.default_rng(1), customers=4000)
    y = np.stack([one, two], axis=2)
    n, p, r = y.shape
    cell, row, column = y.mean(axis=2), y.mean(axis=(1, 2)), y.mean(axis=(0, 2))
    within = ((y - cell[:, :, None]) ** 2).sum() / (n * p * (r - 1))
    apart = cell - row[:, None] - column + y.mean()
    pairs = (apart**2).sum() / ((n - 1) * p) - within / r * (p - 1) / p
    customers = row.var(ddof=1) - within / (p * r)
    products = column.var() - (pairs + within / r * (p - 1) / p) / n
    found = variance_shares(one, two, seed=1, n=20).table["variance"]
    np.testing.assert_allclose(found, [products, customers, pairs, within], rtol=0.08, atol=0.02)


def test_unbiased_and_covering():
    rng, rounds, total = np.random.default_rng(2), 200, np.zeros(4)
    hits, repeated, true = np.zeros(4), np.zeros(3), truth()
    share, again = true / true.sum(), true[:3] / true[:3].sum()
    for number in range(rounds):
        found = variance_shares(*halves(rng, customers=150), seed=number, n=150)
        total += found.table["variance"]
        hits += (found.table["low"] <= share) & (share <= found.table["high"])
        repeated += (found.repeating["low"] <= again) & (again <= found.repeating["high"])
    np.testing.assert_allclose(total / rounds, true, rtol=0.03, atol=0.01)
    assert (hits / rounds >= 0.90).all(), hits / rounds
    assert (repeated / rounds >= 0.90).all(), repeated / rounds


def test_chance_that_hits_all_products_at_once_is_chance():
    """An order more in one half raises all products together; mean squares would take that for customers."""
    rng, n = np.random.default_rng(3), 5000
    both = [pd.DataFrame(PRODUCTS + 2 * rng.normal(size=(n, 1)) + np.zeros((n, 4))) for _ in range(2)]
    found = variance_shares(*both, seed=1, n=20).table["variance"]
    np.testing.assert_allclose(found, [3.5, 0, 0, 4], atol=0.15)


def test_equal_halves_leave_nothing_to_chance():
    one, _ = halves(np.random.default_rng(4))
    found = variance_shares(one, one, seed=1, n=20).table
    assert found.loc["chance", "share"] == pytest.approx(0, abs=0.01)
    assert found["share"].sum() == pytest.approx(1)


def test_shares_that_add_up_leave_nothing_between_customers():
    counts = np.random.default_rng(5).gamma(0.5, 1, (80, 5))
    half = pd.DataFrame(counts / counts.sum(axis=1, keepdims=True))
    found = variance_shares(half, half, seed=1, n=20)
    assert found.table.loc["between customers", "variance"] == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 10_000), st.floats(0.1, 50), st.floats(-100, 100))
@settings(max_examples=15, deadline=None)
def test_scale_origin_and_order_do_not_matter(seed, factor, shift):
    one, two = halves(np.random.default_rng(seed), customers=30)
    plain = variance_shares(one, two, seed=1, n=10).table["share"]
    scaled = variance_shares(factor * one + shift, factor * two + shift, seed=1, n=10).table["share"]
    np.testing.assert_allclose(plain, scaled, atol=1e-6)
    moved = variance_shares(one.iloc[::-1, ::-1], two.iloc[::-1, ::-1], seed=1, n=10).table["share"]
    np.testing.assert_allclose(plain, moved, atol=1e-9)


def test_truth_of_the_simulated_grocer():
    """What comes again in odd and even weeks is what each customer's rate, value and need make expected."""
    firm = simulate(6000, seed=3)
    truth_ = firm.truth["customers"].set_index("customer_id")
    stays = truth_.index[truth_["left_on"].isna()]
    base = stays.intersection(pd.Index(firm["customers"].query("acquired_on < '2024'")["customer_id"]))
    lines = firm["transactions"].merge(firm["products"][["product_id", "category"]], on="product_id")
    bought = lines.merge(truth_["need"].reset_index(), on="customer_id").groupby(["need", "category"])["amount"].sum()
    table = bought.unstack()
    mix = table.div(table.sum(axis=1), axis=0)
    year = lines[(lines["date"] >= "2024") & lines["customer_id"].isin(base)]
    odd = (year["date"] - pd.Timestamp("2024-01-01")).dt.days // 7 % 2
    sums = year.groupby([odd.rename("odd"), "customer_id", "category"])["amount"].sum().unstack(fill_value=0)
    one, two = (pd.DataFrame(sums.xs(k)).reindex(base, fill_value=0.0) for k in (0, 1))
    expected = truth_.loc[base, "weekly_rate"] * truth_.loc[base, "mean_order_value"]
    mean = mix.loc[truth_.loc[base, "need"]].to_numpy() * expected.to_numpy()[:, None]
    apart = mean - mean.mean(axis=0)
    row = apart.mean(axis=1)
    true = np.array([mean.mean(axis=0).var(), row.var(), (apart - row[:, None]).var(axis=0).mean()])
    found = variance_shares(one, two, seed=1, n=200).repeating
    np.testing.assert_allclose(found["share"], true / true.sum(), atol=0.03)


def test_what_it_says():
    found = variance_shares(*halves(np.random.default_rng(6)), seed=1, n=20)
    assert list(found.table.index) == list(PARTS) == list(found.definitions)
    assert found.repeating["share"].sum() == pytest.approx(1)
    assert "300 customers × 4 products" in repr(found)


def test_refusals():
    one, two = halves(np.random.default_rng(7), customers=20)
    cases = [
        ((one, two.iloc[:9]), "same length"),
        ((one, two.set_axis(range(5, 25))), "same index"),
        ((one, two.rename(columns={"a": "z"})), "different products"),
        ((one.mask(one > 3), two), "first half: a value that is no finite number"),
        (
            (one.set_axis([0, 0, *range(2, 20)]), two.set_axis([0, 0, *range(2, 20)])),
            "the same customer twice in 1 rows",
        ),
        ((one.set_axis(list("aacd"), axis=1), two.set_axis(list("aacd"), axis=1)), "the same product twice: 'a'"),
        ((one.iloc[:5], two.iloc[:5]), "at least 10 customers and 2 products"),
        ((one[["a"]], two[["a"]]), "at least 10 customers and 2 products"),
        ((one * 0, two * 0), "nothing varies"),
        ((one.to_numpy(), two), "needs a DataFrame"),
    ]
    for given_, told in cases:
        with pytest.raises(ContractError) as error:
            variance_shares(*given_, seed=1)
        assert told in str(error.value)
    with pytest.raises(ContractError, match="level"):
        variance_shares(one, two, seed=1, level=0)
