"""What each customer is worth: profit after the cost to serve, and how it adds up over the customers."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.contracts import aligned, broken_rules, check_aligned, suggest
from crmlab.errors import ContractError
from crmlab.stats import Interval, check_level, proportion_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class CustomerProfit:
    """What every customer left after the cost to serve.

    Attributes
    ----------
    table : pandas.DataFrame
        Indexed by customer: ``gross`` (money), one column per activity with its cost (money), ``cost_to_serve`` (their
        sum) and ``profit`` (gross less cost to serve).
    rates : mapping of str to float
        Money per unit of each driver.
    """

    table: pd.DataFrame
    rates: Mapping[str, float]

    @property
    def costs(self) -> pd.DataFrame:
        """By activity: ``cost`` in all (money), ``share`` of the cost to serve, ``customers`` who caused any."""
        parts = self.table[list(self.rates)]
        cost = parts.sum()
        whole = cost.sum()
        share = cost / whole if whole else cost * np.nan
        return pd.DataFrame({"cost": cost, "share": share, "customers": (parts != 0).sum()})

    def spread_by(self, base: pd.Series) -> pd.Series:
        """Profit if the same cost were spread over the customers in proportion to something else, such as sales.

        Parameters
        ----------
        base : pandas.Series of float
            0 or more per customer, with the index of `table`; the sum must be positive.
        """
        weight = aligned("spreading the cost", base=base, profit=self.table["profit"])["base"]
        if (weight < 0).any() or not weight.sum() > 0:
            raise ContractError("costs are spread in proportion to numbers of 0 or more, with a positive sum")
        return self.table["gross"] - self.table["cost_to_serve"].sum() * weight / weight.sum()

    def __repr__(self) -> str:
        gross, cost = self.table["gross"].sum(), self.table["cost_to_serve"].sum()
        below = (self.table["profit"] < 0).mean()
        head = (
            f"{len(self.table):,} customers: gross {gross:,.0f} - cost to serve {cost:,.0f} = profit "
            f"{gross - cost:,.0f}; {below:.1%} of the customers are below zero"
        )
        return f"{head}\n{self.costs.round(3).to_string()}"


def customer_profit(gross: pd.Series, drivers: pd.DataFrame, rates: Mapping[str, float]) -> CustomerProfit:
    """Profit of every customer by activity-based costing: gross margin less volume of each activity times its rate.

    Parameters
    ----------
    gross : pandas.Series of float
        Sales less cost of goods per customer (money), indexed by customer. Everybody on file belongs in, also who
        bought nothing: they cost, too.
    drivers : pandas.DataFrame
        Same index; one column per activity with the volume that each customer caused: orders, minutes, contacts, 1 for
        keeping an account, or money where the cost is known itself. 0 or more.
    rates : mapping of str to float
        Activity to money per unit of its driver, 0 or more; 1 where the driver is money.

    Raises
    ------
    ContractError
        If the indexes differ or name a customer twice, a number is missing, infinite or negative, or an activity has no
        rate or a rate no activity.

    References
    ----------
    Cooper, R. & Kaplan, R. S. (1991). Profit priorities from activity-based costing. *Harvard Business Review* 69(3),
    130-135.
    Kaplan, R. S. & Anderson, S. R. (2004). Time-driven activity-based costing. *Harvard Business Review* 82(11),
    131-138. (one rate per minute)

    Examples
    --------
    >>> gross = pd.Series({"ann": 90.0, "bob": 30.0})
    >>> drivers = pd.DataFrame({"orders": [3, 6], "minutes": [0, 20]}, index=["ann", "bob"])
    >>> customer_profit(gross, drivers, {"orders": 4.0, "minutes": 0.5}).table["profit"].to_dict()
    {'ann': 78.0, 'bob': -4.0}
    """
    check_aligned("the profit of customers", drivers, gross=gross)
    names = list(drivers.columns)
    problems = [f"{name!r}: names of drivers are text" for name in names if not isinstance(name, str)]
    problems += [f"{name!r} is a driver without a rate" for name in names if name not in rates]
    problems += [f"{name!r} is a rate without a driver{suggest(name, names)}" for name in rates if name not in names]
    problems += [f"{name!r} is the name of a result, rename the driver" for name in names if name in _RESULTS]
    problems += [
        f"rate of {k!r} must be a finite number of 0 or more, got {v}" for k, v in rates.items() if not _rate(v)
    ]
    if len(set(names)) < len(names) or not names:
        problems.append("drivers need at least one column, each with a name of its own")
    if problems:
        raise ContractError("drivers and rates do not fit", problems)
    numbers = aligned("the profit of customers", gross=gross, **{f"driver {name}": drivers[name] for name in names})
    rules = {f"{name}: negative": (numbers[name] < 0).to_numpy() for name in numbers if name != "gross"}
    problems = broken_rules(rules | {"index: the same customer twice": drivers.index.duplicated()})
    if problems:
        raise ContractError("the profit of customers cannot be made of these (rows counted from 1)", problems)
    table = pd.DataFrame({name: numbers[f"driver {name}"] * float(rates[name]) for name in names})
    cost = table.sum(axis=1)
    table.insert(0, "gross", numbers["gross"])
    table = table.assign(cost_to_serve=cost, profit=table["gross"] - cost)
    return CustomerProfit(table, MappingProxyType({name: float(rates[name]) for name in names}))


_RESULTS = ("gross", "cost_to_serve", "profit")


def _rate(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and 0 <= float(value) < np.inf


@dataclass(frozen=True, eq=False)
class WhaleCurve:
    """Cumulative profit from the most to the least profitable customer: up to a peak, and down again.

    Attributes
    ----------
    table : pandas.DataFrame, shape (n + 1, 2)
        ``share_customers`` and ``profit``: cumulative, in money per customer of the whole base.
    below_zero : Interval
        Share of customers with a profit below 0 (Wilson).
    peak : Interval or None
        Profit of all customers above zero as a multiple of total profit (bootstrap over customers); None when the total
        is not positive in every resample, because a ratio to about nothing says nothing.
    lost : Interval
        What customers below zero take back, money per customer of the whole base (bootstrap).
    mean : Interval
        Profit per customer (bootstrap).
    """

    table: pd.DataFrame
    below_zero: Interval
    peak: Interval | None
    lost: Interval
    mean: Interval

    def __repr__(self) -> str:
        peak = f"peak at {self.peak} times the total" if self.peak else "no ratio: the total is not clearly positive"
        return (
            f"Whale curve of {len(self.table) - 1:,} customers: profit per customer {self.mean}; {peak}; below zero "
            f"{self.below_zero}, who take back {self.lost} per customer"
        )


def whale_curve(profit: "ArrayLike", *, seed: int, n: int = 1_000, level: float = 0.95) -> WhaleCurve:
    """Cumulate profit over customers, best first, with intervals for its peak and for what is lost after it.

    Profits of one period hold luck. The peak of what was observed is therefore higher than that of what is to be
    expected, however many customers there are: the interval covers the peak of such *observed* profits.

    Parameters
    ----------
    profit : array_like of float, shape (m,)
        One per customer, money; at least 2.
    seed : int
        Seed of the bootstrap.
    n : int, default 1000
        Resamples.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If there are fewer than two customers, or a profit is missing or infinite.

    References
    ----------
    Kaplan, R. S. & Narayanan, V. G. (2001). Measuring and managing customer profitability. *Journal of Cost Management*
    15(5), 5-15.

    Examples
    --------
    >>> found = whale_curve([30, 10, 0, -20], seed=1)
    >>> found.table["profit"].tolist()
    [0.0, 7.5, 10.0, 10.0, 5.0]
    >>> found.below_zero.estimate, found.lost.estimate
    (0.25, 5.0)
    """
    values = aligned("a whale curve", profit=profit)["profit"].to_numpy()
    check_level(level)
    if len(values) < 2:
        raise ContractError("a whale curve needs at least two customers")
    ordered = np.sort(values)[::-1]
    held = np.concatenate([[0.0], np.cumsum(ordered)]) / len(values)
    table = pd.DataFrame({"share_customers": np.linspace(0, 1, len(held)), "profit": held})
    below = proportion_interval(int((values < 0).sum()), len(values), level)

    above = np.maximum(values, 0.0)
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(values), len(values)) for _ in range(n)]
    positive, total = np.array([[above[rows].mean(), values[rows].mean()] for rows in drawn]).T

    def interval(estimate: float, draws: np.ndarray) -> Interval:
        low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
        return Interval(float(estimate), float(low), float(high), level)

    mean = float(values.mean())
    peak = interval(above.mean() / mean, positive / total) if min(mean, total.min()) > 0 else None
    lost = interval(above.mean() - mean, positive - total)
    return WhaleCurve(table, below, peak, lost, interval(mean, total))
