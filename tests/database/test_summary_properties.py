"""Laws of `customer_summary`, against a plain-Python summary written from its docstring."""

import datetime as dt
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.database import customer_summary
from crmlab.database.summary import DAYS_PER_UNIT

START = dt.date(2024, 1, 1)
ROWS = st.lists(
    st.tuples(st.integers(1, 5), st.integers(0, 60), st.integers(-5, 20).map(float), st.integers(0, 23)),
    min_size=1,
    max_size=40,
).filter(lambda rows: any(amount >= 0 for _, _, amount, _ in rows))


def as_log(rows) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "day", "amount", "hour"])
    frame["date"] = pd.Timestamp(START) + pd.to_timedelta(frame["day"] * 24 + frame["hour"], unit="h")
    return frame[["customer_id", "date", "amount"]]


def by_hand(rows, split, end) -> dict:
    """Frequency, recency, T, monetary value and holdout, in days, customer by customer."""
    days: dict = defaultdict(lambda: defaultdict(float))
    for customer, day, amount, _ in rows:
        if amount >= 0 and day <= end:
            days[customer][day] += amount
    result = {}
    for customer, spent in days.items():
        first = min(spent)
        if first > split:
            continue
        repeats = [day for day in spent if first < day <= split]
        later = [day for day in spent if day > split]
        result[customer] = (
            len(repeats),
            max([first, *repeats]) - first,
            split - first,
            np.mean([spent[day] for day in repeats]) if repeats else 0.0,
            len(later),
            np.mean([spent[day] for day in later]) if later else 0.0,
        )
    return result


@settings(max_examples=25, deadline=None)
@given(rows=ROWS, split=st.integers(0, 59), later=st.integers(1, 30))
def test_agrees_with_the_definition(rows, split, later):
    end = split + later
    if not any(amount >= 0 and day <= end for _, day, amount, _ in rows) or min(row[1] for row in rows) > split:
        return
    summary = customer_summary(
        as_log(rows),
        time_unit="day",
        calibration_end=START + dt.timedelta(split),
        observation_end=START + dt.timedelta(end),
    )
    expected = by_hand(rows, split, end)
    found = {row[0]: row[1:7] for row in summary.to_pandas().itertuples(index=False)}
    assert found.keys() == expected.keys()
    for customer, values in expected.items():
        assert found[customer] == pytest.approx(values)


@settings(max_examples=8, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 99), unit=st.sampled_from(sorted(DAYS_PER_UNIT)))
def test_order_of_rows_does_not_matter_and_the_unit_only_scales(rows, seed, unit):
    log = as_log(rows)
    days = customer_summary(log, time_unit="day").to_pandas()
    shuffled = customer_summary(log.sample(frac=1, random_state=seed), time_unit=unit).to_pandas()
    pd.testing.assert_frame_equal(
        shuffled.assign(**{name: shuffled[name] * DAYS_PER_UNIT[unit] for name in ("recency", "T")}), days
    )


@settings(max_examples=8, deadline=None)
@given(rows=ROWS)
def test_counts_weigh_every_customer_once(rows):
    summary = customer_summary(as_log(rows), time_unit="week")
    table = summary.to_pandas()
    expected = table.groupby(["frequency", "recency", "T"]).size()
    assert summary.counts()["weight"].tolist() == expected.tolist()
    assert len(summary) == len(table)


def test_input_frame_is_left_as_it_was():
    log = as_log([(2, 3, 5.0, 1), (1, 0, 4.0, 2)])
    before = log.copy(deep=True)
    customer_summary(log, time_unit="day").to_pandas()
    pd.testing.assert_frame_equal(log, before)
