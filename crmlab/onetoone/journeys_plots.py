"""Figures of journeys; titles are the reader's.

Each takes a result, draws it on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.errors import ContractError
from crmlab.onetoone.journeys import Funnel, JourneyGraph
from crmlab.onetoone.journeys_credit import Attribution
from crmlab.onetoone.journeys_trials import HoldoutEffects
from crmlab.stats import PALETTE, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_journey(graph: JourneyGraph, *, least: float = 0.05, ax: "Axes | None" = None) -> "Axes":
    """States in a row with the steps between them: forward above the row, backward below it, ends as text under it.

    The width of a line is the number of steps, its label the share of what follows the state; the area of a dot is how
    often the state is visited. States stand in the order of the graph (make the column categorical to choose it).

    Parameters
    ----------
    graph : JourneyGraph
        From `journey_graph`.
    least : float, default 0.05
        Steps that are a smaller share of what follows their state are left out.
    """
    if not 0 <= least < 1:
        raise ContractError(f"least must be a share from 0 to below 1, got {least}")
    ax = axes_or_new(ax, figsize=(11, 5))
    names, counts, share = list(graph.counts.index), graph.counts, graph.probabilities
    states, ends = names[1:], [name for name in graph.counts.columns if name not in names]
    at = {name: float(i) for i, name in enumerate(names)}
    widest, tops, depths = float(counts[states].to_numpy().max()), [0.6], [-0.7]
    for source in names:
        for target in states:
            chance = float(share.loc[source, target])
            if source == target and chance >= least:
                ax.text(at[source], -0.72, f"again {chance:.0%}", ha="center", va="top", fontsize=9, color="0.4")
            elif chance >= least and counts.loc[source, target]:
                width = 0.8 + 7 * counts.loc[source, target] / widest
                (tops if at[target] > at[source] else depths).append(_step(ax, at[source], at[target], chance, width))
    visits = counts.sum(axis=1)
    ax.scatter(range(len(names)), np.zeros(len(names)), s=150 + 900 * visits / visits.max(), color="black", zorder=3)
    bottom = min(depths) - 0.45
    for name, x in at.items():
        ax.text(x, -0.36, name, ha="center", va="top", fontweight="bold")
        for row, end in enumerate(ends):
            if share.loc[name, end] > 0:
                ax.text(x, bottom - 0.35 * row, f"{share.loc[name, end]:.0%}", ha="center", va="center", color="0.25")
    for row, end in enumerate(ends):
        ax.text(-0.4, bottom - 0.35 * row, f"then {end}:", ha="center", va="center", color="0.25", style="italic")
    ax.set(xlim=(-0.8, len(names) - 0.4), ylim=(bottom - 0.35 * len(ends), max(tops) + 0.3))
    ax.axis("off")
    return ax


def _step(ax: "Axes", x0: float, x1: float, share: float, width: float) -> float:
    """A half ellipse from one state to another, above the row if it leads forward; the height at which it turns."""
    from matplotlib.patches import Arc

    forward, span = x1 > x0, abs(x1 - x0)
    base, height = (0.0, 0.42 * span + 0.25) if forward else (-1.0, -0.22 * span - 0.15)
    sides = {"theta1": 0, "theta2": 180} if forward else {"theta1": 180, "theta2": 360}
    colour = PALETTE[0] if forward else PALETTE[1]
    ax.add_patch(Arc(((x0 + x1) / 2, base), span, 2 * abs(height), color=colour, lw=width, alpha=0.55, **sides))
    box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": colour, "lw": 0.8}
    ax.text((x0 + x1) / 2, base + height, f"{share:.0%}", ha="center", va="center", fontsize=9, bbox=box)
    return base + height


def plot_funnel(found: Funnel, *, ax: "Axes | None" = None) -> "Axes":
    """Units that reach each step, with the share that continued from the step before and its interval."""
    ax = axes_or_new(ax, figsize=(9, 0.7 * len(found.table) + 0.8))
    table = found.table
    height = np.arange(len(table))[::-1]
    ax.barh(height, table["reached"], color=PALETTE[0], height=0.62)
    for y, (name, row) in zip(height, table.iterrows(), strict=True):
        text = f"{row['reached']:,.0f}"
        if name != table.index[0]:
            text += f" · {row['continued']:.1%} go on ({row['low']:.1%} to {row['high']:.1%})"
        ax.annotate(text, (row["reached"], y), xytext=(5, 0), textcoords="offset points", va="center", fontsize=10)
    ax.set_yticks(height, table.index)
    ax.set(xlabel=table.index[0].removeprefix("all "), xlim=(0, table["reached"].max() * 1.12))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.grid(axis="y", visible=False)
    return ax


def plot_credit(
    credits: Mapping[str, Attribution],
    caused: HoldoutEffects,
    *,
    truth: pd.Series | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """What each rule credits a channel with, beside what the holdout says that it caused.

    Parameters
    ----------
    credits : mapping of str to Attribution
        At most seven, by the name to show.
    caused : HoldoutEffects
        Of the same channels.
    truth : pandas.Series, optional
        True incremental conversions by channel, where a simulation knows them.
    """
    channels = list(caused.table.index)
    apart = {name: sorted(set(channels) ^ set(one.table.index)) for name, one in credits.items()}
    if not 1 <= len(credits) < len(PALETTE) or any(apart.values()):
        raise ContractError(f"plot_credit shows 1 to {len(PALETTE) - 1} rules on the same channels; differing: {apart}")
    ax = axes_or_new(ax, figsize=(9, 1.2 * len(channels) + 1))
    base = np.arange(len(channels))[::-1].astype(float)
    tables = {name: one.table.loc[channels, ["credit", "low", "high"]] for name, one in credits.items()}
    tables["holdout"] = caused.table[["incremental", "low", "high"]]
    offsets = np.linspace(0.34, -0.34, len(tables))
    for (name, table), shift, colour in zip(tables.items(), offsets, [*PALETTE[: len(credits)], "black"], strict=True):
        values, low, high = table.to_numpy(dtype=float).T
        style = {"fmt": "D", "ms": 7, "lw": 2.5} if name == "holdout" else {"fmt": "o", "ms": 5, "lw": 1.2}
        spread = [np.maximum(values - low, 0), np.maximum(high - values, 0)]
        ax.errorbar(values, base + shift, xerr=spread, color=colour, label=name, **style)  # type: ignore[arg-type]
    if truth is not None:
        ax.vlines(truth.reindex(channels), base - 0.45, base + 0.45, color="0.65", lw=4, label="truth", zorder=1)
    for y in base[:-1] - 0.5:
        ax.axhline(y, color="0.85", lw=1)
    ax.axvline(0, color="grey", lw=1)
    ax.set_yticks(base, channels)
    ax.set(xlabel="conversions", ylim=(-0.55, len(channels) - 0.45))
    ax.grid(axis="y", visible=False)
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax
