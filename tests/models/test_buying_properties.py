"""Laws that the buying models keep over the whole range of what they are given.

Reference values were computed with mpmath 1.4.1 at 50 digits from the closed forms: 2F1 for the expectations of BG/NBD
and MBG/NBD, quadrature over the time of leaving for Pareto/NBD, Tricomi's U for discounted purchases.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import hyperu

from crmlab.models import BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD
from crmlab.models.processes import BG, MBG, PARETO
from tests.models.conftest import fitted

CLOSE = 1e-9  # of what is summed in a few hundred terms
ROUNDING = 1e-12
BG_CDNOW, PARETO_CDNOW = (0.243, 4.414, 0.793, 2.426), (0.553, 10.578, 0.606, 11.669)
MODELS = [BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD]

positive = st.floats(-7, 7).map(np.exp)
params = st.tuples(positive, positive, positive, positive)
processes = st.sampled_from([BG, MBG, PARETO])
counts = st.one_of(st.integers(0, 5), st.sampled_from([20, 500, 10_000]))
ages = st.floats(-2, 11.5).map(np.exp)
shares = st.one_of(st.floats(1e-4, 1.0), st.just(1.0))


def one(x: int, recency: float, age: float) -> pd.DataFrame:
    return pd.DataFrame({"frequency": [x], "recency": [recency], "T": [age]})


@settings(deadline=None, max_examples=300)
@given(processes, params, counts, shares, ages, ages)
def test_predictions_are_possible_for_any_parameters_and_histories(process, params, x, share, age, t):
    result, data = fitted(process, *params), one(x, share * age if x else 0.0, age)
    alive = result.probability_alive(data)[0]
    assert 0 <= alive <= 1
    soon, later = (result.expected_purchases(length, data)[0] for length in (t, 2 * t))
    assert 0 <= soon <= later * (1 + CLOSE)
    assert np.isfinite(later)
    assert later <= (params[0] + x) / (params[1] + age) * 2 * t * (1 + CLOSE)  # as if nobody left
    assert np.isfinite(result.log_likelihood(data)[0])
    if process is BG and x == 0:
        assert alive == 1


@settings(deadline=None, max_examples=60)
@given(processes, params, counts, shares, ages, st.floats(0.001, 2))
def test_discounted_purchases_are_finite_and_fall_with_the_rate(process, params, x, share, age, rate):
    result, data = fitted(process, *params), one(x, share * age if x else 0.0, age)
    high, low = (result.discounted_purchases(each, data)[0] for each in (rate, 2 * rate))
    assert np.isfinite(high)
    assert 0 <= low <= high * (1 + CLOSE)


@settings(deadline=None, max_examples=200)
@given(processes, params, ages, st.integers(0, 200))
def test_chances_are_chances(process, params, t, most):
    chances = fitted(process, *params).purchase_probabilities(t, most)
    assert ((chances >= 0) & (chances <= 1 + ROUNDING)).all()
    assert chances.sum() <= 1 + 1e-8


@pytest.mark.parametrize(
    ("process", "params"),
    [(BG, BG_CDNOW), (MBG, BG_CDNOW), (PARETO, PARETO_CDNOW), (BG, (3, 5, 0.2, 9)), (PARETO, (20, 30, 0.01, 500))],
)
def test_chances_add_up_and_have_the_expected_mean(process, params):
    result = fitted(process, *params)
    chances = result.purchase_probabilities(39, 3_000)
    assert chances.sum() == pytest.approx(1, abs=1e-8)
    mean = (chances * chances.index).sum()
    assert mean == pytest.approx(float(result.expected_purchases_of_new_customer(39.0)), rel=1e-7)
    at_once = result.purchase_probabilities(0.0, 3)
    assert at_once.tolist() == pytest.approx([1, 0, 0, 0], abs=ROUNDING)


@pytest.mark.parametrize(
    ("params", "x", "age", "t", "bg", "mbg"),
    [
        (BG_CDNOW, 2, 38.86, 39, 1.687399305805313, 1.7309712294205877),
        (BG_CDNOW, 26, 31, 52, 26.584559702377586, 26.826353646604986),
        (BG_CDNOW, 0, 27, 20_000, 9.79102300899804, 12.131696945341428),
        ((0.243, 4.414, 1.0000001, 2.426), 2, 38.86, 39, 1.6251495081004497, 1.6742023639006065),
        ((302, 118, 0.00343, 13.25), 1, 80.9, 4947, 7399.90681852142, 7401.666585950539),
        ((67.39, 14.44, 4.051, 0.001132), 0, 32.89, 113.3, 1.0003710254031308, 1.328130697071788),
        ((0.002258, 0.02905, 404.2, 1.643), 30, 1276, 43_410, 1.0784796626984128, 1.0809598214285714),
        ((5, 2, 0.3, 0.4), 500, 1e5, 1e5, 450.10118526238193, 450.1821276471866),
        ((1e-3, 1e-3, 1e-3, 1e-3), 1, 0.1, 1e5, 977503.165023605, 978479.6779392132),
    ],
)
def test_expectation_while_alive_at_fifty_digits(params, x, age, t, bg, mbg):
    arrays = [np.asarray(float(value)) for value in params]
    for process, value in ((BG, bg), (MBG, mbg)):
        found = process.growth(arrays, np.array([float(x)]), np.array([float(age)]), float(t))
        assert found[0] == pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize(
    ("process", "params", "x", "recency", "age", "value"),
    [
        (BG, BG_CDNOW, 2, 30.43, 38.86, 0.726578570080673),
        (BG, BG_CDNOW, 500, 38, 39, 0.005442760336795375),
        (BG, BG_CDNOW, 2000, 38, 39, 1.440347589866069e-17),
        (BG, BG_CDNOW, 10_000, 38.999, 39, 0.9999001824110647),
        (BG, (5, 2, 0.3, 0.4), 3, 0.01, 1e5, 2.1310270377647974e-37),
        (MBG, BG_CDNOW, 2, 30.43, 38.86, 0.7744192426236461),
        (PARETO, PARETO_CDNOW, 2, 30.43, 38.86, 0.8691675591530111),
        (PARETO, PARETO_CDNOW, 500, 38, 39, 0.03013151058759559),
        (PARETO, PARETO_CDNOW, 2000, 38, 39, 6.6002762912582275e-15),
        (PARETO, PARETO_CDNOW, 10_000, 38.999, 39, 0.9999867483631858),
        (PARETO, (5, 2, 0.3, 0.4), 3, 10, 1e3, 2.6333147541537054e-15),
    ],
)
def test_chance_of_being_alive_at_fifty_digits(process, params, x, recency, age, value):
    assert fitted(process, *params).probability_alive(one(x, recency, age))[0] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("x", "age", "bg", "mbg"),
    [
        (0, 27, 1.2540057332515755, 1.4025975537631379),
        (2, 38.86, 7.128595002395905, 7.7511521475008385),
        (26, 31, 73.4676954269628, 74.76767441695766),
    ],
)
def test_discounted_purchases_while_alive_at_25_digits(x, age, bg, mbg):
    """At 15 % a year, continuously; times in weeks."""
    rate, arrays = np.log(1.15) / (365.25 / 7), [np.asarray(value) for value in BG_CDNOW]
    for process, value in ((BG, bg), (MBG, mbg)):
        found = process.discounted(arrays, np.array([float(x)]), np.array([age]), rate, None)
        assert found[0] == pytest.approx(value, rel=1e-8)


def test_discounted_purchases_of_pareto_have_a_closed_form():
    """Fader, Hardie & Lee (2005), JMR, eq. 4: Tricomi's function of the second kind."""
    r, alpha, s, beta = PARETO_CDNOW
    result, rate = fitted(PARETO, *PARETO_CDNOW), np.log(1.15) / (365.25 / 7)
    for x, recency, age in ((0, 0.0, 27.0), (2, 30.43, 38.86), (26, 30.857, 31.0)):
        data, whole = one(x, recency, age), beta + age
        value = (r + x) / (alpha + age) * whole * hyperu(1, 2 - s, rate * whole) * result.probability_alive(data)[0]
        assert result.discounted_purchases(0.15, data)[0] == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize("model", MODELS)
