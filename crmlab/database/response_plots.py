"""Figures of response models; titles are the reader's.

Each takes results, draws them on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from crmlab.database.mailing import ProfitCurve
from crmlab.database.reliability import Calibration
from crmlab.database.response import Gains
from crmlab.database.rollout import RollOut
from crmlab.stats import PALETTE, axes_or_new, percent_axis

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def plot_gains(curves: "Gains | Mapping[str, Gains]", *, ax: "Axes | None" = None) -> "Axes":
    """Share of the responses reached by share of the customers contacted, best first.

    Parameters
    ----------
    curves : Gains or mapping of str to Gains
        One score, or several by name.

    Returns
    -------
    matplotlib Axes
        With the diagonal of a random order; the legend states each AUC.
    """
    ax = axes_or_new(ax)
    for (name, one), colour in zip(_named(curves, "score"), cycle(PALETTE), strict=False):
        x, y = np.append(0, one.curve["depth"]), np.append(0, one.curve["gain"])
        ax.plot(x, y, color=colour, label=f"{name}: AUC {one.auc:.3f}")
    ax.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="random order")
    ax.set(xlabel="share of customers contacted, best first", ylabel="share of all responses reached")
    ax.set(xlim=(0, 1), ylim=(0, 1.01))
    percent_axis(ax.xaxis, ax.yaxis)
    ax.legend(loc="lower right", fontsize="small")
    return ax


def plot_decile_lift(curves: "Gains | Mapping[str, Gains]", bins: int = 10, *, ax: "Axes | None" = None) -> "Axes":
    """Response rate of every decile over that of all customers.

    Parameters
    ----------
    curves : Gains or mapping of str to Gains
        One score, or several by name.
    bins : int, default 10
        Classes of equal size.
    """
    ax = axes_or_new(ax)
    for (name, one), colour in zip(_named(curves, "score"), cycle(PALETTE), strict=False):
        table = one.deciles(bins)
        ax.plot(table["decile"], table["decile_lift"], "o-", markersize=4, color=colour, label=name)
    ax.axhline(1, color="0.6", linestyle="--", linewidth=1)
    ax.set(xlabel=f"class of {1 / bins:.0%} of the customers (1 = best)", ylabel="decile lift (rate of all = 1)")
    ax.set(ylim=(0, None), xticks=range(1, bins + 1))
    ax.legend(fontsize="small")
    return ax


def plot_calibration(found: "Calibration | Mapping[str, Calibration]", *, ax: "Axes | None" = None) -> "Axes":
    """Observed rate of response with its interval, by mean predicted chance, per quantile class.

    Parameters
    ----------
    found : Calibration or mapping of str to Calibration
        One model, or several by name.
    """
    ax = axes_or_new(ax)
    top = 0.0
    for (name, one), colour in zip(_named(found, "observed"), cycle(PALETTE), strict=False):
        table = one.table
        reach = [(table["observed"] - table["low"]).clip(0), (table["high"] - table["observed"]).clip(0)]
        ax.errorbar(
            table["predicted"], table["observed"], yerr=reach, fmt="o-", ms=4, lw=1, capsize=3, color=colour, label=name
        )
        top = max(top, table["predicted"].max(), table["high"].max())
    ax.plot([0, top], [0, top], color="0.6", linestyle="--", linewidth=1, label="perfectly calibrated")
    ax.set(xlabel="mean predicted chance of the class", ylabel="observed response rate, with interval")
    percent_axis(ax.xaxis, ax.yaxis)
    ax.legend(loc="upper left", fontsize="small")
    return ax


def plot_profit(curves: "ProfitCurve | Mapping[str, ProfitCurve]", *, ax: "Axes | None" = None) -> "Axes":
    """Profit by share of the customers contacted, with the best depth of each curve.

    Parameters
    ----------
    curves : ProfitCurve or mapping of str to ProfitCurve
        One score, or several by name.
    """
    ax = axes_or_new(ax)
    for (name, one), colour in zip(_named(curves, "profit"), cycle(PALETTE), strict=False):
        best = one.best
        ax.plot(one.table["depth"], one.table["profit"], color=colour, linewidth=1.2, label=name)
        told = f"best depth {best['depth']:.0%}: {best['profit']:,.0f}"
        ax.plot(best["depth"], best["profit"], "o", color=colour, label=told)
    ax.axhline(0, color="0.4", linewidth=1)
    ax.set(xlabel="share of customers contacted, best first", ylabel="profit (money)", xlim=(0, 1))
    percent_axis(ax.xaxis)
    ax.legend(fontsize="small")
    return ax


def plot_roll_out(decided: RollOut, actual: "pd.Series | None" = None, *, ax: "Axes | None" = None) -> "Axes":
    """Shrunken against test rate of every cell, with the break-even rate.

    Parameters
    ----------
    decided : RollOut
        From `roll_out`.
    actual : pandas.Series, optional
        Response rate of the roll-out of every cell, once it is known, indexed as ``decided.table``.

    Returns
    -------
    matplotlib Axes
        The area of a cell's disc is that of its test. Cells on which test rate and model disagree have another colour.
    """
    ax = axes_or_new(ax)
    table = decided.table
    if actual is not None:
        rates = actual.reindex(table.index)
        ax.plot(table["test_rate"], rates, "s", markersize=4, color=PALETTE[2], alpha=0.7, label="rate in the roll-out")
    differ = table["mail_by_test"] != table["mail_by_model"]
    size = 60 * table["tested"] / table["tested"].max()
    for which, colour, label in ((~differ, PALETTE[0], "same decision"), (differ, PALETTE[1], "decisions differ")):
        rows, name = table[which], f"shrunken rate, {label}"
        ax.scatter(rows["test_rate"], rows["shrunken_rate"], s=size[which], color=colour, zorder=3, label=name)
    top = float(table[["test_rate", "shrunken_rate"]].max().max())
    ax.plot([0, top], [0, top], color="0.6", linestyle="--", linewidth=1, label="the test rate itself")
    for line in (ax.axhline, ax.axvline):
        line(decided.break_even_rate, color="black", linestyle=":", linewidth=1)
    ax.plot([], [], color="black", linestyle=":", linewidth=1, label="break-even rate")
    ax.set(xlabel="response rate in the test, one point per cell", ylabel="response rate expected, or found later")
    percent_axis(ax.xaxis, ax.yaxis)
    ax.legend(fontsize="small")
    return ax


def _named(results: Any, name: str) -> "list[tuple[str, Any]]":
    return list(results.items()) if isinstance(results, Mapping) else [(name, results)]
