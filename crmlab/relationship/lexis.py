"""Retention by cohort, tenure and calendar: one table of who was at risk and who left, seen from three sides."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from crmlab.contracts import TimeUnit, one_of
from crmlab.database.cohorts import CALENDAR, Period
from crmlab.errors import ContractError
from crmlab.relationship.retention import rate
from crmlab.relationship.spells import Spells, anniversary, check_spells, elapsed
from crmlab.stats import check_level

By = Literal["cohort", "tenure", "calendar"]
RetentionValue = Literal["at_risk", "churned", "retention", "survival"]


@dataclass(frozen=True, eq=False)
class RetentionTable:
    """Who was asked to stay and who left, by cohort, tenure and calendar: three ways to look at one table.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per ``cohort`` (first day of the calendar period of the start), ``tenure`` (the unit that ends there,
        from 1) and ``calendar`` (first day of the calendar period in which it ends): ``at_risk`` and ``churned``.
    period : {"month", "quarter", "year"}
        Calendar period.
    time_unit : {"day", "week", "month", "year"}
        Unit of tenure.
    """

    table: pd.DataFrame
    period: Period
    time_unit: TimeUnit

    def by(self, *keys: By, level: float = 0.95) -> pd.DataFrame:
        """Retention rate by one or several of cohort, tenure and calendar.

        ``by("calendar")`` is the rate of a period over the whole base, ``by("cohort", "tenure")`` that of each cohort
        at each tenure, ``by("tenure", "calendar")`` the plane in which tenure and calendar can be told apart.

        Returns
        -------
        pandas.DataFrame
            ``at_risk``, ``churned``, ``retention`` with Wilson interval ``low``, ``high``, by the keys.
        """
        if not keys or len(set(keys)) < len(keys):
            raise ContractError(f"name one or several of cohort, tenure and calendar, each once; got {keys}")
        for key in keys:
            one_of("key", key, By)
        check_level(level)
        sums = self.table.groupby(list(keys))[["at_risk", "churned"]].sum()
        return sums.join(rate(sums["at_risk"] - sums["churned"], sums["at_risk"], level, "retention"))

    def pivot(self, value: RetentionValue = "retention", rows: By = "cohort", columns: By = "tenure") -> pd.DataFrame:
        """A triangle of cohorts (the default), or the plane of tenure and calendar.

        Parameters
        ----------
        value : {"at_risk", "churned", "retention", "survival"}, default "retention"
            What the cells hold. ``"survival"``, the share of a cohort still there, is the product of its retention
            rates, and needs cohorts as rows and tenure as columns.
        rows, columns : {"cohort", "tenure", "calendar"}
            Missing where nobody was at risk.
        """
        one_of("value", value, RetentionValue)
        if value == "survival" and (rows, columns) != ("cohort", "tenure"):
            raise ContractError("survival needs rows='cohort' and columns='tenure'")
        what = "retention" if value == "survival" else value
        grid = self.by(rows, columns)[what].unstack(columns)
        return grid.cumprod(axis=1, skipna=False) if value == "survival" else grid

    def __repr__(self) -> str:
        cohorts, asked = self.table["cohort"].nunique(), int(self.table["at_risk"].sum())
        return (
            f"RetentionTable of {cohorts} {self.period} cohorts: {asked:,} {self.time_unit}s at risk, "
            f"{int(self.table['churned'].sum()):,} churned\n"
            f"  at_risk    there at the beginning of a {self.time_unit} of tenure that was observed to its end\n"
            "  retention  share of them who did not leave in it"
        )


def retention_table(spells: Spells, *, period: Period) -> RetentionTable:
    """Count who was at risk and who left, by cohort, tenure and calendar period.

    A unit of tenure counts if the window saw it whole. With ``ends="any_time"`` a loss is booked where the unit ends in
    which it happened.

    Parameters
    ----------
    spells : Spells
        From `read_spells`.
    period : {"month", "quarter", "year"}
        Calendar period of cohorts and of the calendar.

    Raises
    ------
    ContractError
        If the window saw no unit of tenure whole.

    References
    ----------
    Keiding, N. (1990). Statistical inference in the Lexis diagram. *Philosophical Transactions of the Royal Society
    A* 332, 487-509.

    Examples
    --------
    >>> from crmlab.relationship import read_spells
    >>> begun, ended = ["2024-01-01", "2024-01-01", "2024-02-01"], ["2024-03-01", None, "2024-03-01"]
    >>> days = {"started_on": pd.to_datetime(begun), "ended_on": pd.to_datetime(ended)}
    >>> contracts = pd.DataFrame({"customer_id": ["ann", "bob", "cy"]} | days)
    >>> spells = read_spells(contracts, time_unit="month", ends="renewal", window_end="2024-04-01")
    >>> retention_table(spells, period="month").by("tenure")["at_risk"].tolist()
    [3, 2, 1]
    """
    check_spells(spells, "a retention table")
    one_of("period", period, Period)
    rows, unit = spells.table, spells.time_unit
    start = rows["started_on"].to_numpy("datetime64[D]")
    whole = np.floor(elapsed(start, np.datetime64(spells.window_end), unit))
    first = np.ceil(rows["entry"].to_numpy()).astype("int64")
    leaves = np.ceil(rows["exit"].to_numpy())
    count = np.maximum(np.minimum(leaves, whole).astype("int64") - first, 0)
    if not count.any():
        raise ContractError(f"the window saw no {unit} of tenure whole; take a shorter unit")
    who = np.repeat(np.arange(len(rows)), count)
    tenure = np.arange(len(who)) - np.repeat(count.cumsum() - count - first, count) + 1
    code = CALENDAR[period]
    cells = pd.DataFrame(
        {
            "cohort": _period_start(start, code)[who],
            "tenure": tenure,
            "calendar": _period_start(anniversary(start[who], tenure, unit), code),
            "churned": rows["churned"].to_numpy()[who] & (tenure == leaves[who]),
        }
    )
    found = cells.groupby(["cohort", "tenure", "calendar"])["churned"].agg(at_risk="size", churned="sum")
    return RetentionTable(found.reset_index(), period, unit)


def _period_start(days: Any, code: str) -> Any:
    return pd.PeriodIndex(pd.DatetimeIndex(days), freq=code).to_timestamp()
