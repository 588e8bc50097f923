"""Gamma-Gamma on the CDNOW sample, against what was printed; tolerances are those of the published table."""

import pytest

from crmlab.lab.reproduction import published as published_numbers
from crmlab.models import GammaGamma

_ROWS = published_numbers()
_MINE = _ROWS[_ROWS.index.str.match("CDN-08[4-9]|CDN-091")]


@pytest.fixture(scope="module")
def found(cdnow) -> dict[str, float]:
    """Everything that was printed, by the name of its record."""
    fit = GammaGamma(cdnow).fit()
    values = {f"spend_{name}": value for name, value in fit.params.items()}
    values |= {"spend_llf": fit.llf, "spend_population_mean": fit.population_mean}
    values |= {f"expected_spend_customer_{n + 1}": one for n, one in enumerate(fit.expected_value()[:10])}
    return values | {"corr_frequency_monetary_value": fit.independence().estimate}


@pytest.mark.parametrize("id", _MINE.index)
def test_comes_out_as_printed(id, found):
    row = _MINE.loc[id]
    assert found[row["record"]] == pytest.approx(row["value"], abs=row["tolerance"] * (1 + 1e-9))


def test_customers_without_a_repeat_purchase_are_counted(cdnow):
    model = GammaGamma(cdnow)
    assert model.left_out == 1411
    assert model.fit().customers == 946
