"""Segments by rule: RFM scores and ABC classes. Equal values always fall into the same class."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from crmlab.contracts import require_columns
from crmlab.database.frames import to_frame
from crmlab.database.purchases import in_words, read_purchases
from crmlab.errors import ContractError

_MEASURES = {"days_since_last": "r", "n_orders": "f", "amount": "m"}


@dataclass(frozen=True, eq=False)
class RFM:
    """RFM scores of all customers, with the cut points that made them.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per customer, sorted: ``customer_id``, ``days_since_last``, ``n_orders``, ``amount``, the scores ``r``,
        ``f``, ``m`` (higher is better) and ``cell``, the three digits together.
    cuts : pandas.DataFrame
        One row per score: ``measure``, ``within`` (the cell that was cut; empty: all customers), ``score``, ``above``
        and ``up_to`` (limits, the upper one included) and ``customers``. A score without customers is one whose
        quantiles collapsed.
    breaks : mapping of str to tuple of float
        Inner limits per measure, to score another log by the same rule (``rfm(..., breaks=...)``); empty for nested.
    method : {"independent", "nested"}
        How the quantiles were taken.
    observation_end : datetime.date
        Day from which ``days_since_last`` counts.
    left_out : mapping of str to int
        What was left out, with how many.
    """

    table: pd.DataFrame
    cuts: pd.DataFrame
    breaks: Mapping[str, tuple[float, ...]]
    method: Literal["independent", "nested"]
    observation_end: dt.date
    left_out: Mapping[str, int]

    @property
    def definitions(self) -> dict[str, str]:
        """What each column of `table` means."""
        cut = {"independent": "each among all customers", "nested": "r among all, f within r, m within r and f"}
        return {
            "days_since_last": f"days from the last purchase to {self.observation_end}",
            "n_orders": "days with a purchase, the first included (all rows of one day are one purchase)",
            "amount": "money of all purchases; returns left out",
            "r, f, m": f"scores by value, {cut[self.method]}; high is good; equal values have equal scores",
            "cell": "r, f and m together",
        }

    @property
    def collapsed(self) -> tuple[str, ...]:
        """Which scores no customer has because too many share one value, in words."""
        empty = self.cuts[self.cuts["customers"] == 0]
        return tuple(
            f"{measure}{f' within {within}' if within else ''}: no customer has score "
            f"{', '.join(map(str, sorted(rows['score'])))}, because too many share one value"
            for (measure, within), rows in empty.groupby(["measure", "within"], sort=False)
        )

    def __repr__(self) -> str:
        cells = self.table["cell"].nunique()
        lines = [f"RFM of {len(self.table):,} customers in {cells} cells, {self.method} quantiles"]
        lines += [f"  {name:<16} {meaning}" for name, meaning in self.definitions.items()]
        lines += [f"  collapsed        {sentence}" for sentence in self.collapsed[:3]]
        if len(self.collapsed) > 3:
            lines.append(f"  collapsed        ... and {len(self.collapsed) - 3} more, see .collapsed")
        return "\n".join([*lines, f"  left out         {in_words(self.left_out)}"])


def rfm(
    transactions: pd.DataFrame | ir.Table,
    *,
    observation_end: str | dt.date | None = None,
    bins: int = 5,
    method: Literal["independent", "nested"] = "independent",
    breaks: Mapping[str, Sequence[float]] | None = None,
) -> RFM:
    """Score customers by recency, frequency and monetary value.

    Purchases are counted as in `customer_summary`: a customer's day is one, returns are left out. The limit of the
    ``k``-th of `bins` quantiles is the smallest value that at least ``k / bins`` of the customers do not exceed. Ties
    are never broken: where one value fills several quantiles these collapse, its customers get one score, and the
    scores that nobody has are reported.

    Parameters
    ----------
    transactions : pandas.DataFrame or ibis table
        ``customer_id``, ``date``, ``amount`` (money); rows in any order.
    observation_end : str or date, optional
        Day from which days are counted back. Default: the last date in the log, never "today".
    bins : int, default 5
        Number of scores per measure, 2 to 9.
    method : {"independent", "nested"}, default "independent"
        Quantiles of each measure over all customers, or of frequency within each recency score and of money within
        each recency and frequency score.
    breaks : mapping of str to sequence of float, optional
        Own rising limits for some or all of ``days_since_last``, ``n_orders``, ``amount``, each upper limit included;
        with the independent method only. ``breaks=earlier.breaks`` scores a later period by an earlier rule.

    Raises
    ------
    ContractError
        If the table breaks the contract or an option is not possible.

    References
    ----------
    Hughes, A. M. (1994). *Strategic Database Marketing*. Probus. (nested quintiles)

    Examples
    --------
    >>> dates = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-02-02"])
    >>> log = pd.DataFrame({"customer_id": ["a", "b", "b"], "date": dates, "amount": [5.0, 10.0, 20.0]})
    >>> rfm(log, bins=2).table
      customer_id  days_since_last  n_orders  amount  r  f  m cell
    0           a               32         1     5.0  1  1  1  111
    1           b                0         2    30.0  2  2  2  222
    """
    own = {name: tuple(map(float, limits)) for name, limits in (breaks or {}).items()}
    _check_options(bins, method, own)
    log = read_purchases(transactions, observation_end)
    per_customer = log.days.group_by("customer_id").agg(
        days_since_last=ibis.date(log.end).delta(log.days.day.max(), unit="day"),
        n_orders=log.days.count(),
        amount=log.days.amount.sum(),
    )
    table = to_frame(per_customer.order_by("customer_id"))
    table["amount"] = table["amount"].round(6)  # 0.1 + 0.2 and 0.3 are one value, in whatever order they were added
    cuts: list[pd.DataFrame] = []
    within = pd.Series("", index=table.index)
    used: dict[str, tuple[float, ...]] = {}
    for measure, score in _MEASURES.items():
        table[score] = 0
        for cell, rows in table.groupby(within, sort=True).groups.items():
            values = table.loc[rows, measure]
            limits = own.get(measure) or _quantiles(values, bins)
            table.loc[rows, score] = _score(values, limits, best_is_low=score == "r")
            cuts.append(_describe_cut(table.loc[rows], measure, score, str(cell), limits))
            used[measure] = limits
        if method == "nested":
            within = within + np.where(within == "", "", " ") + score + table[score].astype(str)
    table["cell"] = table["r"].astype(str) + table["f"].astype(str) + table["m"].astype(str)
    reusable = MappingProxyType(used if method == "independent" else {})
    return RFM(table, pd.concat(cuts, ignore_index=True), reusable, method, log.end, log.left_out)


def _check_options(bins: int, method: str, breaks: Mapping[str, Sequence[float]]) -> None:
    problems = []
    if not 2 <= bins <= 9:
        problems.append(f"bins must be 2 to 9 (a score is one digit); got {bins}")
    if method not in ("independent", "nested"):
        problems.append(f"method must be independent or nested; got {method!r}")
    if breaks and method == "nested":
        problems.append("own breaks go with method='independent' only")
    for name, limits in breaks.items():
        if name not in _MEASURES:
            problems.append(f"breaks are for {', '.join(_MEASURES)}; got {name!r}")
        elif not 1 <= len(limits) <= 8 or list(limits) != sorted(limits):
            problems.append(f"breaks of {name} must be 1 to 8 rising numbers; got {list(limits)}")
    if problems:
        raise ContractError("these RFM options are not possible", problems)


def _quantiles(values: pd.Series, bins: int) -> tuple[float, ...]:
    """Inner limits: the smallest value that at least k / bins of the customers do not exceed."""
    ordered = np.sort(values.to_numpy())
    ranks = -(-np.arange(1, bins) * len(ordered) // bins)
    return tuple(float(ordered[rank - 1]) for rank in np.maximum(ranks, 1))


def _score(values: pd.Series, limits: tuple[float, ...], *, best_is_low: bool) -> np.ndarray:
    """1 plus the number of limits below the value; reversed where low values are the best."""
    passed = np.searchsorted(np.asarray(limits), values.to_numpy(), side="left")
    return len(limits) + 1 - passed if best_is_low else passed + 1


def _describe_cut(rows: pd.DataFrame, measure: str, score: str, within: str, limits: tuple[float, ...]) -> pd.DataFrame:
    scores = np.arange(1, len(limits) + 2)
    cut = pd.DataFrame({"measure": measure, "within": within, "score": scores[::-1] if score == "r" else scores})
    customers = rows[score].value_counts().reindex(cut["score"], fill_value=0).to_numpy()
    return cut.assign(above=[-np.inf, *limits], up_to=[*limits, np.inf], customers=customers)


@dataclass(frozen=True, eq=False)
class ABC:
    """ABC classes: few customers who bring most, and many who bring little.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per customer, from the highest value down: ``customer_id``, ``value``, ``share_above`` (share of the
        total held by customers of higher value) and ``abc_class``.
    summary : pandas.DataFrame
        One row per class: ``abc_class``, ``customers``, ``share_customers``, ``value``, ``share_value``, ``lowest``
        (the smallest value in the class).
    shares : tuple of float
        Cumulative shares of the total at which classes end.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    shares: tuple[float, ...]

    @property
    def definitions(self) -> str:
        """How the classes were made."""
        return (
            "Customers are taken from the highest value down. A class is filled until it and those above it hold "
            f"{', '.join(f'{share:.0%}' for share in self.shares)} of the total; the customer who crosses the line, "
            "and all of equal value, still belong to it."
        )

    def __repr__(self) -> str:
        head = f"ABC classes of {len(self.table):,} customers. {self.definitions}"
        return f"{head}\n{self.summary.to_string(index=False)}"


