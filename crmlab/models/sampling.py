"""Results that can be refitted to resamples, and whose posterior can be drawn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from crmlab.errors import ContractError
from crmlab.models.base import Likelihood, Optimum, maximise
from crmlab.models.intervals import with_interval
from crmlab.models.results import Results

if TYPE_CHECKING:
    from crmlab.models.base import Floats


class Refit:
    """The data of a fit: weights of their rows to the log-likelihood."""

    def __call__(self, weight: "Floats") -> Likelihood:
        """Log-likelihood of the data with these weights."""
        raise NotImplementedError

    def unit(self) -> "Floats | float":
        """What to add to the coefficients of the likelihood to have those of the results, which have other units."""
        return 0.0


@dataclass(frozen=True, eq=False, repr=False)
class SampledResults(Results):
    """A fitted model that keeps what it was fitted to.

    Attributes
    ----------
    refit : Refit or None
        The data; None when the fit was read from a file.
    weight : array, shape (n,), or None
        Customers that each row of them stands for.
    """

    refit: Refit | None = None
    weight: "Floats | None" = None
    shares: ClassVar[tuple[str, ...]] = ()

    def bootstrap(self, n: int, *, seed: int) -> pd.DataFrame:
        """Coefficients refitted to `n` resamples of the customers, one row each; for the intervals of predictions."""
        refit, weight = self._data()
        rng, start, rows = np.random.default_rng(seed), self.coefficients - refit.unit(), []
        for _ in range(n):
            again = rng.multinomial(round(float(weight.sum())), weight / weight.sum()).astype(float)
            found = maximise(refit(again), [start])
            if found.arrived:
                rows.append(found.coefficients + refit.unit())
        return pd.DataFrame(rows, columns=self.params.index)

    def posterior(self, n: int, *, seed: int) -> pd.DataFrame:
        """Coefficients drawn from the posterior under a flat prior on their scale, one row each.

        An independence sampler: proposals come from a t distribution with five degrees of freedom around the maximum,
        and are accepted in proportion to the likelihood. ``attrs["accepted"]`` is the share of them.
        """
        refit, weight = self._data()
        whole, center = refit(weight), self.coefficients - refit.unit()
        rng, root = np.random.default_rng(seed), np.linalg.cholesky(self._covariance())
        shocks = rng.standard_normal((n, len(center))) / np.sqrt(rng.chisquare(5, (n, 1)) / 5)
        proposals = center + shocks @ root.T
        heights = np.array([whole.at(one).value for one in proposals])
        odds = heights + 0.5 * (5 + len(center)) * np.log1p((shocks**2).sum(axis=1) / 5)
        kept = np.zeros(n, dtype=int)
        for place in range(1, n):
            better = np.log(rng.random()) < odds[place] - odds[kept[place - 1]]
            kept[place] = place if better else kept[place - 1]
        found = pd.DataFrame(proposals[kept] + refit.unit(), columns=self.params.index)
        found.attrs["accepted"] = float((np.diff(kept) != 0).mean())
        return found

    @property
    def coefficients(self) -> "Floats":
        """Logarithms of the parameters; of a share, its log-odds; coefficients of covariates as they are."""
        share, plain, values = self._is_share(), self._is_plain(), self.params.to_numpy(dtype=float)
        logs = np.log(np.where(share | plain, 1.0, values))
        return np.select([share, plain], [logit(np.where(share, values, 0.5)), values], logs)

    def _is_share(self) -> "Floats":
        return np.array([name in self.shares for name in self.params.index])

    def _is_plain(self) -> "Floats":
        return np.zeros(len(self.params), dtype=bool)

    def _covariance(self) -> "Floats":
        values = self.params.to_numpy(dtype=float)
        slope = np.select([self._is_share(), self._is_plain()], [values * (1 - values), np.ones(len(values))], values)
        return self.cov_params.to_numpy() / np.outer(slope, slope)

    def _predicted(
        self,
        estimate: "Callable[[Floats], Floats]",
        level: float | None,
        draws: pd.DataFrame | None = None,
        top: float = np.inf,
    ) -> "Floats | dict[str, Floats]":
        """A prediction, with its interval where there is a level."""
        if level is None:
            return estimate(self.coefficients)
        given = None if draws is None else draws.to_numpy()
        return with_interval(estimate, self.coefficients, self._covariance(), level, given, within=(0.0, top))

    def _data(self) -> "tuple[Refit, Floats]":
        if self.refit is None or self.weight is None:
            raise ContractError("a fit that was read from a file knows no data; fit it again for draws")
        return self.refit, self.weight


def as_parameters(found: Optimum, names: Sequence[str], shares: Sequence[str] = ()) -> tuple[pd.Series, pd.DataFrame]:
    """Estimates and covariance on the scale of the parameters, of which some are shares."""
    share = np.isin(names, shares)
    values = np.where(share, expit(found.coefficients), np.exp(found.coefficients))
    slope = np.where(share, values * (1 - values), values)
    index = pd.Index(names)
    covariance = pd.DataFrame(found.covariance * np.outer(slope, slope), index=index, columns=index)
    return pd.Series(values, index=index, name="estimate"), covariance


def as_share(coefficients: "Floats") -> "Floats":
    """The share that has these log-odds."""
    return expit(coefficients)


def left_at(params: pd.Series) -> list[str]:
    """Parameters that have run towards zero or infinity."""
    far = params[(params.abs() > 1e5) | (params.abs() < 1e-5)]
    told = ", ".join(f"{name} = {value:.3g}" for name, value in far.items())
    return [f"the search left at {told}"] if len(far) else []
