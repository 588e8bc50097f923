"""Figures of the customer database; titles are the reader's.

Each takes a result, draws it on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Literal

import numpy.typing as npt
import pandas as pd

from crmlab.database.clusters import Segments, SegmentStability
from crmlab.database.cohorts import CALENDAR, CohortTable
from crmlab.database.segments import RFM
from crmlab.errors import ContractError
from crmlab.stats import PALETTE, axes_or_new, lorenz, percent_axis, top_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COHORT_LABELS = {
    "customers": "active customers",
    "orders": "orders (purchase days)",
    "amount": "money of purchases",
    "share_active": "share of the cohort active",
}


def plot_lorenz(
    values: npt.ArrayLike | Mapping[str, npt.ArrayLike], *, top: float = 0.2, ax: "Axes | None" = None
) -> "Axes":
    """Lorenz curves, with what the top share of the customers holds.

    Parameters
    ----------
    values : array_like of float, or mapping of str to array_like
        One non-negative value per customer; several sets by name to compare them.
    top : float, default 0.2
        Share of customers whose share of the value the legend states.
    """
    ax = axes_or_new(ax)
    named = values if isinstance(values, Mapping) else {"customers": values}
    for (name, group), colour in zip(named.items(), cycle(PALETTE), strict=False):
        label = f"{name}: the top {top:.0%} hold {top_share(group, top):.0%}"
        lorenz(group).plot(x="share_customers", y="share_value", color=colour, label=label, ax=ax)
    ax.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="all equal")
    ax.axvline(1 - top, color="0.8", linewidth=1, zorder=0)
    ax.set(xlabel="share of customers, the smallest first", ylabel="share of value", xlim=(0, 1), ylim=(0, 1))
    percent_axis(ax.xaxis, ax.yaxis)
    ax.legend(loc="upper left")
    return ax


def plot_rfm_heatmap(
    result: RFM,
    value: Literal["customers", "amount"] | pd.Series = "customers",
    *,
    fmt: str = ",.0f",
    at_least: int = 1,
    ax: "Axes | None" = None,
) -> "Axes":
    """Recency against frequency scores.

    Parameters
    ----------
    result : RFM
        From `rfm`.
    value : {"customers", "amount"} or pandas.Series, default "customers"
        Number of customers, their mean amount in money, or the mean of an outcome per customer, indexed by customer
        (its name is the label): whether they bought again, what they spent later.
    fmt : str, default ",.0f"
        Format of the numbers in the cells, such as ``".0%"`` for a share.
    at_least : int, default 1
        Cells with fewer customers stay empty: a mean over a handful misleads.

    Raises
    ------
    ContractError
        If `value` is another word, or a series that lacks some of the customers.
    """
    import seaborn as sns

    ax = axes_or_new(ax)
    table = result.table.set_index("customer_id")
    values, label = _per_customer(table, value)
    cells = values.groupby([table["r"], table["f"]])
    sizes = cells.size()
    counted = isinstance(value, str) and value == "customers"
    grid = (sizes if counted else cells.mean()).where(sizes >= at_least).unstack()
    best = result.cuts.groupby("measure")["score"].max()
    grid = grid.reindex(index=range(best["days_since_last"], 0, -1), columns=range(1, best["n_orders"] + 1))
    sns.heatmap(grid, annot=True, fmt=fmt, cmap="cividis", cbar_kws={"label": label}, ax=ax)
    ax.set(xlabel="f: frequency score (high = many orders)", ylabel="r: recency score (high = bought lately)")
    return ax


def _per_customer(table: pd.DataFrame, value: str | pd.Series) -> tuple[pd.Series, str]:
    """The value to show per customer, and its label."""
    labels = {"customers": "customers", "amount": "mean amount per customer"}
    if isinstance(value, str):
        if value not in labels:
            raise ContractError(f"value must be customers, amount or a series per customer; got {value!r}")
        return table["amount"], labels[value]
    lacking = table.index.difference(value.index)
    if len(lacking):
        raise ContractError(f"the series lacks {len(lacking):,} of the scored customers (first: {lacking[0]})")
    return value.reindex(table.index).astype(float), str(value.name)


def plot_cohorts(
    cohorts: CohortTable,
    value: Literal["customers", "orders", "amount", "share_active"] = "share_active",
    *,
    ax: "Axes | None" = None,
) -> "Axes":
    """Cohorts side by side: one line per cohort, by age.

    Parameters
    ----------
    cohorts : CohortTable
        From `cohort_table`.
    value : {"customers", "orders", "amount", "share_active"}, default "share_active"
        What the lines show.

    Returns
    -------
    matplotlib Axes
        An incomplete last period is left out.
    """
    import seaborn as sns
    from matplotlib.ticker import MaxNLocator

    ax = axes_or_new(ax)
    table = _complete(cohorts)
    count = table["cohort"].nunique()
    sns.lineplot(table, x="age", y=value, hue="cohort", palette=sns.color_palette("viridis", count), marker="o", ax=ax)
    ax.set(xlabel=f"age of the cohort, {cohorts.period}s", ylabel=_COHORT_LABELS[value])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylim(bottom=0)
    ax.legend(title="cohort", bbox_to_anchor=(1.02, 1), loc="upper left")
    if value == "share_active":
        percent_axis(ax.yaxis)
    return ax


def plot_cohort_layers(
    cohorts: CohortTable,
    value: Literal["customers", "orders", "amount"] = "amount",
    *,
    ax: "Axes | None" = None,
) -> "Axes":
    """The whole base by calendar period, each cohort a layer on those before it.

    Parameters
    ----------
    cohorts : CohortTable
        From `cohort_table`.
    value : {"customers", "orders", "amount"}, default "amount"
        What is stacked.

    Returns
    -------
    matplotlib Axes
        An incomplete last period is left out.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. & Ross, M. (2022). *The Customer-Base Audit*. Wharton School Press. (the C3 chart)
    """
    import seaborn as sns

    ax = axes_or_new(ax)
    layers = _complete(cohorts).pivot_table(index="calendar", columns="cohort", values=value, fill_value=0)
    colours = sns.color_palette("viridis", layers.shape[1])
    layers.plot.bar(stacked=True, width=0.8, rot=45, color=colours, ax=ax)
    ax.set(xlabel=cohorts.period, ylabel=_COHORT_LABELS[value])
    ax.legend(title="acquired", reverse=True, bbox_to_anchor=(1.02, 1), loc="upper left")
    return ax


def plot_segments(segments: Segments, *, ax: "Axes | None" = None) -> "Axes":
    """Profile of k-means segments: each centre in standard deviations from the mean customer.

    Parameters
    ----------
    segments : Segments
        From `kmeans_segments`.
    """
    import seaborn as sns

    ax = axes_or_new(ax)
    shares = segments.profile["share_customers"]
    names = [f"{segment} ({share:.0%})" for segment, share in shares.items()]
    logged = {name: f"log\n{name}" for name in segments.log}
    label = "standard deviations from the mean"
    centres = segments.centres.rename(columns=logged).set_axis(names)
    sns.heatmap(centres, annot=True, fmt=".1f", center=0, cmap="PuOr", cbar_kws={"label": label}, ax=ax)
    ax.set(xlabel="", ylabel="segment (share of customers)")
    ax.tick_params(rotation=0)
    return ax


def plot_transitions(stability: SegmentStability, *, ax: "Axes | None" = None) -> "Axes":
    """Where the customers of each segment went.

    Parameters
    ----------
    stability : SegmentStability
        From `segment_stability`.

    Returns
    -------
    matplotlib Axes
        Rows add up to 100 %.
    """
    import seaborn as sns

    ax = axes_or_new(ax)
    shares = stability.transitions.div(stability.transitions.sum(axis=1), axis=0)
    label = "share of the segment before"
    sns.heatmap(shares, annot=True, fmt=".0%", vmin=0, vmax=1, cmap="cividis", cbar_kws={"label": label}, ax=ax)
    ax.set(xlabel="segment after", ylabel="segment before")
    ax.tick_params(rotation=0)
    return ax


_DRAWN = (("campaigns", "products"), ("contacts", "responses", "lines"), ("customers", "orders"))
_BOX, _GAP, _MOST = 2.6, 1.2, 9


def plot_schema(schema: pd.DataFrame, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the schema: a box per table, its key columns in bold, an arrow from each reference to the key it means.

    Parameters
    ----------
    schema : pandas.DataFrame
        From ``CustomerDB.schema()``.

    Returns
    -------
    matplotlib Axes
        One unit is a line of text high.
    """
    ax = axes_or_new(ax, figsize=(9, 7))
    tables = dict(list(schema.groupby("table")))
    places, lowest = {}, 0.0
    for column, names in enumerate(_DRAWN):
        top = 0.0
        for name in names:
            places[name] = (column * (_BOX + _GAP), top)
            bottom = top - _draw_table(ax, name, tables[name], *places[name])
            lowest, top = min(lowest, bottom), bottom - 1.5
    for name, place in places.items():
        for line, target in enumerate(tables[name]["references"], start=1):
            if target:
                _draw_reference(ax, place, line, places[target], len(tables[target]))
    ax.set(xlim=(-0.1, len(_DRAWN) * (_BOX + _GAP) - _GAP + 0.1), ylim=(lowest - 0.2, 0.2))
    ax.axis("off")
    return ax


