"""PLS path model: constructs that nobody can see, each measured by a block of items, and the arrows between them.

Every construct becomes a weighted sum of its own items (mode A: weights are the items' correlations with what the
neighbouring constructs say of it), with variance one; the arrows are then regressions between these scores. Weights are
found by turns. All of it needs the correlations of the items only, so that the divisor of the variance drops out.

References
----------
Lohmöller, J.-B. (1989). *Latent Variable Path Modeling with Partial Least Squares*. Physica.
Tenenhaus, M., Esposito Vinzi, V., Chatelin, Y.-M. & Lauro, C. (2005). PLS path modeling. *Computational Statistics &
Data Analysis* 48(1), 159-205.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from crmlab.contracts import aligned, one_of, require_columns
from crmlab.errors import ContractError
from crmlab.models.base import ConvergenceError
from crmlab.models.path_weights import Estimate, Layout, Scheme, estimate, total
from crmlab.stats import check_level

if TYPE_CHECKING:
    from crmlab.models.base import Floats

Effect = Literal["direct", "total"]


class PathModel:
    """A path model and the answers it is to be fitted to.

    Parameters
    ----------
    answers : pandas.DataFrame, shape (n, at least items)
        One row a person; items are numbers on any scale, coded so that those of a block point the same way. Persons
        with missing answers are refused: drop them, or fill them in and say so.
    blocks : mapping of str to sequence of str
        The items (columns) of every construct; an item belongs to one block.
    paths : sequence of (str, str)
        Arrows from construct to construct, without a circle.
    scheme : {"centroid", "factorial", "path"}, default "centroid"
        What a neighbour counts while weights are sought: the sign of its correlation, the correlation, or for causes
        their regression weight and for effects the correlation.

    Raises
    ------
    ContractError
        If columns are missing, constant or not numbers, an item is in two blocks, a construct has no items or no
        arrow, arrows form a circle or repeat, or there are too few persons for the largest regression.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> liked = rng.normal(size=500)
    >>> faithful = 0.6 * liked + 0.8 * rng.normal(size=500)
    >>> columns = {"a": liked, "b": liked, "c": faithful, "d": faithful}
    >>> survey = pd.DataFrame({name: one + 0.5 * rng.normal(size=500) for name, one in columns.items()})
    >>> blocks = {"liking": ["a", "b"], "loyalty": ["c", "d"]}
    >>> PathModel(survey, blocks, [("liking", "loyalty")]).fit().paths.round(2).tolist()
    [0.5]
    """

    def __init__(
        self,
        answers: pd.DataFrame,
        blocks: Mapping[str, Sequence[str]],
        paths: Sequence[tuple[str, str]],
        *,
        scheme: Scheme = "centroid",
    ) -> None:
        one_of("scheme", scheme, Scheme)
        if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in paths):
            raise ContractError("every arrow must be a pair (from, to)")
        if any(isinstance(items, str) for items in blocks.values()):
            raise ContractError("a block must be a list of columns, also if it has one only")
        self.blocks = {name: tuple(items) for name, items in blocks.items()}
        self.paths = tuple((cause, effect) for cause, effect in paths)
        self.scheme = scheme
        _check_model(self.blocks, self.paths)
        self.items = [item for items in self.blocks.values() for item in items]
        require_columns(answers, self.items, "a path model")
        self.answers = aligned("a path model", **{item: answers[item] for item in self.items})
        _check_answers(self.answers, self.blocks, self.paths)

    def fit(self) -> "PathModelResults":
        """Find weights, loadings and path coefficients.

        Raises
        ------
        ConvergenceError
            If the weights do not settle, with a checklist.
        ContractError
            If two causes of one construct cannot be told apart.
        """
        layout = Layout.of(self.blocks, self.paths, self.scheme)
        found = estimate(np.corrcoef(self.answers.to_numpy(), rowvar=False), layout)
        return PathModelResults(self, layout, found)


@dataclass(frozen=True, eq=False, repr=False)
class PathModelResults:
    """A fitted path model; k constructs, p items, n persons.

    Attributes
    ----------
    model : PathModel
        Blocks, paths, scheme and answers.
    """

    model: PathModel
    _layout: Layout
    _found: Estimate

    @property
    def constructs(self) -> list[str]:
        """Names of the k constructs."""
        return list(self.model.blocks)

    @property
    def weights(self) -> pd.Series:
        """Outer weights by item, shape (p,): of standardised items, for a score of variance one."""
        return pd.Series(self._found.weights.sum(axis=1), index=self.model.items, name="weight")

    @property
    def loadings(self) -> pd.Series:
        """Correlation of every item with its own construct, shape (p,)."""
        across = self.cross_loadings.to_numpy()
        return pd.Series(across[self._layout.member], index=self.model.items, name="loading")

    @property
    def cross_loadings(self) -> pd.DataFrame:
        """Correlation of every item with every construct, shape (p, k)."""
        items = np.corrcoef(self.model.answers.to_numpy(), rowvar=False)
        return pd.DataFrame(items @ self._found.weights, index=self.model.items, columns=self.constructs)

    @property
    def scores(self) -> pd.DataFrame:
        """Scores of the constructs with mean 0 and variance 1 (divisor n), shape (n, k)."""
        answers = self.model.answers
        standard = (answers - answers.mean()) / answers.std(ddof=0)
        return pd.DataFrame(standard.to_numpy() @ self._found.weights, index=answers.index, columns=self.constructs)

    @property
    def correlations(self) -> pd.DataFrame:
        """Correlations of the scores, shape (k, k)."""
        return pd.DataFrame(self._found.correlations, index=self.constructs, columns=self.constructs)

    @property
    def paths(self) -> pd.Series:
        """Standardised path coefficients, in the order of the model's arrows; the index holds from and to."""
        return _by_pair(self._found.coefficients, self.constructs, self.model.paths, "path")

    @property
    def r_squared(self) -> pd.Series:
        """Share of the variance of a construct that its causes explain, for those that have some."""
        explained = (self._found.coefficients * self._found.correlations).sum(axis=0)
        caused = self._layout.arrow.any(axis=0)
        return pd.Series(explained[caused], index=np.array(self.constructs)[caused].tolist(), name="r_squared")

    @property
    def total_effects(self) -> pd.DataFrame:
        """Effect of one standard deviation along all ways together, from (rows) to (columns), shape (k, k)."""
        return pd.DataFrame(total(self._found.coefficients), index=self.constructs, columns=self.constructs)

    @property
    def iterations(self) -> int:
        """Turns until the weights had settled."""
        return self._found.turns

    def reliability(self) -> pd.DataFrame:
        """How well the items of a block hang together.

        Returns
        -------
        pandas.DataFrame
            By construct: ``items``; ``alpha`` (Cronbach's, of standardised items) and ``rho_c`` (composite
            reliability), both missing for one item; ``ave`` (mean squared loading, "average variance extracted") and
            ``largest_correlation`` (with another construct, squared: Fornell and Larcker want it below ``ave``).

        References
        ----------
        Fornell, C. & Larcker, D. F. (1981). Evaluating structural equation models with unobservable variables and
        measurement error. *Journal of Marketing Research* 18(1), 39-50.
        """
        loadings = self.loadings
        between = self._found.correlations**2 - np.eye(len(self.constructs))
        rows = {}
        for at, (name, items) in enumerate(self.model.blocks.items()):
            own, many = loadings[list(items)], len(items) > 1
            rows[name] = {
                "items": len(items),
                "alpha": _alpha(self.model.answers[list(items)]) if many else np.nan,
                "rho_c": own.sum() ** 2 / (own.sum() ** 2 + (1 - own**2).sum()) if many else np.nan,
                "ave": (own**2).mean(),
                "largest_correlation": between[at].max(),
            }
        return pd.DataFrame(rows).T.astype({"items": int}).rename_axis("construct")

    def htmt(self) -> pd.DataFrame:
        """Heterotrait-monotrait ratio of correlations: near 1, two blocks measure one thing.

        Returns
        -------
        pandas.DataFrame, shape (k, k)
            Mean absolute correlation of items between two blocks over the geometric mean of that within them; 1
            within a block of one item, and missing on the diagonal.

        References
        ----------
        Henseler, J., Ringle, C. M. & Sarstedt, M. (2015). A new criterion for assessing discriminant validity in
        variance-based structural equation modeling. *Journal of the Academy of Marketing Science* 43, 115-135.
        """
        items = np.abs(np.corrcoef(self.model.answers.to_numpy(), rowvar=False))
        member = self._layout.member.astype(float)
        sizes = member.sum(axis=0)
        sums = member.T @ items @ member
        pairs = sizes * (sizes - 1)
        within = np.where(pairs > 0, (np.diag(sums) - sizes) / np.where(pairs > 0, pairs, 1), 1.0)
        ratio = sums / np.outer(sizes, sizes) / np.sqrt(np.outer(within, within))
        np.fill_diagonal(ratio, np.nan)
        return pd.DataFrame(ratio, index=self.constructs, columns=self.constructs)

    def bootstrap(self, *, seed: int, n: int = 500, level: float = 0.95, effect: Effect = "direct") -> pd.DataFrame:
        """Percentile bootstrap of path coefficients: whole persons are drawn with replacement, and all is fitted anew.

        Signs are settled in every resample by the rule of the fit, that a score goes with its items, and by no other
        correction. Resamples in which an item is constant or the weights do not settle are left out.

        Parameters
        ----------
        seed : int
            Seed of the resampling.
        n : int, default 500
            Number of resamples.
        level : float, default 0.95
            Confidence level.
        effect : {"direct", "total"}, default "direct"
            The arrows, or the total effects of every pair that a way of arrows connects.

        Returns
        -------
        pandas.DataFrame
            By from and to: ``estimate``, ``std_error``, ``low``, ``high`` and ``resamples`` (those that could be
            fitted).

        Raises
        ------
        ConvergenceError
            If fewer than nine in ten resamples can be fitted.
        """
        one_of("effect", effect, Effect)
        check_level(level)
        if n < 20:
            raise ContractError(f"the bootstrap needs at least 20 resamples, got n={n}")
        rng, answers = np.random.default_rng(seed), self.model.answers.to_numpy()
        drawn = [_refit(answers[rng.integers(0, len(answers), len(answers))], self._layout) for _ in range(n)]
        kept = [one.coefficients for one in drawn if one is not None]
        if len(kept) < 0.9 * n:
            facts = [f"{n - len(kept)} of {n} resamples could not be fitted", *_facts(self.model)]
            raise ConvergenceError("the bootstrap of the path model failed", facts)
        direct = effect == "direct"
        pairs = self.model.paths if direct else self._connected()
        effects = [one if direct else total(one) for one in [self._found.coefficients, *kept]]
        table = np.array([_by_pair(one, self.constructs, pairs, "") for one in effects])
        low, high = np.quantile(table[1:], [(1 - level) / 2, (1 + level) / 2], axis=0)
        columns = {"estimate": table[0], "std_error": table[1:].std(axis=0, ddof=1), "low": low, "high": high}
        return pd.DataFrame(columns, index=_pairs(pairs)).assign(resamples=len(kept))

    def _connected(self) -> list[tuple[str, str]]:
        """Pairs of constructs with a way of arrows from the first to the second."""
        ways = total(self._layout.arrow.astype(float)) > 0
        return [(self.constructs[i], self.constructs[j]) for i, j in np.argwhere(ways)]

    def __repr__(self) -> str:
        head = (
            f"PLS path model: {len(self.constructs)} constructs (mode A), {len(self.model.items)} items, "
            f"{len(self.model.answers):,} persons, scheme {self.model.scheme}, {self.iterations} turns"
        )
        r2 = "R2: " + ", ".join(f"{name} {value:.2f}" for name, value in self.r_squared.items())
        return f"{head}\n{self.paths.round(3).to_string()}\n{r2}"


