"""NBD against what was printed; tolerances are those of the published table, the rounding of the sources."""

import numpy as np
import pytest
from scipy.stats import poisson

from crmlab.datasets import load
from crmlab.lab.reproduction import published as published_numbers
from crmlab.models import NBD

_ROWS = published_numbers()
_MINE = _ROWS[_ROWS.index.str.match("NBD|SEG-00[12]") & (_ROWS["status"] == "printed")]


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    """Everything that was printed, by the name of its record."""
    champagne = NBD(load("champagne")["counts"], censored_from=8).fit()
    values = {f"champagne_{name}": value for name, value in champagne.params.items()} | {"champagne_llf": champagne.llf}
    light, x = champagne.probabilities(7), np.arange(8)
    values["champagne_light_buyers"] = 100 * light[1:].sum() / (1 - light[0])
    values["champagne_light_purchases"] = 100 * (x @ light) / champagne.mean()
    values["champagne_mean_8_or_more"] = (champagne.mean() - x @ light) / (1 - light.sum())
    values |= _billboards()
    counts = load("hard_candy")["counts"]
    for name, fit in {"candy_nbd": NBD(counts).fit(), "candy_zero": NBD(counts, zero_class=True).fit()}.items():
        values |= {f"{name}_{key}": value for key, value in fit.params.items()}
        values |= {f"{name}_llf": fit.llf, f"{name}_loglik": fit.llf}
    return values


def _billboards() -> dict[str, float]:
    counts = load("billboards")["counts"]
    fit = NBD(counts).fit()
    rate = np.average(counts["exposures"], weights=counts["people"])
    none, mean = fit.probabilities(0, 4).iloc[0], fit.mean(4)
    return {f"billboards_{name}": value for name, value in fit.params.items()} | {
        "billboards_llf": fit.llf,
        "billboards_poisson_rate": rate,
        "billboards_poisson_llf": counts["people"] @ poisson.logpmf(counts["exposures"], rate),
        "billboards_month_none": none,
        "billboards_month_mean": mean,
        "billboards_month_reach": 100 * (1 - none),
        "billboards_month_frequency": mean / (1 - none),
        "billboards_month_grp": 100 * mean,
    }


@pytest.mark.parametrize("id", _MINE.index)
def test_comes_out_as_printed(id, found):
    row = _MINE.loc[id]
    assert found[row["record"]] == pytest.approx(row["value"], abs=row["tolerance"] * (1 + 1e-9))
