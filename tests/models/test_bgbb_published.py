"""BG/BB against what was printed of donations and cruises; tolerances are those of the published table."""

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets import load
from crmlab.lab.reproduction import published as published_numbers
from crmlab.models import BetaGeoBetaBinomial
from crmlab.models.counts import HISTORY
from crmlab.models.occasions import history_terms

_ROWS = published_numbers()
_MINE = _ROWS[_ROWS.index.str.startswith("BGB") & (_ROWS["status"] == "printed")]


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    """Everything that was printed, by the name of its record."""
    return _donations() | _cruises()


def _donations() -> dict[str, float]:
    table = load("donations")["counts"]
    fit = BetaGeoBetaBinomial(table).fit()
    expected, alive, weight = fit.expected_purchases(5), fit.probability_alive(), table["weight"]
    values = {f"donations_{name}": value for name, value in fit.params.items()}
    values |= {
        "donations_llf": fit.llf,
        "donations_expected_sum": expected @ weight,
        "donations_model_zero": weight.sum() * fit.purchase_probabilities(6)[0],
        "donations_model_six": weight.sum() * fit.purchase_probabilities(6)[6],
        "donations_new_10": fit.expected_purchases_of_new_customer(10),
        "donations_expected_10_x4_5": fit.expected_purchases(
            10, pd.DataFrame({"frequency": [4], "recency": [5], "T": [6]})
        )[0],
        "donations_cumulative_2006": weight.sum() * fit.expected_purchases_of_new_customer(11),
    }
    for x, last, here, ahead in zip(table["frequency"], table["recency"], alive, expected, strict=True):
        values |= {f"donations_alive_2002_x{x}_{last}": here, f"donations_alive_x{x}_{1995 + last}": here}
        values |= {f"donations_expected_x{x}_{last}": ahead}
    values |= {"donations_alive_x0": alive[table["frequency"] == 0].iloc[0]}
    values |= {"donations_alive_2002_x0": values["donations_alive_x0"]}
    values |= {"donations_expected_x0": values["donations_expected_x0_0"]}
    for column, prefix in (("frequency", "x"), ("recency", "recency_")):
        means = (expected * weight).groupby(table[column]).sum() / weight.groupby(table[column]).sum()
        values |= {f"donations_holdout_{prefix}{n}": mean for n, mean in means.items()}
    return values


def _cruises() -> dict[str, float]:
    table = load("cruises")["counts"]
    fit = BetaGeoBetaBinomial(table, same_dropout=True).fit()
    names = [f"{x}_{last}" for x, last in zip(table["frequency"], table["recency"], strict=True)]
    values = {f"cruises_{name}": value for name, value in fit.params.items()} | {"cruises_llf": fit.llf}
    values |= {f"cruises_expected_{n}": one for n, one in zip(names, fit.expected_purchases(4), strict=True)}
    values |= {f"cruises_dert_{n}": one for n, one in zip(names, fit.discounted_purchases(0.1), strict=True)}
    return values | {f"cruises_chance_{n}": one for n, one in zip(names, fit.purchase_chance(), strict=True)}


@pytest.mark.parametrize("id", _MINE.index)
def test_comes_out_as_printed(id, found):
    row = _MINE.loc[id]
    assert found[row["record"]] == pytest.approx(row["value"], abs=row["tolerance"] * (1 + 1e-9))


def test_the_printed_fit_of_the_cruises_is_on_the_way_to_the_limit():
    """Four parameters have no maximum here: the likelihood rises as gamma and delta grow together."""
    table = load("cruises")["counts"]
    limit = BetaGeoBetaBinomial(table, same_dropout=True).fit()
    whole = BetaGeoBetaBinomial(table)
    heights = []
    for size in (10.0, 100.0, 1e4):
        theta = limit.params["theta"]
        params = np.array([*limit.params[["alpha", "beta"]], size * theta, size * (1 - theta)])
        heights.append(_likelihood(whole, params))
    assert heights == sorted(heights)
    assert heights[-1] == pytest.approx(limit.llf, abs=0.01)
    assert heights[-1] < limit.llf


def _likelihood(model, params):
    data = [model.frame[name].to_numpy(dtype=float) for name in HISTORY]
    return float(model.weight @ history_terms(data, params).value)
