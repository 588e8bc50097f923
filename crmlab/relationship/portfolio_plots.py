"""Figures of a portfolio of relationships; titles are the reader's.

Each takes a result, draws it on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from crmlab.relationship.portfolio import TYPES, RelationshipEconomics, RelationshipTypes
from crmlab.relationship.portfolio_risk import ChoiceRisk
from crmlab.relationship.portfolio_views import DeliveredValue, GapScores
from crmlab.stats import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS = {
    "customers": "customers in the segment (fewer to the right)",
    "margin": "yearly margin per customer, money",
    "loyalty": "loyalty",
    "sales": "yearly sales per customer, money",
}


def plot_types(types: RelationshipTypes, *, ax: "Axes | None" = None) -> "Axes":
    """Segments by the two measures of the rule, with its cut points and the type of each.

    Parameters
    ----------
    types : RelationshipTypes
        From `relationship_types`. An axis is logarithmic if its values are positive and span more than a factor of 20.
    """
    ax = _axes(ax)
    colours = dict(zip(TYPES, PALETTE, strict=False))
    x, y = types.cuts
    for name, rows in types.table.groupby("type", observed=True):
        ax.scatter(rows[x], rows[y], s=60, color=colours[str(name)], label=str(name), zorder=3)
    for segment, row in types.table.iterrows():
        ax.annotate(str(segment), (row[x], row[y]), xytext=(5, 5), textcoords="offset points", fontsize=8)
    for measure, line, scale in ((x, ax.axvline, ax.set_xscale), (y, ax.axhline, ax.set_yscale)):
        for cut in types.cuts[measure]:
            line(cut, color="0.6", lw=0.8, ls="--")
        values = types.table[measure]
        if values.min() > 0 and values.max() > 20 * values.min():
            scale("log")
    ax.set(xlabel=_LABELS[x], ylabel=_LABELS[y])
    ax.margins(0.2)
    if x == "customers":
        ax.invert_xaxis()  # effort rises to the right and upwards in every figure
    ax.legend(fontsize="small")
    return ax


def plot_economics(economics: RelationshipEconomics, *, ax: "Axes | None" = None) -> "Axes":
    """What each plan adds to the value of a customer by yearly margin, and the margins at which the best one changes.

    Parameters
    ----------
    economics : RelationshipEconomics
        From `relationship_economics`.
    """
    ax = _axes(ax)
    turns = economics.table["best_from"].dropna()
    grid = np.linspace(0, 1.3 * max(economics.margin, turns.max()), 101)
    values = economics.values(grid)
    least = values.columns[0]
    gains = values.sub(values[least], axis=0)
    for name, colour in zip(gains, cycle(PALETTE), strict=False):
        ax.plot(gains.index, gains[name], color=colour, label=str(name))
    for turn in turns[turns > 0]:
        ax.axvline(turn, color="0.6", lw=0.8, ls="--")
    top = float(gains.to_numpy().max())
    if top > 0:
        ax.set_ylim(-0.6 * top, 1.1 * top)
    ax.set(xlabel="yearly margin per customer before the cost of the plan, money", xlim=(0, grid[-1]))
    ax.set_ylabel(f"value of a customer above {least}, money")
    ax.legend(fontsize="small")
    return ax


def plot_sensitivity(risk: ChoiceRisk, *, most: int = 8, ax: "Axes | None" = None) -> "Axes":
    """How far the chosen plan is ahead of the runner-up in the lowest and the highest tenth of each input.

    Parameters
    ----------
    risk : ChoiceRisk
        From `choice_risk`.
    most : int, default 8
        Draw the strongest inputs only.
    """
    ax = _axes(ax)
    rows = risk.sensitivity.head(most)[::-1]
    for at, (_, row) in enumerate(rows.iterrows()):
        ax.plot([row["ahead_low"], row["ahead_high"]], [at, at], color="0.7", lw=5, solid_capstyle="butt", zorder=1)
    for end, colour in (("low", PALETTE[0]), ("high", PALETTE[1])):
        ax.scatter(rows[f"ahead_{end}"], range(len(rows)), color=colour, zorder=2, label=f"{end}est tenth of the input")
    ax.axvline(0, color="black", lw=0.8)
    ax.set(xlabel=f"value of {risk.chosen} less value of {risk.runner_up}, money per customer")
    ax.set_yticks(range(len(rows)), [str(name) for name in rows.index])
    ax.legend(fontsize="small", loc="lower right")
    return ax


def plot_value_map(delivered: DeliveredValue, *, ax: "Axes | None" = None) -> "Axes":
    """Value map: relative value against relative cost, with the fair-value line.

    Parameters
    ----------
    delivered : DeliveredValue
        From `delivered_value`. Above the line an offer delivers more than the mean of the offers.
    """
    ax = _axes(ax)
    table = delivered.table
    ax.axline((1, 1), slope=delivered.slope, color="0.5", ls="--", lw=1, label="fair value")
    ax.scatter(table["relative_cost"], table["relative_value"], s=60, color=PALETTE[0], zorder=3)
    for offer, row in table.iterrows():
        text = f"{offer}, {row['delivered']:+.1f}"
        side = -1 if row["relative_cost"] > table["relative_cost"].median() else 1  # towards the middle
        at, look = (row["relative_cost"], row["relative_value"]), "left" if side > 0 else "right"
        ax.annotate(text, at, xytext=(9 * side, -3), textcoords="offset points", ha=look)
    ax.set(xlabel="total cost to the customer, mean offer = 1", ylabel="total value, mean offer = 1")
    ax.margins(0.25)
    ax.legend(fontsize="small")
    return ax


def plot_gaps(gaps: GapScores, *, ax: "Axes | None" = None) -> "Axes":
    """Gap of every item with its interval.

    Parameters
    ----------
    gaps : GapScores
        From `gap_scores`.
    """
    ax = _axes(ax)
    rows = gaps.table[::-1]
    reach = [rows["gap"] - rows["low"], rows["high"] - rows["gap"]]
    ax.errorbar(rows["gap"], range(len(rows)), xerr=reach, fmt="o", color=PALETTE[0], capsize=4)
    ax.axvline(0, color="black", lw=0.8)
    ax.set_yticks(range(len(rows)), [str(name) for name in rows.index])
    ax.set(xlabel=f"firm's score less customer's, points ({gaps.level:.0%} intervals for all items together)")
    ax.set_ylim(-0.5, len(rows) - 0.5)
    return ax


def _axes(ax: "Axes | None") -> "Axes":
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots()[1]
