"""Published numbers, and the CDNOW sample as the models take it."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from crmlab.database import CustomerSummary, customer_summary
from crmlab.datasets import load
from crmlab.lab.reproduction import published as published_numbers
from crmlab.models.covariates import Covariates
from crmlab.models.predictions import BuyingResults
from crmlab.models.processes import Process


@pytest.fixture(scope="session")
def published() -> pd.DataFrame:
    """Published numbers by id, with value and tolerance."""
    return published_numbers()


@pytest.fixture(scope="session")
def cdnow_log() -> pd.DataFrame:
    """Transactions of the CDNOW sample."""
    return load("cdnow_sample").transactions


@pytest.fixture(scope="session")
def cdnow(cdnow_log: pd.DataFrame) -> CustomerSummary:
    """The CDNOW sample: 39 weeks of calibration, 39 of holdout."""
    return customer_summary(cdnow_log, time_unit="week", calibration_end="1997-09-30")


@pytest.fixture(scope="session")
def history() -> Callable[..., pd.DataFrame]:
    """A frame of single histories: frequency, recency, T."""
    return lambda *rows: pd.DataFrame(rows, columns=["frequency", "recency", "T"])


def fitted(process: Process, *params: float, **more: float) -> BuyingResults:
    """A model as if these parameters had been estimated, with standard errors of a tenth of each."""
    values = pd.Series(dict(zip(process.parameters, params, strict=True)) | more, dtype=float)
    covariance = pd.DataFrame(np.diag((0.1 * values) ** 2), values.index, values.index)
    return BuyingResults(
        model=process.name,
        params=values,
        cov_params=covariance,
        llf=0.0,
        customers=1.0,
        gradient=0.0,
        time_unit="week",
        process=process,
        histories=None,
        covariates=Covariates({}),
    )
