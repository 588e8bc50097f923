"""Figures of a loyalty programme; titles are the reader's.

Each takes a result, draws it on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from typing import TYPE_CHECKING

import pandas as pd

from crmlab.errors import ContractError
from crmlab.relationship.programme_averages import Averages
from crmlab.relationship.programme_points import PointsLiability
from crmlab.relationship.programme_trends import Sensitivity
from crmlab.stats import PALETTE, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_event_study(
    study: Averages, *, unit: str = "outcome", truth: pd.Series | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Effects by periods since joining: pointwise limits as bars, simultaneous ones as a band.

    Parameters
    ----------
    study : Averages
        From ``effects_by(effects, "event_time")``.
    unit : str, default "outcome"
        Unit of the outcome, for the label of the axis.
    truth : pandas.Series, optional
        True effects by event time, where they are known.

    Raises
    ------
    ContractError
        If `study` is averaged by something else.
    """
    if study.by != "event_time":
        raise ContractError(f"these effects are by {study.by}; an event study is effects_by(effects, 'event_time')")
    ax = axes_or_new(ax)
    table = study.table
    reach = [table["estimate"] - table["low"], table["high"] - table["estimate"]]
    band = table[["band_low", "band_high"]].copy()
    band.loc[study.base] = 0.0
    band = band.sort_index()
    ax.fill_between(band.index, band["band_low"], band["band_high"], color=PALETTE[0], alpha=0.15, linewidth=0)
    ax.errorbar(table.index, table["estimate"], yerr=reach, fmt="o", color=PALETTE[0], capsize=3, label="estimate")
    ax.plot(study.base, 0, "o", color=PALETTE[0], markerfacecolor="white")
    if truth is not None:
        ax.plot(truth.index, truth, color=PALETTE[1], linewidth=2, label="truth")
    ax.axhline(0, color="0.5", linewidth=1)
    ax.axvline(-0.5, color="0.5", linestyle="--", linewidth=1)
    ax.set(xlabel="periods since joining", ylabel=f"{unit}, more than the controls")
    ax.legend(frameon=False)
    return ax


def plot_sensitivity(result: Sensitivity, *, unit: str = "outcome", ax: "Axes | None" = None) -> "Axes":
    """Limits of the mean effect against the size of the violation that is allowed for.

    Parameters
    ----------
    result : Sensitivity
        From `sensitivity`.
    unit : str, default "outcome"
        Unit of the outcome, for the label of the axis.
    """
    ax = axes_or_new(ax)
    table = result.table
    ax.fill_between(table.index, table["low"], table["high"], color=PALETTE[0], alpha=0.2, linewidth=0)
    ax.axhline(result.estimate, color=PALETTE[0], label="estimate")
    ax.axhline(0, color="0.5", linewidth=1)
    if result.undone_at <= table.index.max():
        ax.axvline(result.undone_at, color=PALETTE[1], linestyle="--", label=f"undone at {result.undone_at:.2f}")
    ax.set(xlabel="violation after joining, times the largest before", ylabel=f"mean effect, {unit}")
    ax.set_xlim(0, table.index.max())
    ax.legend(frameon=False)
    return ax


def plot_redemption(result: PointsLiability, *, ax: "Axes | None" = None) -> "Axes":
    """What has become of points by age: redeemed, expired, still open.

    Parameters
    ----------
    result : PointsLiability
        From `points_liability`.
    """
    ax = axes_or_new(ax)
    curve = result.curve[["redeemed_so_far", "still_open", "expired_so_far"]]
    words, colours = ["redeemed", "still open", "expired"], [PALETTE[2], "0.85", PALETTE[1]]
    ax.stackplot(curve.index, curve.to_numpy().T, labels=words, colors=colours)
    ax.set(xlabel="age of a point, months", ylabel="share of points earned", ylim=(0, 1), xlim=(1, curve.index.max()))
    ax.legend(loc="lower right")
    return ax
