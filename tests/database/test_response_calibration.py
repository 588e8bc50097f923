"""Calibration: Brier score of scikit-learn, Murphy's identity, Wilson intervals, and simulated truth."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from crmlab.database import calibration
from crmlab.stats import proportion_interval

EXACT = 1e-12


def test_a_hand_made_table():
    found = calibration([0.1, 0.1, 0.1, 0.5, 0.5, 0.9], [0, 0, 1, 1, 0, 1], bins=3)
    assert found.table["customers"].tolist() == [3, 2, 1]
    assert found.table["responses"].tolist() == [1, 1, 1]
    assert found.table["predicted"].tolist() == pytest.approx([0.1, 0.5, 0.9])
    assert found.table["observed"].tolist() == pytest.approx([1 / 3, 0.5, 1.0])
    assert found.brier == pytest.approx((0.01 + 0.01 + 0.81 + 0.25 + 0.25 + 0.01) / 6)
    assert found.reliability == pytest.approx((3 * (0.1 - 1 / 3) ** 2 + 0.1**2) / 6)
    assert found.resolution == pytest.approx((3 / 36 + 0 + 0.25) / 6)
    assert found.uncertainty == 0.25
    assert found.within == pytest.approx(0, abs=EXACT)
    assert found.bias == pytest.approx(np.mean([0.1, 0.1, 0.1, 0.5, 0.5, 0.9]) - 0.5)
    ends = proportion_interval(1, 3)
    assert (found.table["low"][0], found.table["high"][0]) == (ends.low, ends.high)
    assert "6 customers in 3 classes" in repr(found)


PAIRS = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=4, max_size=80)


@settings(max_examples=20, deadline=None)
@given(pairs=PAIRS, bins=st.integers(2, 12))
def test_decomposition(pairs, bins):
    chance, answer = np.array([p for p, _ in pairs]) / 20, np.array([y for _, y in pairs], dtype=int)
    assume(0 < answer.sum() < len(answer))
    found = calibration(chance, answer, bins=bins)
    assert found.brier == pytest.approx(brier_score_loss(answer, chance), abs=EXACT)
    # Stephenson, Coelho & Jolliffe (2008): variance of the forecasts within classes, less twice their covariance
    place = np.searchsorted(found.table["highest"], chance)
    p, y = chance - found.table["predicted"].to_numpy()[place], answer - found.table["observed"].to_numpy()[place]
    assert found.within == pytest.approx(np.mean(p**2) - 2 * np.mean(p * y), abs=EXACT)
    assert found.table["customers"].sum() == len(answer)
    assert len(found.table) <= bins
    assert (found.table["lowest"].to_numpy()[1:] > found.table["highest"].to_numpy()[:-1]).all()
    one_value_each = calibration(chance, answer, bins=1_000)
    assert one_value_each.within == pytest.approx(0, abs=EXACT)


def test_true_chances_are_calibrated_and_squeezed_ones_are_not():
    rng = np.random.default_rng(1)
    chance = rng.beta(2, 5, 20_000)
    answer = rng.random(20_000) < chance
    good, bad = calibration(chance, answer), calibration(0.5 * chance + 0.25, answer)
    outside = (good.table["predicted"] < good.table["low"]) | (good.table["predicted"] > good.table["high"])
    assert outside.sum() <= 3  # ten classes at 95 %: four or more has a chance of 1 in 1,000
    assert good.reliability < 1e-3 < bad.reliability
    assert good.resolution == pytest.approx(bad.resolution)  # the order is the same
    assert good.skill > bad.skill
    assert calibration(np.full(100, 0.5), [0, 1] * 50).skill == pytest.approx(0)
