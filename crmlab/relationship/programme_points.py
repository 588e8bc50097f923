"""What the points cost that have been given away and not yet used: redemption by age, breakage, liability."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.contracts import as_day, broken_rules, require_columns
from crmlab.errors import ContractError
from crmlab.stats import Interval, check_level

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]


def point_lots(ledger: pd.DataFrame) -> pd.DataFrame:
    """Follow every point from the day it was earned to the day it was redeemed or expired, the oldest going first.

    Parameters
    ----------
    ledger : pandas.DataFrame
        Movements in the order in which they were booked: ``customer_id``, ``date``, ``points`` (whole numbers; earned
        above 0, redeemed or expired below) and ``kind`` (``earn``, ``redeem``, ``expire``).

    Returns
    -------
    pandas.DataFrame
        ``customer_id``, ``earned`` (day), ``points`` (above 0), ``fate`` (``redeem``, ``expire`` or ``open``) and
        ``settled`` (day; missing while open). Sums of points by fate are those of the ledger, to the point.

    Raises
    ------
    ContractError
        If a column is missing or broken, a member's dates run backwards, or a balance falls below 0.

    Examples
    --------
    >>> days = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"])
    >>> ledger = pd.DataFrame({"customer_id": 1, "date": days, "points": [60, 60, -100]})
    >>> ledger["kind"] = ["earn", "earn", "redeem"]
    >>> point_lots(ledger)[["earned", "points", "fate"]]
          earned  points    fate
    0 2024-01-01      60  redeem
    1 2024-02-01      40  redeem
    2 2024-02-01      20    open
    """
    table = _check_ledger(ledger)
    earns = table[table["points"] > 0].copy()
    leaves = table[table["points"] < 0].copy()
    # Points lie on a line, member by member: what is earned covers one stretch of it, what leaves another; the line is
    # cut at the ends of the stretches of both kinds, and each piece has one origin and one fate.
    earned = earns["points"].to_numpy()
    start = np.cumsum(earned) - earned
    origin = pd.Series(start, earns["customer_id"]).groupby(level=0).first()
    gone = -leaves["points"].to_numpy()
    own = leaves.groupby("customer_id")["points"].cumsum().to_numpy()
    left_end = origin.reindex(leaves["customer_id"]).to_numpy() - own
    edges = np.unique(np.concatenate([start, start + earned, left_end, left_end - gone])).astype("int64")
    low, size = edges[:-1], np.diff(edges)
    lot = np.searchsorted(start, low, side="right") - 1
    result = earns[["customer_id", "date"]].iloc[lot].reset_index(drop=True)
    result = result.rename(columns={"date": "earned"}).assign(points=size, fate="open", settled=pd.Timestamp("NaT"))
    if len(leaves):
        which = np.minimum(np.searchsorted(left_end, low, side="right"), len(leaves) - 1)
        hit = (low >= (left_end - gone)[which]) & (low < left_end[which])
        fate = np.where(hit, leaves["kind"].to_numpy(dtype=object)[which], "open")
        day = leaves["date"].to_numpy()[which]
        result = result.assign(fate=fate, settled=pd.Series(day).where(hit))
    return result


def _check_ledger(ledger: pd.DataFrame) -> pd.DataFrame:
    require_columns(ledger, ["customer_id", "date", "points", "kind"], "a ledger of points")
    points = pd.to_numeric(ledger["points"], errors="coerce")
    dated = pd.api.types.is_datetime64_dtype(ledger["date"])
    sign = ledger["kind"].astype(str).map({"earn": 1, "redeem": -1, "expire": -1})
    problems = broken_rules(
        {
            "customer_id: missing": ledger["customer_id"].isna(),
            "date: missing": ledger["date"].isna(),
            "points: not a whole number other than 0": ~np.isfinite(points) | (points % 1 != 0) | (points == 0),
            "kind: none of earn, redeem, expire": sign.isna(),
            "points: earned must be above 0, others below": sign.notna() & (np.sign(points) != sign),
        }
    )
    problems += [] if dated else ["date: not dates"]
    problems += [] if len(ledger) else ["no row"]
    if not problems:
        table = ledger.assign(points=points.astype("int64")).sort_values(
            "customer_id", kind="stable", ignore_index=True
        )
        member = table.groupby("customer_id", sort=False)
        back = member["date"].diff() < pd.Timedelta(0)
        short = member["points"].cumsum() < 0
        problems = broken_rules({"date: runs backwards": back, "balance: below 0": short})
        if not problems:
            return table
    raise ContractError("this ledger cannot be followed (rows counted from 1, sorted by customer)", problems)


@dataclass(frozen=True, eq=False)
class PointsLiability:
    """Points that are outstanding, what is likely to become of them, and what that costs.

    Attributes
    ----------
    curve : pandas.DataFrame, one row per age in months
        Of the points that reach the age: ``outstanding`` (under observation), ``redeemed`` and ``expired`` in the
        month, and the shares of all points ever earned ``still_open``, ``redeemed_so_far``, ``expired_so_far`` at its
        end.
    ages : pandas.DataFrame, one row per age in months
        ``points`` outstanding on the day, ``redemption`` (expected share of them), ``money``.
    outstanding : int
        Points outstanding; the balance of the ledger, to the point.
    redemption : Interval
        Share of the outstanding points that will be redeemed.
    breakage : Interval
        Share of all points earned that are never redeemed.
    money : Interval
        Liability: outstanding points × expected redemption × money per point.
    unseen : float
        Share of points that are older than any month seen for redemption, or survive the last; taken as never redeemed.
    as_of : datetime.date
        Day of the estimate.
    """

    curve: pd.DataFrame
    ages: pd.DataFrame
    outstanding: int
    redemption: Interval
    breakage: Interval
    money: Interval
    unseen: float
    as_of: dt.date

    def __repr__(self) -> str:
        return "\n".join(
            [
                f"{self.outstanding:,} points outstanding on {self.as_of}",
                f"  to be redeemed  {self.redemption}",
                f"  liability       {self.money}",
                f"  breakage        {self.breakage} of all points earned",
                f"  unseen          {self.unseen:.1%} of points survive the oldest month seen: taken as never redeemed",
            ]
        )


def points_liability(
    ledger: pd.DataFrame,
    money_per_point: float,
    *,
    as_of: "str | dt.date | None" = None,
    days: int = 30,
    seed: int = 0,
    n: int = 300,
    level: float = 0.95,
) -> PointsLiability:
    r"""Value outstanding points by the redemption of earlier ones at the same age.

    .. math::
        F(a) = \sum_{u \le a} S(u-1)\,h_u, \qquad
        L = v \sum_a B_a \, \frac{F(\infty) - F(a-1)}{S(a-1)}

    Of the points that reach age u in months, the share :math:`h_u` is redeemed and another expires in that month; S is
    the share that outlives it, F the share redeemed so far (Aalen-Johansen, points still open being censored),
    :math:`B_a` points outstanding in their a-th month, v the money that a redeemed point costs. Members are resampled
    for the interval, since a member's points leave together.

    Parameters
    ----------
    ledger : pandas.DataFrame
        As for `point_lots`.
    money_per_point : float
        What a redeemed point costs the firm, above 0.
    as_of : str or date, optional
        Day of the estimate; later movements are not looked at. Default: the last in the ledger.
    days : int, default 30
        Days of a month of age.
    seed, n : int
        Seed and number of resamples of members.
    level : float, default 0.95
        Confidence level.

    Raises
    ------
    ContractError
        If the ledger is broken, nothing is outstanding or was ever redeemed by the day, or a number is impossible.

    References
    ----------
    Aalen, O. O. & Johansen, S. (1978). An empirical transition matrix for non-homogeneous Markov chains based on
    censored observations. *Scandinavian Journal of Statistics* 5, 141-150.
    Mack, T. (1993). Distribution-free calculation of the standard error of chain ladder reserve estimates. *ASTIN
    Bulletin* 23, 213-225. (development by age)

    Examples
    --------
    >>> days = pd.to_datetime(["2024-01-01", "2024-01-10", "2024-01-01", "2024-01-20", "2024-02-01"])
    >>> ledger = pd.DataFrame({"customer_id": [1, 1, 2, 2, 3], "date": days, "points": [100, -100, 100, -50, 40]})
    >>> ledger["kind"] = ["earn", "redeem", "earn", "redeem", "earn"]
    >>> points_liability(ledger, 0.01).outstanding
    90
    """
    check_level(level)
    if not (np.isfinite(money_per_point) and money_per_point > 0 and days >= 1 and n >= 20):
        raise ContractError(
            f"money_per_point must be above 0, days 1 or more, n 20 or more; got {money_per_point}, {days}, {n}"
        )
    book = _check_ledger(ledger)
    day = pd.Timestamp(as_day(book["date"].max() if as_of is None else as_of, "as_of"))
    lots = point_lots(book[book["date"].dt.normalize() <= day])
    if not (lots["fate"] == "redeem").any() or not (lots["fate"] == "open").any():
        raise ContractError(f"by {day:%Y-%m-%d} no point was redeemed, or none is outstanding: nothing to value")
    counts = _by_member_and_age(lots, day, days)
    whole = _develop(counts.sum(axis=1))
    members = counts.shape[1]
    weights = np.random.default_rng(seed).multinomial(members, np.full(members, 1 / members), size=n)
    drawn = np.einsum("rm,fma->rfa", weights, counts, optimize=True)
    draws = [_develop(one, held=counts[2].sum(axis=0))[0] for one in drawn]
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    (redemption, breakage), curve, ahead = whole
    outstanding = counts[2].sum(axis=0).astype("int64")
    total = int(outstanding.sum())
    ages = pd.DataFrame({"points": outstanding, "redemption": ahead, "money": outstanding * ahead * money_per_point})
    value = total * money_per_point
    return PointsLiability(
        curve=curve,
        ages=ages.rename_axis("month of age").set_axis(curve.index),
        outstanding=total,
        redemption=Interval(redemption, float(low[0]), float(high[0]), level),
        breakage=Interval(breakage, float(low[1]), float(high[1]), level),
        money=Interval(value * redemption, value * float(low[0]), value * float(high[0]), level),
        unseen=float(curve["still_open"].iloc[-1]),
        as_of=day.date(),
    )


def _by_member_and_age(lots: pd.DataFrame, day: pd.Timestamp, days: int) -> "Floats":
    """Points redeemed, expired and still open by member and month of age, shape (3, members, ages)."""
    age = ((lots["settled"].fillna(day) - lots["earned"]).dt.days // days).to_numpy()
    member = pd.factorize(lots["customer_id"])[0]
    fate = lots["fate"].map({"redeem": 0, "expire": 1, "open": 2}).to_numpy()
    counts = np.zeros((3, member.max() + 1, age.max() + 1))
    np.add.at(counts, (fate, member, age), lots["points"].to_numpy())
    return counts


def _develop(counts: "Floats", held: "Floats | None" = None) -> "tuple[tuple[float, float], pd.DataFrame, Floats]":
    """Redemption of the points held (by default those open), breakage, the curve, and expected redemption by age.

    counts : redeemed, expired and open points by age, shape (3, ages). Open points are half exposed in their month.
    """
    redeemed, expired, open_ = counts
    reach = counts.sum(axis=0)[::-1].cumsum()[::-1]
    exposed = np.maximum(reach - open_ / 2, 1e-9)
    hazard, loss = redeemed / exposed, expired / exposed
    before = np.concatenate([[1.0], np.cumprod(np.maximum(1 - hazard - loss, 0.0))])
    now = before[:-1] * hazard
    later = np.cumsum(now[::-1])[::-1]
    ahead = np.divide(later, before[:-1], out=np.zeros_like(later), where=before[:-1] > 1e-12)
    curve = pd.DataFrame(
        {
            "outstanding": reach,
            "redeemed": redeemed,
            "expired": expired,
            "still_open": before[1:],
            "redeemed_so_far": np.cumsum(now),
            "expired_so_far": np.cumsum(before[:-1] * loss),
        },
        index=pd.RangeIndex(1, len(reach) + 1, name="month of age"),
    )
    mix = open_ if held is None else held
    return (float(mix @ ahead / mix.sum()), float(1 - now.sum())), curve, ahead
