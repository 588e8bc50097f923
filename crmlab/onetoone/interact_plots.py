"""Figures of interaction; titles are the reader's.

Each takes results, draws them on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from crmlab.errors import ContractError
from crmlab.onetoone.interact_bandit import BanditRun
from crmlab.onetoone.interact_policy import OffPolicyValue
from crmlab.stats import PALETTE, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_off_policy(
    found: Mapping[str, OffPolicyValue], truth: Mapping[str, float] | None = None, *, ax: "Axes | None" = None
) -> "Axes":
    """Value of policies by each estimator with its interval, and what they really brought where that is known.

    Parameters
    ----------
    found : mapping of str to OffPolicyValue
        By name of the policy.
    truth : mapping of str to float, optional
        Value per decision of some of these policies, known from elsewhere.

    Returns
    -------
    matplotlib Axes
        One group of points per policy; an estimate without an interval is a point alone.
    """
    if not found:
        raise ContractError("give at least one policy with its value")
    ax = axes_or_new(ax)
    estimators = list(dict.fromkeys(name for one in found.values() for name in one.table.index))
    shifts = np.linspace(0.25, -0.25, len(estimators) + 1)
    for estimator, shift, colour in zip(estimators, shifts, cycle(PALETTE), strict=False):
        names = [
            (place, one.table.loc[estimator])
            for place, one in enumerate(found.values())
            if estimator in one.table.index
        ]
        y = [place + shift for place, _ in names]
        x = [row["value"] for _, row in names]
        reach = [np.nan_to_num(row["high"] - row["value"]) for _, row in names]
        ax.errorbar(x, y, xerr=reach, fmt="o", capsize=3, color=colour, label=estimator)
    known = {place: truth[name] for place, name in enumerate(found) if truth and name in truth}
    if known:
        y = [place + shifts[-1] for place in known]
        ax.plot(list(known.values()), y, "x", ms=10, mew=2, color="black", label="known")
    level = next(iter(found.values())).level
    ax.set(
        yticks=range(len(found)),
        xlabel=f"reward per decision, with {level:.0%} interval",
        ylim=(-0.5, len(found) - 0.5),
    )
    ax.set_yticklabels(list(found))
    ax.grid(axis="y", visible=False)
    ax.legend(bbox_to_anchor=(1.02, 1), loc="upper left", frameon=False)
    return ax


def plot_regret(runs: Mapping[str, Sequence[BanditRun]], *, ax: "Axes | None" = None) -> "Axes":
    """Mean regret by customers served, over several plays, with the 95 % interval of the mean.

    Parameters
    ----------
    runs : mapping of str to sequence of BanditRun
        By name of the plan, two plays or more of each, all over equally many customers.
    """
    from scipy.stats import t

    lengths = {len(one.table) for plays in runs.values() for one in plays}
    if len(lengths) != 1 or any(len(plays) < 2 for plays in runs.values()):
        raise ContractError("regrets are compared over equally many customers, from two plays or more of every plan")
    ax = axes_or_new(ax)
    steps = np.unique(np.linspace(0, lengths.pop() - 1, 200).astype(int))
    for (name, plays), colour in zip(runs.items(), cycle(PALETTE), strict=False):
        paths = np.array([one.table["regret"].to_numpy()[steps] for one in plays])
        mean = paths.mean(axis=0)
        reach = t.ppf(0.975, len(paths) - 1) * paths.std(axis=0, ddof=1) / np.sqrt(len(paths))
        ax.plot(steps + 1, mean, color=colour, label=name)
        ax.fill_between(steps + 1, mean - reach, mean + reach, color=colour, alpha=0.2, linewidth=0)
    ax.axhline(0, color="0.5", linewidth=1)
    ax.set(xlabel="customers served", ylabel="expected rewards missed")
    ax.legend(frameon=False)
    return ax
