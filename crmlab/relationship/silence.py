"""When is a silent customer gone? A rule for bases without a contract, and how often it is wrong later.

Nobody tells a shop that they left. Whoever labels customers "gone" by silence, or by a low P(alive), makes a forecast:
that they will not buy in the time that follows. It errs in two ways, and only a later period shows how often. P(alive)
alone is no label: in the BG/NBD model a customer without repeat purchases has P(alive) = 1, however long the silence.
"""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import aligned, as_day, broken_rules, require_columns
from crmlab.errors import ContractError
from crmlab.relationship.spells import as_days
from crmlab.stats import proportion_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Hiatus:
    """A limit of silence, from the times between purchases.

    Attributes
    ----------
    days : float
        Silent for more days than this: called gone.
    share : float
        Share of the times between purchases that are not longer.
    gaps : pandas.Series
        Days between one purchase day and the next, indexed by customer.
    without_gap : int
        Customers who bought on one day only; no gap of theirs is known.
    until : datetime.date
        Purchases later than this day were not used.
    """

    days: float
    share: float
    gaps: pd.Series
    without_gap: int
    until: dt.date

    def __repr__(self) -> str:
        return (
            f"Hiatus of {self.days:g} days: {self.share:.0%} of {len(self.gaps):,} times between purchases of "
            f"{self.gaps.index.nunique():,} customers to {self.until} are not longer; {self.without_gap:,} customers "
            "bought on one day only and have none"
        )


def choose_hiatus(log: pd.DataFrame, *, until: Any, share: float = 0.95) -> Hiatus:
    """A limit of silence that few times between purchases have exceeded.

    The quantile is over gaps that were **completed** by `until`. Silences that still last are not among them, and heavy
    buyers have most of the gaps: the limit is short, rather than long, for the ordinary customer. What it does to
    customers is told by `gone_errors` in a later period.

    Parameters
    ----------
    log : pandas.DataFrame
        Purchases: ``customer_id`` and ``date``; all rows of one day are one purchase.
    until : date-like
        Last day of the history.
    share : float, default 0.95
        Share of the gaps that shall not be longer, strictly between 0 and 1.

    Raises
    ------
    ContractError
        If columns are missing or hold no dates, nobody bought on two days, or `share` is none.

    Examples
    --------
    >>> days = ["2024-01-01", "2024-01-11", "2024-01-31", "2024-01-05"]
    >>> log = pd.DataFrame({"customer_id": [1, 1, 1, 2], "date": days})
    >>> choose_hiatus(log, until="2024-02-01", share=0.5).days
    10.0
    """
    require_columns(log, ["customer_id", "date"], "choose_hiatus")
    last = as_day(until, "until")
    if not 0 < share < 1:
        raise ContractError(f"share must lie strictly between 0 and 1, got {share}")
    dates = as_days(log["date"])
    problems = broken_rules({"date: no date": dates.isna(), "customer_id: missing": log["customer_id"].isna()})
    if problems:
        raise ContractError("no silence can be read from this log (rows counted from 1)", problems)
    days = pd.DataFrame({"customer_id": log["customer_id"], "day": dates}).drop_duplicates()
    days = days[days["day"] <= pd.Timestamp(last)].sort_values(["customer_id", "day"])
    gaps = days.set_index("customer_id").groupby(level=0)["day"].diff().dt.days.dropna().rename("gap")
    if gaps.empty:
        raise ContractError(f"nobody bought on two days up to {last}: there is no time between purchases to learn from")
    limit = float(gaps.quantile(share, interpolation="lower"))
    return Hiatus(limit, share, gaps, int(days["customer_id"].nunique() - gaps.index.nunique()), last)


