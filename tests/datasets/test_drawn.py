"""The drawn shop follows the process that its card describes."""

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets import load
from crmlab.datasets.drawn import ShopProcess, draw_shop


def test_the_seed_decides():
    one, again, other = draw_shop(7), draw_shop(7), draw_shop(8)
    pd.testing.assert_frame_equal(one["transactions"], again["transactions"])
    assert not one["transactions"].equals(other["transactions"])
    pd.testing.assert_frame_equal(draw_shop()["truth"], draw_shop(2024)["truth"])


def test_load_passes_the_seed_on_and_counts_what_was_drawn():
    shop = load("drawn_shop", seed=7)
    pd.testing.assert_frame_equal(shop.transactions, draw_shop(7)["transactions"])
    assert f"{len(shop.transactions):,} rows" in repr(shop)
    assert shop.checksums == {}


def test_every_customer_starts_in_the_cohort():
    shop = draw_shop(1)
    first = shop["transactions"].groupby("customer_id")["date"].min()
    truth = shop["truth"].set_index("customer_id")
    pd.testing.assert_series_equal(first, truth["first_date"], check_names=False)
    assert (first.dt.to_period("Q").astype(str) == truth["cohort"]).all()
    assert truth["cohort"].nunique() == 8


def test_orders_are_numbered_in_time_and_positive():
    orders = draw_shop(1)["transactions"]
    assert orders["date"].is_monotonic_increasing
    assert orders["order_id"].tolist() == list(range(1, len(orders) + 1))
    assert (orders["amount"] > 0).all()
    assert orders["date"].max() <= pd.Timestamp("2024-12-31")
    assert np.allclose(orders["amount"] * 100, (orders["amount"] * 100).round())


def test_large_shop_matches_its_parameters():
    """With 20,000 customers a cohort, sample means are within four standard errors (about 1 %) of the process."""
    process = ShopProcess(customers_per_cohort=20_000)
    shop = draw_shop(3, process)
    truth = shop["truth"]
    cohorts = truth.groupby("cohort", sort=True)["weekly_rate"].mean()
    expected = process.rate_shape * process.rate_scale * 0.94 ** np.arange(8)
    assert cohorts.to_numpy() == pytest.approx(expected, rel=0.04)
    assert truth["mean_amount"].mean() == pytest.approx(42, rel=0.01)
    assert shop["transactions"]["amount"].mean() == pytest.approx(42, rel=0.02)
    first_orders = shop["transactions"].groupby("customer_id")["amount"].first()
    noise = np.log(first_orders) - np.log(truth.set_index("customer_id")["mean_amount"])
    assert noise.std() == pytest.approx(0.45, rel=0.01)


def test_no_order_after_drop_out():
    shop = draw_shop(5)
    orders = shop["transactions"].merge(shop["truth"], on="customer_id")
    weeks = (orders["date"] - orders["first_date"]).dt.days / 7
    assert (weeks <= orders["dropout_week"]).all()