def abc_classes(
    values: pd.Series | pd.DataFrame,
    shares: Sequence[float] = (0.8, 0.95),
    labels: Sequence[str] = ("A", "B", "C"),
) -> ABC:
    """Classify customers by their cumulative share of the total value.

    Parameters
    ----------
    values : pandas.Series or pandas.DataFrame
        Value per customer (money of a period), 0 or more: a series indexed by customer, or a frame with
        ``customer_id`` and ``amount`` such as ``rfm(...).table``.
    shares : sequence of float, default (0.8, 0.95)
        Cumulative shares of the total at which the classes but the last end, rising, between 0 and 1.
    labels : sequence of str, default ("A", "B", "C")
        Names of the classes, best first; one more than `shares`.

    Raises
    ------
    ContractError
        If a value is negative or missing, all are zero, a customer appears twice, or `shares` and `labels` do not fit.

    Examples
    --------
    >>> abc_classes(pd.Series({"ann": 80.0, "bob": 15.0, "cy": 5.0})).summary[["abc_class", "customers", "share_value"]]
      abc_class  customers  share_value
    0         A          1         0.80
    1         B          1         0.15
    2         C          1         0.05
    """
    _check_classes(shares, labels)
    frame = _one_value_each(values)
    total = frame["value"].sum()
    by_value = frame.groupby("value")["value"].sum()[::-1]
    above = (by_value.cumsum() - by_value) / total
    table = frame.assign(share_above=frame["value"].map(above))
    position = np.searchsorted(np.asarray(shares) - 1e-12, table["share_above"], side="right")
    table["abc_class"] = np.asarray(labels)[position]
    table = table.sort_values(["value", "customer_id"], ascending=[False, True], ignore_index=True)
    summary = table.groupby("abc_class", sort=False).agg(
        customers=("value", "size"), value=("value", "sum"), lowest=("value", "min")
    )
    summary = summary.reindex(list(labels)).fillna({"customers": 0, "value": 0.0}).astype({"customers": "int64"})
    summary.insert(1, "share_customers", summary["customers"] / len(table))
    summary.insert(3, "share_value", summary["value"] / total)
    return ABC(table, summary.rename_axis("abc_class").reset_index(), tuple(shares))


