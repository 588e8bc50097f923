"""Segments of customers who need the same, by latent class analysis."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules, require_columns
from crmlab.errors import ContractError
from crmlab.onetoone.differentiate_indicators import Coding, Kind, encode, level_columns, read_coding

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from stepmix.stepmix import StepMix

    Floats = NDArray[np.float64]

_EMISSION: Mapping[Kind, str] = MappingProxyType(
    {"yes or no": "binary", "category": "categorical", "number": "gaussian_diag"}
)
#: Added to every variance within a class (of 1 over all): no class shrinks to a handful of equal numbers.
_LEAST_VARIANCE = 0.01
#: Log-likelihoods this close are taken for the same solution.
_SAME = 0.5
#: Rise of the mean log-likelihood at which a step of EM is the last: of a first look, and of a full ascent.
_GLIMPSE, _TOP = 1e-3, 1e-6


@dataclass(frozen=True, eq=False)
class NeedsSegments:
    """Classes of customers whose answers or habits are alike.

    Classes are numbered from 1, the largest first, so that a fit with another seed gives the same numbers.

    Attributes
    ----------
    labels : pandas.Series of int
        Most likely class per customer.
    membership : pandas.DataFrame, shape (n, classes)
        Chance of each class per customer; rows add up to 1.
    profile : pandas.DataFrame
        By indicator and level: the share of each class that has the level, or its mean for numbers (own unit), beside
        ``all``. The first row is the share of each class.
    fits : pandas.DataFrame
        By number of classes tried: ``log_likelihood``, ``parameters``, ``bic``, ``aic``, ``entropy`` (relative: 1 when
        everybody's class is certain), ``smallest`` (share of the smallest class), ``agreeing`` (share of the starts
        followed to their top that reached the best log-likelihood) and ``converged``.
    resamples : pandas.DataFrame
        One row per bootstrap resample, refitted and matched to the classes: ``adjusted_rand`` with the labels of all
        customers, and for each class the overlap (Jaccard) with its match.
    pairs : pandas.DataFrame
        Pairs of indicator levels, worst first: ``observed`` correlation, the one ``expected`` if classes were all that
        links them, and ``residual``, their difference. Large residuals mean links that the classes do not explain.
    """

    labels: pd.Series
    membership: pd.DataFrame
    profile: pd.DataFrame
    fits: pd.DataFrame
    resamples: pd.DataFrame
    pairs: pd.DataFrame
    _model: "StepMix"
    _order: "NDArray[np.int64]"
    _coding: Coding

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.membership.shape[1]

    def assign(self, indicators: pd.DataFrame) -> pd.DataFrame:
        """Chance of each class for other customers, by the same classes.

        Parameters
        ----------
        indicators : pandas.DataFrame
            The indicators of the fit; other columns are left aside. Gaps are allowed where the fit saw gaps.
        """
        require_columns(indicators, list(self._coding.kinds), "putting customers into these classes")
        values = encode(indicators[list(self._coding.kinds)], self._coding)
        chance = self._model.predict_proba(values)[:, self._order]
        return pd.DataFrame(chance, index=indicators.index, columns=self.membership.columns)

    def names(self, top: int = 2) -> pd.Series:
        """Name each class by the `top` levels that set it most apart, by spread: ↑ above, ↓ below all customers."""
        if self.classes == 1:
            return pd.Series({1: "all customers"}, name="name")
        rows = self.profile.drop(index="class", level="indicator")
        kinds = pd.Series(rows.index.get_level_values("indicator"), rows.index).map(dict(self._coding.kinds))
        share = rows["all"].clip(1e-9, 1 - 1e-9)
        scale = pd.Series([self._coding.scale.get(name, 1.0) for name, _ in rows.index], rows.index)
        spread = ((share * (1 - share)) ** 0.5).where(kinds != "number", scale)
        apart = rows.drop(columns="all").sub(rows["all"], axis=0).div(spread, axis=0)
        return pd.Series({k: ", ".join(_words(apart[k], kinds, top)) for k in apart}, name="name")

    def __repr__(self) -> str:
        shares = self.profile.loc[("class", "share"), list(self.membership.columns)]
        sizes = ", ".join(f"{k}: {share:.0%}" for k, share in shares.items())
        lines = [f"{self.classes} latent class{'es' * (self.classes > 1)} of {len(self.labels):,} customers ({sizes})"]
        lines += [f"  {k}: {name}" for k, name in self.names().items()]
        if len(self.resamples):
            low, mid, high = self.resamples["adjusted_rand"].quantile([0.1, 0.5, 0.9])
            lines.append(
                f"refitted on {len(self.resamples)} resamples: adjusted Rand {mid:.2f} ({low:.2f} to {high:.2f})"
            )
        return "\n".join([*lines, self.fits.round(3).to_string()])


def needs_segments(
    indicators: pd.DataFrame,
    *,
    classes: int | Iterable[int] = range(1, 7),
    seed: int,
    starts: int = 10,
    resamples: int = 20,
) -> NeedsSegments:
    """Latent class analysis: find classes within which the indicators are independent.

    The number of classes with the lowest BIC is taken. EM climbs to the nearest top only, so every number of classes is
    started `starts` times at random, and the best third of the starts is followed to the top; if ``fits["agreeing"]``
    is low, take more starts.

    Parameters
    ----------
    indicators : pandas.DataFrame
        One row per customer. Booleans and columns of 0 and 1 are yes or no, text and categories (also ordered ones) are
        categories, other numbers are taken as normal within a class. Answers and categories may have gaps, taken as
        missing at random; numbers may not.
    classes : int or iterable of int, default 1 to 6
        Number of classes, or the numbers to try.
    seed : int
        Seed of starts and resamples.
    starts : int, default 10
        Random starts for each number of classes.
    resamples : int, default 20
        Bootstrap resamples on which the chosen number is refitted; 0 leaves stability out.

    Raises
    ------
    ContractError
        If an indicator does not vary, holds infinite or missing numbers or is of no known kind, a row holds nothing, a
        customer is there twice, or there are fewer than ten different rows per class.

    References
    ----------
    Lazarsfeld, P. F. & Henry, N. W. (1968). *Latent Structure Analysis*. Houghton Mifflin.
    Vermunt, J. K. & Magidson, J. (2002). Latent class cluster analysis. In Hagenaars & McCutcheon (eds), *Applied
    Latent Class Analysis*, 89-106. Cambridge University Press.
    Morin, S. et al. (2025). StepMix: a Python package for pseudo-likelihood estimation of generalized mixture models
    with external variables. *Journal of Statistical Software* 113(8). (the estimator)

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> builder = rng.random(400) < 0.4
    >>> asked = {q: rng.random(400) < np.where(builder == (q in "ab"), 0.9, 0.1) for q in "abcd"}
    >>> found = needs_segments(pd.DataFrame(asked), classes=range(1, 4), seed=1, starts=3, resamples=0)
    >>> found.classes, found.labels.eq(2).eq(builder).mean() > 0.9
    (2, np.True_)
    """
    tried = sorted({classes} if isinstance(classes, int) else set(classes))
    coding = read_coding(indicators)
    _check_request(indicators, coding, tried, starts, resamples)
    values, rng = encode(indicators, coding), np.random.default_rng(seed)
    fitted = {k: _best(values, k, coding, starts, rng) for k in tried}
    fits = pd.DataFrame([row for _, row in fitted.values()], index=pd.Index(tried, name="classes"))
    chosen = tried[int(fits["bic"].to_numpy().argmin())]
    model = fitted[chosen][0]
    chance = model.predict_proba(values)
    order = np.lexsort((np.arange(chosen), -chance.mean(axis=0)))
    names = pd.Index(range(1, chosen + 1), name="class")
    membership = pd.DataFrame(chance[:, order], index=indicators.index, columns=names)
    labels = pd.Series(membership.to_numpy().argmax(axis=1) + 1, indicators.index, name="class")
    table = _resampled(values, labels.to_numpy(), coding, chosen, max(starts // 3, 1), resamples, rng)
    levels = level_columns(indicators, coding)
    profile = _profile(levels, membership)
    return NeedsSegments(labels, membership, profile, fits, table, _pairs(levels, membership), model, order, coding)


def _check_request(indicators: pd.DataFrame, coding: Coding, tried: list[int], starts: int, resamples: int) -> None:
    problems = broken_rules(
        {
            "no indicator is known": indicators.isna().all(axis=1),
            "the same customer twice": pd.Series(indicators.index.duplicated(), dtype=bool),
        }
    )
    if not tried or any(isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1 for k in tried):
        problems.append(f"classes must be whole numbers from 1, got {tried}")
    elif len(indicators) < 10 * max(tried):
        problems.append(f"{max(tried)} classes need at least {10 * max(tried)} customers, got {len(indicators):,}")
    if starts < 1 or resamples < 0:
        problems.append(f"starts must be 1 or more and resamples 0 or more, got {starts} and {resamples}")
    if problems:
        raise ContractError("latent classes cannot be found (rows counted from 1)", problems)


def _best(
    values: "Floats", k: int, coding: Coding, starts: int, rng: np.random.Generator
) -> "tuple[StepMix, dict[str, float]]":
    """The best of several starts, and what is to be known of it.

    Every start takes a few steps; the best third is begun again and followed to its top. Equal rows are counted.
    """
    rows, weight = values, np.ones(len(values))
    if "number" not in coding.kinds.values():
        rows, counts = np.unique(values, axis=0, return_counts=True)
        weight = counts.astype(float)
    seeds = rng.integers(2**31, size=starts if k > 1 else 1)
    if len(seeds) > 2:
        tried = [_fit(rows, weight, k, coding, int(seed), _GLIMPSE).score(rows, sample_weight=weight) for seed in seeds]
        seeds = seeds[np.argsort(tried)[::-1][: max(2, len(seeds) // 3)]]
    found = [_fit(rows, weight, k, coding, int(seed), _TOP) for seed in seeds]
    reached = np.array([model.score(rows, sample_weight=weight) for model in found]) * len(values)
    model, loglik = found[int(reached.argmax())], float(reached.max())
    chance = model.predict_proba(values).clip(1e-15, 1)
    entropy = 1 + float((chance * np.log(chance)).sum()) / (len(values) * np.log(k)) if k > 1 else np.nan
    parameters = int(model.n_parameters)
    row = {
        "log_likelihood": loglik,
        "parameters": parameters,
        "bic": -2 * loglik + parameters * np.log(len(values)),
        "aic": -2 * loglik + 2 * parameters,
        "entropy": entropy,
        "smallest": float(chance.mean(axis=0).min()),
        "agreeing": float((reached > loglik - _SAME).mean()),
        "converged": bool(model.converged_),
    }
    return model, row


def _fit(rows: "Floats", weight: "Floats", k: int, coding: Coding, seed: int, tolerance: float) -> "StepMix":
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from stepmix.stepmix import StepMix

    blocks: dict[str, dict[str, Any]] = {}
    for kind, emission in _EMISSION.items():
        names = [name for name, one in coding.kinds.items() if one == kind]
        if names:
            blocks[kind] = {"model": emission + "_nan" * (kind in coding.gaps), "n_columns": len(names)}
    if "number" in blocks:
        blocks["number"]["reg_covar"] = _LEAST_VARIANCE
    settings = {"measurement": blocks, "abs_tol": tolerance, "max_iter": 1_000, "progress_bar": 0}
    with warnings.catch_warnings():  # it is told in the table of fits
        warnings.simplefilter("ignore", ConvergenceWarning)
        return StepMix(k, random_state=seed, **settings).fit(rows, sample_weight=weight)


def _resampled(
    values: "Floats", labels: "NDArray[Any]", coding: Coding, k: int, starts: int, n: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Refit on resamples; label switching is undone by matching classes to those that they overlap most."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score

    rows = []
    for _ in range(n):
        draw = values[rng.integers(0, len(values), len(values))]
        new = _best(draw, k, coding, starts, rng)[0].predict(values)
        both = np.zeros((k, k))
        np.add.at(both, (labels - 1, new), 1)
        overlap = both / np.maximum(both.sum(axis=1)[:, None] + both.sum(axis=0) - both, 1)
        at = linear_sum_assignment(-both)
        rows.append({"adjusted_rand": adjusted_rand_score(labels, new)} | dict(enumerate(overlap[at], start=1)))
    return pd.DataFrame(rows, columns=["adjusted_rand", *range(1, k + 1)])


def _profile(levels: pd.DataFrame, membership: pd.DataFrame) -> pd.DataFrame:
    known = levels.notna().to_numpy(float)
    filled = np.nan_to_num(levels.to_numpy(float))
    means = {k: filled.T @ chance.to_numpy() / (known.T @ chance.to_numpy()) for k, chance in membership.items()}
    index = levels.columns.set_names(["indicator", "level"])
    table = pd.DataFrame(means, index=index).assign(all=filled.sum(axis=0) / known.sum(axis=0))
    first = pd.MultiIndex.from_tuples([("class", "share")], names=["indicator", "level"])
    return pd.concat([pd.DataFrame([[*membership.mean(), 1.0]], first, table.columns), table])


def _pairs(levels: pd.DataFrame, membership: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    chance = membership.to_numpy()
    observed = levels.corr().to_numpy()
    means = _profile(levels, membership).iloc[1:, : chance.shape[1]].to_numpy()
    centred = means - (means @ chance.mean(axis=0))[:, None]
    between = (centred * chance.mean(axis=0)) @ centred.T
    spread = levels.std(ddof=0).to_numpy()
    expected = between / np.outer(spread, spread)
    first, second = np.triu_indices(len(levels.columns), 1)
    names = levels.columns.get_level_values(0)
    apart = names[first] != names[second]
    first, second = first[apart], second[apart]
    told = [" ".join(map(str, pair)) for pair in levels.columns]
    table = pd.DataFrame(
        {
            "first": np.array(told, dtype=object)[first],
            "second": np.array(told, dtype=object)[second],
            "observed": observed[first, second],
            "expected": expected[first, second],
        }
    )
    table["residual"] = table["observed"] - table["expected"]
    worst = table["residual"].abs().sort_values(ascending=False, kind="stable").index[:top]
    return table.loc[worst].reset_index(drop=True)


def _words(apart: pd.Series, kinds: pd.Series, top: int) -> list[str]:
    """The levels furthest from all customers, in words."""
    chosen = apart.abs().sort_values(ascending=False, kind="stable").index[:top]
    return [_word(name, level, kinds[name, level], apart[name, level] > 0) for name, level in chosen]


def _word(name: str, level: Any, kind: Kind, more: bool) -> str:
    told = f"{name} {level}" if kind == "category" else name
    return f"{told} {'↑' if more else '↓'}"
