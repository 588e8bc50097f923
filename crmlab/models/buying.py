"""Models of buying without a contract: who is still a customer, and what they will buy."""

from typing import ClassVar

import numpy as np
import pandas as pd

from crmlab.models.base import ConvergenceError, maximise
from crmlab.models.counts import Histories, Summary, read_histories
from crmlab.models.covariates import Covariates, likelihood, sample
from crmlab.models.predictions import BuyingResults
from crmlab.models.processes import BG, MBG, PARETO, Process
from crmlab.models.results import natural

#: More rows than twice this are first fitted on so many of them, which leaves a few steps for all rows.
SAMPLE = 20_000


class BuyingModel:
    """A model of how often customers buy and when they leave; see the classes made from it.

    Parameters
    ----------
    summary : CustomerSummary or pandas.DataFrame
        ``frequency`` (repeat purchases), ``recency`` (time of the last one since the first purchase) and ``T`` (time
        observed), one row per customer; a frame may have a ``customer_id`` and a ``weight``, the customers that a row
        stands for.
    time_unit : {"day", "week", "month", "year"}, optional
        Unit of recency and T; needed for a frame.
    buying, dropout : pandas.DataFrame, optional
        Covariates of the two processes, numeric, one row per row of the summary (by ``customer_id`` where it has one).
        A positive coefficient means more buying, or earlier leaving. Formulas are not read here: make dummies of
        categories with `pandas.get_dummies`, or take the frame that a formula library makes, without its constant.

    Raises
    ------
    ContractError
        If the summary cannot be one, naming the rows, or if its customers are left-censored.
    """

    process: ClassVar[Process]

    def __init__(
        self,
        summary: Summary | pd.DataFrame,
        *,
        time_unit: str | None = None,
        buying: pd.DataFrame | None = None,
        dropout: pd.DataFrame | None = None,
    ) -> None:
        self.histories = read_histories(summary, time_unit)
        self.covariates = Covariates.read({"buying": buying, "dropout": dropout}, self.histories)

    def fit(self) -> "BuyingResults":
        """Find the maximum of the likelihood.

        Returns
        -------
        BuyingResults

        Raises
        ------
        ConvergenceError
            If there is no maximum inside the range of the parameters, with a checklist of what the data look like.
        """
        return _fit(self.process, self.histories, self.covariates)


def _fit(process: Process, histories: Histories, covariates: Covariates) -> "BuyingResults":
    x, _, age = histories.columns
    weight = histories.weight
    again = float(weight[x > 0].sum())
    if again == 0 or len(x) < 2 or not (age > 0).any():
        reason = "nobody bought again" if again == 0 else "one row of data has no differences to learn from"
        raise ConvergenceError(f"{process.name} cannot be fitted: {reason}", histories.facts())
    whole, rough = likelihood(process, histories, covariates), None
    if len(x) > 2 * SAMPLE:
        rough = likelihood(process, *sample(histories, covariates, SAMPLE))
    names = covariates.names(process)
    sizes = dict.fromkeys(process.parameters, 1.0) | dict.fromkeys(process.timed, np.average(age, weights=weight))
    sizes["alpha"] /= np.average(x, weights=weight)
    starts = [
        np.array(
            [np.log(one[process.parameters.index(name)] * sizes[name]) if log else 0.0 for name, log in names.items()]
        )
        for one in process.starts
    ]
    found = maximise(whole, starts, rough=rough)
    params, covariance = natural(found, names)
    if not found.arrived:
        raise ConvergenceError(f"{process.name} did not converge", [*histories.facts(), *_where(params), *_ADVICE])
    return BuyingResults(
        model=process.name,
        params=params,
        cov_params=covariance,
        llf=found.value,
        customers=whole.customers,
        gradient=found.gradient,
        time_unit=histories.time_unit,
        process=process,
        histories=histories,
        covariates=covariates,
    )


def _where(params: pd.Series) -> list[str]:
    """Parameters that have run towards zero or infinity."""
    far = params[(params.abs() > 1e5) | (params.abs() < 1e-5)]
    return (
        [f"the search left at {', '.join(f'{name} = {value:.3g}' for name, value in far.items())}"] if len(far) else []
    )


_ADVICE = (
    "a or s near 0: nobody seems to leave, so the NBD is enough",
    "a large r: all buy alike; a large s, or a and b: all leave alike",
    "look at the largest frequencies: robots and resellers buy otherwise",
    "try more customers, a longer T or another model",
)


class BetaGeoNBD(BuyingModel):
    """BG/NBD: buying at an own rate ~ Gamma(r, alpha), leaving after a repeat purchase with chance ~ Beta(a, b).

    Parameters as for `BuyingModel`. A customer without a repeat purchase is a customer still, by assumption.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. & Lee, K. L. (2005). "Counting your customers" the easy way: an alternative to the
    Pareto/NBD model. *Marketing Science* 24(2), 275-284.

    Examples
    --------
    >>> history = pd.DataFrame({"frequency": [0, 2, 5, 1], "recency": [0.0, 9, 30, 2], "T": [38.0, 35, 33, 30]})
    >>> more = pd.concat([history] * 50, ignore_index=True)
    >>> results = BetaGeoNBD(more, time_unit="week").fit()
    >>> results.expected_purchases(10).head(4).round(2).tolist()
    [0.21, 0.11, 1.12, 0.06]
    """

    process = BG


class ModifiedBetaGeoNBD(BuyingModel):
    """MBG/NBD: as BG/NBD, but a customer can also leave at once, after the first purchase.

    Parameters as for `BuyingModel`.

    References
    ----------
    Batislam, E. P., Denizel, M. & Filiztekin, A. (2007). Empirical validation and comparison of models for customer
    base analysis. *International Journal of Research in Marketing* 24(3), 201-209.

    Examples
    --------
    >>> history = pd.DataFrame({"frequency": [0, 1, 1, 4, 15], "recency": [0.0, 1, 20, 6, 38], "T": [39.0] * 5})
    >>> results = ModifiedBetaGeoNBD(history.assign(weight=[60, 20, 10, 9, 5]), time_unit="week").fit()
    >>> results.probability_alive().round(2).tolist()
    [0.04, 0.01, 0.31, 0.0, 0.9]
    """

    process = MBG


class ParetoNBD(BuyingModel):
    """Pareto/NBD: buying at an own rate ~ Gamma(r, alpha), leaving at an own rate ~ Gamma(s, beta).

    Parameters as for `BuyingModel`.

    References
    ----------
    Schmittlein, D. C., Morrison, D. G. & Colombo, R. (1987). Counting your customers: who are they and what will they
    do next? *Management Science* 33(1), 1-24.

    Examples
    --------
    >>> history = pd.DataFrame({"frequency": [0, 1, 1, 4, 15], "recency": [0.0, 1, 20, 6, 38], "T": [39.0] * 5})
    >>> results = ParetoNBD(history.assign(weight=[60, 20, 10, 9, 5]), time_unit="week").fit()
    >>> results.probability_alive().round(2).tolist()
    [0.03, 0.01, 0.47, 0.0, 0.98]
    """

    process = PARETO
