"""How many agents a promise or a budget needs, and whether the desk behaves as the models say."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import broken_rules, check_aligned, require_columns
from crmlab.errors import ContractError
from crmlab.relationship.service import arguments, each, erlang_a, erlang_c, plain
from crmlab.stats import Interval, check_level


def staff_for(
    calls_per_hour: npt.ArrayLike,
    *,
    handling_minutes: npt.ArrayLike,
    patience_minutes: npt.ArrayLike | None = None,
    service_level: float = 0.8,
    within_seconds: npt.ArrayLike = 20.0,
) -> Any:
    """Find the smallest number of agents that keeps the promise.

    Parameters
    ----------
    calls_per_hour, handling_minutes, within_seconds
        As in `erlang_c`.
    patience_minutes : float or array_like, optional
        As in `erlang_a`. Without it nobody hangs up (Erlang C).
    service_level : float, default 0.8
        Share of all calls to be answered within `within_seconds`, between 0 and 1.

    Returns
    -------
    int, or array of int of the shape of the arguments together

    Raises
    ------
    ContractError
        If an argument is empty, not finite or out of range.

    Examples
    --------
    >>> staff_for([60, 120, 240], handling_minutes=5)
    array([ 8, 14, 25])
    >>> staff_for(120, handling_minutes=5, patience_minutes=3)
    13
    """
    if not 0 < service_level < 1:
        raise ContractError(f"service_level must lie strictly between 0 and 1, got {service_level}")
    forever = 1.0 if patience_minutes is None else patience_minutes
    calls, handling, within, patience = arguments(
        calls_per_hour=calls_per_hour,
        handling_minutes=handling_minutes,
        within_seconds=within_seconds,
        patience_minutes=forever,
    )

    def fewest(calls: float, handling: float, within: float, patience: float) -> int:
        times = {"handling_minutes": handling, "within_seconds": within}

        def enough(n: int) -> bool:
            if patience_minutes is None:
                return bool(erlang_c(calls, n, **times).service_level >= service_level)
            return bool(erlang_a(calls, n, patience_minutes=patience, **times).service_level >= service_level)

        low = int(calls * handling / 60) if patience_minutes is None else 0
        step = 1
        while not enough(low + step):
            low, step = low + step, 2 * step
        while step > 1:
            step //= 2
            if not enough(low + step):
                low += step
        return low + 1

    return plain(each(fewest, calls, handling, within, patience).astype("int64"))


def staffing_curve(
    calls_per_hour: float,
    agents: npt.ArrayLike,
    *,
    handling_minutes: float,
    patience_minutes: float,
    agent_hour: float,
    lost_call: float,
    within_seconds: float = 20.0,
) -> pd.DataFrame:
    """Cost of agents against cost of callers who hang up, by number of agents (Erlang A).

    Parameters
    ----------
    calls_per_hour, agents, handling_minutes, patience_minutes, within_seconds
        As in `erlang_a`; `agents` are the numbers to compare.
    agent_hour : float
        Cost of an agent, in money an hour.
    lost_call : float
        What a caller who hangs up costs, in money.

    Returns
    -------
    pandas.DataFrame, one row per number of agents
        ``agents``, ``service_level``, ``abandons``, ``answered_wait_seconds``, ``occupancy``; ``agents_cost``,
        ``lost_cost`` and their sum ``cost``, in money an hour.

    Raises
    ------
    ContractError
        If an argument is empty, not finite or out of range.

    Examples
    --------
    >>> costs = {"handling_minutes": 5, "patience_minutes": 4, "agent_hour": 25, "lost_call": 12}
    >>> staffing_curve(80, [5, 7, 9], **costs)[["agents", "agents_cost", "lost_cost", "cost"]].round(0)
       agents  agents_cost  lost_cost   cost
    0       5          125      299.0  424.0
    1       7          175      133.0  308.0
    2       9          225       46.0  271.0
    """
    money = {"agent_hour": agent_hour, "lost_call": lost_call}
    wrong = [
        f"{name} must be a finite amount of 0 or more, got {one}"
        for name, one in money.items()
        if not 0 <= one < np.inf
    ]
    if wrong:
        raise ContractError("a staffing curve cannot be drawn of these costs", wrong)
    desk = (
        erlang_a(
            calls_per_hour,
            np.atleast_1d(agents),
            handling_minutes=handling_minutes,
            patience_minutes=patience_minutes,
            within_seconds=within_seconds,
        )
        .to_frame()
        .astype({"agents": "int64"})
    )
    kept = desk[["agents", "service_level", "abandons", "answered_wait_seconds", "occupancy"]]
    agents_cost = desk["agents"] * agent_hour
    lost_cost = desk["abandons"] * desk["calls_per_hour"] * lost_call
    return kept.assign(agents_cost=agents_cost, lost_cost=lost_cost, cost=agents_cost + lost_cost)


def mean_patience(waited_minutes: npt.ArrayLike, abandoned: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Mean patience of exponential callers: all minutes waited over the number who hung up.

    A caller who is answered shows only that patience was longer than the wait (right-censored); dividing by all calls,
    or averaging the waits of those who hung up, is wrong.

    Parameters
    ----------
    waited_minutes : array_like of float, shape (n,)
        Minutes until the answer, or until the caller hung up; 0 or more.
    abandoned : array_like of bool, shape (n,)
        Whether the caller hung up.
    level : float, default 0.95
        Confidence level; the interval is that of a gamma total time on test.

    Returns
    -------
    Interval
        In minutes.

    Raises
    ------
    ContractError
        If arrays are empty, of different length, a wait is negative or not finite, or nobody hung up or waited.

    References
    ----------
    Lawless, J. F. (2003). *Statistical Models and Methods for Lifetime Data*, 2nd ed., section 4.1. Wiley.

    Examples
    --------
    >>> print(mean_patience([0, 1, 3, 2], [False, True, False, True]))
    3 (95% interval 0.83 to 24.8)
    """
    check_aligned("patience", waited_minutes=waited_minutes, abandoned=abandoned)
    waited, gone = pd.to_numeric(pd.Series(waited_minutes), errors="coerce").to_numpy(float), np.asarray(abandoned)
    if gone.dtype != bool:
        raise ContractError(f"patience needs true or false per call in abandoned; got {gone.dtype}")
    problems = broken_rules({"wait missing, infinite or negative": ~(np.isfinite(waited) & (waited >= 0))})
    if problems or not gone.any() or not waited.any():
        raise ContractError(
            "patience cannot be read from these calls", problems or ["nobody hung up, or nobody waited"]
        )
    check_level(level)
    from scipy.stats import chi2

    lost, total = int(gone.sum()), float(waited.sum())
    high, low = chi2.ppf([(1 - level) / 2, (1 + level) / 2], [2 * lost, 2 * lost + 2])
    return Interval(total / lost, 2 * total / float(low), 2 * total / float(high), level)


