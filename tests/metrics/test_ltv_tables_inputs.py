"""What a lifetime-value table refuses, and in which words."""

import numpy as np
import pytest

from crmlab.errors import ContractError
from crmlab.metrics import ltv_table, margin_multiple, payback_period

GOOD = {"retention": 0.8, "spend": 100, "cost_share": 0.5, "annual_discount_rate": 0.1, "periods": 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"retention": 1.2}, "retention must be finite and within 0 and 1"),
        ({"retention": [0.8, 0.8, 0.8]}, "retention must be one number or 2 of them, not 3"),
        ({"retention": np.nan}, "retention must be finite"),
        ({"spend": [100, 100]}, "spend must be one number or 3 of them, not 2"),
        ({"spend": -1}, "spend must be finite and within 0"),
        ({"cost_share": -0.1}, "cost_share must be finite"),
        ({"referral": np.inf}, "referral must be finite"),
        ({"acquisition_cost": -5}, "acquisition_cost must be finite"),
        ({"annual_discount_rate": -0.1}, "annual_discount_rate must be finite and within 0"),
        ({"periods": 0}, "at least 1 period"),
        ({"customers": 0}, "some customers"),
        ({"timing": "late"}, "timing must be one of advance, renewal, arrears"),
        ({"period": "week"}, "period must be one of year, quarter, month"),
    ],
)
def test_table_refuses(change, message):
    with pytest.raises(ContractError, match=message):
        ltv_table(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("retention", "discount", "message"),
    [(1.0, 0.0, "no end"), ([0.5, 1.5], 0.1, "retention must be"), (0.5, np.nan, "annual_discount_rate must be")],
)
def test_multiple_refuses(retention, discount, message):
    with pytest.raises(ContractError, match=message):
        margin_multiple(retention, discount)


def test_payback_refuses_what_is_no_money():
    with pytest.raises(ContractError, match="flows must be finite"):
        payback_period([-1, np.nan], annual_discount_rate=0.1)


def test_nobody_stays_and_everybody_stays():
    assert margin_multiple([0.0, 1.0], 0.1).tolist() == pytest.approx([0, 10])