@dataclass(frozen=True, eq=False)
class GoneErrors:
    """How often a rule that calls customers gone is wrong in a later period.

    Attributes
    ----------
    table : pandas.DataFrame, shape (limits, 10)
        One row per limit; see `definitions`.
    customers, came_back : int
        All, and those who bought in the later period.
    level : float
        Confidence level of the intervals.
    """

    table: pd.DataFrame
    customers: int
    came_back: int
    level: float

    @property
    def definitions(self) -> dict[str, str]:
        """What each column of `table` means."""
        return {
            "limit": "called gone with a score above this",
            "called_gone": "share of the customers so called",
            "first_kind": "error of the first kind: of those who came back, the share called gone",
            "second_kind": "error of the second kind: of those who did not, the share called a customer",
            "wrong": "share of all customers who are called wrongly",
            "gone_right": "of those called gone, the share that did not come back",
            "..._low, ..._high": "Wilson intervals of the two errors",
        }

    def __repr__(self) -> str:
        head = f"{self.customers:,} customers, {self.came_back:,} of whom bought in the later period"
        return "\n".join([head, *(f"  {name:<18} {meaning}" for name, meaning in self.definitions.items())])


def gone_errors(score: "ArrayLike", came_back: "ArrayLike", limits: "ArrayLike", *, level: float = 0.95) -> GoneErrors:
    """Errors of the first and second kind of calling customers gone, limit by limit.

    The hypothesis is that somebody is still a customer. To give up a customer who comes back is an error of the first
    kind; to keep one who does not, an error of the second kind. "Does not come back" means in the period that was
    watched: a longer one turns some of them into customers again.

    Parameters
    ----------
    score : array_like of float, shape (n,)
        High means gone: days of silence, or 1 - P(alive).
    came_back : array_like of int or bool, shape (n,)
        1 for those who bought in the later period, which the score must not have seen; both must occur.
    limits : array_like of float, shape (k,)
        Called gone is whoever has a score **above** the limit.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If columns do not fit, are not finite, all or none came back, all scores are equal, or a limit is no number.

    Examples
    --------
    >>> found = gone_errors(score=[10, 80, 100, 200], came_back=[1, 0, 1, 0], limits=[50, 90])
    >>> found.table[["limit", "called_gone", "first_kind", "second_kind", "wrong"]]
       limit  called_gone  first_kind  second_kind  wrong
    0   50.0         0.75         0.5          0.0   0.25
    1   90.0         0.50         0.5          0.5   0.50
    """
    people = aligned("a rule of who is gone", score=score, came_back=came_back)
    cuts = np.atleast_1d(np.asarray(limits, dtype=float))
    problems = broken_rules({"came_back: neither 0 nor 1": ~people["came_back"].isin([0, 1])})
    if not problems and people["came_back"].nunique() < 2:
        problems = ["came_back: everybody did" if people["came_back"].iloc[0] else "came_back: nobody did"]
    if people["score"].nunique() < 2:
        problems.append("score: all customers have the same")
    if cuts.ndim > 1 or not len(cuts) or not np.isfinite(cuts).all():
        problems.append("limits: give one or more finite numbers")
    if problems:
        raise ContractError("the errors of this rule cannot be counted (rows counted from 1)", problems)
    back = (people["came_back"] == 1).to_numpy()
    rows = [_errors(people["score"].to_numpy() > cut, back, cut, level) for cut in cuts]
    return GoneErrors(pd.DataFrame(rows), len(back), int(back.sum()), level)


def _errors(gone: np.ndarray, back: np.ndarray, limit: float, level: float) -> dict[str, float]:
    first = proportion_interval(int((gone & back).sum()), int(back.sum()), level)
    second = proportion_interval(int((~gone & ~back).sum()), int((~back).sum()), level)
    return {
        "limit": float(limit),
        "called_gone": float(gone.mean()),
        "first_kind": first.estimate,
        "first_kind_low": first.low,
        "first_kind_high": first.high,
        "second_kind": second.estimate,
        "second_kind_low": second.low,
        "second_kind_high": second.high,
        "wrong": float((gone == back).mean()),
        "gone_right": float((~back[gone]).mean()) if gone.any() else float("nan"),
    }
