"""Figures of loyalty; titles are the reader's.

Each takes a result, draws it on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import one_of, require_columns
from crmlab.errors import ContractError
from crmlab.relationship.brand_loyalty import DoubleJeopardy, Measure
from crmlab.relationship.loyalty import ImportancePerformance, LoyaltyMatrix
from crmlab.relationship.recommendation import NetPromoterScore
from crmlab.stats import PALETTE, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MEASURE_LABELS = {
    "penetration": "households that bought it (share)",
    "purchases_per_buyer": "purchases per buyer of the brand",
    "share_of_requirements": "share of requirements",
    "sole_buyers": "buyers that bought no other (share)",
}


def plot_effects(table: pd.DataFrame, *, ax: "Axes | None" = None) -> "Axes":
    """Estimates with their intervals, the first row on top; an interval that holds 0 is drawn hollow.

    Parameters
    ----------
    table : pandas.DataFrame
        ``estimate``, ``low`` and ``high``, as from ``PathModelResults.bootstrap``; the index names the rows.
    """
    require_columns(table, ["estimate", "low", "high"], "plot_effects")
    ax = axes_or_new(ax)
    names = [" → ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in table.index]
    for at, (_, row) in enumerate(table.iterrows()):
        sure = not row["low"] <= 0 <= row["high"]
        ax.plot([row["low"], row["high"]], [at, at], color=PALETTE[0], linewidth=2)
        ax.plot(row["estimate"], at, "o", color=PALETTE[0], markerfacecolor=PALETTE[0] if sure else "white")
    ax.axvline(0, color="0.6", linewidth=1)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set(xlabel="effect in standard deviations", ylabel="")
    return ax


def plot_importance_performance(result: ImportancePerformance, *, ax: "Axes | None" = None) -> "Axes":
    """Importance against performance; low on the right is where to begin."""
    ax = axes_or_new(ax)
    table = result.table
    ax.scatter(table["importance"], table["performance"], color=PALETTE[0], s=50, zorder=3)
    _label(ax, table["importance"], table["performance"])
    ax.axvline(table["importance"].mean(), color="0.7", linestyle="--", linewidth=1)
    ax.axhline(table["performance"].mean(), color="0.7", linestyle="--", linewidth=1)
    ax.set(xlabel=f"importance: points of {result.target} per point", ylabel="performance: mean index, 0 to 100 points")
    ax.margins(0.18)
    return ax


def plot_loyalty_matrix(result: LoyaltyMatrix, *, outcome: str = "outcome", ax: "Axes | None" = None) -> "Axes":
    """The four cells with customers and, where there is one, the mean outcome.

    Parameters
    ----------
    result : LoyaltyMatrix
        From `loyalty_matrix`.
    outcome : str, default "outcome"
        What to call the outcome.
    """
    ax = axes_or_new(ax)
    for cell, row in result.table.iterrows():
        x, y = int(row["behaviour"] == "high"), int(row["attitude"] == "high")
        share = row["share"]
        ax.add_patch(_rectangle(x - 0.48, y - 0.48, 0.96, 0.96, share))
        text = f"{cell}\n{share:.0%} of customers"
        if "outcome" in row:
            text += f"\n{outcome}: {row['outcome']:.2f}\n({row['low']:.2f} to {row['high']:.2f})"
        ax.text(x, y, text, ha="center", va="center")
    ax.set(xlim=(-0.5, 1.5), ylim=(-0.5, 1.5), xlabel="behaviour", ylabel="attitude")
    ax.set_xticks([0, 1], [f"up to {result.behaviour_above:.3g}", "above"])
    ax.set_yticks([0, 1], [f"up to {result.attitude_above:.3g}", "above"])
    ax.grid(visible=False)
    return ax


def plot_net_promoter_scores(scores: Mapping[str, NetPromoterScore], *, ax: "Axes | None" = None) -> "Axes":
    """Scores of several groups or waves with their intervals, the first on top.

    Parameters
    ----------
    scores : mapping of str to NetPromoterScore
        By name of the group.
    """
    if not scores:
        raise ContractError("there is no score to draw")
    ax = axes_or_new(ax)
    for at, one in enumerate(scores.values()):
        ax.plot([one.low, one.high], [at, at], color=PALETTE[0], linewidth=2)
        ax.plot(one.score, at, "o", color=PALETTE[0])
    ax.set_yticks(range(len(scores)), [f"{name} (n = {one.n:,})" for name, one in scores.items()])
    ax.set_ylim(len(scores) - 0.5, -0.5)
    ax.set(xlabel="net promoter score, points", ylabel="")
    return ax


def plot_double_jeopardy(
    result: DoubleJeopardy, measure: Measure = "share_of_requirements", *, ax: "Axes | None" = None
) -> "Axes":
    """What was observed of each brand, over the range of brands of its share.

    Parameters
    ----------
    result : DoubleJeopardy
        From `double_jeopardy`.
    measure : {"penetration", "purchases_per_buyer", "share_of_requirements", "sole_buyers"}
        What is shown, "share_of_requirements" by default.
    """
    one_of("measure", measure, Measure)
    ax = axes_or_new(ax)
    rows = result.table.xs(measure, level="measure")
    reach = [rows["expected"] - rows["low"], rows["high"] - rows["expected"]]
    ax.errorbar(rows["share"], rows["expected"], yerr=reach, fmt="_", color="0.5", capsize=5, label="norm of its size")
    ax.scatter(rows["share"], rows["observed"], color=PALETTE[1], zorder=3, label="observed")
    _label(ax, rows["share"], rows["observed"], rows["observed"] < rows["expected"])
    ax.set(xlabel="share of the purchases", ylabel=_MEASURE_LABELS[measure])
    ax.margins(x=0.2, y=0.15)
    ax.legend(frameon=False)
    return ax


def _label(ax: "Axes", x: pd.Series, y: pd.Series, under: "pd.Series | None" = None) -> None:
    """Names over their points, or under them: as told, or where a neighbour is close above.

    Points that nearly coincide have one label, below the lowest of them or above the highest.
    """
    wide, high = x.max() - x.min(), y.max() - y.min()
    labelled: set[int] = set()
    for at in range(len(x)):
        right, up = (x - x.iloc[at]).abs(), y - y.iloc[at]
        together = np.flatnonzero(right.le(0.03 * wide) & up.abs().le(0.07 * high)).tolist()
        others = np.arange(len(x)) != at
        near = (others & right.le(0.25 * wide) & up.between(0, 0.15 * high)).any()
        below = bool(near if under is None else under.iloc[at])
        if at in labelled:
            continue
        labelled.update(together)
        level = y.iloc[together].min() if below else y.iloc[together].max()
        text = "\n".join(str(x.index[one]) for one in together)
        offset, side = ((0, -6), "top") if below else ((0, 6), "bottom")
        ax.annotate(text, (x.iloc[at], level), xytext=offset, textcoords="offset points", ha="center", va=side)


def _rectangle(x: float, y: float, width: float, height: float, share: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, facecolor=PALETTE[0], alpha=0.1 + 0.5 * share)
