"""Figures of churn; titles are the reader's.

Each takes results, draws them on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from crmlab.relationship.churn_costs import SavingsCurve
from crmlab.relationship.churn_profit import ExpectedMaximumProfit
from crmlab.relationship.plots import by_name
from crmlab.relationship.silence import GoneErrors
from crmlab.stats import PALETTE, axes_or_new, percent_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_expected_profit(
    found: "ExpectedMaximumProfit | Mapping[str, ExpectedMaximumProfit]", *, ax: "Axes | None" = None
) -> "Axes":
    """Best profit by acceptance, one line per score, over the density of the acceptance.

    Parameters
    ----------
    found : ExpectedMaximumProfit or mapping of str to ExpectedMaximumProfit
        One score, or several by name; the density drawn is that of the first.

    Returns
    -------
    matplotlib Axes
        The legend states each expectation: the mean of the line, weighted by the grey density (which has no scale).
    """
    from scipy.stats import beta

    results = by_name(found, "score", ExpectedMaximumProfit)
    ax = axes_or_new(ax)
    share = np.linspace(0, 1, 201)[1:-1]
    for (name, result), colour in zip(results.items(), cycle(PALETTE), strict=False):
        label = f"{name}: {result.profit:.3g} in the mean, asking {result.fraction:.0%}"
        ax.plot(share, result.best_profit(share), color=colour, label=label)
    first = next(iter(results.values()))
    density = beta.pdf(share, first.alpha, first.beta)
    height = ax.get_ylim()[1] * 0.4 / density.max()
    ax.fill_between(share, density * height, color="0.88", zorder=0, label="density of acceptance")
    ax.set(xlabel="share of leavers who accept and stay", ylabel="best profit (money per customer)", xlim=(0, 1))
    percent_axis(ax.xaxis)
    ax.legend(fontsize="small", loc="upper left")
    return ax


def plot_savings(curves: "SavingsCurve | Mapping[str, SavingsCurve]", *, ax: "Axes | None" = None) -> "Axes":
    """Money saved by share of the customers asked, riskiest first, with the best point of each curve.

    Parameters
    ----------
    curves : SavingsCurve or mapping of str to SavingsCurve
        One score, or several by name.
    """
    results = by_name(curves, "savings", SavingsCurve)
    ax = axes_or_new(ax)
    for (name, one), colour in zip(results.items(), cycle(PALETTE), strict=False):
        best = one.best
        ax.plot(one.table["share"], one.table["saved"], color=colour, linewidth=1.2, label=name)
        told = f"most: {best['saved']:,.0f} by asking {best['share']:.0%}"
        ax.plot(best["share"], best["saved"], "o", color=colour, label=told)
    ax.axhline(0, color="0.4", linewidth=1)
    ax.set(xlabel="share of customers asked, riskiest first", ylabel="saved against asking nobody (money)", xlim=(0, 1))
    percent_axis(ax.xaxis)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.legend(fontsize="small")
    return ax


def plot_gone_errors(found: "GoneErrors | Mapping[str, GoneErrors]", *, ax: "Axes | None" = None) -> "Axes":
    """Errors of the first kind against those of the second, limit by limit.

    Parameters
    ----------
    found : GoneErrors or mapping of str to GoneErrors
        One rule, or several by name; each is a curve over its limits.

    Returns
    -------
    matplotlib Axes
        Near the lower left corner a rule is seldom wrong; on the dashed line it is as good as drawing lots.
    """
    results = by_name(found, "rule", GoneErrors)
    ax = axes_or_new(ax)
    for (name, one), colour in zip(results.items(), cycle(PALETTE), strict=False):
        ax.plot(one.table["first_kind"], one.table["second_kind"], "o-", ms=3, color=colour, label=name)
    ax.plot([0, 1], [1, 0], color="0.6", linestyle="--", linewidth=1, label="drawing lots")
    ax.set(xlabel="first kind: came back, but was called gone", ylabel="second kind: did not, but was kept")
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    percent_axis(ax.xaxis, ax.yaxis)
    ax.legend(fontsize="small")
    return ax
