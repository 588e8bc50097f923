"""Figures of retention: survival, hazard, cohorts against the calendar, and stages; titles are the reader's.

Each takes a result, draws it on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.database.cohorts import CALENDAR
from crmlab.errors import ContractError
from crmlab.relationship.chains import StageChain
from crmlab.relationship.lexis import By, RetentionTable, RetentionValue
from crmlab.relationship.retention import LifeTable, SurvivalCurve
from crmlab.stats import PALETTE, axes_or_new, percent_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS = {
    "at_risk": "customers at risk",
    "churned": "customers who left",
    "retention": "share of those at risk who stayed",
    "survival": "share of the cohort still there",
}


def plot_survival(curves: SurvivalCurve | Mapping[str, SurvivalCurve], *, ax: "Axes | None" = None) -> "Axes":
    """Survival by tenure, a step at every loss, with pointwise intervals.

    Parameters
    ----------
    curves : SurvivalCurve, or mapping of str to SurvivalCurve
        From `survival`; several by name, with the same unit of tenure.
    """
    named = by_name(curves, "survival", SurvivalCurve)
    unit, ax = _one_unit(named), axes_or_new(ax)
    for (name, curve), colour in zip(named.items(), cycle(PALETTE), strict=False):
        table = pd.concat([curve.table, curve.table.tail(1).assign(tenure=curve.last)])
        ax.step(table["tenure"], table["survival"], where="post", color=colour, label=name)
        look: dict[str, Any] = {"step": "post", "alpha": 0.2, "color": colour, "linewidth": 0}
        ax.fill_between(table["tenure"], table["low"], table["high"], **look)
    given = {curve.given for curve in named.values()}
    among = f" of those who reached {given.pop():g}" if len(given) == 1 and given != {0.0} else ""
    ax.set(xlabel=f"tenure, {unit}s", ylabel=f"share{among} still there", xlim=(0, None), ylim=(0, 1.02))
    percent_axis(ax.yaxis)
    if isinstance(curves, Mapping):
        ax.legend(frameon=False)
    return ax


def plot_hazard(tables: LifeTable | Mapping[str, LifeTable], *, ax: "Axes | None" = None) -> "Axes":
    """Hazard by tenure with intervals.

    Parameters
    ----------
    tables : LifeTable, or mapping of str to LifeTable
        From `life_table`; several by name, with the same unit of tenure.
    """
    named = by_name(tables, "hazard", LifeTable)
    unit, ax = _one_unit(named), axes_or_new(ax)
    for i, ((name, life), colour) in enumerate(zip(named.items(), cycle(PALETTE), strict=False)):
        rows = life.table.dropna(subset="hazard")
        reach = np.clip([rows["hazard"] - rows["low"], rows["high"] - rows["hazard"]], 0, None)
        beside = rows["tenure"] + 0.15 * (i - (len(named) - 1) / 2)
        ax.errorbar(beside, rows["hazard"], yerr=reach, fmt="o", ms=4, lw=1, color=colour, label=name)
    ax.set(xlabel=f"tenure, {unit}s", ylabel="share of those at risk who leave", ylim=(0, None))
    percent_axis(ax.yaxis)
    if isinstance(tables, Mapping):
        ax.legend(frameon=False)
    return ax


def plot_retention(
    result: RetentionTable,
    value: RetentionValue = "retention",
    *,
    rows: By = "cohort",
    columns: By = "tenure",
    at_least: int = 20,
    numbers: bool = True,
    ax: "Axes | None" = None,
) -> "Axes":
    """Heat map of a cohort triangle, or of tenure against calendar.

    Parameters
    ----------
    result : RetentionTable
        From `retention_table`.
    value : {"retention", "survival", "at_risk", "churned"}, default "retention"
        What the colours show.
    rows, columns : {"cohort", "tenure", "calendar"}
        As for ``RetentionTable.pivot``.
    at_least : int, default 20
        Cells with fewer customers at risk stay empty: a rate of a handful misleads.
    numbers : bool, default True
        Write the values into the cells.

    Raises
    ------
    ContractError
        If no cell holds `at_least` customers.
    """
    import seaborn as sns

    ax = axes_or_new(ax)
    grid = result.pivot(value, rows, columns)
    grid = grid.where(result.pivot("at_risk", rows, columns) >= at_least).dropna(how="all").dropna(how="all", axis=1)
    if grid.empty:
        raise ContractError(f"no cell holds {at_least} customers at risk; lower at_least or take longer periods")
    names = {axis: _cell_names(grid, axis, key, result) for axis, key in (("index", rows), ("columns", columns))}
    fmt = ".0%" if value in ("retention", "survival") else ",.0f"
    bar = {"label": _LABELS[value], "format": f"{{x:{fmt}}}"}
    look: dict[str, Any] = {"cmap": "cividis", "cbar_kws": bar, "annot": numbers, "fmt": fmt}
    look |= {"yticklabels": 1 + len(grid) // 25, "xticklabels": 1 + len(grid.columns) // 25}  # every, or every n-th
    sns.heatmap(grid.set_axis(names["index"]).set_axis(names["columns"], axis=1), annot_kws={"size": 7}, ax=ax, **look)
    label = {"cohort": f"{result.period} of the start", "calendar": f"calendar {result.period}"}
    label["tenure"] = f"tenure, {result.time_unit}s"
    ax.set(xlabel=label[columns], ylabel=label[rows])
    ax.tick_params(axis="y", rotation=0)
    return ax


def _cell_names(grid: pd.DataFrame, axis: str, key: str, result: RetentionTable) -> list[str]:
    index = getattr(grid, axis)
    return [
        str(one) for one in (index if key == "tenure" else pd.DatetimeIndex(index).to_period(CALENDAR[result.period]))
    ]


def plot_chain(chain: StageChain, *, ax: "Axes | None" = None) -> "Axes":
    """Transition matrix of stages as a heat map.

    Parameters
    ----------
    chain : StageChain
        From `stage_chain`. Moves that were never seen stay empty.
    """
    import seaborn as sns

    ax = axes_or_new(ax)
    bar = {"label": "share of the stage before", "format": "{x:.0%}"}
    look: dict[str, Any] = {"vmin": 0, "vmax": 1, "cmap": "cividis", "cbar_kws": bar}
    sns.heatmap(chain.probabilities, mask=chain.probabilities == 0, annot=True, fmt=".0%", ax=ax, **look)
    ax.set(xlabel="stage one period later", ylabel="stage")
    ax.tick_params(rotation=0)
    return ax


def by_name(results: Any, what: str, kind: type) -> dict[str, Any]:
    """One result or several by name, as a dict; anything but results of this kind is refused."""
    named = dict(results) if isinstance(results, Mapping) else {what: results}
    if not named or not all(isinstance(one, kind) for one in named.values()):
        raise ContractError(f"to draw: one {kind.__name__}, or several by name; got {type(results).__name__}")
    return named


def _one_unit(named: Mapping[str, Any]) -> str:
    units = {one.time_unit for one in named.values()}
    if len(units) > 1:
        raise ContractError(f"tenures in {' and '.join(sorted(units))}s cannot share an axis")
    return str(units.pop())
