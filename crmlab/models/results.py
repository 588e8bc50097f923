"""What a fitted model says of itself: parameters, standard errors, fit, and how to keep it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc, ndtri

from crmlab.errors import ContractError
from crmlab.stats import check_level

if TYPE_CHECKING:
    from crmlab.models.base import Optimum


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """A fitted model.

    Attributes
    ----------
    model : str
        Name of the model.
    params : pandas.Series
        Maximum-likelihood estimates by name; times are in `time_unit`.
    cov_params : pandas.DataFrame
        Their covariance, from the observed information.
    llf : float
        Log-likelihood at the maximum.
    customers : float
        Customers that it was fitted to.
    gradient : float
        Largest component of the mean gradient over customers at the maximum, per unit of log-parameter.
    time_unit : str
        Unit of all durations; empty where there is none.
    """

    model: str
    params: pd.Series
    cov_params: pd.DataFrame
    llf: float
    customers: float
    gradient: float
    time_unit: str

    @property
    def bse(self) -> pd.Series:
        """Standard errors of the parameters."""
        return pd.Series(np.sqrt(np.diag(self.cov_params)), index=self.params.index, name="std err")

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return 2 * len(self.params) - 2 * self.llf

    @property
    def bic(self) -> float:
        """Schwarz's information criterion, with the number of customers as the sample size."""
        return len(self.params) * float(np.log(self.customers)) - 2 * self.llf

    def conf_int(self, level: float = 0.95) -> pd.DataFrame:
        """Normal intervals of the parameters.

        Parameters
        ----------
        level : float, default 0.95
            Confidence level.

        Returns
        -------
        pandas.DataFrame
            Columns ``low`` and ``high``.
        """
        reach = ndtri(0.5 + check_level(level) / 2) * self.bse
        return pd.DataFrame({"low": self.params - reach, "high": self.params + reach})

    def likelihood_ratio(self, smaller: "Results") -> pd.Series:
        """Test of this model against a smaller one that is nested in it and was fitted to the same customers.

        Returns
        -------
        pandas.Series
            ``statistic`` (chi-square), ``df`` and ``p_value``.

        Raises
        ------
        ContractError
            If the other has as many parameters or other customers.
        """
        df = len(self.params) - len(smaller.params)
        if df < 1 or smaller.customers != self.customers:
            told = [
                f"{one.model} ({len(one.params)} parameters, {one.customers:,.0f} customers)" for one in (smaller, self)
            ]
            raise ContractError(f"{told[0]} is not nested in {told[1]}; fit both to the same customers")
        statistic = 2 * (self.llf - smaller.llf)
        return pd.Series({"statistic": statistic, "df": df, "p_value": float(chdtrc(df, statistic))})

    def summary(self) -> str:
        """The fit as text."""
        table = pd.DataFrame({"estimate": self.params, "std err": self.bse}).join(self.conf_int())
        unit = f", times in {self.time_unit}s" if self.time_unit else ""
        lines = [
            f"{self.model}, {self.customers:,.0f} customers{unit}, gradient {self.gradient:.0e}",
            f"log-likelihood {self.llf:,.3f}   AIC {self.aic:,.1f}   BIC {self.bic:,.1f}",
            table.to_string(float_format=lambda value: f"{value:.4g}"),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()

    def save(self, path: str | Path) -> None:
        """Write the fit to a JSON file; `load_results` reads it."""
        told = {
            "model": self.model,
            "params": self.params.to_dict(),
            "cov_params": self.cov_params.to_numpy().tolist(),
            "llf": self.llf,
            "customers": self.customers,
            "gradient": self.gradient,
            "time_unit": self.time_unit,
        }
        Path(path).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def read_saved(path: str | Path) -> dict[str, Any]:
    """What `Results.save` wrote, as the arguments of a `Results`."""
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        params = pd.Series(told.pop("params"), dtype=float)
        covariance = pd.DataFrame(told.pop("cov_params"), index=params.index, columns=params.index, dtype=float)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ContractError(f"{path} is not a fit written by .save: {error}") from None
    return told | {"params": params, "cov_params": covariance}


def natural(optimum: "Optimum", names: Mapping[str, bool]) -> tuple[pd.Series, pd.DataFrame]:
    """Estimates and covariance on the scale of the parameters.

    `names` says for every coefficient whether it is the logarithm of a parameter, or the coefficient of a covariate.
    """
    logs = np.array(list(names.values()))
    values = np.where(logs, np.exp(optimum.coefficients), optimum.coefficients)
    slope = np.where(logs, values, 1.0)
    index = pd.Index(list(names))
    covariance = pd.DataFrame(optimum.covariance * np.outer(slope, slope), index=index, columns=index)
    return pd.Series(values, index=index, name="estimate"), covariance