def _draw_table(ax: "Axes", name: str, rows: pd.DataFrame, left: float, top: float) -> float:
    """Draw one box and return its height."""
    from matplotlib.patches import Rectangle

    shown = rows.head(_MOST)
    more = [f"... {len(rows) - _MOST} more"] if len(rows) > _MOST else []
    height = 1.0 + len(shown) + len(more)
    ax.add_patch(Rectangle((left, top - height), _BOX, height, facecolor="white", edgecolor=PALETTE[0]))
    ax.add_patch(Rectangle((left, top - 1), _BOX, 1, facecolor=PALETTE[0]))
    ax.text(left + 0.1, top - 0.5, name, va="center", color="white", weight="bold")
    weights = ["bold" if key else "normal" for key in shown["key"]] + ["normal"]
    for line, (column, weight) in enumerate(zip([*shown["column"], *more], weights, strict=False), start=1):
        ax.text(left + 0.1, top - line - 0.5, column, va="center", size="small", weight=weight)
    return height


def _draw_reference(
    ax: "Axes", source: tuple[float, float], line: int, target: tuple[float, float], target_lines: int
) -> None:
    """Arrow from a line of one box to the key of another; to the box above it, from top to bottom."""
    (left, top), (target_left, target_top) = source, target
    if left == target_left:
        start, end = (left + _BOX / 2, top), (left + _BOX / 2, target_top - 1 - min(target_lines, _MOST + 1))
    elif left > target_left:
        start, end = (left, top - line - 0.5), (target_left + _BOX, target_top - 1.5)
    else:
        start, end = (left + _BOX, top - line - 0.5), (target_left, target_top - 1.5)
    ax.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": PALETTE[1]})


def _complete(cohorts: CohortTable) -> pd.DataFrame:
    """The table with periods by name, without a last one that the log does not cover to its end."""
    table = cohorts.table
    earlier = table[table["calendar"] < table["calendar"].max()]
    table = table if cohorts.last_period_complete or earlier.empty else earlier
    names = {name: table[name].dt.to_period(CALENDAR[cohorts.period]).astype("str") for name in ("cohort", "calendar")}
    return table.assign(**names)
