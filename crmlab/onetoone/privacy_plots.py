"""Figures of privacy; titles are the reader's.

Each takes results, draws them on `ax` (matplotlib Axes; without one on a new figure) and returns the Axes.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.errors import ContractError
from crmlab.onetoone.privacy_counts import PrivateCounts
from crmlab.onetoone.privacy_generalise import Generalised
from crmlab.stats import PALETTE, axes_or_new, percent_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_generalised(found: Generalised, *, ax: "Axes | None" = None) -> "Axes":
    """Every combination of levels by the rows it would suppress and the information it would lose.

    Parameters
    ----------
    found : Generalised
        From `generalise`.

    Returns
    -------
    matplotlib Axes
        Grey: not enough; blue: enough; ringed: enough and minimal; star: the one chosen.
    """
    ax = axes_or_new(ax)
    rows = len(found.kept)
    nodes = found.nodes.assign(share=found.nodes["suppressed"] / rows)
    kinds: dict[str, tuple[pd.Series, dict[str, Any]]] = {
        "not enough: too many rows would go": (~nodes["enough"], {"color": "0.75", "s": 18}),
        "enough": (nodes["enough"], {"color": PALETTE[0], "s": 22}),
        "minimal: no column can be finer": (
            nodes["minimal"],
            {"facecolor": "none", "edgecolor": PALETTE[1], "s": 70, "linewidth": 1.3},
        ),
    }
    for label, (mask, look) in kinds.items():
        ax.scatter(nodes.loc[mask, "share"], nodes.loc[mask, "loss"], label=label, **look)
    ax.scatter(found.suppressed / rows, found.loss, marker="*", s=220, color=PALETTE[2], label="chosen", zorder=3)
    ax.set(xlabel="rows suppressed, share", ylabel="information lost, share")
    percent_axis(ax.xaxis, ax.yaxis)
    ax.legend(fontsize="small")
    return ax


def plot_private_counts(
    found: PrivateCounts, *, truth: "npt.ArrayLike | None" = None, ax: "Axes | None" = None
) -> "Axes":
    """Noisy counts of the cells with their intervals, largest first.

    Parameters
    ----------
    found : PrivateCounts
        From `private_counts`.
    truth : array_like, optional
        True counts in the order of ``found.table``, for a lesson.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ContractError
        If the truth has another length.
    """
    ax = axes_or_new(ax, figsize=(7.0, 1.2 + 0.22 * len(found.table)))
    names = [name for name in found.table if name not in ("count", "low", "high")]
    order = np.argsort(found.table["count"].to_numpy(), kind="stable")
    table = found.table.iloc[order]
    place = np.arange(len(table))
    count = table["count"].to_numpy()
    spread = np.vstack([count - np.minimum(table["low"], count), table["high"] - np.minimum(table["high"], count)])
    ax.errorbar(
        count,
        place,
        xerr=spread,
        fmt="o",
        markersize=4,
        color=PALETTE[0],
        label=f"noisy, {100 * found.level:g} % interval",
    )
    if truth is not None:
        true = np.asarray(truth, dtype=float)
        if true.shape != (len(table),):
            raise ContractError(f"truth needs one value for each of {len(table)} cells, got shape {true.shape}")
        ax.scatter(true[order], place, marker="x", color=PALETTE[1], zorder=3, label="true")
    ax.set_yticks(place, [", ".join(map(str, row)) for row in table[names].itertuples(index=False)])
    ax.set(xlabel="customers", ylabel="")
    ax.legend(fontsize="small", loc="lower right")
    return ax
