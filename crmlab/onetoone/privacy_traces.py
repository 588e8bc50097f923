"""Purchases without a name are a fingerprint: how many points of a history single out a customer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import one_of, require_columns
from crmlab.errors import ContractError
from crmlab.onetoone.privacy import class_numbers
from crmlab.stats import check_level, proportion_interval

Ints = npt.NDArray[np.int64]
Period = Literal["day", "week", "month"]

_LETTERS = {"day": "D", "week": "W", "month": "M"}


@dataclass(frozen=True, eq=False)
class Unicity:
    """How many customers a few known purchases single out.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per number of known points: ``points``, ``unique`` (customers singled out), ``share``, ``low`` and
        ``high``.
    tried : int
        Customers tried, the same in all rows.
    eligible, customers : int
        Customers with as many points as are known at most, and all customers.
    period : {"day", "week", "month"}
        How exactly the outsider knows when.
    amount_step : float or None
        How exactly the outsider knows how much; None: not at all.
    level : float
        Level of the interval.
    """

    table: pd.DataFrame
    tried: int
    eligible: int
    customers: int
    period: str
    amount_step: float | None
    level: float

    def __repr__(self) -> str:
        much = "" if self.amount_step is None else f" and the amount to {self.amount_step:g}"
        return (
            f"Unicity: an outsider knows the {self.period}{much} of a few purchases\n"
            f"  {self.tried:,} customers tried, of {self.eligible:,} with enough points among {self.customers:,}\n"
            f"{self.table.round(3).to_string(index=False)}"
        )


def unicity(
    log: pd.DataFrame,
    *,
    points: Sequence[int] = (1, 2, 3, 4),
    period: Period = "day",
    amount_step: float | None = None,
    most_customers: int = 2_000,
    level: float = 0.95,
    seed: int,
) -> Unicity:
    """Share of the customers whom a few of their own purchases tell from all others.

    A point is the period of a purchase, and the band of its amount if `amount_step` is given. For each customer tried,
    points of the own history are drawn; the customer is singled out if nobody else in the log has them all. All rows of
    the result are about the same customers: those who have as many points as the longest row needs.

    Parameters
    ----------
    log : pandas.DataFrame
        ``customer_id``, ``date`` and, for bands, ``amount``: one row per purchase.
    points : sequence of int
        Numbers of known points, 1 or more.
    period : {"day", "week", "month"}
        How exactly dates are known (or released: coarser dates are a remedy to be tried).
    amount_step : float, optional
        Width of the bands in which amounts are known, above 0.
    most_customers : int, default 2000
        Customers tried, drawn at random if there are more.
    level : float, default 0.95
        Level of the Wilson interval.
    seed : int
        Draws the customers and their points.

    Returns
    -------
    Unicity

    Raises
    ------
    ContractError
        If columns are missing or hold missing values, an argument is out of range, or nobody has enough points.

    References
    ----------
    de Montjoye, Y.-A., Radaelli, L., Singh, V. K. & Pentland, A. (2015). Unique in the shopping mall: on the
    reidentifiability of credit card metadata. *Science* 347, 536-539.

    Examples
    --------
    >>> days = ["2024-01-05", "2024-02-01", "2024-01-05", "2024-03-02"]
    >>> log = pd.DataFrame({"customer_id": [1, 1, 2, 2], "date": pd.to_datetime(days)})
    >>> unicity(log, points=[2], seed=1).table[["points", "unique", "share"]].to_dict("list")
    {'points': [2], 'unique': [2], 'share': [1.0]}
    """
    numbers = _checked(log, points, period, amount_step, most_customers)
    check_level(level)
    who = class_numbers(log, ["customer_id"])
    parts = {"period": log["date"].dt.tz_localize(None).dt.to_period(_LETTERS[period])}
    if amount_step is not None:
        parts["band"] = np.floor(log["amount"] / amount_step + 1e-9)  # 0.3 / 0.1 is a little below 3
    point = class_numbers(pd.DataFrame(parts), list(parts))
    pairs = np.unique(np.column_stack([who, point]), axis=0)
    own = np.split(pairs[:, 1], np.flatnonzero(np.diff(pairs[:, 0])) + 1)
    order = np.argsort(pairs[:, 1], kind="stable")
    others = np.split(pairs[order, 0], np.flatnonzero(np.diff(pairs[order, 1])) + 1)
    eligible = np.flatnonzero([len(one) >= numbers[-1] for one in own])
    if not len(eligible):
        raise ContractError(
            f"nobody has {numbers[-1]} different points (the most is {max(map(len, own))}): ask for fewer `points`"
        )
    rng = np.random.default_rng(seed)
    tried = rng.permutation(eligible)[:most_customers]
    alone = np.zeros(numbers[-1], dtype=int)
    for one in tried:
        known = rng.permutation(own[one])[: numbers[-1]]
        left = others[known[0]]
        for place, point_known in enumerate(known):
            left = left if place == 0 else np.intersect1d(left, others[point_known], assume_unique=True)
            if len(left) == 1:
                alone[place:] += 1
                break
    rows = [(number, int(alone[number - 1])) for number in numbers]
    table = pd.DataFrame(rows, columns=["points", "unique"])
    intervals = [proportion_interval(unique, len(tried), level) for unique in table["unique"]]
    told = {name: [getattr(one, name) for one in intervals] for name in ("estimate", "low", "high")}
    table = table.assign(share=told["estimate"], low=told["low"], high=told["high"])
    return Unicity(table, len(tried), len(eligible), len(own), period, amount_step, level)


def _checked(log: Any, points: Sequence[int], period: Period, amount_step: float | None, most: int) -> list[int]:
    one_of("period", period, Period)
    needed = ["customer_id", "date"] + ([] if amount_step is None else ["amount"])
    require_columns(log, needed, "unicity")
    problems = [
        f"column {name!r} is missing in {int(log[name].isna().sum()):,} rows"
        for name in needed
        if log[name].isna().any()
    ]
    if not len(log):
        problems.append("the log is empty")
    if not pd.api.types.is_datetime64_any_dtype(log["date"]):
        problems.append(f"column 'date' holds no dates ({log['date'].dtype}): convert it with pandas.to_datetime")
    if amount_step is not None:
        number = isinstance(amount_step, int | float | np.number) and not isinstance(amount_step, bool)
        if not number or not np.isfinite(amount_step) or amount_step <= 0:
            problems.append(f"amount_step must be a finite number above 0, got {amount_step!r}")
        if not pd.api.types.is_numeric_dtype(log["amount"]):
            problems.append(f"column 'amount' holds no numbers ({log['amount'].dtype})")
        elif np.isinf(log["amount"].to_numpy("float64", na_value=np.nan)).any():
            problems.append("column 'amount' is infinite in some rows")
    whole = [*points, most] if isinstance(points, Sequence) else [None]
    if len(whole) < 2 or any(isinstance(one, bool) or not hasattr(one, "__index__") or one < 1 for one in whole):
        problems.append(f"points and most_customers must be whole numbers of 1 or more, got {points!r} and {most!r}")
    if problems:
        raise ContractError("unicity cannot be computed", problems)
    return sorted({int(one) for one in points})
