"""Spells: from a table of relationships with begin and end to tenures that can be counted without a slip."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from crmlab.contracts import EARLIEST, TimeUnit, as_day, one_of, require_columns
from crmlab.errors import ContractError

if TYPE_CHECKING:
    import numpy.typing as npt

    Days = npt.NDArray[np.datetime64]
    Floats = npt.NDArray[np.float64]

Ends = Literal["renewal", "any_time"]
_NEEDED = ("customer_id", "started_on", "ended_on")
_MADE = ("entry", "exit", "churned")
_FOREVER = pd.Timestamp("9999-12-31")


@dataclass(frozen=True, eq=False)
class Spells:
    """Relationships as far as they were under observation, one row each.

    Attributes
    ----------
    table : pandas.DataFrame
        ``customer_id``, ``started_on``, ``ended_on`` (as given; missing where none is known), ``entry`` (tenure at
        which the spell came under observation, 0 from its start), ``exit`` (tenure at its end, or at the last moment
        of observation), ``churned`` (whether `exit` is its end), and every further column of the input.
    rejects : pandas.DataFrame
        Rows that cannot be true, as given, with ``row`` (position in the input, from 1) and ``reason``.
    left_out : mapping of str to int
        True rows that the window does not see, by reason.
    time_unit : {"day", "week", "month", "year"}
        Unit of all tenures. Months and years are calendar ones, counted from the day of the start.
    ends : {"renewal", "any_time"}
        Whether a spell can end only at a renewal, after whole units, or on any day.
    window_begin : datetime.date or None
        Whoever had left by the end of this day was never seen. None: everybody was seen from the start.
    window_end : datetime.date
        Last day of observation.
    """

    table: pd.DataFrame
    rejects: pd.DataFrame
    left_out: Mapping[str, int]
    time_unit: TimeUnit
    ends: Ends
    window_begin: dt.date | None
    window_end: dt.date

    def select(self, chosen: pd.Series) -> "Spells":
        """The spells for which `chosen`, True or False with the index of `table`, is True.

        Raises
        ------
        ContractError
            If the index differs, a value is not a truth value, or no spell is chosen.
        """
        if not (isinstance(chosen, pd.Series) and chosen.index.equals(self.table.index) and chosen.dtype == bool):
            raise ContractError("choose spells by a series of True and False with the index of their table")
        if not chosen.any():
            raise ContractError(f"none of the {len(chosen):,} spells is chosen")
        return replace(self, table=self.table[chosen], rejects=self.rejects.iloc[:0], left_out={})

    def window(self, begin: str | dt.date, end: str | dt.date | None = None) -> "Spells":
        """The same relationships as they would have been seen in a narrower window.

        Who was a customer on the evening of `begin`, and what was known of them at `end`: a stock sample, followed up.

        Raises
        ------
        ContractError
            If the window is empty, reaches beyond the present one, or sees no spell.
        """
        first, last = as_day(begin, "begin"), self.window_end if end is None else as_day(end, "end")
        present = self.window_begin or dt.date.min
        if not present <= first < last <= self.window_end:
            raise ContractError(
                f"a window from {first} to {last} does not lie within the observation, from "
                f"{self.window_begin or 'the first start'} to {self.window_end}"
            )
        table, left_out = _observe(self.table, first, last, self.time_unit, self.ends)
        return Spells(table, self.rejects.iloc[:0], left_out, self.time_unit, self.ends, first, last)

    def __repr__(self) -> str:
        left, late = int(self.table["churned"].sum()), int((self.table["entry"] > 0).sum())
        people, unit = self.table["customer_id"].nunique(), self.time_unit
        seen = "from the start" if self.window_begin is None else f"on or after {self.window_begin}"
        how = "at a renewal only" if self.ends == "renewal" else "on any day"
        reasons = self.rejects["reason"].value_counts()
        lines = [
            f"{len(self.table):,} spells of {people:,} customers, {left:,} ended, {len(self.table) - left:,} open",
            f"  entry      {unit}s from the start until the spell was under observation; above 0 for {late:,}",
            f"  exit       {unit}s from the start to the end, or to {self.window_end}",
            f"  churned    ended by {self.window_end}; a spell ends {how}",
            f"  observed   {seen}, up to {self.window_end}",
            f"  left out   {'; '.join(f'{n:,} {why}' for why, n in self.left_out.items()) or 'nothing'}",
            f"  rejected   {'; '.join(f'{n:,} {why}' for why, n in reasons.items()) or 'nothing'}",
        ]
        return "\n".join(lines)


def read_spells(
    relationships: pd.DataFrame,
    *,
    time_unit: TimeUnit,
    ends: Ends,
    window_end: str | dt.date,
    window_begin: str | dt.date | None = None,
    strict: bool = False,
) -> Spells:
    """Turn relationships with begin and end into spells of tenure, every row accounted for.

    Parameters
    ----------
    relationships : pandas.DataFrame
        ``customer_id``, ``started_on`` and ``ended_on`` (dates; the end is the first day on which it no longer
        holds, missing while it goes on). A customer may come back: spells of one customer must not overlap.
    time_unit : {"day", "week", "month", "year"}
        Unit of tenure. One month from 31 January is the last day of February.
    ends : {"renewal", "any_time"}
        ``"renewal"``: a spell ends only after whole units. Then `entry` and `exit` count renewals that came due.
    window_end : str or date
        Last day of observation. Ends after it count as not yet known. There is no default, and never "today".
    window_begin : str or date, optional
        First day of observation, if the file holds only those who were customers on its evening or came later: a
        **stock sample**. Their tenure before it is left-truncated, and `entry` says so. Default: all were seen from
        their start.
    strict : bool, default False
        Stop with an error if a row is rejected.

    Returns
    -------
    Spells
        With ``rejects`` (impossible rows: a value missing, a start before 1900, end not after the start, twice the
        same, overlap, end at no renewal) and ``left_out`` (possible ones that the window does not see).

    Raises
    ------
    ContractError
        If a column is missing or holds no dates, has the name of one that is made here (``entry``, ``exit``,
        ``churned``), a row is rejected under `strict`, or no spell is left.

    References
    ----------
    Klein, J. P. & Moeschberger, M. L. (2003). *Survival Analysis*, 2nd ed., section 3.4. Springer.

    Examples
    --------
    >>> begin, end = pd.to_datetime(["2024-01-31", "2024-03-05"]), pd.to_datetime(["2024-02-29", None])
    >>> table = pd.DataFrame({"customer_id": [1, 2], "started_on": begin, "ended_on": end})
    >>> found = read_spells(table, time_unit="month", ends="renewal", window_end="2024-06-30")
    >>> found.table[["entry", "exit", "churned"]]
       entry  exit  churned
    0    0.0   1.0     True
    1    0.0   3.0    False
    """
    one_of("time_unit", time_unit, TimeUnit)
    one_of("ends", ends, Ends)
    last = as_day(window_end, "window_end")
    first = None if window_begin is None else as_day(window_begin, "window_begin")
    if first is not None and first >= last:
        raise ContractError(f"the window must begin before it ends; it is {first} to {last}")
    table = _read(relationships)
    reasons = _reasons(table, time_unit, ends)
    bad = reasons != ""
    rejects = table[bad].assign(row=np.flatnonzero(bad) + 1, reason=reasons[bad])
    if bad.all() or (strict and bad.any()):
        counted = [f"{why}: {n:,} rows" for why, n in rejects["reason"].value_counts().items()]
        raise ContractError(f"{len(rejects):,} of {len(table):,} relationships cannot be true", counted)
    observed, left_out = _observe(table[~bad], first, last, time_unit, ends)
    return Spells(observed, rejects, left_out, time_unit, ends, first, last)


def _read(relationships: pd.DataFrame) -> pd.DataFrame:
    require_columns(relationships, _NEEDED, "a table of relationships")
    if relationships.empty:
        raise ContractError("a table of relationships needs at least one row")
    taken = [name for name in _MADE if name in relationships.columns]
    if taken:
        raise ContractError(f"spells get columns {', '.join(taken)} of their own: rename or drop these")
    table = relationships.reset_index(drop=True)
    problems = []
    for name in ("started_on", "ended_on"):
        if table[name].isna().all():
            table[name] = pd.Series(pd.NaT, index=table.index, dtype="datetime64[us]")
        if not pd.api.types.is_datetime64_dtype(table[name]):
            problems.append(f"{name} is of type {table[name].dtype}; make it dates, e.g. with pandas.to_datetime")
        else:
            table[name] = table[name].astype("datetime64[us]").dt.normalize()
    if problems:
        raise ContractError("these columns are no dates without a time zone", problems)
    return table


def _reasons(table: pd.DataFrame, unit: TimeUnit, ends: Ends) -> pd.Series:
    """Why a row cannot be true; empty where it can."""
    missing = table["customer_id"].isna() | table["started_on"].isna()
    early = (table["started_on"] < EARLIEST) & ~missing
    backwards = (table["ended_on"] <= table["started_on"]) & ~missing
    twice = table.duplicated(list(_NEEDED)) & ~missing & ~backwards
    usable = ~(missing | early | backwards | twice)
    rules = {
        "customer_id or started_on missing": missing,
        "started before 1900": early,
        "end not after the start": backwards,
        "the same spell twice": twice,
        "overlaps another spell of the customer": usable
        & _overlaps(table[usable]).reindex(table.index, fill_value=False),
    }
    if ends == "renewal":
        closed = usable & table["ended_on"].notna()
        tenure = elapsed(table.loc[closed, "started_on"], table.loc[closed, "ended_on"], unit)
        rules["end at no renewal"] = pd.Series(tenure % 1 > 0, table.index[closed]).reindex(
            table.index, fill_value=False
        )
    reasons = pd.Series("", index=table.index)
    for reason, broken in rules.items():
        reasons[broken] += np.where(reasons[broken] == "", "", "; ") + reason
    return reasons


def _overlaps(table: pd.DataFrame) -> pd.Series:
    """Whether a spell shares a day with another one of its customer; the order of the rows plays no part."""
    who = pd.Series(pd.factorize(table["customer_id"])[0], table.index)
    ordered = table.assign(who=who, ended_on=table["ended_on"].fillna(_FOREVER)).sort_values(["who", "started_on"])
    latest = ordered.groupby("who")["ended_on"].cummax().groupby(ordered["who"]).shift()
    following = ordered.groupby("who")["started_on"].shift(-1)
    return ((ordered["started_on"] < latest) | (ordered["ended_on"] > following)).reindex(table.index)


def _observe(
    table: pd.DataFrame, first: dt.date | None, last: dt.date, unit: TimeUnit, ends: Ends
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Entry, exit and churned of the relationships as a window sees them, and what it does not see."""
    closing = pd.Timestamp(last)
    opening = pd.Timestamp.min if first is None else pd.Timestamp(first)
    before, after = table["ended_on"] <= opening, table["started_on"] >= closing
    seen = table[~before & ~after]
    churned = seen["ended_on"] <= closing
    entry = elapsed(seen["started_on"], seen["started_on"].where(seen["started_on"] > opening, opening), unit)
    exit_ = elapsed(seen["started_on"], seen["ended_on"].where(churned, closing), unit)
    if ends == "renewal":
        entry, exit_ = np.floor(entry), np.floor(exit_)
    seen = seen.assign(entry=entry, exit=exit_, churned=churned)
    idle = seen["entry"] == seen["exit"]
    left_out = {
        "ended before the window": int(before.sum()),
        "started after the window": int(after.sum()),
        "without a renewal due in the window": int(idle.sum()),
    }
    if idle.all():
        raise ContractError(
            f"no spell is under observation {'' if first is None else f'after {first} '}up to {last}",
            [f"{count:,} {why}" for why, count in left_out.items() if count],
        )
    return seen[~idle], {why: count for why, count in left_out.items() if count}


