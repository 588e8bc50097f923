"""Figures of record linkage; titles are the reader's.

Each draws on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from crmlab.errors import ContractError
from crmlab.onetoone.identify import Linkage
from crmlab.onetoone.identify_scores import MergeCosts
from crmlab.stats import PALETTE, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_weights(linkage: Linkage, *, ax: "Axes | None" = None) -> "Axes":
    """Match weight of every level of every field: how far an agreement or a difference moves the log odds.

    Parameters
    ----------
    linkage : Linkage
        From `link_records`.
    """
    table = linkage.estimates[::-1].reset_index(drop=True)
    ax = axes_or_new(ax, figsize=(8, 0.34 * len(table) + 1))
    names = list(dict.fromkeys(linkage.estimates["field"]))
    gaps = np.array([names[::-1].index(one) for one in table["field"]])
    place = np.arange(len(table)) + 0.6 * gaps
    colours = np.where(table["weight"] > 0, PALETTE[0], PALETTE[1])
    ax.barh(place, table["weight"], color=colours)
    labels = (table["field"].str.replace("_", " ") + ": " + table["level"]).to_list()
    ax.set_yticks(place, labels, fontsize="small")
    for at, weight in zip(place, table["weight"], strict=True):
        side = "left" if weight >= 0 else "right"
        ax.annotate(f"{weight:+.1f}", (weight, at), (3 if weight >= 0 else -3, 0), textcoords="offset points",
                    va="center", ha=side, fontsize="x-small")  # fmt: skip
    ax.axvline(0, color="0.3", lw=1)
    ax.margins(x=0.12)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("match weight, log2(m / u)")
    return ax


def plot_waterfall(linkage: Linkage, left: Any, right: Any, *, ax: "Axes | None" = None) -> "Axes":
    """How the log odds of one pair come about: the prior, then field by field.

    Parameters
    ----------
    linkage : Linkage
        From `link_records`.
    left, right
        ``record_id`` of two records that the blocking brought together.
    """
    steps = linkage.explain(left, right)
    ax = axes_or_new(ax, figsize=(8, 0.55 * len(steps) + 1.4))
    place = np.arange(len(steps) + 1)[::-1]
    starts = np.append(0.0, steps["total"].to_numpy()[:-1])
    colours = [PALETTE[6], *(PALETTE[0] if one >= 0 else PALETTE[1] for one in steps["weight"].iloc[1:])]
    ax.barh(place[:-1], steps["weight"], left=starts, color=colours)
    total = float(steps["total"].iloc[-1])
    ax.barh(place[-1], total, color=PALETTE[2])
    for at, start, weight in zip(place[:-1], starts, steps["weight"], strict=True):
        end = start + max(weight, 0)
        ax.annotate(f"{weight:+.1f}", (end, at), (3, 0), textcoords="offset points", va="center", fontsize="small")
    told = f"{total:+.1f}: probability {steps['probability'].iloc[-1]:.3g}"
    ax.annotate(told, (max(total, 0), place[-1]), (3, 0), textcoords="offset points", va="center", fontsize="small")
    names = (steps["field"].str.replace("_", " ") + "\n" + steps["level"]).str.strip().to_list()
    ax.set_yticks(place, [*names, "in all"], fontsize="small")
    ax.axvline(0, color="0.3", lw=1)
    ax.use_sticky_edges = False
    ax.margins(x=0.26)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("log2 odds that both records are of one person")
    return ax


def plot_merge_costs(costs: "MergeCosts | Mapping[str, MergeCosts]", *, ax: "Axes | None" = None) -> "Axes":
    """Cost by threshold, with the drawing error, the cheapest threshold, and where calibrated chances would put it.

    Thresholds far from the cheapest, by more than 12 in log2 odds, are not drawn.

    Parameters
    ----------
    costs : MergeCosts or mapping of str to MergeCosts
        From `merge_costs`: one, or several by name.
    """
    several = {"": costs} if isinstance(costs, MergeCosts) else dict(costs)
    if not several or not all(isinstance(one, MergeCosts) for one in several.values()):
        raise ContractError("plot_merge_costs needs the result of merge_costs, or several by name")
    ax = axes_or_new(ax)
    for (name, one), colour in zip(several.items(), cycle(PALETTE), strict=False):
        table = one.table.iloc[1:-1]
        odds = np.log2(table["threshold"] / (1 - table["threshold"]))
        best = np.log2(one.best / (1 - one.best)) if 0 < one.best < 1 else np.copysign(np.inf, one.best - 0.5)
        middle = np.clip(best, odds.min(), odds.max())
        near = (odds - middle).abs() <= 12
        table, odds = table[near], odds[near]
        error = 1.96 * table["standard_error"]
        ax.fill_between(odds, (table["cost"] - error).clip(0), table["cost"] + error, color=colour, alpha=0.2, lw=0)
        ax.plot(odds, table["cost"], color=colour, label=name or "estimate, with 95 % interval")
        for at, style in ((one.best, "-"), (one.by_theory, ":")):
            told = f"{'cheapest' if at == one.best else 'by theory'}{f' ({name})' if name else ''}: {at:.3g}"
            place = np.log2(at / (1 - at)) if 0 < at < 1 else np.nan
            ax.axvline(place, color=colour, ls=style, lw=1.2, label=told)
    ax.set(xlabel="threshold, as log2 odds", ylabel="cost of wrong and missed merges (money)", ylim=0)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.legend(fontsize="small")
    return ax
