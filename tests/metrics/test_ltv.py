"""Lifetime value without a contract: identities with its parts, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from crmlab.database import customer_summary
from crmlab.datasets import load
from crmlab.errors import ContractError
from crmlab.metrics import customer_lifetime_value
from crmlab.models import BetaGeoNBD, GammaGamma, ModifiedBetaGeoNBD, ParetoNBD

YEAR = {"annual_discount_rate": 0.15, "margin": 0.3}
QUADRATURE = 1e-8


@pytest.fixture(scope="module")
def summary():
    return customer_summary(load("cdnow_sample").transactions, time_unit="week", calibration_end="1997-09-30")


@pytest.fixture(scope="module", params=[BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD])
def buying(request, summary):
    return request.param(summary).fit()


@pytest.fixture(scope="module")
def spend(summary):
    return GammaGamma(summary).fit()


def test_without_a_horizon_it_is_margin_times_spend_times_dert(buying, spend):
    value = customer_lifetime_value(buying, spend, horizon=None, **YEAR)
    parts = 0.3 * buying.discounted_purchases(0.15) * spend.expected_value()
    pd.testing.assert_series_equal(value, parts, check_names=False)
    assert value.index.name == "customer_id"


def test_without_discounting_it_is_what_is_expected_to_be_bought(buying, spend):
    value = customer_lifetime_value(buying, spend, horizon=39, annual_discount_rate=0, margin=1)
    expected = buying.expected_purchases(39) * spend.expected_value()
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_a_horizon_adds_up_the_purchases_week_by_week(buying):
    """Sum over twentieths of a week, each discounted from its middle."""
    customers = buying.histories.frame.reset_index(drop=True).iloc[[0, 5, 100, 1515]]
    edges = np.arange(0, 52.001, 0.05)
    repeated = customers.loc[customers.index.repeat(len(edges))]
    bought = buying.expected_purchases(np.tile(edges, 4), repeated).to_numpy().reshape(4, -1).T
    factor = 1.15 ** -((edges[1:] + edges[:-1]) / 2 / (365.25 / 7))
    by_hand = (np.diff(bought, axis=0) * factor[:, None]).sum(axis=0)
    np.testing.assert_allclose(buying.discounted_purchases(0.15, customers, horizon=52), by_hand, rtol=1e-6)


def test_a_long_horizon_is_for_ever(buying, spend):
    near, far, ever = (customer_lifetime_value(buying, spend, horizon=h, **YEAR) for h in (52, 52 * 300, None))
    np.testing.assert_allclose(far, ever, rtol=QUADRATURE)
    assert (near < ever).all()


def test_the_unit_of_time_does_not_matter(summary, spend):
    table = summary.to_pandas()
    days = table.assign(recency=table["recency"] * 7, T=table["T"] * 7)
    weekly, daily = ParetoNBD(summary).fit(), ParetoNBD(days, time_unit="day").fit()
    for horizon in (52, None):
        one = customer_lifetime_value(weekly, spend, horizon=horizon, **YEAR)
        other = customer_lifetime_value(daily, spend, horizon=horizon and 7 * horizon, **YEAR)
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_other_customers_and_intervals(buying, spend, summary):
    others = summary.to_pandas().tail(5)
    table = customer_lifetime_value(buying, spend, horizon=52, data=others, level=0.9, **YEAR)
    whole = customer_lifetime_value(buying, spend, horizon=52, **YEAR)
    assert table.index.tolist() == others["customer_id"].tolist()
    np.testing.assert_allclose(table["estimate"], whole.tail(5), rtol=1e-12)
    assert ((table["low"] < table["estimate"]) & (table["estimate"] < table["high"]) & (table["low"] > 0)).all()
    again = customer_lifetime_value(buying, spend, horizon=52, data=summary, **YEAR)
    pd.testing.assert_series_equal(again, whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin": 0}, "margin is the share"),
        ({"margin": 30}, "margin is the share"),
        ({"annual_discount_rate": 0}, "must be above 0"),
        ({"annual_discount_rate": -0.1}, "must be above 0"),
        ({"annual_discount_rate": np.nan}, "must be above 0"),
        ({"horizon": -1.0}, "horizon must be finite and not negative"),
        ({"horizon": np.inf}, "horizon must be finite"),
    ],
)
def test_what_cannot_be_is_refused(buying, spend, change, message):
    with pytest.raises(ContractError, match=message):
        customer_lifetime_value(buying, spend, **{"horizon": None, **YEAR, **change})


def test_models_that_do_not_go_together_are_refused(buying, spend, summary):
    with pytest.raises(ContractError, match="a buying model and Gamma-Gamma"):
        customer_lifetime_value(spend, buying, horizon=52, **YEAR)
    half = GammaGamma(summary.to_pandas().head(1000)).fit()
    with pytest.raises(ContractError, match="not the same customers"):
        customer_lifetime_value(buying, half, horizon=52, **YEAR)
    from_days = customer_summary(load("cdnow_sample").transactions, time_unit="day")
    with pytest.raises(ContractError, match="the model is in weeks, the data in days"):
        customer_lifetime_value(buying, spend, horizon=52, data=from_days, **YEAR)
