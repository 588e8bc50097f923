"""Figures of buying models and of survival; titles are the reader's.

Each takes a result of `crmlab.models.diagnostics`, draws it on `ax` (matplotlib Axes; without one on a new figure) and
returns the Axes.
"""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.models.diagnostics import FrequencyFit
from crmlab.stats import PALETTE, axes_or_new, percent_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_frequency_fit(result: FrequencyFit, *, ax: "Axes | None" = None) -> "Axes":
    """Actual and expected customers by number of repeat purchases, with the chi-square test.

    Parameters
    ----------
    result : FrequencyFit
        From `frequency_fit`.
    """
    ax = axes_or_new(ax)
    result.table.plot.bar(color=list(PALETTE[:2]), width=0.8, rot=0, ax=ax)
    test = f"chi-square {result.chi_square:.1f}, df {result.df}, p {result.p_value:.2g}"
    ax.set(xlabel="repeat purchases in the time observed", ylabel="customers")
    ax.legend(["actual", "expected"], title=test)
    return ax


def plot_tracking(
    table: pd.DataFrame,
    *,
    time_unit: str,
    calibration_end: float | None = None,
    cumulative: bool = True,
    ax: "Axes | None" = None,
) -> "Axes":
    """Actual and expected repeat purchases over time, with a line where the calibration ended.

    Parameters
    ----------
    table : pandas.DataFrame
        From `tracking`.
    time_unit : str
        Unit of its periods, the model's.
    calibration_end : float, optional
        Period at whose end the data of the fit ended.
    cumulative : bool, default True
        Whether to draw totals, or the purchases of each period.
    """
    ax = axes_or_new(ax)
    prefix = "cumulative_" if cumulative else ""
    for name, colour, style in (("actual", PALETTE[0], "-"), ("expected", PALETTE[1], "--")):
        ax.plot(table.index, table[prefix + name], style, color=colour, label=name)
    if calibration_end is not None:
        ax.axvline(calibration_end, color="0.5", linewidth=1, linestyle=":", label="end of calibration")
    kind = "cumulative repeat purchases" if cumulative else f"repeat purchases in the {time_unit}"
    ax.set(xlabel=f"{time_unit}s since the first customer was acquired", ylabel=kind)
    ax.set_ylim(bottom=0)
    ax.legend()
    return ax


def plot_conditional_expectation(table: pd.DataFrame, *, period: str = "holdout", ax: "Axes | None" = None) -> "Axes":
    """Mean purchases in the holdout by class of customers, actual and expected.

    Parameters
    ----------
    table : pandas.DataFrame
        From `by_frequency` or `by_recency`; several models as further columns beside ``actual``.
    period : str, default "holdout"
        Name of the period, for the label.
    """
    ax = axes_or_new(ax)
    means = table.drop(columns="customers")
    places = np.arange(len(means))
    for (name, values), colour, marker in zip(means.items(), cycle(PALETTE), cycle("os^Dv"), strict=False):
        ax.plot(places, values, color=colour, marker=marker, linestyle="-" if name == "actual" else "--", label=name)
    ax.set_xticks(places, [str(one) for one in means.index], rotation=0 if len(means) < 10 else 45)
    known = {"frequency": "repeat purchases before", "recency": "last purchase, in time since the first"}
    ax.set(xlabel=known.get(str(table.index.name), str(table.index.name)), ylabel=f"mean purchases in the {period}")
    ax.legend()
    return ax


def plot_alive_surface(grid: pd.DataFrame, *, time_unit: str, ax: "Axes | None" = None) -> "Axes":
    """P(alive) over frequency and recency, as colours with lines at tenths.

    Parameters
    ----------
    grid : pandas.DataFrame
        From `history_grid`.
    time_unit : str
        Unit of its recency.
    """
    from matplotlib.ticker import MaxNLocator

    ax = axes_or_new(ax)
    tenths = np.linspace(0, 1, 11)
    surface = ax.contourf(grid.columns, grid.index, grid.to_numpy(), levels=tenths, cmap="cividis")
    ax.figure.colorbar(surface, ax=ax, label="P(alive)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="frequency (repeat purchases)", ylabel=f"recency (last purchase, in {time_unit}s)")
    return ax


def plot_iso_value(
    grid: pd.DataFrame,
    *,
    time_unit: str,
    levels: Sequence[float] | None = None,
    value: str = "discounted expected purchases",
    ax: "Axes | None" = None,
) -> "Axes":
    """Curves of equal value over recency and frequency: customers on one curve are worth the same.

    Parameters
    ----------
    grid : pandas.DataFrame
        From `history_grid` with a discount rate, or that times a value per purchase.
    time_unit : str
        Unit of its recency.
    levels : sequence of float, optional
        Values of the curves, rising.
    value : str, default "discounted expected purchases"
        What they are, for the legend.
    """
    ax = axes_or_new(ax)
    heights = np.asarray(levels) if levels is not None else _round_levels(grid)
    curves = ax.contour(grid.index, grid.columns, grid.to_numpy().T, levels=heights, colors=PALETTE[0])
    ax.clabel(curves, fmt="%g", fontsize=8)
    ax.set(xlabel=f"recency (last purchase, in {time_unit}s)", ylabel="frequency (repeat purchases)")
    ax.plot([], [], color=PALETTE[0], label=value)
    ax.legend(loc="upper left")
    return ax


def plot_survival(
    table: pd.DataFrame, *, fitted_until: float, time_unit: str = "period", ax: "Axes | None" = None
) -> "Axes":
    """Survival as observed and as models project it, in the time they were fitted to and beyond.

    Parameters
    ----------
    table : pandas.DataFrame
        From `survival_projection`.
    fitted_until : float
        Last period that the models saw.
    time_unit : str, default "period"
        Unit of the periods.
    """
    ax = axes_or_new(ax)
    ax.plot(table.index, table["observed"], "o-", color="black", markersize=4, label="observed")
    for (name, values), colour in zip(table.drop(columns="observed").items(), cycle(PALETTE), strict=False):
        ax.plot(table.index, values, "--", color=colour, label=name)
    ax.axvspan(fitted_until, table.index.max(), color="0.93", zorder=0, label="not seen by the models")
    percent_axis(ax.yaxis)
    ax.set(xlabel=f"{time_unit}s since acquisition", ylabel="share still a customer", xlim=(0, table.index.max()))
    ax.set_ylim(0, 1)
    ax.legend()
    return ax


def plot_spend_by_frequency(table: pd.DataFrame, *, currency: str = "money", ax: "Axes | None" = None) -> "Axes":
    """Mean spend by number of repeat purchases with 95 % intervals, and the mean over all customers.

    Parameters
    ----------
    table : pandas.DataFrame
        From `spend_by_frequency`.
    currency : str, default "money"
        Unit of the spend.
    """
    ax = axes_or_new(ax)
    overall = float((table["mean"] * table["customers"]).sum() / table["customers"].sum())
    places = np.arange(len(table))
    reach = 1.96 * table["se"].fillna(0.0)
    ax.errorbar(places, table["mean"], yerr=reach, fmt="o", capsize=3, color=PALETTE[0], label="95% interval")
    ax.axhline(overall, color=PALETTE[1], linestyle="--", label="all customers who bought again")
    ax.set_xticks(places, [f"{name}\n(n={count:,})" for name, count in table["customers"].items()])
    ax.set(xlabel="repeat purchases (customers)", ylabel=f"mean spend per purchase ({currency})")
    ax.set_ylim(bottom=0)
    ax.legend()
    return ax


def _round_levels(grid: pd.DataFrame) -> np.ndarray:
    """Eight or so values 1, 2, 5, 10, ... below the largest."""
    steps = np.array([base * 10.0**power for power in range(-3, 7) for base in (1, 2, 5)])
    below = steps[steps < np.nanmax(grid.to_numpy())]
    return below[-8:]