def desk_table(
    desk: pd.DataFrame,
    *,
    by: Sequence[str],
    handling_minutes: float,
    patience_minutes: float,
    within_seconds: float = 20.0,
    slot_minutes: float = 30.0,
) -> pd.DataFrame:
    """What a desk did in each slot of the week, beside what Erlang A and Erlang C say.

    Parameters
    ----------
    desk : pandas.DataFrame
        One row per slot of the calendar: the columns `by`, ``agents``, ``calls_offered``, ``calls_abandoned`` and
        ``answered_in_time`` (answered within `within_seconds`), all counts.
    by : list of str
        What names a slot of the week, such as ``["weekday", "half_hour"]``. Rows of one slot are added up.
    handling_minutes, patience_minutes, within_seconds
        As in `erlang_a`.
    slot_minutes : float, default 30
        Length of a slot.

    Returns
    -------
    pandas.DataFrame, one row per slot and number of agents
        `by`, ``agents``, ``slots`` (rows added up), ``calls_per_hour``, ``load`` (Erlang), the observed ``abandons``
        and ``service_level``, and the same as ``abandons_a``, ``service_level_a`` (Erlang A) and ``service_level_c``
        (Erlang C; missing where the load reaches the agents).

    Raises
    ------
    ContractError
        If columns are missing, counts are no counts, the name of a slot is missing, more calls ended than were offered,
        or a slot had no call.

    Examples
    --------
    >>> desk = pd.DataFrame({"slot": ["8:00", "8:00"], "agents": [3, 3], "calls_offered": [14, 12]})
    >>> desk = desk.assign(calls_abandoned=[1, 0], answered_in_time=[11, 12])
    >>> table = desk_table(desk, by=["slot"], handling_minutes=5, patience_minutes=4)
    >>> table[["slot", "calls_per_hour", "service_level", "service_level_a", "service_level_c"]].round(2)
       slot  calls_per_hour  service_level  service_level_a  service_level_c
    0  8:00            26.0           0.88             0.68              0.5
    """
    counts = ["agents", "calls_offered", "calls_abandoned", "answered_in_time"]
    require_columns(desk, [*by, *counts], "desk_table")
    if len({*by, *counts}) < len(by) + len(counts):
        raise ContractError(f"by must name other columns than {', '.join(counts)}, each once; got {', '.join(by)}")
    numbers = desk[counts].apply(pd.to_numeric, errors="coerce")
    rules = {f"{name}: no count of 0 or more": ~((numbers[name] >= 0) & (numbers[name] % 1 == 0)) for name in counts}
    ended = numbers["calls_abandoned"] + numbers["answered_in_time"]
    rules |= {f"{name}: missing": desk[name].isna() for name in by}
    rules["more calls ended than were offered"] = ended > numbers["calls_offered"]
    problems = broken_rules(rules)
    if problems or desk.empty or not by:
        raise ContractError("this desk cannot be tabulated (rows counted from 1)", problems or ["no row, or no `by`"])
    table = numbers.assign(**{name: desk[name] for name in by}).groupby([*by, "agents"], sort=False, observed=True)
    table = table[counts[1:]].agg("sum").assign(slots=table.size()).reset_index()
    if (table["calls_offered"] == 0).any():
        empty = table.loc[table["calls_offered"] == 0, by].astype(str).agg(" ".join, axis=1).head(3)
        raise ContractError(f"slots without a call: {', '.join(empty)}; leave them out or take longer slots")
    table["calls_per_hour"] = table["calls_offered"] / table["slots"] * 60 / slot_minutes
    table["load"] = table["calls_per_hour"] * handling_minutes / 60
    table["abandons"] = table["calls_abandoned"] / table["calls_offered"]
    table["service_level"] = table["answered_in_time"] / table["calls_offered"]
    times = {"handling_minutes": handling_minutes, "within_seconds": within_seconds}
    impatient = erlang_a(table["calls_per_hour"], table["agents"], patience_minutes=patience_minutes, **times)
    table["abandons_a"], table["service_level_a"] = impatient.abandons, impatient.service_level
    stable = table["load"] < table["agents"]
    table["service_level_c"] = np.nan
    if stable.any():
        patient = erlang_c(table.loc[stable, "calls_per_hour"], table.loc[stable, "agents"], **times)
        table.loc[stable, "service_level_c"] = patient.service_level
    return table.drop(columns=counts[1:])
