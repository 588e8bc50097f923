"""Who is about to leave: subscriptions as person-periods, what was known before each, and a split in time.

A person-period is one customer in one period at risk, with 1 if the customer left in it. On such a table any model of
a yes or no is a model of the hazard in discrete time; with the complementary log-log link the coefficients are logs of
hazard ratios of the proportional hazards model.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import TimeUnit, as_day, broken_rules, one_of, require_columns
from crmlab.errors import ContractError
from crmlab.relationship.spells import Spells, anniversary, as_days, check_spells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class PersonPeriods:
    """Relationships by periods at risk.

    Attributes
    ----------
    table : pandas.DataFrame, shape (periods at risk, 6)
        Sorted by spell and period; see `definitions`.
    time_unit : {"day", "week", "month", "year"}
        Length of a period.
    window_end : datetime.date
        Last day of observation.
    left_out : mapping of str to int
        What is not in the table, with how many.
    """

    table: pd.DataFrame
    time_unit: TimeUnit
    window_end: dt.date
    left_out: Mapping[str, int]

    @property
    def definitions(self) -> dict[str, str]:
        """What each column of `table` means."""
        unit = self.time_unit
        return {
            "spell": "index of the spell in the table of spells",
            "customer_id": "whose period it is",
            "period": f"number of the {unit} since the start, from 1",
            "begins": "day on which the period begins: what predicts it must be known before",
            "ends": f"same day one {unit} later (or the last of a shorter month): the outcome is known",
            "left": "1 if the customer left after `begins` and not after `ends`, else 0",
        }

    def __repr__(self) -> str:
        head = (
            f"{len(self.table):,} {self.time_unit}s at risk in {self.table['spell'].nunique():,} spells, "
            f"{self.table['left'].sum():,} of which ended; observed to {self.window_end}"
        )
        lines = [f"  {name:<12} {meaning}" for name, meaning in self.definitions.items()]
        return "\n".join([head, *lines, *(f"  left out: {n:,} {what}" for what, n in self.left_out.items() if n)])


def person_periods(spells: Spells) -> PersonPeriods:
    """Cut the time of every relationship under observation into periods at risk.

    A spell that came under observation late (a stock sample) counts from its first whole period after that: the earlier
    ones were survived by selection. A period that the end of observation cuts short is left out for everybody, also
    for those who left in it: leavers alone would make the last hazard too high.

    Parameters
    ----------
    spells : Spells
        From `read_spells`.

    Raises
    ------
    ContractError
        If no whole period was observed.

    References
    ----------
    Allison, P. D. (1982). Discrete-time methods for the analysis of event histories. *Sociological Methodology* 13,
    61-98.
    Prentice, R. L. & Gloeckler, L. A. (1978). Regression analysis of grouped survival data with application to breast
    cancer data. *Biometrics* 34, 57-67. (complementary log-log)

    Examples
    --------
    >>> from crmlab.relationship import read_spells
    >>> begin, end = pd.to_datetime(["2024-01-31", "2024-02-10"]), pd.to_datetime(["2024-03-31", None])
    >>> table = pd.DataFrame({"customer_id": ["ann", "bob"], "started_on": begin, "ended_on": end})
    >>> spells = read_spells(table, time_unit="month", ends="renewal", window_end="2024-04-20")
    >>> person_periods(spells).table[["customer_id", "period", "ends", "left"]]
      customer_id  period       ends  left
    0         ann       1 2024-02-29     0
    1         ann       2 2024-03-31     1
    2         bob       1 2024-03-10     0
    3         bob       2 2024-04-10     0
    """
    check_spells(spells, "a table of person-periods")
    rows, unit = spells.table, spells.time_unit
    first, last = np.ceil(rows["entry"].to_numpy()), np.ceil(rows["exit"].to_numpy())
    count = (last - first).clip(0).astype("int64")
    who = np.repeat(np.arange(len(rows)), count)
    period = first[who].astype("int64") + np.arange(len(who)) - np.repeat(np.cumsum(count) - count, count) + 1
    start = rows["started_on"].to_numpy("datetime64[D]")[who]
    ends = anniversary(start, period, unit)
    whole = ends <= np.datetime64(spells.window_end)
    if not whole.any():
        raise ContractError(f"no whole {unit} was observed: take a shorter time_unit or a later window_end")
    last_one = rows["churned"].to_numpy()[who] & (period == last[who])
    table = pd.DataFrame(
        {
            "spell": rows.index.to_numpy()[who],
            "customer_id": rows["customer_id"].to_numpy()[who],
            "period": period,
            "begins": anniversary(start, period - 1, unit),
            "ends": ends,
            "left": last_one.astype("int64"),
        }
    )[whole].reset_index(drop=True)
    left_out = {
        f"{unit}s cut short by the end of observation": int((~whole).sum()),
        "spells without a whole period under observation": len(rows) - int(table["spell"].nunique()),
    }
    return PersonPeriods(table, unit, spells.window_end, left_out)


def history_before(
    points: pd.DataFrame,
    log: pd.DataFrame,
    *,
    windows: Sequence[int],
    time_unit: TimeUnit = "month",
    at: str = "begins",
    known_on: str = "date",
    value: str | None = None,
    name: str = "events",
) -> pd.DataFrame:
    """What a log told of each customer shortly before a day: counts or sums in windows that end the day before.

    Window w of a point on day t is [t - w, t): nothing known on the day itself or later enters. A row counts from the
    day on which it was **known**: the usage of May is known on 1 June, not on 1 May, however the table is dated.

    Parameters
    ----------
    points : pandas.DataFrame
        One row per customer and day: ``customer_id`` and the column `at`, such as a table of person-periods.
    log : pandas.DataFrame
        One row per event: ``customer_id``, the column `known_on`, and `value` if it is given. Customers without rows
        get 0.
    windows : sequence of int
        Lengths, in `time_unit`.
    time_unit : {"day", "week", "month", "year"}, default "month"
        Unit of `windows`.
    at, known_on : str
        Columns of days.
    value : str, optional
        Column to add up; without it rows are counted.
    name : str, default "events"
        Stem of the new columns.

    Returns
    -------
    pandas.DataFrame, shape (len(points), len(windows))
        With the index of `points`; columns such as ``events_3_month``.

    Raises
    ------
    ContractError
        If columns are missing, hold no dates or no finite numbers, or a window is not a whole number above 0.

    Examples
    --------
    >>> points = pd.DataFrame({"customer_id": ["ann"], "begins": ["2024-03-01"]})
    >>> log = pd.DataFrame({"customer_id": "ann", "date": ["2024-01-05", "2024-02-20", "2024-03-01"]})
    >>> history_before(points, log, windows=[1, 2], name="calls")
       calls_1_month  calls_2_month
    0              1              2
    """
    one_of("time_unit", time_unit, TimeUnit)
    if not (isinstance(windows, Sequence) and windows and all(isinstance(w, int) and w > 0 for w in windows)):
        raise ContractError(f"windows must be whole numbers above 0, in {time_unit}s; got {windows}")
    day, row_day, amount = _points_and_rows(points, log, at, known_on, value)
    people = pd.Index(points["customer_id"].unique())
    row_of, point_of = people.get_indexer(log["customer_id"]), people.get_indexer(points["customer_id"])
    mine = row_of >= 0
    origin = min(day.min(), row_day.min(initial=day.min()))
    span = int((max(day.max(), row_day.max(initial=day.max())) - origin).astype("int64")) + 1
    keys = row_of[mine] * span + (row_day[mine] - origin).astype("int64")
    order = np.argsort(keys, kind="stable")
    total = np.append(np.zeros(1, dtype=amount.dtype), amount[mine][order].cumsum())

    def before(days: "Array") -> "Array":
        key = point_of * span + np.maximum((days - origin).astype("int64"), 0)
        return np.asarray(total[np.searchsorted(keys[order], key)])

    found = {
        f"{name}_{w}_{time_unit}": before(day) - before(anniversary(day, np.full(len(day), -w), time_unit))
        for w in windows
    }
    return pd.DataFrame(found, index=points.index)


def _points_and_rows(
    points: pd.DataFrame, log: pd.DataFrame, at: str, known_on: str, value: str | None
) -> "tuple[Array, Array, Array]":
    require_columns(points, ["customer_id", at], "history_before, for its points,")
    require_columns(log, ["customer_id", known_on, *([value] if value else [])], "history_before, for its log,")
    day, row_day = as_days(points[at]), as_days(log[known_on])
    amount = pd.Series(1, index=log.index) if value is None else log[value]
    if not pd.api.types.is_numeric_dtype(amount):
        raise ContractError(f"history_before adds up numbers, and {value!r} of its log holds {amount.dtype}")
    amount = pd.Series(amount.to_numpy(float if amount.hasnans else None), log.index)
    problems = broken_rules(
        {
            "points, customer_id: missing": points["customer_id"].isna(),
            "log, customer_id: missing": log["customer_id"].isna(),
            f"points, {at}: no date": day.isna(),
            f"log, {known_on}: no date": row_day.isna(),
            f"log, {value}: not a finite number": ~np.isfinite(amount),
        }
    )
    if problems or points.empty:
        raise ContractError("no history can be made of these (rows counted from 1)", problems or ["there is no point"])
    return day.to_numpy("datetime64[D]"), row_day.to_numpy("datetime64[D]"), amount.to_numpy()


@dataclass(frozen=True, eq=False)
class TimeSplit:
    """Which rows may teach a model on a day, and which may judge it.

    Attributes
    ----------
    on : datetime.date
        The day.
    train : array of bool, shape (n,)
        The outcome was known on or before this day.
    test : array of bool, shape (n,)
        The period began on or after this day.
    """

    on: dt.date
    train: "NDArray[np.bool_]"
    test: "NDArray[np.bool_]"

    def __repr__(self) -> str:
        between = int((~self.train & ~self.test).sum())
        return (
            f"Split on {self.on}: {self.train.sum():,} rows known by then, {self.test.sum():,} that began then or "
            f"later, {between:,} in between serve neither"
        )


def split_in_time(periods: PersonPeriods, on: Any) -> TimeSplit:
    """Train on what was known on a day, test on what began then: the only split that a forecast can be judged by.

    Parameters
    ----------
    periods : PersonPeriods
        From `person_periods`.
    on : date-like
        The day on which the model is to be made.

    Raises
    ------
    ContractError
        If either side has no leaver or nobody who stayed.

    Examples
    --------
    >>> from crmlab.relationship import read_spells
    >>> table = pd.DataFrame({"customer_id": range(4), "started_on": pd.to_datetime(["2024-01-01"] * 4)})
    >>> table["ended_on"] = pd.to_datetime(["2024-02-01", "2024-05-01", None, None])
    >>> spells = read_spells(table, time_unit="month", ends="renewal", window_end="2024-06-01")
    >>> split_in_time(person_periods(spells), "2024-04-01")
    Split on 2024-04-01: 10 rows known by then, 5 that began then or later, 0 in between serve neither
    """
    if not isinstance(periods, PersonPeriods):
        raise ContractError(f"a split in time needs the result of person_periods, not {type(periods).__name__}")
    day = pd.Timestamp(as_day(on, "on"))
    table = periods.table
    sides = {"train": (table["ends"] <= day).to_numpy(), "test": (table["begins"] >= day).to_numpy()}
    problems = [
        f"{name}: {rows.sum():,} periods with {table['left'][rows].sum():,} leavers"
        for name, rows in sides.items()
        if table["left"][rows].nunique() < 2
    ]
    if problems:
        raise ContractError(f"a split on {day.date()} needs leavers and stayers on both sides", problems)
    return TimeSplit(day.date(), sides["train"], sides["test"])
