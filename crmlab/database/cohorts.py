"""Acquisition cohorts: customers grouped by the calendar period of their first purchase, followed as they age."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import ibis.expr.types as ir
import pandas as pd

from crmlab.contracts import Acquisition, one_of
from crmlab.database.frames import to_frame
from crmlab.database.purchases import in_words, read_purchases, require_observed

Period = Literal["month", "quarter", "year"]
CALENDAR: Mapping[str, Literal["M", "Q", "Y"]] = {"month": "M", "quarter": "Q", "year": "Y"}
"""Code of each calendar period in pandas and ibis."""

CohortValue = Literal["customers", "orders", "amount", "share_active"]


@dataclass(frozen=True, eq=False)
class CohortTable:
    """What each acquisition cohort did in each period of its life.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per cohort and age that the log covers, also where nothing was bought: ``cohort`` and ``calendar``
        (first day of the period of acquisition, of activity), ``age`` (periods since acquisition, 0 = the first),
        ``customers`` (active ones), ``orders`` (purchase days), ``amount`` (money), ``share_active`` (of the cohort).
    period : {"month", "quarter", "year"}
        Length of a period.
    observation_end : datetime.date
        Last day of the log.
    last_period_complete : bool
        Whether the log covers the last period to its end; if not, the youngest cell of each cohort is too low.
    left_out : mapping of str to int
        What was left out, with how many.
    """

    table: pd.DataFrame
    period: Period
    observation_end: dt.date
    last_period_complete: bool
    left_out: Mapping[str, int]

    def pivot(self, value: CohortValue = "customers", *, by: Literal["age", "calendar"] = "age") -> pd.DataFrame:
        """Cohorts as rows, age or calendar period as columns.

        Parameters
        ----------
        value : {"customers", "orders", "amount", "share_active"}, default "customers"
            What the cells hold.
        by : {"age", "calendar"}, default "age"
            What the columns are. By age, a row is a cohort's life; by calendar, a column is a period of the firm.

        Returns
        -------
        pandas.DataFrame, shape (cohorts, ages or periods)
            NaN where the log does not reach (or the cohort was not yet acquired).
        """
        one_of("value", value, CohortValue)
        one_of("by", by, Literal["age", "calendar"])
        return self.table.pivot(index="cohort", columns=by, values=value)

    def sizes(self) -> pd.Series:
        """Customers acquired in each cohort."""
        founded = self.table[self.table["age"] == 0]
        return founded.set_index("cohort")["customers"].rename("customers")

    def __repr__(self) -> str:
        sizes = self.sizes()
        head = f"CohortTable of {len(sizes)} {self.period} cohorts, {sizes.sum():,} customers"
        note = "" if self.last_period_complete else f"; the last {self.period} is incomplete"
        return f"{head}, up to {self.observation_end}{note}\n  left out  {in_words(self.left_out)}"


def cohort_table(
    transactions: pd.DataFrame | ir.Table,
    *,
    period: Period,
    acquisition: Acquisition,
    observation_end: str | dt.date | None = None,
) -> CohortTable:
    """Follow acquisition cohorts through calendar periods.

    A purchase is a customer's day, as in `customer_summary`; returns are left out. A customer belongs to the cohort of
    the calendar period of the first purchase, and is active in a period with at least one purchase.

    Parameters
    ----------
    transactions : pandas.DataFrame or ibis table
        ``customer_id``, ``date``, ``amount`` (money); rows in any order.
    period : {"month", "quarter", "year"}
        Calendar period of cohorts and ages.
    acquisition : {"observed", "left_censored"}
        Whether the log saw the first purchases. A left-censored log has no acquisition cohorts and is refused.
    observation_end : str or date, optional
        Last day that counts. Default: the last date in the log.

    Raises
    ------
    ContractError
        If the log is left-censored (the message names the remedy) or breaks the contract.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. & Ross, M. (2022). *The Customer-Base Audit*. Wharton School Press.

    Examples
    --------
    >>> dates = pd.to_datetime(["2024-01-05", "2024-02-07", "2024-02-20"])
    >>> log = pd.DataFrame({"customer_id": [1, 1, 2], "date": dates, "amount": [5.0, 6.0, 7.0]})
    >>> cohorts = cohort_table(log, period="month", acquisition="observed")
    >>> cohorts.pivot("amount").to_numpy().tolist()
    [[5.0, 6.0], [7.0, nan]]
    """
    one_of("period", period, Period)
    require_observed(acquisition, "acquisition cohorts")
    log = read_purchases(transactions, observation_end)
    unit = CALENDAR[period]
    keyed = log.days.mutate(cohort=log.days.first_day.truncate(unit), calendar=log.days.day.truncate(unit))
    active = keyed.group_by("cohort", "calendar").agg(
        customers=keyed.customer_id.nunique(), orders=keyed.count(), amount=keyed.amount.sum()
    )
    end = pd.Period(log.end, freq=unit)
    table = _fill(to_frame(active), end)
    return CohortTable(table, period, log.end, end.end_time.date() == log.end, log.left_out)


def _fill(active: pd.DataFrame, end: pd.Period) -> pd.DataFrame:
    """Add the cells in which a cohort bought nothing, and the ages and shares of all cells."""
    unit = end.freqstr[0]
    grid = [
        (cohort.start_time, calendar.start_time, age)
        for cohort in pd.PeriodIndex(active["cohort"].unique(), freq=unit).sort_values()
        for age, calendar in enumerate(pd.period_range(cohort, end, freq=unit))
    ]
    full = pd.DataFrame(grid, columns=["cohort", "calendar", "age"]).astype({"cohort": "M8[us]", "calendar": "M8[us]"})
    table = full.merge(active.astype({"cohort": "M8[us]", "calendar": "M8[us]"}), on=["cohort", "calendar"], how="left")
    table = table.fillna({"customers": 0, "orders": 0, "amount": 0.0}).astype({"customers": "int64", "orders": "int64"})
    size = table.groupby("cohort")["customers"].transform("first")
    return table.assign(share_active=table["customers"] / size)