def check_spells(spells: Any, what: str) -> None:
    """Refuse anything but `Spells`, such as the table that they are read from."""
    if not isinstance(spells, Spells):
        raise ContractError(f"{what} needs the result of read_spells, not {type(spells).__name__}")


def as_days(values: pd.Series) -> pd.Series:
    """Dates without time zone; missing where a value is none. A number is no date."""
    if pd.api.types.is_numeric_dtype(values):
        return pd.Series(pd.NaT, values.index, dtype="datetime64[us]")
    dates = pd.to_datetime(values, errors="coerce")
    return dates.dt.tz_localize(None).dt.normalize()


def elapsed(start: Any, until: Any, unit: TimeUnit) -> "Floats":
    """Time between days in units; calendar months and years by anniversaries, with the part of the one that runs.

    Examples
    --------
    >>> elapsed(["2024-01-31"], ["2024-02-29"], "month").tolist()
    [1.0]
    """
    begin, end = (np.asarray(one, dtype="datetime64[D]") for one in (start, until))
    if unit in ("day", "week"):
        return (end - begin) / np.timedelta64(1 if unit == "day" else 7, "D")
    months = (end.astype("datetime64[M]") - begin.astype("datetime64[M]")).astype("int64")
    months -= _month_later(begin, months) > end
    whole, following = _month_later(begin, months), _month_later(begin, months + 1)
    tenure = months + (end - whole) / (following - whole)
    return tenure if unit == "month" else tenure / 12


def anniversary(start: Any, periods: Any, unit: TimeUnit) -> "Days":
    """The day on which so many whole units are over."""
    begin, count = np.asarray(start, dtype="datetime64[D]"), np.asarray(periods, dtype="int64")
    if unit in ("day", "week"):
        return begin + (count * (1 if unit == "day" else 7)).astype("timedelta64[D]")
    return _month_later(begin, count * (1 if unit == "month" else 12))


def _month_later(begin: "Days", months: Any) -> "Days":
    """The same day of the month so many months later, or the last day of a shorter month."""
    first = begin.astype("datetime64[M]")
    then = first + months.astype("timedelta64[M]")
    longest = (then + 1).astype("datetime64[D]") - then.astype("datetime64[D]") - np.timedelta64(1, "D")
    return then.astype("datetime64[D]") + np.minimum(begin - first.astype("datetime64[D]"), longest)
