"""Published numbers, and the CDNOW sample as the models take it."""

from collections.abc import Callable

import pandas as pd
import pytest

from crmlab.database import CustomerSummary, customer_summary
from crmlab.datasets import load
from crmlab.lab.reproduction import published as published_numbers


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
