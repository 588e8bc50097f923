"""From a transactions table to purchases: the one place where the room decides what a purchase is.

A *purchase* is a customer's day with at least one row of zero or more money: rows of one customer on one day are
merged and their amounts added. Rows of negative money are returns; they make no purchase and are left out of every
amount. Rows of zero money count. Dates after the observation end do not exist. What was left out is counted.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from crmlab.contracts import as_day, check_acquisition, require_columns
from crmlab.database.frames import as_table, to_frame
from crmlab.errors import ContractError

_NEEDED = ("customer_id", "date", "amount")


@dataclass(frozen=True, eq=False)
class PurchaseLog:
    """The purchases of a transactions table up to an observation end.

    Attributes
    ----------
    days : ibis table
        One row per customer and day: ``customer_id``, ``day`` (date), ``amount`` (money received that day), and
        ``first_day``, the customer's first purchase day.
    start, end : datetime.date
        First date of the log and the observation end.
    left_out : mapping of str to int
        What was left out, with how many; only what occurred.
    """

    days: ir.Table
    start: dt.date
    end: dt.date
    left_out: Mapping[str, int]


def read_purchases(transactions: pd.DataFrame | ir.Table, observation_end: str | dt.date | None = None) -> PurchaseLog:
    """Merge a transactions table into purchases (see the module's first lines for what a purchase is).

    Examples
    --------
    >>> rows = pd.DataFrame({"customer_id": [1, 1], "date": pd.to_datetime(["2024-01-05"] * 2), "amount": [3.0, 4.0]})
    >>> read_purchases(rows).days.to_pyarrow()["amount"].to_pylist()
    [7.0]
    """
    rows = _narrow(transactions)
    end = None if observation_end is None else as_day(observation_end, "observation_end")
    facts = _facts(rows, end)
    last = end or facts["end"]
    in_window = rows.filter(rows.day <= ibis.date(last), rows.amount >= 0)
    days = in_window.group_by("customer_id", "day").agg(amount=in_window.amount.sum())
    days = days.mutate(first_day=days.day.min().over(group_by="customer_id"))
    left_out = {
        "rows of returns (negative amounts)": facts["returns"],
        "rows after the observation end": facts["late"],
        "customers without a purchase": facts["customers"] - facts["buyers"],
    }
    return PurchaseLog(days, facts["start"], last, {what: count for what, count in left_out.items() if count})


def new_customers(transactions: pd.DataFrame | ir.Table, *, look_back: int) -> pd.DataFrame | ir.Table:
    """Keep only the customers who are new: the remedy for a log that starts in the middle of its customers' lives.

    A customer with no row in the first `look_back` days of the log is taken to be new at the first row after them. The
    longer the look-back, the fewer old customers slip through; it should be several times the usual gap between
    purchases.

    Parameters
    ----------
    transactions : pandas.DataFrame or ibis table
        Transactions under contract.
    look_back : int
        Length of the look-back window in days, from the first date of the log.

    Returns
    -------
    pandas.DataFrame or ibis table
        The rows of the new customers, of the same kind as `transactions`; treat them as ``acquisition="observed"``.

    Raises
    ------
    ContractError
        If `look_back` is not positive or nobody is new.

    Examples
    --------
    >>> dates = pd.to_datetime(["2024-01-01", "2024-05-01", "2024-05-02"])
    >>> log = pd.DataFrame({"customer_id": ["old", "old", "new"], "date": dates, "amount": [5.0, 5.0, 5.0]})
    >>> new_customers(log, look_back=90)["customer_id"].tolist()
    ['new']
    """
    if look_back < 1:
        raise ContractError(f"look_back must be at least 1 day, got {look_back}")
    rows = _narrow(transactions)
    start = _facts(rows, None)["start"]
    firsts = rows.group_by("customer_id").agg(first=rows.day.min())
    new = firsts.filter(firsts["first"] >= ibis.date(start + dt.timedelta(days=look_back))).select("customer_id")
    if new.count().to_pyarrow().as_py() == 0:
        raise ContractError(f"no customer is first seen {look_back} days or more after {start}; shorten look_back")
    if isinstance(transactions, pd.DataFrame):
        return transactions[transactions["customer_id"].isin(to_frame(new)["customer_id"])]
    return transactions.semi_join(new, "customer_id")


def in_words(left_out: Mapping[str, int]) -> str:
    """What was left out, for a repr: ``'1,200 rows of returns'``, or ``'nothing'``."""
    return "; ".join(f"{count:,} {what}" for what, count in left_out.items()) or "nothing"


def require_observed(acquisition: str, what: str) -> None:
    """Refuse a left-censored log for `what`, and name the remedy."""
    if check_acquisition(acquisition) == "left_censored":
        raise ContractError(
            f"{what} need customers whose first purchase was observed, but this log is left-censored: it starts in "
            "the middle of its customers' lives, so the first row of a customer is not the first purchase. Keep only "
            "new customers with new_customers(transactions, look_back=...) and pass acquisition='observed'"
        )


def _narrow(transactions: pd.DataFrame | ir.Table) -> ir.Table:
    """The three needed columns as an ibis table: customer_id, day (date), amount (float)."""
    require_columns(transactions, _NEEDED, "a summary of transactions")
    table = as_table(transactions[[*_NEEDED]])
    problems = []
    date = table.date.type()
    if not (date.is_date() or (date.is_timestamp() and date.timezone is None)):
        problems.append(f"date is of type {date}; make it a local date without a time zone, e.g. pandas.to_datetime")
    if not table.amount.type().is_numeric():
        problems.append(f"amount is of type {table.amount.type()}; convert it to numbers")
    if problems:
        raise ContractError("these columns of the transactions table are of the wrong type", problems)
    return table.select("customer_id", day=table.date.cast("date"), amount=table.amount.cast("float64"))


def _facts(rows: ir.Table, end: dt.date | None) -> dict[str, Any]:
    """Count in one query what a summary must know about its log, and refuse what cannot be summarised."""
    buys = rows.amount >= 0
    late = ibis.literal(False) if end is None else rows.day > ibis.date(end)
    counted = rows.agg(
        rows=rows.count(),
        no_id=rows.count() - rows.customer_id.count(),
        no_day=rows.count() - rows.day.count(),
        no_amount=rows.count() - rows.count(where=~(rows.amount.isnan() | rows.amount.isinf())),
        start=rows.day.min(),
        end=rows.day.max(),
        returns=rows.count(where=~buys & ~late),
        late=rows.count(where=late),
        customers=rows.customer_id.nunique(),
        buyers=rows.customer_id.nunique(where=buys & ~late),
    )
    facts: dict[str, Any] = counted.to_pyarrow().to_pylist()[0]
    broken = {"customer_id": facts["no_id"], "date": facts["no_day"], "amount": facts["no_amount"]}
    problems = [f"{column}: {count:,} rows without a usable value" for column, count in broken.items() if count]
    if problems:
        raise ContractError("the transactions table has gaps; read_transactions sets such rows aside", problems)
    if facts["buyers"] == 0:
        window = "" if end is None else f" up to {end}"
        raise ContractError(f"the transactions table ({facts['rows']:,} rows) holds no purchase{window}")
    return facts
