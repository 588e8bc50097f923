"""The arithmetic of a PLS path model: outer weights by turns, then regressions, all from the items' correlations.

References
----------
Lohmöller, J.-B. (1989). *Latent Variable Path Modeling with Partial Least Squares*. Physica, ch. 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from crmlab.errors import ContractError
from crmlab.models.base import ConvergenceError

if TYPE_CHECKING:
    from crmlab.models.base import Floats

Scheme = Literal["centroid", "factorial", "path"]

#: The weights have arrived when none moves by more than this in a turn.
_SMALL = 1e-10
_TURNS = 1_000
#: Predictors of one construct whose correlations have a smaller eigenvalue than this say the same thing.
_SAME = 1e-8


@dataclass(frozen=True)
class Layout:
    """The model as arrays: `member` (items, constructs) and `arrow` (from, to) hold True where something is."""

    names: tuple[str, ...]
    member: "Floats"
    arrow: "Floats"
    scheme: Scheme

    @classmethod
    def of(cls, blocks: Mapping[str, Sequence[str]], paths: Sequence[tuple[str, str]], scheme: Scheme) -> "Layout":
        names = list(blocks)
        owner = np.repeat(np.arange(len(names)), [len(items) for items in blocks.values()])
        arrow = np.zeros((len(names), len(names)), dtype=bool)
        for cause, effect in paths:
            arrow[names.index(cause), names.index(effect)] = True
        return cls(tuple(names), owner[:, None] == np.arange(len(names)), arrow, scheme)


@dataclass(frozen=True)
class Estimate:
    """Weights (items, constructs) of standardised items, correlations of the scores, coefficients (from, to)."""

    weights: "Floats"
    correlations: "Floats"
    coefficients: "Floats"
    turns: int


def estimate(items: "Floats", layout: Layout) -> Estimate:
    """Weights by turns, then regressions, from the correlations of the items."""
    weights = _scaled(layout.member.astype(float), items)
    for turn in range(1, _TURNS + 1):
        inner = weights @ _inner(weights.T @ items @ weights, layout)
        new = _scaled(np.where(layout.member, items @ inner, 0.0), items)
        moved, weights = np.abs(new - weights).max(), new
        if not np.isfinite(moved):
            break
        if moved < _SMALL:
            weights = weights * _signs(items @ weights, layout.member)
            correlations = weights.T @ items @ weights
            return Estimate(weights, correlations, _regress(correlations, layout), turn)
    raise ConvergenceError(
        f"the weights did not settle in {turn} turns",
        [
            f"{len(items)} items in {len(layout.names)} blocks, scheme {layout.scheme}",
            f"the last turn moved a weight by {moved:.2g} (nan: a block has no correlation with any neighbour)",
            "items of a block that point in different directions: turn their scale round",
            "neighbours whose correlation is near 0, so that its sign flips: scheme 'factorial' does not care",
            "an arrow that the data do not carry: leave it out",
        ],
    )


def _scaled(weights: "Floats", items: "Floats") -> "Floats":
    """Weights whose scores have variance one."""
    with np.errstate(invalid="ignore", divide="ignore"):  # a block that hears nothing is told by the caller
        return weights / np.sqrt(np.einsum("ij,ik,kj->j", weights, items, weights))


def _inner(correlations: "Floats", layout: Layout) -> "Floats":
    """What every construct (column) hears of its neighbours (rows)."""
    beside = layout.arrow | layout.arrow.T
    if layout.scheme == "centroid":
        return np.where(beside, np.sign(correlations), 0.0)
    if layout.scheme == "factorial":
        return np.where(beside, correlations, 0.0)
    return np.where(layout.arrow.T, correlations, 0.0) + _regress(correlations, layout)


def _signs(loadings: "Floats", member: "Floats") -> "Floats":
    """+1 where a score goes with the sum of its items, else -1."""
    return np.where((loadings * member).sum(axis=0) < 0, -1.0, 1.0)


def _regress(correlations: "Floats", layout: Layout) -> "Floats":
    """Standardised coefficients of every construct on its causes, shape (from, to)."""
    coefficients = np.zeros_like(correlations)
    for to in np.flatnonzero(layout.arrow.any(axis=0)):
        causes = np.flatnonzero(layout.arrow[:, to])
        among = correlations[np.ix_(causes, causes)]
        if np.linalg.eigvalsh(among)[0] < _SAME:
            raise ContractError(
                f"the causes of {layout.names[to]} ({', '.join(layout.names[cause] for cause in causes)}) cannot be "
                "told apart, because their scores are linearly dependent: leave an arrow out"
            )
        coefficients[causes, to] = np.linalg.solve(among, correlations[causes, to])
    return coefficients


def total(coefficients: "Floats") -> "Floats":
    """Sum over all ways: B + B^2 + ..., which ends because there is no circle."""
    unit = np.eye(len(coefficients))
    return np.linalg.inv(unit - coefficients) - unit
