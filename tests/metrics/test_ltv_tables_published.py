"""Closed forms against the numbers printed for them; the printed rounding is the tolerance."""

import numpy as np
import pytest

from crmlab.lab.reproduction import published
from crmlab.metrics import margin_multiple

NUMBERS = published()


@pytest.mark.parametrize(("id", "timing"), [("RET-052a", "advance"), ("RET-052b", "renewal"), ("RET-052c", "arrears")])
def test_three_cases_of_one_customer(id: str, timing):
    row = NUMBERS.loc[id]
    assert abs(100 * margin_multiple(0.8, 0.1, timing=timing) - row["value"]) <= row["tolerance"]


def test_value_at_twelve_per_cent():
    row = NUMBERS.loc["VAL-017a"]
    assert abs(100 * margin_multiple(0.8, 0.12) - row["value"]) <= row["tolerance"]


def test_two_segments_on_the_eve_of_a_renewal():
    values = 100 * np.array([0.9, 0.5]) * margin_multiple([0.9, 0.5], 0.1, timing="advance")
    for value, id in zip(values, ["RET-040a", "RET-040b"], strict=True):
        assert abs(value - NUMBERS.loc[id, "value"]) <= NUMBERS.loc[id, "tolerance"]
