"""What `customer_summary` says of itself, of returns and late rows, and of input it cannot use."""

import datetime as dt

import pandas as pd
import pytest

from crmlab.database import CustomerSummary, customer_summary
from crmlab.errors import ContractError


def log(**columns) -> pd.DataFrame:
    base = {
        "customer_id": ["ann", "ann", "ann", "bob", "cy", "dee"],
        "date": ["2024-01-01", "2024-01-03", "2024-01-03", "2024-02-01", "2024-01-02", "2024-03-01"],
        "amount": [10.0, 5.0, -2.0, 8.0, -4.0, 1.0],
    }
    frame = pd.DataFrame(base | columns)
    return frame.assign(date=pd.to_datetime(frame["date"]))


def test_left_out_is_counted_and_printed():
    summary = customer_summary(log(), time_unit="day", calibration_end="2024-01-20", observation_end="2024-02-15")
    assert dict(summary.left_out) == {
        "rows of returns (negative amounts)": 2,
        "rows after the observation end": 1,
        "customers without a purchase": 2,
        "customers first seen after the calibration end": 1,
    }
    assert summary.to_pandas()["customer_id"].tolist() == ["ann"]
    text = repr(summary)
    assert "1 customers, durations in days, acquisition observed" in text
    assert "2 rows of returns (negative amounts)" in text
    assert "calibration end  2024-01-20" in text
    assert "..._holdout" in text


def test_observation_end_is_the_last_date_of_the_log_never_today():
    summary = customer_summary(log(), time_unit="day")
    assert summary.observation_end == dt.date(2024, 3, 1)
    assert "none (no holdout)" in repr(summary)
    assert set(summary.to_pandas().columns) == {"customer_id", "frequency", "recency", "T", "monetary_value"}


def test_rows_of_no_money_are_purchases_and_returns_are_not():
    rows = log(amount=[0.0, 0.0, -2.0, 8.0, -4.0, 1.0])
    ann = customer_summary(rows, time_unit="day").to_pandas().set_index("customer_id").loc["ann"]
    assert (ann["frequency"], ann["recency"], ann["monetary_value"]) == (1, 2, 0)


def test_ids_keep_their_type():
    assert customer_summary(log(), time_unit="day").to_pandas()["customer_id"].dtype == "str"
    numbers = log(customer_id=[1, 1, 1, 2, 3, 4])
    assert customer_summary(numbers, time_unit="day").to_pandas()["customer_id"].dtype == "int64"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"time_unit": "weeks"}, "time_unit must be one of day, week, month, year; got 'weeks'"),
        ({"collapse": "W"}, "collapse must be 'D'"),
        ({"acquisition": "known"}, "acquisition must be one of observed, left_censored; got 'known'"),
        ({"calibration_end": "2024-03-01"}, "before its observation end"),
        ({"calibration_end": "2023-12-31"}, "must lie in the log"),
        ({"calibration_end": "soon"}, "calibration_end is not a date: 'soon'; write it as 'YYYY-MM-DD'"),
        ({"observation_end": pd.NaT}, "observation_end is not a date"),
        ({"observation_end": "2023-01-01"}, "holds no purchase up to 2023-01-01"),
    ],
)
def test_impossible_options(options, words):
    with pytest.raises(ContractError, match=words.replace("(", r"\(").replace(")", r"\)")):
        customer_summary(log(), **({"time_unit": "day"} | options))


def test_missing_columns_are_named_with_what_was_found():
    with pytest.raises(ContractError, match="'custmer_id'") as caught:
        customer_summary(log().rename(columns={"customer_id": "custmer_id", "amount": "Price"}), time_unit="day")
    assert "'customer_id' (did you mean 'custmer_id'?)" in caught.value.problems
    assert any(problem.startswith("'amount'") for problem in caught.value.problems)


def test_wrong_types_are_collected():
    wrong = log().assign(date="2024-01-01", amount="ten")
    with pytest.raises(ContractError) as caught:
        customer_summary(wrong, time_unit="day")
    assert len(caught.value.problems) == 2


def test_dates_with_a_time_zone_are_refused():
    with pytest.raises(ContractError) as caught:
        customer_summary(log().assign(date=lambda t: t["date"].dt.tz_localize("Asia/Shanghai")), time_unit="day")
    assert "without a time zone" in caught.value.problems[0]


