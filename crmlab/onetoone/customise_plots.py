"""Figures of customising; titles are the reader's.

Each takes a result, draws it on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np

from crmlab.contracts import one_of
from crmlab.errors import ContractError
from crmlab.onetoone.customise_scores import ChoiceCurve, RecommendationScores
from crmlab.onetoone.customise_variety import VarietyProfit
from crmlab.stats import PALETTE, axes_or_new, percent_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Metric = Literal["recall", "ndcg", "hit_rate", "novelty"]


def plot_differences(scores: RecommendationScores, metric: Metric = "ndcg", *, ax: "Axes | None" = None) -> "Axes":
    """Difference of every list to the one it is held against: thick for each alone, thin for all at once.

    Parameters
    ----------
    scores : RecommendationScores
        With two lists or more.
    metric : {"recall", "ndcg", "hit_rate", "novelty"}, default "ndcg"
        Which difference.
    """
    one_of("metric", metric, Metric)
    if scores.differences.empty:
        raise ContractError("one list alone has no difference; score it beside another")
    from matplotlib.ticker import MaxNLocator

    ax = axes_or_new(ax)
    rows = scores.differences.xs(metric, level=1).iloc[::-1]
    places = np.arange(len(rows))
    ax.axvline(0, color="black", lw=1, ls="--")
    ax.hlines(places, rows["low_all"], rows["high_all"], color=PALETTE[6], lw=1.5)
    ax.hlines(places, rows["low"], rows["high"], color=PALETTE[0], lw=4, alpha=0.5)
    ax.plot(rows["difference"], places, "o", color=PALETTE[0])
    unit = {"ndcg": "NDCG", "hit_rate": "hit rate", "novelty": "bits of novelty"}.get(metric, metric)
    ax.set(yticks=places, yticklabels=rows.index, ylim=(-0.6, len(rows) - 0.4))
    ax.set_xlabel(f"{unit} at {scores.k} places, less that of {scores.against}")
    ax.xaxis.set_major_locator(MaxNLocator(5))
    return ax


def plot_choice(curve: ChoiceCurve, *, ax: "Axes | None" = None) -> "Axes":
    """Share of the wanted items found by length of the list, on a logarithmic axis; dashed for a list drawn by lot."""
    ax = axes_or_new(ax)
    for name, colour in zip(curve.found.columns, PALETTE, strict=False):
        ax.plot(curve.found.index, curve.found[name], color=colour, label=name)
    shown = curve.found.index.to_numpy(dtype=float)
    ax.plot(shown, np.minimum(shown / curve.items, 1.0), color="black", lw=1, ls="--", label="by lot")
    ax.set(
        xscale="log", xlabel=f"items shown, of {curve.items:,.0f}", ylabel="share of wanted items found", ylim=(0, 1)
    )
    ax.xaxis.set_major_formatter("{x:g}")
    percent_axis(ax.yaxis)
    ax.legend(frameon=False)
    return ax


def plot_variety(profit: VarietyProfit, *, ax: "Axes | None" = None) -> "Axes":
    """Profit per unit by options of a module for both ways of making, with the best of each; dashed for one product."""
    ax = axes_or_new(ax)
    best = profit.best
    for way, colour in zip(best.index, PALETTE, strict=False):
        line = profit.table.loc[way, "profit"]
        ax.plot(line.index, line, "-o", ms=4, color=colour, label=f"made {way}")
        ax.plot(best.loc[way, "options"], best.loc[way, "profit"], "o", ms=11, mfc="none", mew=2, color=colour)
    if ("to stock", 1) in profit.table.index:
        ax.axhline(profit.table["profit"][("to stock", 1)], color="black", lw=1, ls="--", label="one for all")
    ax.set(xlabel="options per module", ylabel="profit per unit, money")
    ax.set_ylim(bottom=min(0.0, best["profit"].max() - 1))
    ax.legend(frameon=False)
    return ax