def _check_model(blocks: Mapping[str, Sequence[str]], paths: Sequence[tuple[str, str]]) -> None:
    items = pd.Series([item for one in blocks.values() for item in one], dtype=object)
    named = {name for pair in paths for name in pair}
    problems = [f"{name}: no items" for name, one in blocks.items() if not one]
    problems += [f"item {item!r} is there twice" for item in items[items.duplicated()].unique()]
    problems += [f"{name!r} has an arrow and no block" for name in sorted(named - set(blocks))]
    problems += [f"{name!r} has a block and no arrow" for name in blocks if name not in named]
    problems += [
        f"arrow {cause} -> {effect} twice" for cause, effect in sorted({p for p in paths if paths.count(p) > 1})
    ]
    if not paths:
        problems.append("there is no arrow")
    try:
        TopologicalSorter({effect: [c for c, e in paths if e == effect] for _, effect in paths}).prepare()
    except CycleError as circle:
        problems.append(f"the arrows form a circle: {' - '.join(map(str, circle.args[1]))}")
    if problems:
        raise ContractError("this is no path model", problems)


def _check_answers(
    answers: pd.DataFrame, blocks: Mapping[str, Sequence[str]], paths: Sequence[tuple[str, str]]
) -> None:
    needed = max(sum(e == effect for _, e in paths) for _, effect in paths) + 2
    problems = [f"{item}: everybody gave the same answer" for item in answers if answers[item].nunique() == 1]
    if len(answers) < needed:
        problems.append(f"{len(answers)} persons, where {needed} are the least for the arrows into one construct")
    if problems:
        raise ContractError("a path model cannot be fitted to these answers", problems)


def _refit(answers: "Floats", layout: Layout) -> Estimate | None:
    if (np.ptp(answers, axis=0) == 0).any():
        return None
    try:
        return estimate(np.corrcoef(answers, rowvar=False), layout)
    except (ConvergenceError, ContractError):
        return None


def _alpha(items: pd.DataFrame) -> float:
    k, mean = items.shape[1], (items.corr().to_numpy().sum() - items.shape[1]) / (items.shape[1] * (items.shape[1] - 1))
    return float(k * mean / (1 + (k - 1) * mean))


def _facts(model: PathModel) -> list[str]:
    fewest = model.answers.nunique()
    return [f"{len(model.answers):,} persons", f"{fewest.idxmin()} has {fewest.min()} different answers"]


def _pairs(pairs: Sequence[tuple[str, str]]) -> pd.MultiIndex:
    return pd.MultiIndex.from_tuples(list(pairs), names=["from", "to"])


def _by_pair(matrix: "Floats", names: Sequence[str], pairs: Sequence[tuple[str, str]], label: str) -> pd.Series:
    values = [matrix[names.index(cause), names.index(effect)] for cause, effect in pairs]
    return pd.Series(values, index=_pairs(pairs), name=label)