def test_gaps_are_counted_by_column():
    holes = log(
        customer_id=["ann", None, "ann", "bob", "cy", "dee"],
        date=["2024-01-01", None, None, "2024-02-01", "2024-01-02", "2024-03-01"],
        amount=[float("inf"), float("nan"), 1.0, 8.0, -4.0, None],
    )
    with pytest.raises(ContractError) as caught:
        customer_summary(holes, time_unit="day")
    assert caught.value.problems == (
        "customer_id: 1 rows without a usable value",
        "date: 2 rows without a usable value",
        "amount: 3 rows without a usable value",
    )


def test_ids_of_mixed_type_are_refused_by_name():
    with pytest.raises(ContractError, match="customer_id"):
        customer_summary(log(customer_id=["ann", 1, 2, "bob", "cy", "dee"]), time_unit="day")


def test_an_empty_log_is_refused():
    with pytest.raises(ContractError, match="holds no purchase"):
        customer_summary(log().iloc[:0], time_unit="day")


def summary_frame(**columns) -> pd.DataFrame:
    base = {"customer_id": [1, 2], "frequency": [2, 0], "recency": [3.0, 0.0], "T": [5.0, 4.0]}
    return pd.DataFrame(base | columns)


def test_from_frame_keeps_what_it_was_told():
    taken = CustomerSummary.from_frame(
        summary_frame(monetary_value=[4.0, 0.0], city=["Lyon", "Rome"], frequency=[2.0, 0.0]),
        time_unit="month",
        calibration_end="2024-01-31",
        observation_end="2024-05-31",
        acquisition="left_censored",
    )
    assert (taken.time_unit, taken.acquisition) == ("month", "left_censored")
    assert taken.calibration_end == dt.date(2024, 1, 31)
    assert taken.to_pandas().columns.tolist() == ["customer_id", "frequency", "recency", "T", "monetary_value"]
    assert taken.to_pandas()["frequency"].dtype == "int64"
    assert "observation end  2024-05-31" in repr(taken)
    assert "left out         nothing" in repr(taken)


def test_from_frame_makes_numbers_of_numbers_written_as_text():
    taken = CustomerSummary.from_frame(summary_frame(recency=["3", "0.0"], frequency=["2", "0"]), time_unit="week")
    assert taken.counts()[["frequency", "recency"]].to_numpy().tolist() == [[0, 0.0], [2, 3.0]]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"recency": [6.0, 0.0]}, "recency: larger than T in 1 rows (first: 1)"),
        ({"frequency": [2.5, 0.0]}, "frequency: not a whole number in 1 rows (first: 1)"),
        ({"frequency": [2, -1]}, "frequency: negative in 1 rows (first: 2)"),
        ({"recency": [3.0, 1.0]}, "recency: above 0 without a repeat purchase in 1 rows (first: 2)"),
        ({"recency": [0.0, 0.0]}, "recency: 0 with repeat purchases in 1 rows (first: 1)"),
        ({"T": [5.0, None]}, "T: not a finite number in 1 rows (first: 2)"),
        ({"monetary_value": ["x", 1.0]}, "monetary_value: not a finite number in 1 rows (first: 1)"),
        ({"customer_id": [1, 1]}, "customer_id: the same customer twice in 1 rows (first: 2)"),
        ({"customer_id": [1, None]}, "customer_id: missing in 1 rows (first: 2)"),
    ],
)
def test_from_frame_names_the_rows(columns, problem):
    with pytest.raises(ContractError) as caught:
        CustomerSummary.from_frame(summary_frame(**columns), time_unit="week")
    assert caught.value.problems == (problem,)


def test_from_frame_collects_all_problems():
    with pytest.raises(ContractError) as caught:
        CustomerSummary.from_frame(summary_frame(recency=[9.0, 0.0], T=[5.0, -1.0]), time_unit="week")
    assert len(caught.value.problems) == 2


def test_from_frame_needs_columns_and_rows():
    with pytest.raises(ContractError, match="'T'"):
        CustomerSummary.from_frame(summary_frame().drop(columns="T"), time_unit="week")
    with pytest.raises(ContractError, match="no rows"):
        CustomerSummary.from_frame(summary_frame().iloc[:0], time_unit="week")
