"""Figures of the service desk and of word of mouth; titles are the reader's.

Each takes a result, draws it on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.contracts import require_columns
from crmlab.errors import ContractError
from crmlab.relationship.influence import InstrumentedEffect
from crmlab.relationship.recovery import GroupComparison
from crmlab.stats import PALETTE, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_desk(table: pd.DataFrame, *, slot: str, ax: "Axes | None" = None) -> "Axes":
    """Service level by slot of a day: observed, Erlang A and Erlang C.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `desk_table`, of one day, in the order of time.
    slot : str
        Column with the name of the slot.
    """
    require_columns(table, [slot, "service_level", "service_level_a", "service_level_c"], "plot_desk")
    if table.empty or table[slot].duplicated().any():
        raise ContractError("plot_desk needs the slots of one day, each once")
    ax = axes_or_new(ax)
    position = np.arange(len(table))
    ax.bar(position, table["service_level"], color="0.85", label="observed")
    ax.plot(position, table["service_level_a"], "o-", ms=4, color=PALETTE[0], label="Erlang A")
    ax.plot(position, table["service_level_c"], "s--", ms=4, color=PALETTE[1], label="Erlang C")
    over = np.flatnonzero(table["service_level_c"].isna())
    if len(over):
        ax.plot(over, np.zeros(len(over)), "x", color=PALETTE[1], label="Erlang C: overloaded", clip_on=False)
    step = max(len(table) // 14, 1)
    ax.set_xticks(position[::step], table[slot].astype(str).iloc[::step], rotation=45)
    ax.set(xlabel="slot begins at", ylabel="answered in time, share of all calls", ylim=(0, 1))
    ax.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return ax


def plot_staffing(curve: pd.DataFrame, *, ax: "Axes | None" = None) -> "Axes":
    """Cost of agents, of lost callers, and of both, with the cheapest number; see `staffing_curve`."""
    require_columns(curve, ["agents", "agents_cost", "lost_cost", "cost"], "plot_staffing")
    if curve.empty:
        raise ContractError("there is no staffing curve to draw: it has no row")
    ax = axes_or_new(ax)
    ax.plot(curve["agents"], curve["agents_cost"], "--", color=PALETTE[0], label="agents")
    ax.plot(curve["agents"], curve["lost_cost"], ":", color=PALETTE[1], label="callers who hang up")
    ax.plot(curve["agents"], curve["cost"], "o-", ms=4, color="black", label="both")
    best = int(curve["agents"].iloc[int(np.argmin(curve["cost"]))])
    ax.axvline(best, color="grey", lw=1, label=f"cheapest: {best}")
    ax.set(xlabel="agents on the phone", ylabel="money an hour", ylim=(0, None))
    ax.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=10)
    return ax


def plot_groups(comparison: GroupComparison, *, ax: "Axes | None" = None) -> "Axes":
    """Plain and adjusted means of groups with their intervals."""
    ax = axes_or_new(ax)
    table = comparison.table
    position = np.arange(len(table))
    styles: list[tuple[str, str, str, float, str, str]] = [
        ("mean", "low", "high", -0.1, "0.6", "as observed"),
        ("adjusted", "adjusted_low", "adjusted_high", 0.1, PALETTE[0], "adjusted"),
    ]
    for mean, low, high, shift, colour, label in styles:
        reach = [table[mean] - table[low], table[high] - table[mean]]
        ax.errorbar(position + shift, table[mean], yerr=reach, fmt="o", capsize=4, color=colour, label=label)
    ax.axhline(table["adjusted"].iloc[0], color="grey", ls="--", lw=1)
    ax.set_xticks(position, [f"{name}\n({n:,})" for name, n in zip(table.index, table["cases"], strict=True)])
    ax.set(xlabel="group (cases)", ylabel=comparison.outcome.replace("_", " "), xlim=(-0.5, len(table) - 0.5))
    ax.legend(frameon=False)
    return ax


def plot_instrumented(effect: InstrumentedEffect, *, ax: "Axes | None" = None) -> "Axes":
    """The four estimates of an instrumented effect with their intervals."""
    ax = axes_or_new(ax)
    table = effect.table.iloc[::-1]
    reach = [table["estimate"] - table["low"], table["high"] - table["estimate"]]
    ax.errorbar(table["estimate"], np.arange(len(table)), xerr=reach, fmt="o", capsize=4, color=PALETTE[0])
    ax.axvline(0, color="grey", lw=1)
    for height, value in enumerate(table["estimate"]):
        ax.annotate(f"{value:.2f}", (value, height), xytext=(0, 7), textcoords="offset points", ha="center")
    ax.set_yticks(np.arange(len(table)), table.index)
    ax.set(xlabel=f"estimate with {effect.level:.0%} interval", ylim=(-0.5, len(table) - 0.3))
    return ax
