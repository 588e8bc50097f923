"""Figures of campaigns with a control group; titles are the reader's.

Each takes a result, draws it on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from crmlab.database.campaign import ReadOut
from crmlab.database.campaign_design import Balance, TestPlan, plan_test
from crmlab.database.policy import PolicyValue, TargetingCurve
from crmlab.errors import ContractError
from crmlab.stats import PALETTE, axes_or_new, percent_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_power(plan: TestPlan, *, ax: "Axes | None" = None) -> "Axes":
    """Power of the planned test by its number of customers, with the plan marked."""
    ax = axes_or_new(ax)
    sizes = np.unique(np.geomspace(max(plan.customers / 20, 4), plan.customers * 4, 60).astype(int))
    powers = [
        plan_test(
            baseline=plan.baseline,
            sd=plan.sd,
            difference=plan.difference,
            customers=int(size),
            power=None,
            treated_share=plan.treated_share,
            alpha=plan.alpha,
        ).power
        for size in sizes
    ]
    ax.plot(sizes, powers, color=PALETTE[0])
    ax.plot(plan.customers, plan.power, "o", color=PALETTE[1], label=f"{plan.customers:,} customers: {plan.power:.0%}")
    ax.axhline(plan.alpha, color="0.6", linestyle="--", linewidth=1, label=f"without any effect: {plan.alpha:.0%}")
    ax.set(xscale="log", xlabel="customers in the test, both arms (log scale)", ylim=(0, 1.02))
    ax.set_ylabel(f"chance to find {plan.difference:.3g}")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    percent_axis(ax.yaxis)
    ax.legend(loc="lower right")
    return ax


def plot_effects(
    results: Mapping[str, ReadOut], *, label: str = "effect per customer", ax: "Axes | None" = None
) -> "Axes":
    """Effects with their intervals, one line each, and where nothing is.

    Parameters
    ----------
    results : mapping of str to ReadOut
        By name; an adjusted effect is drawn below the plain one.
    label : str, default "effect per customer"
        What the effect is, with its unit.
    """
    _some(results, "read-outs")
    ax = axes_or_new(ax)
    lines = []
    for name, result in results.items():
        lines.append((name, result.difference, PALETTE[0]))
        if result.adjusted:
            lines.append((f"{name}, adjusted", result.adjusted, PALETTE[1]))
    for place, (_, interval, colour) in enumerate(lines):
        ax.plot([interval.low, interval.high], [place, place], color=colour, linewidth=2)
        ax.plot(interval.estimate, place, "o", color=colour)
    ax.axvline(0, color="0.5", linestyle="--", linewidth=1)
    level = next(iter(results.values())).level
    ax.set(
        xlabel=f"{label}, {100 * level:g}% interval", yticks=range(len(lines)), yticklabels=[name for name, *_ in lines]
    )
    ax.set_ylim(len(lines) - 0.5, -0.5)
    return ax


def plot_balance(result: Balance, *, most: int = 25, ax: "Axes | None" = None) -> "Axes":
    """Standardised mean differences, the largest first.

    Parameters
    ----------
    result : Balance
        From `balance`.
    most : int, default 25
        Covariates shown.
    """
    ax = axes_or_new(ax)
    order = result.table["smd"].abs().sort_values(ascending=False, kind="stable").index[:most]
    table = result.table.loc[order]
    ax.plot(table["smd"], range(len(table)), "o", color=PALETTE[0])
    ax.axvline(0, color="0.5", linewidth=1)
    for limit in (-0.1, 0.1):
        ax.axvline(limit, color="0.7", linestyle="--", linewidth=1)
    reach = max(0.12, 1.1 * float(table["smd"].abs().max()))
    ax.set(yticks=range(len(table)), yticklabels=table["covariate"].astype(str), xlim=(-reach, reach))
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_xlabel("treated minus control, in standard deviations of a customer")
    return ax


def plot_targeting(curves: Mapping[str, TargetingCurve], *, unit: str = "outcome", ax: "Axes | None" = None) -> "Axes":
    """Uplift or Qini curves of several scores on the same customers, with the line of a random order.

    Parameters
    ----------
    curves : mapping of str to TargetingCurve
        By name of the score; all of one kind.
    unit : str, default "outcome"
        Unit of the outcome, for the label of the axis.

    Raises
    ------
    ContractError
        If there is no curve, or curves of both kinds.
    """
    _some(curves, "curves")
    kinds = {curve.kind for curve in curves.values()}
    if len(kinds) > 1:
        raise ContractError("draw uplift curves or Qini curves: the two cannot share an axis")
    ax = axes_or_new(ax)
    for (name, curve), colour in zip(curves.items(), cycle(PALETTE), strict=False):
        per_customer = curve.table["value"] / curve.table["customers"].iloc[-1]
        ax.plot(curve.table["share"], per_customer, color=colour, label=f"{name}: coefficient {curve.coefficient:.3f}")
    ax.plot([0, 1], [0, per_customer.iloc[-1]], color="0.5", linestyle="--", linewidth=1, label="random order")
    ax.set(xlabel="share of customers, the highest score first", ylabel=f"incremental {unit}\nper customer of all")
    ax.set_xlim(0, 1)
    percent_axis(ax.xaxis)
    ax.legend(loc="lower right")  # a curve worth drawing runs above the line
    return ax


def plot_policies(result: PolicyValue, *, ax: "Axes | None" = None) -> "Axes":
    """Profit per customer of each policy over contacting nobody, with its interval."""
    ax = axes_or_new(ax)
    table = result.table
    reach = [table["profit"] - table["low"], table["high"] - table["profit"]]
    ax.barh(range(len(table)), table["profit"], xerr=reach, color=PALETTE[0], ecolor="0.3", capsize=3, height=0.6)
    ax.axvline(0, color="0.3", linewidth=1)
    names = [f"{name} ({share:.0%} contacted)" for name, share in zip(table["policy"], table["share"], strict=True)]
    ax.set(yticks=range(len(table)), yticklabels=names, ylim=(len(table) - 0.5, -0.5))
    ax.set_xlabel(f"profit per customer over contacting nobody, money, {100 * result.level:g}% interval")
    return ax


def _some(results: Mapping[str, object], what: str) -> None:
    if not results:
        raise ContractError(f"there are no {what} to draw: give a mapping from name to result")
