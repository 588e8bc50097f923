"""Churn against printed numbers: maximum profit, and Cox on the fictional telephone company."""

import inspect

import numpy as np
import pandas as pd
import pytest
from statsmodels.duration.hazard_regression import PHReg

from crmlab.datasets import load
from crmlab.lab.reproduction import published
from crmlab.relationship import expected_maximum_profit, maximum_profit

NUMBERS = published()
LEFT = [0, 1, 0, 1, 0, 1, 0, 1]
SCORE = [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9]


def agrees(id: str, value):
    return abs(value - NUMBERS.loc[id, "value"]) <= NUMBERS.loc[id, "tolerance"]


def test_the_documented_example():
    assert agrees("CHU-015", maximum_profit(SCORE, LEFT).profit)
    assert agrees("CHU-016", expected_maximum_profit(SCORE, LEFT).profit)


@pytest.mark.parametrize(
    ("letter", "name"), list(zip("abcde", ["alpha", "beta", "lifetime_value", "incentive", "contact"], strict=True))
)
def test_defaults_are_the_measure_s(letter: str, name: str):
    assert agrees(f"CHU-014{letter}", inspect.signature(expected_maximum_profit).parameters[name].default)


def test_cox_of_the_telephone_company():
    people = load("telco_churn")["customers"].replace({"No phone service": "No", "No internet service": "No"})
    strata = ["internet_service", "streaming_movies", "streaming_tv", "phone_service"]
    drop = ["customer_id", "total_charges", "response", "tenure", *strata]
    x = pd.get_dummies(people.drop(columns=drop), drop_first=True).astype(float)
    groups = people.groupby(strata).ngroup().to_numpy()
    found = PHReg(people["tenure"].to_numpy(float), x, people["response"].to_numpy(), strata=groups, ties="efron").fit()
    beta = pd.Series(found.params, x.columns)
    assert agrees("CHU-004", found.llf)
    assert agrees("CHU-006", -2 * found.llf + 2 * len(beta))
    assert agrees("CHU-008b", beta["contract_Two year"])
    assert agrees("CHU-009a", beta["partner"])
    assert agrees("CHU-011a", beta["payment_method_Electronic check"])
    assert np.isfinite(beta).all()
