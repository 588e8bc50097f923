"""Estimators find what was put in: intervals cover, covariates come back, tests have their size.

Bounds are binomial: with 60 fits a 95 % interval covers between 52 and 60 times in all but one of 2,000 test runs; the
seeds are fixed.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from crmlab.database import customer_summary
from crmlab.datasets.company import scenario, simulate
from crmlab.models import BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD
from crmlab.models.processes import BG, MBG, PARETO
from tests.models.conftest import fitted

CASES = [
    pytest.param(BG, BetaGeoNBD, (0.5, 4.0, 0.8, 2.5), id="BG"),
    pytest.param(MBG, ModifiedBetaGeoNBD, (0.8, 5.0, 0.7, 1.6), id="MBG"),
    pytest.param(PARETO, ParetoNBD, (0.8, 9.0, 0.7, 9.0), id="Pareto"),
]
every_model = pytest.mark.parametrize(("process", "model", "truth"), CASES)


def ages(customers: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(40, 104, customers)


@every_model
def test_intervals_cover_the_truth(process, model, truth):
    inside = np.zeros(4)
    for seed in range(60):
        drawn = fitted(process, *truth).simulate(ages(3_000, seed), seed=seed)
        result = model(drawn, time_unit="week").fit()
        # on the scale of the logarithm, on which estimates are more nearly normal
        inside += np.abs(np.log(result.params / np.array(truth))) < 1.96 * result.bse / result.params
    low, high = binom.ppf([0.0005, 0.9995], 60, 0.95)
    assert ((inside >= low) & (inside <= high)).all(), inside


@every_model
def test_covariates_come_back(process, model, truth):
    rng, n = np.random.default_rng(8), 20_000
    z = pd.DataFrame({"young": rng.integers(0, 2, n).astype(float), "income": rng.normal(size=n)})
    effect = {"buying": np.array([0.4, -0.2]), "dropout": np.array([0.5, 0.3])}
    values = [np.full(n, value) for value in truth]
    for side, links in process.linked.items():
        for name, sign in links:
            grow = effect[side] * (1 if name != "b" else -0.5)  # b has coefficients of its own
            values[process.parameters.index(name)] *= np.exp(sign * z.to_numpy() @ grow)
    age = ages(n, 8)
    x, recency = process.drawn(values, age, rng)
    drawn = pd.DataFrame({"frequency": x, "recency": recency, "T": age})
    result = model(drawn, time_unit="week", buying=z, dropout=z).fit()
    known = dict(zip(process.parameters, truth, strict=True))
    for place, column in enumerate(z):
        known[f"buying_{column}"] = effect["buying"][place]
        known |= {f"dropout_{column}": effect["dropout"][place], f"a_{column}": effect["dropout"][place]}
        known[f"b_{column}"] = -0.5 * effect["dropout"][place]
    distance = (result.params - pd.Series(known)[result.params.index]) / result.bse
    assert distance.abs().max() < 3.5
    plain = model(drawn, time_unit="week").fit()
    test = result.likelihood_ratio(plain)
    assert test["df"] == len(result.params) - 4
    assert test["p_value"] < 1e-10


@every_model
def test_likelihood_ratio_has_its_size(process, model, truth):
    p_values = []
    for seed in range(60):
        drawn = fitted(process, *truth).simulate(ages(1_500, seed), seed=seed)
        noise = pd.DataFrame({"noise": np.random.default_rng(1_000 + seed).normal(size=len(drawn))})
        small, large = (model(drawn, time_unit="week", buying=z).fit() for z in (None, noise))
        p_values.append(large.likelihood_ratio(small)["p_value"])
    assert (np.array(p_values) < 0.1).sum() <= binom.ppf(0.9995, 60, 0.1)
    assert (np.array(p_values) < 0.5).sum() == pytest.approx(30, abs=13)


def test_the_firm_that_keeps_to_pareto_gives_its_parameters_back():
    """Customers acquired through three years, observed to the end; parameters per week as the scenario states."""
    buying = scenario("textbook").buying
    orders = simulate(30_000, seed=4, years=3, scenario="textbook")["orders"]
    result = ParetoNBD(customer_summary(orders, time_unit="week", acquisition="observed")).fit()
    truth = pd.Series({name: getattr(buying, name) for name in result.params.index})
    assert (np.log(result.params / truth).abs() < 3.5 * result.bse / result.params + 0.03).all()  # days, not moments


@every_model
def test_intervals_of_predictions_agree_whatever_their_method(process, model, truth):
    """Delta method, bootstrap and posterior, on 1,500 customers: no width is half again another."""
    drawn = fitted(process, *truth).simulate(ages(1_500, 1), seed=1)
    result = model(drawn, time_unit="week").fit()
    one = drawn[drawn["frequency"] > 1].head(1)
    widths = []
    for draws in (None, result.bootstrap(150, seed=1), result.posterior(1_500, seed=1)):
        table = result.expected_purchases(26, one, level=0.9, draws=draws)
        widths.append((table["high"] - table["low"]).iloc[0])
    assert max(widths) / min(widths) < 1.5
    assert result.posterior(200, seed=1).attrs["accepted"] > 0.4
