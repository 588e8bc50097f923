"""Visits and paths on a site: sessions from a log of clicks, the graph of pages, and where visitors drop out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules, require_columns
from crmlab.errors import ContractError
from crmlab.stats import check_level

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sessions:
    """A log of clicks cut into sessions.

    Attributes
    ----------
    clicks : pandas.DataFrame
        The clicks that were kept, by visitor and time, with ``session`` (0, 1, ...).
    table : pandas.DataFrame
        One row per session; see `definitions`.
    gap : float
        Minutes without a click that end a session.
    left_out : mapping of str to int
        Rows that were not kept, by reason.
    """

    clicks: pd.DataFrame
    table: pd.DataFrame
    gap: float
    left_out: Mapping[str, int]

    @property
    def definitions(self) -> dict[str, str]:
        """What each column of `table` means."""
        return {
            "session": "number of the session, as in `clicks`",
            "visitor": "whose it is: a cookie, or a person",
            "begin": "time of the first click",
            "minutes": "from the first click to the last; how long the last page was read is not in a log",
            "pages": "clicks",
            "first": "page of the first click",
            "last": "page of the last click",
        }

    def __repr__(self) -> str:
        head = (
            f"{len(self.clicks):,} clicks of {self.table['visitor'].nunique():,} visitors in {len(self.table):,} "
            f"sessions, cut after more than {self.gap:g} minutes without a click"
        )
        lines = [f"  {name:<8} {meaning}" for name, meaning in self.definitions.items()]
        lines += [f"  left out: {n:,} {what}" for what, n in self.left_out.items() if n]
        return "\n".join([head, *lines])


def sessions(
    log: pd.DataFrame,
    *,
    gap: float = 30.0,
    most_a_day: int | None = None,
    visitor: str = "cookie_id",
    time: str = "timestamp",
    page: str = "page",
) -> Sessions:
    """Cut a log of clicks into sessions: a longer silence than `gap` begins a new one.

    Parameters
    ----------
    log : pandas.DataFrame
        One row per click, in any order.
    gap : float, default 30
        Minutes. 30 is a convention; look at how the number of sessions depends on it.
    most_a_day : int, optional
        Leave out every visitor with more clicks than this on one calendar day: robots, monitors, testers.
    visitor, time, page : str
        Columns: who (a cookie, or a person), when (local time without a zone), what was opened. A row that repeats all
        three was written twice, and counts once.

    Raises
    ------
    ContractError
        If a column is missing or of the wrong type, a value is missing, or nothing is left.

    References
    ----------
    Catledge, L. D. & Pitkow, J. E. (1995). Characterizing browsing strategies in the World-Wide Web. *Computer Networks
    and ISDN Systems* 27, 1065-1073. (25.5 minutes, the origin of the rule)
    Halfaker, A. et al. (2015). User session identification based on strong regularities in inter-activity time. *WWW
    '15*, 410-418.

    Examples
    --------
    >>> when = pd.to_datetime(["2024-05-01 9:00", "2024-05-01 9:10", "2024-05-01 9:50", "2024-05-01 9:10"])
    >>> log = pd.DataFrame({"cookie_id": 7, "timestamp": when, "page": ["home", "form", "home", "form"]})
    >>> found = sessions(log)
    >>> found.table[["session", "minutes", "pages", "first", "last"]]
       session  minutes  pages first  last
    0        0     10.0      2  home  form
    1        1      0.0      1  home  home
    >>> found.left_out["rows that repeat visitor, time and page"]
    1
    """
    clicks = _read_log(log, visitor, time, page)
    if not gap > 0:
        raise ContractError(f"gap must be a positive number of minutes, got {gap}")
    if most_a_day is not None and not (most_a_day >= 1 and most_a_day % 1 == 0):
        raise ContractError(f"most_a_day must be a whole number of clicks, 1 or more; got {most_a_day}")
    twice = clicks.duplicated([visitor, time, page])
    clicks = clicks[~twice]
    left_out = {"rows that repeat visitor, time and page": int(twice.sum())}
    if most_a_day is not None:
        day = clicks[time].dt.normalize()
        busy = clicks.groupby([clicks[visitor], day])[page].transform("size") > most_a_day
        wild = clicks[visitor].isin(clicks.loc[busy, visitor])
        left_out[f"rows of visitors with more than {most_a_day:,} clicks in a day"] = int(wild.sum())
        clicks = clicks[~wild]
    if clicks.empty:
        raise ContractError("every click was left out: raise most_a_day")
    clicks = clicks.sort_values([visitor, time], kind="stable", ignore_index=True)
    new = clicks[visitor].ne(clicks[visitor].shift())
    new |= clicks[time].diff() > pd.Timedelta(minutes=gap)
    clicks["session"] = new.cumsum() - 1
    by = clicks.groupby("session")
    table = by.agg(
        visitor=(visitor, "first"), begin=(time, "first"), end=(time, "last"), pages=(page, "size"), last=(page, "last")
    ).reset_index()
    table["first"] = by[page].first()
    table["minutes"] = (table.pop("end") - table["begin"]).dt.total_seconds() / 60
    columns = ["session", "visitor", "begin", "minutes", "pages", "first", "last"]
    return Sessions(clicks, table[columns], float(gap), left_out)


def _read_log(log: pd.DataFrame, visitor: str, time: str, page: str) -> pd.DataFrame:
    require_columns(log, [visitor, time, page], "a log of clicks")
    if log.empty:
        raise ContractError("there is no session in a log without a click")
    if "session" in log.columns:
        raise ContractError("the log has a column 'session' already: rename or drop it")
    if not pd.api.types.is_datetime64_dtype(log[time]):
        raise ContractError(
            f"column {time!r} must hold times without a time zone, it is of type {log[time].dtype}; use "
            "pd.to_datetime, and .dt.tz_localize(None) to drop a zone"
        )
    problems = broken_rules({f"{name}: missing": log[name].isna() for name in (visitor, time, page)})
    if problems:
        raise ContractError("this is no log of clicks (rows counted from 1)", problems)
    return log


@dataclass(frozen=True, eq=False)
class JourneyGraph:
    """How often each state follows each other one.

    Attributes
    ----------
    counts : pandas.DataFrame, shape (1 + k, k + ends)
        From the state of the row, ``start`` first, to the state of the column, the ends last.
    probabilities : pandas.DataFrame, shape (1 + k, k + ends)
        counts / their row sum.
    journeys : int
        Journeys counted.
    """

    counts: pd.DataFrame
    probabilities: pd.DataFrame
    journeys: int

    def __repr__(self) -> str:
        return f"{self.journeys:,} journeys; share of what follows the state of the row\n" + str(
            self.probabilities.round(3)
        )


def journey_graph(
    steps: pd.DataFrame, *, journey: str = "session", state: str = "page", end: "str | pd.Series" = "exit"
) -> JourneyGraph:
    """Count the steps from each state to the next, with start and end.

    Parameters
    ----------
    steps : pandas.DataFrame
        One row per step; the steps of one journey in their order.
    journey, state : str
        Columns: which journey, and where it is (a page, a channel).
    end : str or pandas.Series, default "exit"
        The name of the end, or one for every journey (index: `journey`), such as bought or not.

    Returns
    -------
    JourneyGraph
        With ``start`` as the first row; states in the order of categories, else of first appearance.

    Raises
    ------
    ContractError
        If a value is missing, a journey has no end, or a state has the name of the start or of an end.

    Examples
    --------
    >>> steps = pd.DataFrame({"session": [1, 1, 2], "page": ["home", "form", "home"]})
    >>> journey_graph(steps).counts
           home  form  exit
    start     2     0     0
    home      0     1     1
    form      0     0     1
    """
    require_columns(steps, [journey, state], "a journey graph")
    if steps.empty:
        raise ContractError("a journey graph cannot be made of no step")
    problems = broken_rules({f"{name}: missing": steps[name].isna() for name in (journey, state)})
    if problems:
        raise ContractError("these are no journeys (rows counted from 1)", problems)
    code, whose = pd.factorize(steps[journey])
    order = np.argsort(code, kind="stable")
    code, where = code[order], steps[state].iloc[order]
    ends = _ends(end, whose)
    is_category = isinstance(where.dtype, pd.CategoricalDtype)
    seen = where.cat.remove_unused_categories().cat.categories if is_category else steps[state].unique()
    states, goals = [str(one) for one in seen], [str(one) for one in ends.unique()]
    taken = sorted(set(states) & {"start", *goals})
    if taken or "start" in goals:
        raise ContractError(f"a state is called {', '.join(taken) or 'start'}, like the start or an end; rename it")
    at = pd.Index(states).get_indexer(pd.Index(where.astype(str)))
    first = np.r_[True, code[1:] != code[:-1]]
    goal = len(states) + pd.Index(goals).get_indexer(pd.Index(ends.astype(str)))
    source = np.r_[np.where(first, 0, np.r_[0, at[:-1] + 1]), at[np.r_[first[1:], True]] + 1]
    target = np.r_[at, goal]
    names = [*states, *goals]
    counts = np.bincount(source * len(names) + target, minlength=(1 + len(states)) * len(names))
    table = pd.DataFrame(counts.reshape(1 + len(states), len(names)), ["start", *states], names)
    return JourneyGraph(table, table.div(table.sum(axis=1), axis=0), len(whose))


def _ends(end: "str | pd.Series", whose: pd.Index) -> pd.Series:
    if not isinstance(end, pd.Series):
        return pd.Series(str(end), whose)
    if not end.index.is_unique:
        raise ContractError("end has a journey twice in its index: one end for each journey")
    found = end.reindex(whose)
    if found.isna().any():
        lost = ", ".join(map(str, whose[found.isna()][:3]))
        raise ContractError(f"end has no value for {found.isna().sum():,} journeys (first: {lost})")
    return found


@dataclass(frozen=True, eq=False)
class Funnel:
    """How many get as far as each step.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per step, all units first: ``reached`` (units that came so far), ``share`` of all units, ``continued``
        (of those who reached the step before), its interval ``low``, ``high``, and ``lost`` (units that stopped at
        the step before).
    units, clusters : int
        What is counted, and how many independent visitors it belongs to.
    level : float
        Of the intervals.
    """

    table: pd.DataFrame
    units: int
    clusters: int
    level: float

    def __repr__(self) -> str:
        return (
            f"{self.units:,} units of {self.clusters:,} independent visitors, {self.level:.0%} intervals\n"
            f"{self.table.round(4).to_string()}"
        )


def funnel(
    steps: pd.DataFrame,
    stages: Sequence[str],
    *,
    unit: str = "session",
    state: str = "page",
    cluster: str | None = None,
    level: float = 0.95,
) -> Funnel:
    r"""Drop-off by step of a funnel, with intervals that allow for visitors who come several times.

    A unit reaches a stage if it shows the stages up to it in their order, whatever lies between. The share that
    continues is a ratio of sums over visitors; its variance, by linearisation, is

    .. math:: v = \frac{G}{G-1} \sum_g \Bigl(\sum_{i \in g} (y_i - \hat p x_i)\Bigr)^2 / (\sum_i x_i)^2

    with :math:`x_i` whether unit i reached the stage before, :math:`y_i` whether it continued, and G visitors g. The
    interval is Wilson's for :math:`\hat p (1 - \hat p) / v` independent units.

    Parameters
    ----------
    steps : pandas.DataFrame
        One row per step; the steps of one unit in their order.
    stages : sequence of str
        Values of `state` that lead to the goal, the first one first.
    unit, state : str
        Columns: what is counted (a session, a visitor), and where it is.
    cluster : str, optional
        Column of whom the units belong to; without it every unit counts as independent.
    level : float, default 0.95
        Of the intervals.

    Raises
    ------
    ContractError
        If a value is missing, a stage is never seen or named twice, or a unit belongs to two clusters.

    References
    ----------
    Cochran, W. G. (1977). *Sampling Techniques*, 3rd ed., ch. 9 and 11. Wiley. (ratios of cluster totals)
    Korn, E. L. & Graubard, B. I. (1998). Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data. *Survey Methodology* 24, 193-201. (the effective number of units)

    Examples
    --------
    >>> pages = ["home", "form", "home", "form", "done", "form"]
    >>> steps = pd.DataFrame({"session": [1, 1, 2, 2, 2, 3], "page": pages})
    >>> funnel(steps, ["home", "form", "done"]).table["reached"].tolist()
    [3, 2, 2, 1]
    """
    owner = cluster or unit
    require_columns(steps, [unit, state, owner], "a funnel")
    check_level(level)
    stages = list(stages)
    if steps.empty or not stages:
        raise ContractError("a funnel needs at least one step and one stage")
    problems = broken_rules({f"{name}: missing": steps[name].isna() for name in {unit, state, owner}})
    never = [f"stage {name!r} is not a value of {state!r}" for name in stages if not (steps[state] == name).any()]
    problems += never + [f"stage {name!r} is named twice" for name in dict.fromkeys(stages) if stages.count(name) > 1]
    if problems:
        raise ContractError("these steps make no funnel (rows counted from 1)", problems)
    code, units = pd.factorize(steps[unit])
    belongs = pd.DataFrame({"unit": code, "owner": pd.factorize(steps[owner])[0]}).drop_duplicates()
    if len(belongs) > len(units):
        row = belongs.loc[belongs["unit"].duplicated(), "unit"].iloc[0]
        raise ContractError(f"{unit} {units[row]} belongs to more than one {owner}: each unit needs one")
    reached = _reached(code, steps[state], stages)
    group = belongs["owner"].to_numpy()  # units are numbered as they appear
    rows = [[len(units), 1.0, np.nan, np.nan, np.nan, 0]]
    for before, now in pairwise(reached):
        share, low, high = _clustered_share(now, before, group, level)
        rows.append([now.sum(), now.mean(), share, low, high, (before & ~now).sum()])
    names = ["reached", "share", "continued", "low", "high", "lost"]
    table = pd.DataFrame(rows, [f"all {unit}s", *stages], names).astype({"reached": "int64", "lost": "int64"})
    return Funnel(table, len(units), int(group.max() + 1), level)


def _reached(code: Any, state: pd.Series, stages: list[str]) -> list[Any]:
    """For no stage and each stage: which units showed the stages so far in their order."""
    n, row = int(code.max() + 1), np.arange(len(code))
    latest = np.full(n, -1)  # row at which the stage before was first reached
    reached = [np.ones(n, dtype=bool)]
    for name in stages:
        hits = np.flatnonzero((state == name).to_numpy() & reached[-1][code] & (row > latest[code]))
        whose, place = np.unique(code[hits], return_index=True)
        latest = np.full(n, -1)
        latest[whose] = hits[place]
        reached.append(latest >= 0)
    return reached


def _clustered_share(now: Any, before: Any, group: Any, level: float) -> tuple[float, float, float]:
    n = int(before.sum())
    if n == 0:
        return np.nan, np.nan, np.nan
    share = float(now.sum() / n)
    part = np.bincount(group, now - share * before)
    clusters = len(np.unique(group[before]))
    variance = clusters / max(clusters - 1, 1) * (part**2).sum() / n**2
    effective = share * (1 - share) / variance if variance > 0 else float(clusters)
    return share, *wilson(share, min(effective, n), level)


def wilson(share: float, n: float, level: float) -> tuple[float, float]:
    """Wilson's interval of a share for a number of units that need not be whole."""
    from scipy.special import ndtri

    z2 = ndtri((1 + level) / 2) ** 2
    centre, half = share + z2 / (2 * n), np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n)))
    return float((centre - half) / (1 + z2 / n)), float((centre + half) / (1 + z2 / n))
