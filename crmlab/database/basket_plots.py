"""Figures of baskets and rules; titles are the reader's.

Each takes a result, draws it on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.database.basket import check_kind
from crmlab.database.basket_next import BasketTrend
from crmlab.database.basket_rules import PairTable, Rules
from crmlab.errors import ContractError
from crmlab.stats import PALETTE, axes_or_new, percent_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_rules(rules: Rules, *, label: int = 0, ax: "Axes | None" = None) -> "Axes":
    """Support against association lift, coloured by confidence (of a pair, that of its surer direction).

    Parameters
    ----------
    rules : Rules
        From `association_rules`.
    label : int, default 0
        How many rules of the highest association lift are named.

    Raises
    ------
    ContractError
        If there is no rule to draw.
    """
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    check_kind(rules, Rules, "association_rules")
    table = rules.table.drop_duplicates("test")  # the surer direction of a pair comes first
    if table.empty:
        raise ContractError("there is no rule to draw; lower min_confidence or min_support")
    ax = axes_or_new(ax)
    dots = ax.scatter(table["support"], table["association_lift"], c=table["confidence"], s=12, cmap="cividis")
    ax.figure.colorbar(dots, ax=ax, label="confidence")
    ax.axhline(1, color="0.5", linestyle="--", linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="support (share of orders)", ylabel="association lift (1: independent)")
    for axis, style in ((ax.xaxis, "{x:.4g}"), (ax.yaxis, "{x:g}")):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter(style))
        axis.set_minor_formatter(NullFormatter())
    small: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7}
    for place, rule in enumerate(table.head(max(label, 0)).to_dict("records")):
        words = f"{' + '.join(map(str, rule['antecedent']))} → {rule['consequent']}"
        ax.annotate(words, (rule["support"], rule["association_lift"]), (6, -7 * (place % 2)), **small)
    return ax


def plot_pairs(pairs: PairTable, items: Sequence[object], *, ax: "Axes | None" = None) -> "Axes":
    """Heat map of the adjusted lift between some items, on a scale where halves and doubles look alike.

    Parameters
    ----------
    pairs : PairTable
        From `pairs_within`.
    items : sequence
        Items to show, in this order; at least two that took part.

    Raises
    ------
    ContractError
        If an item took no part in the table, or there are fewer than two.
    """
    import seaborn as sns

    check_kind(pairs, PairTable, "pairs_within")
    items = list(dict.fromkeys(items))
    known = pd.concat([pairs.table["item_a"], pairs.table["item_b"]]).unique()
    lacking = [item for item in items if item not in known]
    if lacking or len(items) < 2:
        raise ContractError(f"two items or more of the table are needed; not in it: {lacking}")
    ax = axes_or_new(ax)
    table = pairs.table[pairs.table["item_a"].isin(items) & pairs.table["item_b"].isin(items)]
    turned = table.rename(columns={"item_a": "item_b", "item_b": "item_a"})
    grid = pd.concat([table, turned]).pivot_table(index="item_a", columns="item_b", values="adjusted_lift")
    lifts = grid.reindex(index=items, columns=items)
    logs = lifts.clip(lower=1 / 16).map(math.log2)
    reach = max(float(np.nan_to_num(logs.abs().max().max())), 0.5)
    scale: dict[str, Any] = {"cmap": "RdBu_r", "center": 0, "vmin": -reach, "vmax": reach}
    bar = {
        "label": f"adjusted lift, by {pairs.by} (1: as often as expected)",
        "ticks": range(math.ceil(-reach), math.floor(reach) + 1),
        "format": lambda power, _: f"{2.0**power:g}",
    }
    sns.heatmap(logs, annot=lifts, fmt=".1f", annot_kws={"fontsize": 7}, cbar_kws=bar, ax=ax, **scale)
    ax.set(xlabel="", ylabel="")
    return ax


def plot_penetration(trend: BasketTrend, items: Sequence[object], *, ax: "Axes | None" = None) -> "Axes":
    """Share of the orders that hold each item, by period; periods that the log cuts are left out.

    Parameters
    ----------
    trend : BasketTrend
        From `basket_trend`.
    items : sequence
        Items to draw, at most eight.

    Raises
    ------
    ContractError
        If an item is unknown, there is none or more than eight, or fewer than two periods are complete.
    """
    check_kind(trend, BasketTrend, "basket_trend")
    items = list(dict.fromkeys(items))
    lacking = [item for item in items if item not in trend.penetration.columns]
    shares = trend.penetration[trend.periods["complete"]]
    if lacking or not 1 <= len(items) <= len(PALETTE) or len(shares) < 2:
        raise ContractError(
            f"one to {len(PALETTE)} known items and two complete periods are needed; got {len(items)} items, unknown: "
            f"{lacking}, complete periods: {len(shares)}"
        )
    ax = axes_or_new(ax)
    for item, colour in zip(items, PALETTE, strict=False):
        ax.plot(
            pd.PeriodIndex(shares.index).to_timestamp(), shares[item], "o-", markersize=3, color=colour, label=str(item)
        )
    ax.set(xlabel=str(shares.index.name), ylabel="share of orders with the item")
    ax.set_ylim(0, 1.1 * float(shares[items].max().max()))
    percent_axis(ax.yaxis)
    ax.legend(bbox_to_anchor=(1.02, 1), loc="upper left")
    return ax
