"""Fits that were kept in a file."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from crmlab.errors import ContractError
from crmlab.models.betabinomial import BetaBinomialResults
from crmlab.models.bgbb import BetaGeoBetaBinomialResults
from crmlab.models.covariates import Covariates
from crmlab.models.nbd import NBDResults
from crmlab.models.predictions import BuyingResults
from crmlab.models.processes import PROCESSES
from crmlab.models.results import Results, read_saved
from crmlab.models.spend import GammaGammaResults
from crmlab.models.tenure import TenureResults

_RESULTS: dict[str, type[Results]] = {
    "BG/BB": BetaGeoBetaBinomialResults,
    "BdW": TenureResults,
    "Gamma-Gamma": GammaGammaResults,
    "NBD": NBDResults,
    "NBD with a zero class": NBDResults,
    "beta-binomial": BetaBinomialResults,
    "sBG": TenureResults,
}


def load_results(path: str | Path) -> Any:
    """Read a fit that was written by ``results.save(path)``.

    It knows its parameters, their covariance and its fit, but no customers: predictions take them as `data`. Those of
    a model with covariates take a model, such as ``BetaGeoNBD(summary, buying=covariates)``, which brings them along.

    Parameters
    ----------
    path : str or pathlib.Path
        The JSON file.

    Returns
    -------
    Results
        Of the class that the fit had.

    Raises
    ------
    ContractError
        If the file is not such a fit.

    Examples
    --------
    >>> import pandas as pd, tempfile
    >>> from crmlab.models import BetaGeoNBD
    >>> history = pd.DataFrame({"frequency": [0, 2, 5, 1], "recency": [0.0, 9, 30, 2], "T": [38.0, 35, 33, 30]})
    >>> fit = BetaGeoNBD(history.assign(weight=50), time_unit="week").fit()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fit.save(folder + "/fit.json")
    ...     again = load_results(folder + "/fit.json")
    >>> bool((again.params == fit.params).all()), again.expected_purchases(10, history).round(2).tolist()
    (True, [0.21, 0.11, 1.12, 0.06])
    """
    told = read_saved(path)
    lacking = {one.name for one in fields(Results)} - set(told)
    model = told.get("model")
    if lacking or model not in {*_RESULTS, *PROCESSES}:
        raise ContractError(f"{path} is not a fit written by .save: it lacks {', '.join(lacking) or 'a known model'}")
    if model in PROCESSES:
        return BuyingResults(**told, process=PROCESSES[model], histories=None, covariates=Covariates({}))
    return _RESULTS[model](**told)
