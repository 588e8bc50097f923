"""A log of purchases as a balanced panel around the joining of a programme."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules, one_of, require_columns
from crmlab.errors import ContractError

Measure = Literal["amount", "orders"]


@dataclass(frozen=True, eq=False)
class Panel:
    """What each customer bought in each period, and the period of joining.

    Attributes
    ----------
    outcome : pandas.DataFrame, shape (customers, periods)
        Money or orders of a period; index the customer, columns 0, 1, ...
    joined : pandas.Series, shape (customers,)
        Period of joining; missing for whoever did not join within the panel.
    exposure : pandas.DataFrame, shape (customers, periods)
        Share of the period's days spent as a member, the day of joining included.
    begin : pandas.Timestamp
        First day of period 0.
    days : int
        Days of a period.
    measure : {"amount", "orders"}
        What `outcome` holds.
    left_out : mapping of str to int
        Customers who are not in the panel, by reason.
    """

    outcome: pd.DataFrame
    joined: pd.Series
    exposure: pd.DataFrame
    begin: pd.Timestamp
    days: int
    measure: Measure
    left_out: Mapping[str, int]

    def __repr__(self) -> str:
        customers, periods = self.outcome.shape
        what = {"amount": "money", "orders": "orders"}[self.measure]
        lines = [
            f"Panel of {customers:,} customers over {periods} periods of {self.days} days from {self.begin:%Y-%m-%d}",
            f"  outcome   {what} of a customer in a period; who bought nothing has 0",
            f"  joined    {int(self.joined.notna().sum()):,} customers joined in the panel, the others not",
        ]
        return "\n".join([*lines, *(f"  left out  {number:,} {reason}" for reason, number in self.left_out.items())])


def joining_panel(
    transactions: pd.DataFrame,
    joined: pd.Series,
    *,
    begin: "str | pd.Timestamp",
    days: int = 30,
    measure: Measure = "amount",
) -> Panel:
    """Lay a log of purchases out as a balanced panel around the joining of a programme.

    Only customers who had bought before `begin` are taken: a panel that people enter by a first purchase rises by
    construction. The last, incomplete period is dropped.

    Parameters
    ----------
    transactions : pandas.DataFrame
        ``customer_id``, ``date``, ``amount`` (money; orders are counted by ``order_id``, or by row without it).
    joined : pandas.Series of datetime
        Day of joining, indexed by customer; members only, or missing for the others.
    begin : str or timestamp
        First day of period 0.
    days : int, default 30
        Days of a period.
    measure : {"amount", "orders"}, default "amount"
        Outcome.

    Raises
    ------
    ContractError
        If a column is missing or broken, a customer joins twice, or no period or no customer is left.

    Examples
    --------
    >>> log = pd.DataFrame({"customer_id": ["a", "b", "a", "b"], "amount": [5.0, 7.0, 9.0, 2.0]})
    >>> log["date"] = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-12", "2024-01-30"])
    >>> day = pd.Series(pd.to_datetime(["2024-01-20"]), index=["b"])
    >>> joining_panel(log, day, begin="2024-01-06", days=8).outcome.loc["a"].tolist()
    [9.0, 0.0, 0.0]
    """
    one_of("measure", measure, Measure)
    require_columns(transactions, ["customer_id", "date", "amount"], "joining_panel")
    first_day = pd.Timestamp(begin).normalize()
    _check_log(transactions, joined, days)
    day = transactions["date"].dt.normalize()
    periods = int(((day.max() - first_day).days + 1) // days)
    if periods < 3:
        raise ContractError(
            f"from {first_day:%Y-%m-%d} to the last purchase, {day.max():%Y-%m-%d}, there are {max(periods, 0)} whole "
            f"periods of {days} days; a panel needs three: take an earlier `begin` or shorter periods"
        )
    since = (joined.dropna().dt.normalize() - first_day).dt.days
    firsts = day.groupby(transactions["customer_id"]).min()
    early = set(since.index[since < 0])
    known = firsts.index[firsts < first_day]
    kept = known[~known.isin(list(early))]
    if not len(kept):
        raise ContractError(f"nobody had bought, and not yet joined, before {first_day:%Y-%m-%d}: take a later `begin`")
    log = transactions.assign(period=(day - first_day).dt.days // days)
    log = log[log["period"].between(0, periods - 1) & log["customer_id"].isin(kept)]
    grouped = log.groupby(["customer_id", "period"])
    counted = grouped["order_id"].nunique() if "order_id" in log else grouped.size()
    cells = grouped["amount"].sum() if measure == "amount" else counted
    outcome = cells.unstack("period").reindex(index=kept, columns=range(periods)).fillna(0.0).astype(float)
    day_joined = since.reindex(kept).to_numpy(dtype=float, na_value=np.nan)
    period = np.where(day_joined < periods * days, day_joined // days, np.nan)
    member = ((np.arange(1, periods + 1) * days - day_joined[:, None]) / days).clip(0, 1)
    return Panel(
        outcome=outcome.rename_axis(index="customer_id", columns=None),
        joined=pd.Series(period, index=outcome.index, name="joined"),
        exposure=pd.DataFrame(np.nan_to_num(member), index=outcome.index, columns=outcome.columns),
        begin=first_day,
        days=days,
        measure=measure,
        left_out={
            "customers whose first purchase came later": len(firsts) - len(known),
            "customers who had joined before": len(known) - len(kept),
        },
    )


def _check_log(log: pd.DataFrame, joined: pd.Series, days: int) -> None:
    amount = pd.to_numeric(log["amount"], errors="coerce")
    dates = {"date": log["date"], "joined": joined}
    problems = [f"{name}: not dates" for name, one in dates.items() if not pd.api.types.is_datetime64_dtype(one)]
    problems += broken_rules(
        {
            "customer_id: missing": log["customer_id"].isna(),
            "date: missing": log["date"].isna(),
            "amount: not a finite number": ~np.isfinite(amount),
            "joined: the same customer twice": joined.index.duplicated(),
        }
    )
    problems += [] if len(log) else ["no row"]
    if not problems and not joined.index.isin(log["customer_id"]).any():
        problems = [f"joined: none of its {len(joined):,} customers bought; are the ids of one kind, text or numbers?"]
    problems += [] if days >= 1 else [f"days must be 1 or more; got {days}"]
    if problems:
        raise ContractError("no panel can be made of this log (rows counted from 1)", problems)