def _check_classes(shares: Sequence[float], labels: Sequence[str]) -> None:
    rising = all(low < high for low, high in zip([0.0, *shares], [*shares, 1.0], strict=True))
    if not rising or len(labels) != len(shares) + 1:
        got = f"got shares={list(shares)}, labels={list(labels)}"
        raise ContractError(f"shares must rise strictly between 0 and 1 and labels be one more; {got}")


def _one_value_each(values: pd.Series | pd.DataFrame) -> pd.DataFrame:
    if isinstance(values, pd.DataFrame):
        require_columns(values, ["customer_id", "amount"], "a table of ABC classes")
        values = values.set_index("customer_id")["amount"]
    frame = pd.DataFrame({"customer_id": values.index, "value": values.to_numpy(dtype=float)})
    rules = {
        "value missing or not finite": ~np.isfinite(frame["value"]),
        "negative value": frame["value"] < 0,
        "customer twice": frame["customer_id"].duplicated(),
    }
    problems = [
        f"{what}: {int(broken.sum()):,} customers (first: {', '.join(map(str, frame['customer_id'][broken][:3]))})"
        for what, broken in rules.items()
        if broken.any()
    ]
    if not problems and not frame["value"].any():
        problems = ["all values are zero, so nobody has a share of anything"]
    if problems:
        raise ContractError("these values cannot be classified", problems)
    return frame
