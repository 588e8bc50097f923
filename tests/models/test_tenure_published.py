"""sBG and BdW against what was printed; tolerances are those of the published table, the rounding of the sources."""

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets import load
from crmlab.lab.reproduction import published as published_numbers
from crmlab.models import BetaDiscreteWeibull, ShiftedBetaGeometric, TenureResults
from crmlab.models.survivors import stay_terms

SIZES = np.array([10_000, 15_000, 17_500, 19_000, 20_500])  # customers acquired in 2000, ..., 2004, as printed
# alpha and beta: in the mean 0.2 leave, with polarisation 0.05 and 0.75; printed are 3.80, 15.20 and 0.067, 0.267
CASES = {1: (3.80, 15.20), 2: (1 / 15, 4 / 15)}
RATE = 0.1  # a year, as printed
CONSTANT = 0.833  # one retention rate for all, as printed
_ROWS = published_numbers()
_MINE = _ROWS[_ROWS.index.str.match("RET-0(0[3-8]|19|2[014567]|3[0-9]|4[6-9]|5[01])")]


@pytest.fixture(scope="module")
def segments() -> pd.DataFrame:
    return load("retention_segments")["survivors"].set_index("renewals")


@pytest.fixture(scope="module")
def found(segments) -> dict[str, float]:
    """Everything that was printed, by the name of its record."""
    values: dict[str, float] = {}
    for name, survivors in segments.items():
        for model, kind in (("sbg", ShiftedBetaGeometric), ("bdw", BetaDiscreteWeibull)):
            fit, early = kind(survivors[:8]).fit(), kind(survivors[:5]).fit()
            values |= {f"{name}_{model}_{key}": value for key, value in fit.params.items()}
            values |= {f"{name}_{model}_{key}_0_4": value for key, value in early.params.items()}
            values[f"{name}_{model}_llf"] = fit.llf
        mean = ShiftedBetaGeometric(survivors[:8]).fit()
        values[f"{name}_mean_churn"] = mean.churn_probability(1)
        values |= {f"{name}_retention_{t}": survivors[t] / survivors[t - 1] for t in range(1, 13)}
    regular = ShiftedBetaGeometric(segments["regular"][:5]).fit()
    residual = 100 * regular.discounted_residual_lifetime([0, 1, 4], RATE)
    values |= {f"derl_after_{n + 1}": value for n, value in residual.items()}
    values["derl_constant_retention"] = 100 * CONSTANT * (1 + RATE) / (1 + RATE - CONSTANT)
    values |= _high_end(segments["high_end"][:8]) | _cohorts()
    for case in CASES:
        values |= _perils(case)
    return values


def _high_end(survivors: pd.Series) -> dict[str, float]:
    model = ShiftedBetaGeometric(survivors)
    stays = (model.stays.renewals, model.stays.lost_by)
    lost, asked = survivors.iloc[0] - survivors.iloc[-1], survivors.iloc[:-1].sum()
    theta = lost / asked
    one, small = ([np.array(both)] * 2 for both in (1.0, 0.01))
    return {
        "high_end_derl_7": model.fit().discounted_residual_lifetime(7, RATE),
        "high_end_sbg_llf_at_1": float(model.stays.weight @ stay_terms(stays, one).value),
        "high_end_sbg_llf_at_001": float(model.stays.weight @ stay_terms(stays, small).value),
        "high_end_geometric_theta": theta,
        "high_end_geometric_llf": lost * np.log(theta) + (asked - lost) * np.log(1 - theta),
    }


def _cohorts() -> dict[str, float]:
    """Five cohorts, each a year younger than the one before it; then with their first and last numbers alone."""
    made_up = load("contract_cohorts")["survivors"]["customers"].astype(float)
    table = pd.DataFrame({year: made_up.where(made_up.index <= 4 - year) for year in range(5)})
    last = 4 - np.arange(5)
    ends = table.where((table.index.to_numpy()[:, None] == 0) | (table.index.to_numpy()[:, None] == last))
    full, limited = ShiftedBetaGeometric(table).fit().params, ShiftedBetaGeometric(ends).fit().params
    return {
        "cohorts_sbg_alpha": full["alpha"],
        "cohorts_sbg_beta": full["beta"],
        "cohorts_sbg_alpha_first_and_last": limited["alpha"],
        "cohorts_sbg_beta_first_and_last": limited["beta"],
    }


def at(*params: float) -> TenureResults:
    """A fit with these parameters."""
    named = pd.Series(params, index=["alpha", "beta", "c"][: len(params)])
    return TenureResults("", named, pd.DataFrame(np.eye(len(params))), 0.0, 1.0, 0.0, "renewal")


def _perils(case: int) -> dict[str, float]:
    model, renewals = at(*CASES[case]), np.array([4, 3, 2, 1, 0])
    active = SIZES * model.survival(renewals).to_numpy()
    before = SIZES[:4] * model.survival(renewals[:4] - 1).to_numpy()
    residual = model.discounted_residual_lifetime(renewals, RATE).to_numpy()
    kept = active[:4].sum() / before.sum()
    naive, value = active.sum() * kept * (1 + RATE) / (1 + RATE - kept), active @ residual
    found = {f"perils_{case}_derl_{n}": one for n, one in zip(renewals, residual, strict=True)}
    found |= {f"perils_{case}_active_{2000 + n}": one for n, one in enumerate(active)}
    found |= {f"perils_{case}_retention": kept, f"perils_{case}_naive": naive, f"perils_{case}_value": value}
    return found | {f"perils_{case}_underestimate": 100 * (1 - naive / value)}


@pytest.mark.parametrize("id", _MINE.index)
def test_comes_out_as_printed(id, found):
    row = _MINE.loc[id]
    assert found[row["record"]] == pytest.approx(row["value"], abs=row["tolerance"] * (1 + 1e-9))
