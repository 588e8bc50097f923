"""Gradients and Hessians of the buying models against central differences."""

import numpy as np
import pandas as pd
import pytest

from crmlab.models.counts import Histories
from crmlab.models.covariates import Covariates, likelihood
from crmlab.models.processes import PROCESSES

STEP = 1e-5  # of a log-parameter: errors of differences are near 1e-10 of the value's curvature, and 1e-11 of its size
CLOSE = 1e-6


def some_histories(rng: np.random.Generator, customers: int, length: float) -> Histories:
    age = rng.uniform(0.5, 1.0, customers) * length
    x = rng.choice([0, 0, 1, 2, 7, 40, 300], customers).astype(float)
    recency = np.where(x > 0, rng.uniform(0.01, 1.0, customers) * age, 0.0)
    recency[0], x[0] = age[0], 3.0  # bought at the very end
    frame = pd.DataFrame({"frequency": x, "recency": recency, "T": age})
    return Histories(frame, rng.uniform(0.5, 3.0, customers), "week")


def check(whole, point: np.ndarray) -> None:
    value, gradient, hessian = whole.at(point)
    steps = STEP * np.eye(len(point))
    ends = [(whole.at(point + one), whole.at(point - one)) for one in steps]
    slope = np.array([(up.value - down.value) / (2 * STEP) for up, down in ends])
    curve = np.array([(up.gradient - down.gradient) / (2 * STEP) for up, down in ends])
    size = abs(value) * 1e-11 / STEP  # rounding of the differences
    np.testing.assert_allclose(gradient, slope, rtol=CLOSE, atol=size + CLOSE)
    np.testing.assert_allclose(hessian, curve, rtol=CLOSE, atol=np.abs(hessian).max() * CLOSE)


@pytest.mark.parametrize("length", [0.01, 40.0, 50_000.0])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", PROCESSES)
def test_without_covariates(name, seed, length):
    rng = np.random.default_rng(seed)
    process, histories = PROCESSES[name], some_histories(rng, 40, length)
    point = rng.uniform(-2.5, 2.5, 4)
    point[[process.parameters.index(one) for one in process.timed]] += np.log(length)
    check(likelihood(process, histories, Covariates({})), point)


@pytest.mark.parametrize("sides", [("buying",), ("dropout",), ("buying", "dropout")])
@pytest.mark.parametrize("name", PROCESSES)
def test_with_covariates(name, sides):
    rng = np.random.default_rng(len(name) + len(sides))
    process, histories = PROCESSES[name], some_histories(rng, 60, 40.0)
    tables = {side: pd.DataFrame(rng.normal(size=(60, 2)), columns=["one", "two"]) for side in sides}
    covariates = Covariates(tables)
    point = rng.uniform(-1, 1, len(covariates.names(process)))
    check(likelihood(process, histories, covariates), point)


@pytest.mark.parametrize("name", PROCESSES)
def test_collapsed_rows_are_worth_what_the_rows_are(name):
    """Sums over counts and equal histories, against the sum over customers one by one."""
    rng, process = np.random.default_rng(3), PROCESSES[name]
    histories = some_histories(rng, 200, 30.0)
    histories.frame["T"] = np.maximum(np.ceil(histories.frame["T"]), histories.frame["recency"])
    point = np.array([-0.5, 1.5, 0.2, 1.0])
    apart = likelihood(process, histories, Covariates({"buying": pd.DataFrame({"nothing": np.zeros(200)})}))
    where = [0, 1, 3, 4]  # without the coefficient of the covariate
    whole, one_by_one = likelihood(process, histories, Covariates({})).at(point), apart.at(np.insert(point, 2, 0.0))
    assert whole.value == pytest.approx(one_by_one.value, rel=1e-12)
    np.testing.assert_allclose(whole.gradient, one_by_one.gradient[where], rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(whole.hessian, one_by_one.hessian[np.ix_(where, where)], rtol=1e-10, atol=1e-9)
