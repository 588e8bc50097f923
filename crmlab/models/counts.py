"""Customer summaries as models take them: one row for customers with the same history, and how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, get_args

import numpy as np
import pandas as pd

from crmlab.contracts import TimeUnit, check_summary, one_of
from crmlab.errors import ContractError

if TYPE_CHECKING:
    from crmlab.models.base import Floats

HISTORY = ["frequency", "recency", "T"]


class Summary(Protocol):
    """A customer summary with its definitions, such as `crmlab.database.CustomerSummary`."""

    @property
    def time_unit(self) -> TimeUnit: ...

    @property
    def acquisition(self) -> str: ...

    def to_pandas(self) -> pd.DataFrame: ...


@dataclass(frozen=True, eq=False)
class Histories:
    """Purchase histories of customers.

    Attributes
    ----------
    frame : pandas.DataFrame
        ``frequency``, ``recency``, ``T`` and whatever else was given; the index is the customer's.
    weight : array, shape (n,)
        Customers that each row stands for.
    time_unit : str
        Unit of the durations.
    """

    frame: pd.DataFrame
    weight: "Floats"
    time_unit: TimeUnit

    @property
    def columns(self) -> "tuple[Floats, Floats, Floats]":
        """Frequency, recency and T as arrays of floats."""
        x, recency, age = (self.frame[name].to_numpy(dtype=float) for name in HISTORY)
        return x, recency, age

    def facts(self) -> list[str]:
        """What a reader should know of the data when a fit fails."""
        x, recency, age = self.columns
        customers, again = self.weight.sum(), self.weight[x > 0].sum()
        lines = [
            f"{customers:,.0f} customers, of whom {again:,.0f} bought again",
            f"frequency from {x.min():.0f} to {x.max():.0f}, T from {age.min():g} to {age.max():g} {self.time_unit}s",
        ]
        if again:
            late = self.weight[(x > 0) & (recency >= age)].sum() / again
            lines.append(f"{late:.0%} of those who bought again did so at the very end of their T")
        return lines


def read_histories(summary: Summary | pd.DataFrame, time_unit: str | None) -> Histories:
    """Take a summary, or a frame with the name of its unit.

    Raises
    ------
    ContractError
        If the frame is no summary, the unit is missing or contradicts the summary's, or customers are left-censored.
    """
    if not isinstance(summary, pd.DataFrame):
        if time_unit not in (None, summary.time_unit):
            raise ContractError(f"the summary is in {summary.time_unit}s; leave time_unit={time_unit!r} out")
        if summary.acquisition != "observed":
            raise ContractError(
                "the customers are left-censored: first seen is not first bought, and T is not known; keep those "
                "acquired in view (new_customers in crmlab.database does), and summarise them"
            )
        frame = summary.to_pandas()
        return Histories(_indexed(frame), np.ones(len(frame)), summary.time_unit)
    if time_unit is None:
        raise ContractError(f"say in which unit recency and T are: time_unit={', '.join(get_args(TimeUnit))}")
    one_of("time_unit", time_unit, TimeUnit)
    frame = check_summary(summary, HISTORY)
    weight = frame["weight"].to_numpy(dtype=float) if "weight" in frame else np.ones(len(frame))
    return Histories(_indexed(frame), weight, time_unit)  # type: ignore[arg-type]


def _indexed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_index("customer_id") if "customer_id" in frame else frame


def collapsed(columns: Sequence["Floats"], weight: "Floats") -> "tuple[tuple[Floats, ...], Floats]":
    """Histories with equal rows among those without a repeat purchase put together: these differ in T alone."""
    x, recency, age = columns
    none, again = np.flatnonzero(x == 0), np.flatnonzero(x > 0)
    place, ages = pd.factorize(age[none], sort=True)
    counts = np.bincount(place, weights=weight[none], minlength=len(ages))
    zero = np.zeros(len(ages))
    data = tuple(np.concatenate([zero, one[again]]) for one in (x, recency))
    return (*data, np.concatenate([ages, age[again]])), np.concatenate([counts, weight[again]])


def tally(x: "Floats", weight: "Floats") -> "tuple[tuple[Floats], Floats]":
    """The different counts, and the weight of each."""
    total = np.bincount(x.astype("int64"), weights=weight)
    found = np.flatnonzero(total)
    return (found.astype(float),), total[found]


def as_times(name: str, values: Any) -> "Floats":
    """Durations as an array; each must be finite and not negative."""
    times = np.asarray(values, dtype=float)
    if not (np.isfinite(times).all() and (times >= 0).all()):
        raise ContractError(f"{name} must be finite and not negative, got {values!r}")
    return times
