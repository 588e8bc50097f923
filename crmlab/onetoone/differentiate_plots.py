"""Figures of differentiated customers; titles are the reader's.

Each takes results, draws them on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from crmlab.errors import ContractError
from crmlab.onetoone.differentiate import WhaleCurve
from crmlab.onetoone.differentiate_needs import NeedsSegments
from crmlab.onetoone.differentiate_tiers import ValueNeedGrid
from crmlab.onetoone.differentiate_variance import PARTS, VarianceShares
from crmlab.stats import PALETTE, axes_or_new, percent_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_whale(curves: Mapping[str, WhaleCurve], *, ax: "Axes | None" = None) -> "Axes":
    """Cumulative profit, best customers first, one line per curve by name, with a dot where each is highest."""
    ax = axes_or_new(ax)
    for (name, one), colour in zip(curves.items(), cycle(PALETTE), strict=False):
        share, profit = one.table["share_customers"].to_numpy(), one.table["profit"].to_numpy()
        ax.plot(share, profit, color=colour, label=name)
        ax.plot(share[profit.argmax()], profit.max(), "o", color=colour)
    ax.axhline(0, color="0.4", linewidth=1)
    ax.set(xlabel="share of customers, most profitable first", xlim=(0, 1))
    ax.set_ylabel("cumulative profit\n(money per customer of the base)")
    percent_axis(ax.xaxis)
    ax.legend(fontsize="small")
    return ax


def plot_classes(segments: NeedsSegments, *, ax: "Axes | None" = None) -> "Axes":
    """Share of each class that says yes, one line per class; yes-or-no indicators and levels of categories only."""
    rows = segments.profile.drop(index="class", level="indicator")
    shares = rows[rows.index.get_level_values("level") != "mean"]
    if shares.empty:
        raise ContractError("these classes have numbers only: draw the means of their profile")
    names, levels = (list(map(str, shares.index.get_level_values(place))) for place in (0, 1))
    told = [name if level == "yes" else f"{name}: {level}" for name, level in zip(names, levels, strict=True)]
    ax = axes_or_new(ax)
    for number, colour in zip(segments.membership.columns, cycle(PALETTE), strict=False):
        size = float(segments.membership[number].mean())
        ax.plot(shares[number], np.arange(len(told)), "o", color=colour, ms=8, label=f"class {number} ({size:.0%})")
    ax.plot(shares["all"], np.arange(len(told)), "|", color="black", ms=12, label="all customers")
    ax.set(yticks=np.arange(len(told)), yticklabels=told, xlim=(0, 1), xlabel="share of the class")
    ax.invert_yaxis()
    percent_axis(ax.xaxis)
    ax.legend(fontsize="small", bbox_to_anchor=(1.02, 1), loc="upper left")
    return ax


def plot_value_need(grid: ValueNeedGrid, *, ax: "Axes | None" = None) -> "Axes":
    """Mean profit by colour, customers and profit in words; cells too small to be judged are grey."""
    from matplotlib.colors import TwoSlopeNorm

    table = grid.pivot("mean")
    small = grid.pivot("too_small").to_numpy(bool)
    mean, profit, customers = (grid.pivot(name).to_numpy(float) for name in ("mean", "profit", "customers"))
    shown = np.ma.masked_where(small, mean)
    reach = float(np.nanmax(np.abs(shown.filled(np.nan)))) if shown.count() else 1.0
    ax = axes_or_new(ax)
    ax.set_facecolor("0.92")
    ax.imshow(shown, cmap="PuOr", norm=TwoSlopeNorm(0, -(reach or 1.0), reach or 1.0), aspect="auto")
    for at, count in np.ndenumerate(customers):
        dark = not small[at] and abs(mean[at]) > 0.6 * reach
        money = "too small" if small[at] else f"{mean[at]:,.0f} each"
        text = f"{count:,.0f} customers\n{money}\n{profit[at]:,.0f} in all"
        ax.text(at[1], at[0], text, ha="center", va="center", fontsize="small", color="white" if dark else "black")
    ax.set(xticks=range(mean.shape[1]), yticks=range(mean.shape[0]))
    ax.set_xticklabels(table.columns.astype(str))
    ax.set_yticklabels(table.index.astype(str))
    ax.grid(visible=False)
    return ax


def plot_variance(found: Mapping[str, VarianceShares], *, ax: "Axes | None" = None) -> "Axes":
    """Shares of variance as stacked bars, one bar per decomposition by name."""
    ax = axes_or_new(ax)
    start = np.zeros(len(found))
    for part, colour in zip(PARTS, (*PALETTE[:3], "0.8"), strict=True):
        ink = "black" if part == PARTS[-1] else "white"
        share = np.array([one.table.loc[part, "share"] for one in found.values()]).clip(0)
        ax.barh(list(found), share, left=start, color=colour, label=part)
        for place, (width, left) in enumerate(zip(share, start, strict=True)):
            if width > 0.06:
                ax.text(left + width / 2, place, f"{width:.0%}", ha="center", va="center", fontsize="small", color=ink)
        start = start + share
    ax.set(xlim=(0, max(1.0, start.max())), xlabel="share of the variance")
    ax.invert_yaxis()
    percent_axis(ax.xaxis)
    ax.legend(fontsize="small", bbox_to_anchor=(0.5, 1.02), loc="lower center", ncols=4, frameon=False)
    return ax