def test_another_unit_of_time_only_rescales(model, cdnow):
    """Days and seconds as given to the model, beside weeks; the density of x times gains a factor per unit."""
    table = cdnow.to_pandas()
    weeks = model(cdnow).fit()
    for factor in (7.0, 604_800.0):
        other = model(table.assign(recency=table["recency"] * factor, T=table["T"] * factor), time_unit="day").fit()
        scale = pd.Series(1.0, weeks.params.index)
        scale[list(model.process.timed)] = factor
        np.testing.assert_allclose(other.params, weeks.params * scale, rtol=1e-5)
        np.testing.assert_allclose(other.bse, weeks.bse * scale, rtol=1e-4)
        assert other.llf == pytest.approx(weeks.llf - table["frequency"].sum() * np.log(factor), abs=1e-5)
        assert other.expected_purchases(39 * factor).sum() == pytest.approx(
            weeks.expected_purchases(39).sum(), rel=1e-6
        )


@pytest.mark.parametrize("model", MODELS)
def test_weights_are_repeated_rows_and_order_is_nothing(model, cdnow):
    table, counts = cdnow.to_pandas(), cdnow.counts()
    whole = model(table, time_unit="week").fit()
    weighted = model(counts, time_unit="week").fit()
    shuffled = model(table.sample(frac=1, random_state=1), time_unit="week").fit()
    for other in (weighted, shuffled):
        assert other.llf == pytest.approx(whole.llf, rel=ROUNDING)
        np.testing.assert_allclose(other.params, whole.params, rtol=1e-6)
        np.testing.assert_allclose(other.bse, whole.bse, rtol=1e-5)
    forecast = shuffled.expected_purchases(10)
    np.testing.assert_allclose(forecast.sort_index(), whole.expected_purchases(10), rtol=1e-6)
    assert forecast.index.name == "customer_id"
    assert whole.log_likelihood().sum() == pytest.approx(whole.llf, rel=ROUNDING)


@pytest.mark.parametrize("model", MODELS)
def test_the_same_fit_every_time(model, cdnow):
    first, second = model(cdnow).fit(), model(cdnow).fit()
    assert first.params.equals(second.params)
    assert first.llf == second.llf


@pytest.mark.parametrize("process", [BG, MBG, PARETO])
def test_purchases_to_come_without_discounting_by_simulation(process):
    """E[X(t)] against simulated new customers, within four standard errors."""
    result = fitted(process, *(PARETO_CDNOW if process is PARETO else BG_CDNOW))
    for t in (5.0, 100.0):
        x = result.simulate(np.full(200_000, t), seed=3)["frequency"]
        mean = float(result.expected_purchases_of_new_customer(t))
        assert abs(x.mean() - mean) < 4 * x.std() / np.sqrt(len(x))
