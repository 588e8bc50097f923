"""Acquisition cohorts: cells, shares, incomplete periods, and the refusal of left-censored logs."""

import numpy as np
import pandas as pd
import pytest

from crmlab.database import cohort_table, customer_summary, new_customers
from crmlab.errors import ContractError


@pytest.fixture
def log() -> pd.DataFrame:
    rows = [
        ("ann", "2024-01-05", 10.0),
        ("ann", "2024-01-05", 5.0),  # the same day: one order
        ("ann", "2024-03-01", 7.0),
        ("bob", "2024-01-20", 20.0),
        ("cy", "2024-02-03", 30.0),
        ("cy", "2024-02-04", -30.0),  # a return is no order
        ("cy", "2024-04-10", 1.0),
    ]
    frame = pd.DataFrame(rows, columns=["customer_id", "date", "amount"])
    return frame.assign(date=pd.to_datetime(frame["date"]))


def test_cells_by_age_and_by_calendar(log):
    cohorts = cohort_table(log, period="month", acquisition="observed")
    nan = np.nan
    np.testing.assert_array_equal(cohorts.pivot("customers"), [[2, 0, 1, 0], [1, 0, 1, nan]])
    np.testing.assert_array_equal(cohorts.pivot("orders"), [[2, 0, 1, 0], [1, 0, 1, nan]])
    np.testing.assert_array_equal(cohorts.pivot("amount"), [[35, 0, 7, 0], [30, 0, 1, nan]])
    np.testing.assert_array_equal(cohorts.pivot("share_active"), [[1, 0, 0.5, 0], [1, 0, 1, nan]])
    np.testing.assert_array_equal(cohorts.pivot("amount", by="calendar"), [[35, 0, 7, 0], [nan, 30, 0, 1]])
    assert cohorts.sizes().tolist() == [2, 1]
    assert cohorts.table["cohort"].dtype == "datetime64[us]"


def test_says_that_the_last_period_is_incomplete(log):
    cohorts = cohort_table(log, period="month", acquisition="observed")
    assert not cohorts.last_period_complete
    assert "the last month is incomplete" in repr(cohorts)
    assert "1 rows of returns" in repr(cohorts)
    whole = cohort_table(log, period="month", acquisition="observed", observation_end="2024-04-30")
    assert whole.last_period_complete
    assert "incomplete" not in repr(whole)


@pytest.mark.parametrize(("period", "cohorts"), [("month", 2), ("quarter", 1), ("year", 1)])
def test_periods(log, period, cohorts):
    assert len(cohort_table(log, period=period, acquisition="observed").sizes()) == cohorts


def test_cdnow_is_one_quarterly_cohort_whose_cells_add_up(cdnow):
    cohorts = cohort_table(cdnow, period="quarter", acquisition="observed")
    assert cohorts.sizes().to_dict() == {pd.Timestamp("1997-01-01"): 23570}
    assert cohorts.table["amount"].sum() == pytest.approx(cdnow["amount"].sum())
    assert cohorts.table["orders"].sum() == len(cdnow.drop_duplicates(["customer_id", "date"]))
    assert cohorts.last_period_complete


def test_any_engine_gives_the_same(engine, sample):
    here = cohort_table(sample, period="month", acquisition="observed").table
    there = cohort_table(engine(sample), period="month", acquisition="observed").table
    pd.testing.assert_frame_equal(there, here)


def test_left_censored_logs_are_refused_with_the_remedy(log):
    with pytest.raises(ContractError, match=r"left-censored.*new_customers\(transactions, look_back"):
        cohort_table(log, period="month", acquisition="left_censored")


def test_the_remedy_works(engine, log):
    for source in (log, engine(log)):
        new = new_customers(source, look_back=20)
        cohorts = cohort_table(new, period="month", acquisition="observed")
        assert cohorts.sizes().to_dict() == {pd.Timestamp("2024-02-01"): 1}
        assert customer_summary(new, time_unit="day").to_pandas()["customer_id"].tolist() == ["cy"]
    assert new_customers(log, look_back=20)["amount"].tolist() == [30.0, -30.0, 1.0]


@pytest.mark.parametrize(("look_back", "words"), [(0, "at least 1 day"), (400, "no customer is first seen 400 days")])
def test_impossible_look_back(log, look_back, words):
    with pytest.raises(ContractError, match=words):
        new_customers(log, look_back=look_back)


def test_impossible_options(log):
    with pytest.raises(ContractError, match="period must be one of month, quarter, year"):
        cohort_table(log, period="week", acquisition="observed")  # type: ignore[arg-type]
    cohorts = cohort_table(log, period="month", acquisition="observed")
    with pytest.raises(ContractError, match="share_active; got 'money'"):
        cohorts.pivot("money")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="age, calendar; got 'row'"):
        cohorts.pivot("amount", by="row")  # type: ignore[arg-type]
