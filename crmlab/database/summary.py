"""The customer summary: frequency, recency, T and monetary value, defined once.

Every other function of crmlab that needs these words means what `customer_summary` says.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import ibis
import ibis.expr.types as ir
import pandas as pd

from crmlab.contracts import Acquisition, TimeUnit, as_day, check_acquisition, check_summary, one_of
from crmlab.database.frames import as_table, to_frame
from crmlab.database.purchases import in_words, read_purchases
from crmlab.errors import ContractError

DAYS_PER_UNIT: Mapping[str, float] = MappingProxyType({"day": 1.0, "week": 7.0, "month": 365.25 / 12, "year": 365.25})
"""Length of each time unit in days. A unit only scales durations; calendar weeks or months play no part."""

_KEY = ["frequency", "recency", "T"]
_HOLDOUT = ["frequency_holdout", "monetary_value_holdout", "duration_holdout"]


@dataclass(frozen=True, eq=False)
class CustomerSummary:
    """One row per customer, with the definitions it was made by.

    Made by `customer_summary` (which holds the definitions) or `CustomerSummary.from_frame`.

    Attributes
    ----------
    table : ibis table
        ``customer_id``, ``frequency`` (repeat purchases), ``recency`` and ``T`` (in `time_unit`), ``monetary_value``
        (money per repeat purchase); with a holdout also ``frequency_holdout``, ``monetary_value_holdout`` and
        ``duration_holdout`` (in `time_unit`).
    time_unit : {"day", "week", "month", "year"}
        Unit of all durations.
    calibration_end, observation_end : datetime.date or None
        Last day of the calibration period (None: no holdout) and of the log (None: not known).
    collapse : {"D"}
        Purchases of one customer on one day are one.
    acquisition : {"observed", "left_censored"}
        Whether first purchases were observed.
    left_out : mapping of str to int
        What the summary left out, with how many.
    """

    table: ir.Table
    time_unit: TimeUnit
    calibration_end: dt.date | None = None
    observation_end: dt.date | None = None
    collapse: Literal["D"] = "D"
    acquisition: Acquisition = "observed"
    left_out: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        time_unit: TimeUnit,
        calibration_end: str | dt.date | None = None,
        observation_end: str | dt.date | None = None,
        acquisition: Acquisition = "observed",
    ) -> "CustomerSummary":
        """Take over a summary that was made elsewhere, after checking that it can be one.

        Parameters
        ----------
        frame : pandas.DataFrame
            ``customer_id``, ``frequency``, ``recency``, ``T``; optionally ``monetary_value`` and the holdout columns.
        time_unit : {"day", "week", "month", "year"}
            Unit of the durations in `frame`.
        calibration_end, observation_end : str or date, optional
            When they are known.
        acquisition : {"observed", "left_censored"}, default "observed"
            Whether first purchases were observed.

        Raises
        ------
        ContractError
            With all problems at once: each names its column, how many rows, and the first of them.

        Examples
        --------
        >>> frame = pd.DataFrame({"customer_id": [7, 8], "frequency": [2, 0], "recency": [5.0, 0.0], "T": [9.0, 4.0]})
        >>> CustomerSummary.from_frame(frame, time_unit="week").counts()["weight"].tolist()
        [1, 1]
        """
        one_of("time_unit", time_unit, TimeUnit)
        return cls(
            as_table(check_summary(frame, ["customer_id", *_KEY])),
            time_unit,
            None if calibration_end is None else as_day(calibration_end, "calibration_end"),
            None if observation_end is None else as_day(observation_end, "observation_end"),
            acquisition=check_acquisition(acquisition),
        )

    @cached_property
    def _frame(self) -> pd.DataFrame:
        return to_frame(self.table.order_by("customer_id"))

    def to_pandas(self) -> pd.DataFrame:
        """The summary as a frame, one row per customer, sorted by ``customer_id``."""
        return self._frame.copy()

    def counts(self) -> pd.DataFrame:
        """How many customers share each (frequency, recency, T), counted in the engine.

        Returns
        -------
        pandas.DataFrame
            ``frequency``, ``recency``, ``T`` and ``weight`` (customers), sorted; all that buying models need.
        """
        grouped = self.table.group_by(_KEY).agg(weight=self.table.count())
        return to_frame(grouped.order_by(_KEY))

    def __len__(self) -> int:
        return self._length

    @cached_property
    def _length(self) -> int:
        return self.table.count().to_pyarrow().as_py()

    def __repr__(self) -> str:
        unit = self.time_unit
        lines = [
            f"CustomerSummary of {len(self):,} customers, durations in {unit}s, acquisition {self.acquisition}",
            f"  calibration end  {self.calibration_end or 'none (no holdout)'}",
            f"  observation end  {self.observation_end or 'not stated'}",
            "  frequency        repeat purchase days (all rows of one day are one purchase; the first day not counted)",
            f"  recency          last purchase minus first purchase, {unit}s (0 without a repeat)",
            f"  T                end of calibration minus first purchase, {unit}s",
            "  monetary_value   mean money per repeat purchase day, 0 without a repeat; returns left out",
        ]
        if self.calibration_end is not None:
            lines.append("  ..._holdout      the same for purchases after the calibration end")
        return "\n".join([*lines, f"  left out         {in_words(self.left_out)}"])


def customer_summary(
    transactions: pd.DataFrame | ir.Table,
    *,
    time_unit: TimeUnit,
    calibration_end: str | dt.date | None = None,
    observation_end: str | dt.date | None = None,
    collapse: Literal["D"] = "D",
    acquisition: Acquisition = "observed",
) -> CustomerSummary:
    """Summarise a transactions table into one row per customer, as buying and spending models need it.

    The definitions, which hold wherever crmlab uses these words:

    * All rows of a customer on one day are one purchase; its money is their sum. Rows of zero money count. Rows of
      negative money are returns: they are left out, and counted in ``left_out``.
    * ``frequency``: number of *repeat* purchases, i.e. purchase days after the first one.
    * ``recency``: time from the first to the last purchase; 0 without a repeat.
    * ``T``: time from the first purchase to the end of the calibration period.
    * ``monetary_value``: mean money of the repeat purchases, so without the first day; 0 without a repeat.
    * ``frequency_holdout``, ``monetary_value_holdout``: the same for purchases after the calibration end;
      ``duration_holdout``: time from the calibration end to the observation end.

    Durations are whole days between dates divided by the length of `time_unit` (7 days a week, 365.25 / 12 a month,
    365.25 a year). Customers whose first purchase lies after the calibration end are left out, and counted.

    Parameters
    ----------
    transactions : pandas.DataFrame or ibis table
        ``customer_id``, ``date``, ``amount`` (money); rows in any order.
    time_unit : {"day", "week", "month", "year"}
        Unit of the durations. It scales them and does nothing else.
    calibration_end : str or date, optional
        Last day of the calibration period. Default: no holdout; everything up to `observation_end` calibrates.
    observation_end : str or date, optional
        Last day observed. Default: the last date in the log, never "today".
    collapse : {"D"}, default "D"
        What counts as one purchase; a customer's day is the one rule there is.
    acquisition : {"observed", "left_censored"}, default "observed"
        Whether the log saw each customer's first purchase. The summary carries it, and what it forbids is refused
        where it matters.

    Returns
    -------
    CustomerSummary
        Its table is evaluated in the engine that holds `transactions`, when it is asked for.

    Raises
    ------
    ContractError
        If the table breaks the contract or the ends are out of order.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. & Lee, K. L. (2005). "Counting your customers" the easy way: an alternative to the
    Pareto/NBD model. *Marketing Science* 24(2), 275-284.

    Examples
    --------
    >>> log = pd.DataFrame(
    ...     {
    ...         "customer_id": ["ann", "ann", "ann", "bob"],
    ...         "date": pd.to_datetime(["2024-01-01", "2024-01-15", "2024-01-15", "2024-01-08"]),
    ...         "amount": [10.0, 20.0, 5.0, 8.0],
    ...     }
    ... )
    >>> customer_summary(log, time_unit="week", observation_end="2024-01-29").to_pandas()
      customer_id  frequency  recency    T  monetary_value
    0         ann          1      2.0  4.0            25.0
    1         bob          0      0.0  3.0             0.0
    """
    one_of("time_unit", time_unit, TimeUnit)
    if collapse != "D":
        raise ContractError(f"collapse must be 'D' (a customer's day is one purchase); got {collapse!r}")
    check_acquisition(acquisition)
    log = read_purchases(transactions, observation_end)
    split = None if calibration_end is None else as_day(calibration_end, "calibration_end")
    left_out = dict(log.left_out)
    if split is not None:
        if not log.start <= split < log.end:
            window = f"in the log and before its observation end ({log.start} to {log.end})"
            raise ContractError(f"calibration_end {split} must lie {window}")
        later = log.days.filter(log.days.first_day > ibis.date(split)).customer_id.nunique().to_pyarrow().as_py()
        if later:
            left_out["customers first seen after the calibration end"] = later
    table = _summarise(log.days, log.end, split, DAYS_PER_UNIT[time_unit])
    return CustomerSummary(table, time_unit, split, log.end, collapse, acquisition, MappingProxyType(left_out))


def _summarise(days: ir.Table, end: dt.date, split: dt.date | None, days_per_unit: float) -> ir.Table:
    """The summary as an expression over purchase days (customer_id, day, amount, first_day)."""
    last_day = ibis.date(split or end)
    days = days.filter(days.first_day <= last_day)
    calibration = days.day <= last_day
    repeat = calibration & (days.day > days.first_day)
    columns = {
        "frequency": days.count(where=repeat),
        "last_day": days.day.max(where=calibration),
        "monetary_value": days.amount.mean(where=repeat).fill_null(0.0),
    }
    if split is not None:
        columns["frequency_holdout"] = days.count(where=~calibration)
        columns["monetary_value_holdout"] = days.amount.mean(where=~calibration).fill_null(0.0)
    grouped = days.group_by("customer_id", "first_day").agg(**columns)
    result = {
        "customer_id": grouped.customer_id,
        "frequency": grouped.frequency,
        "recency": grouped.last_day.delta(grouped.first_day, unit="day") / days_per_unit,
        "T": last_day.delta(grouped.first_day, unit="day") / days_per_unit,
        "monetary_value": grouped.monetary_value,
    }
    if split is not None:
        result |= {name: grouped[name] for name in _HOLDOUT[:2]}
        result["duration_holdout"] = ibis.literal((end - split).days / days_per_unit)
    return grouped.select(**result)
