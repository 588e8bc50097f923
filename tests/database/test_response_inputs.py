"""What the functions of a response model refuse, in words."""

import numpy as np
import pandas as pd
import pytest

from crmlab.database import break_even_rate, calibration, depth_uncertainty, gains, profit_curve, value_of_limit
from crmlab.errors import ContractError

SCORE, RESPONSE = [0.9, 0.5, 0.2, 0.1], [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("score", "response", "value", "message"),
    [
        ([], [], None, "no row"),
        (SCORE, [1, 0, 1], None, "same length, got score 4, response 3"),
        (pd.Series(SCORE), pd.Series(RESPONSE, index=[3, 2, 1, 0]), None, "the same index on score and response"),
        ([0.9, None, 0.2, 0.1], RESPONSE, None, "score: not a finite number in 1 rows (first: 2)"),
        ([0.9, np.inf, 0.2, 0.1], RESPONSE, None, "score: not a finite number in 1 rows (first: 2)"),
        (SCORE, [1, 0, 2, 0], None, "response: neither 0 nor 1 in 1 rows (first: 3)"),
        (SCORE, ["yes", "no", "no", "no"], None, "response: no numbers but str (first: 'yes', 'no', 'no')"),
        (SCORE, [0, 0, 0, 0], None, "nobody responded"),
        (SCORE, [1, 1, 1, 1], None, "everybody responded"),
        ([0.5] * 4, RESPONSE, None, "nothing to sort by"),
        (SCORE, RESPONSE, [1.0, np.nan, 1, 1], "value: not a finite number in 1 rows (first: 2)"),
    ],
)
def test_gains(score, response, value, message):
    with pytest.raises(ContractError) as caught:
        gains(score, response, value)
    assert message in str(caught.value)


def test_problems_are_collected():
    with pytest.raises(ContractError) as caught:
        gains([0.5] * 4, [0] * 4)
    assert len(caught.value.problems) == 2
    with pytest.raises(ContractError) as caught:
        calibration([0.5, 1.5, -0.1, 0.2], [0, 1, 2, 0], bins=1)
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("chance", "response", "bins", "message"),
    [
        ([0.5, 1.5], [0, 1], 10, "probability: not between 0 and 1 in 1 rows (first: 2)"),
        ([0.5, 0.2], [0, 0], 10, "nobody responded"),
        ([0.5, 0.2], [1, 1], 10, "everybody responded"),
        ([0.5, 0.2], [1, 0], 1.5, "bins must be a whole number of 2 or more"),
        ([], [], 10, "no row"),
    ],
)
def test_calibration(chance, response, bins, message):
    with pytest.raises(ContractError) as caught:
        calibration(chance, response, bins=bins)
    assert message in str(caught.value)


def test_depths_and_classes():
    found = gains(SCORE, RESPONSE)
    for depth in (0.0, 1.1, [0.5, 2.0]):
        with pytest.raises(ContractError, match="depth must lie above 0"):
            found.at(depth)
    for wrong, said in (([0.5, np.nan], "not a finite number"), ("half", "no numbers"), (np.ones((2, 2)), "shape")):
        with pytest.raises(ContractError, match=said):
            found.at(wrong)
    for bins in (1, 5, 2.5):
        with pytest.raises(ContractError, match="from 2 to the 4 customers"):
            found.deciles(bins)  # type: ignore[arg-type]


def test_economics():
    found = gains(SCORE, RESPONSE)
    with pytest.raises(ContractError) as caught:
        profit_curve(found, margin=-1.0, contact_cost=np.nan, fixed_cost=-2.0)
    assert len(caught.value.problems) == 3
    with pytest.raises(ContractError, match="margin must be above 0"):
        break_even_rate(1.0, 0.0)
    for capacity in (-1, 2.5):
        with pytest.raises(ContractError, match="capacity must be a whole number"):
            profit_curve(found, 10.0, 1.0, capacity=capacity)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="no depth can pay"):
        profit_curve(gains(SCORE, RESPONSE, [0.0] * 4), 0.5, 1.0)


def test_resampling():
    curve = profit_curve(gains(SCORE, RESPONSE), 10.0, 1.0)
    with pytest.raises(ContractError, match="2 resamples or more"):
        depth_uncertainty(curve, seed=1, n=1)
    with pytest.raises(ContractError, match="a level between 0 and 1"):
        value_of_limit(curve, curve.gains, seed=1, level=1.0)
    with pytest.raises(ContractError, match="knows the money of responses"):
        value_of_limit(curve, gains(SCORE, RESPONSE, [5.0] * 4), seed=1)
    with pytest.raises(ContractError, match="limit must be a number"):
        value_of_limit(curve, curve.gains, seed=1, limit=np.nan)


def test_series_keep_their_index_and_stay_as_they_were():
    people = pd.DataFrame({"score": SCORE, "response": RESPONSE}, index=list("wxyz"))
    before = people.copy()
    assert gains(people["score"], people["response"]).people.index.tolist() == list("wxyz")
    assert gains(people["score"], [True, False, True, False]).response_rate == 0.5
    pd.testing.assert_frame_equal(people, before)
