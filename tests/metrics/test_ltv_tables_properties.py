"""Laws of lifetime-value tables: long tables meet the closed forms, periods convert, money comes back when it does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmlab.metrics import ltv_table, margin_multiple, payback_period

CLOSE = 1e-9  # relative; the tail of a long table is below it

rates = st.floats(0, 0.95)
discounts = st.floats(0, 1)
timings = st.sampled_from(["advance", "renewal", "arrears"])
periods_of_a_year = st.sampled_from([("year", 1), ("quarter", 4), ("month", 12)])


@given(rates, discounts, timings, periods_of_a_year)
def test_a_long_table_is_its_closed_form(retention, discount, timing, period):
    table = ltv_table(
        retention=retention,
        spend=100,
        cost_share=0.4,
        annual_discount_rate=discount,
        periods=600,
        timing=timing,
        period=period[0],
    )
    expected = 60 * margin_multiple(retention, discount, timing=timing, period=period[0])
    assert table["lifetime_value"].iloc[-1] == pytest.approx(expected, rel=CLOSE, abs=CLOSE)


@given(rates, discounts, timings)
def test_the_three_forms_are_one(retention, discount, timing):
    renewal, advance, arrears = (
        margin_multiple(retention, discount, timing=one) for one in ("renewal", "advance", "arrears")
    )
    assert advance == pytest.approx(1 + renewal)
    assert arrears == pytest.approx(advance / (1 + discount))


@given(rates, discounts, periods_of_a_year)
def test_periods_convert_to_years(retention, discount, period):
    name, number = period
    monthly = margin_multiple(retention, discount, timing="advance", period=name)
    step = retention / (1 + discount) ** (1 / number)
    first_year = sum(step**k for k in range(number))
    assert monthly == pytest.approx(first_year * margin_multiple(retention**number, discount, timing="advance"))


@given(rates, st.floats(0, 0.5), st.integers(1, 30), st.floats(0, 500))
def test_table_adds_up(retention, referral, periods, acquisition_cost):
    table = ltv_table(
        retention=retention,
        referral=referral,
        spend=80,
        cost_share=0.5,
        annual_discount_rate=0.1,
        periods=periods,
        customers=10,
        acquisition_cost=acquisition_cost,
    )
    assert table["customers"].to_numpy() == pytest.approx(10 * (retention + referral) ** np.arange(periods))
    assert (table["revenue"] - table["cost"]).to_numpy() == pytest.approx(table["profit"].to_numpy())
    total = (table["profit"] * table["discount_factor"]).sum() - 10 * acquisition_cost
    assert table["cumulative"].iloc[-1] == pytest.approx(total)
    assert table["lifetime_value"].iloc[-1] == pytest.approx(total / 10)


def test_sequences_are_taken_period_by_period():
    table = ltv_table(
        retention=[0.5, 0.8],
        referral=[0.1, 0.0],
        spend=[100, 110, 120],
        cost_share=[0.5, 0.4, 0.3],
        annual_discount_rate=0.25,
        periods=3,
        customers=100,
        acquisition_cost=10,
        timing="arrears",
    )
    assert table["customers"].tolist() == pytest.approx([100, 60, 48])
    assert table["profit"].tolist() == pytest.approx([5000, 3960, 4032])
    assert table["cumulative"].tolist() == pytest.approx([3000, 5534.4, 7598.784])


@given(st.floats(1, 100), st.integers(0, 20), st.floats(0, 0.5))
def test_what_is_lent_comes_back_in_the_period_it_is_paid(money, when, discount):
    flows = np.zeros(25)
    flows[0] -= money
    flows[when] += money * (1 + discount) ** when * (1 + 1e-9)
    assert payback_period(flows, annual_discount_rate=discount) == when
    flows[when] -= 0.01 * money * (1 + discount) ** when
    assert payback_period(flows, annual_discount_rate=discount) == np.inf


def test_rows_are_programmes():
    flows = [[-10, 5, 5], [-10, 10, 0], [-10, 1, 1]]
    assert payback_period(flows, annual_discount_rate=0, period="month").tolist() == [2, 1, np.inf]
