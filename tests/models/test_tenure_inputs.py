"""What models of staying refuse, and what they say."""

import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.models import BetaDiscreteWeibull, ConvergenceError, ShiftedBetaGeometric
from tests.models.test_tenure_published import at


@pytest.mark.parametrize(
    ("survivors", "message"),
    [
        ([1.0, 0.8, 0.6], "cohort 'survivors': is no whole number (give customers, not shares) after 1, 2 renewals"),
        ([100, 90, 95], "is above the number before after 2 renewals"),
        ([100, -5], "is negative after 1 renewals"),
        ([np.nan, 90], "the first number, of those who came, is missing"),
        ([100, np.inf], "is infinite after 1 renewals"),
        ([0, 0], "nobody came"),
        ([], "the first number, of those who came, is missing"),
        (["a", "b"], "survivors must be numbers of customers"),
    ],
)
def test_these_are_no_survivors(survivors, message):
    with pytest.raises(ContractError) as error:
        ShiftedBetaGeometric(survivors)
    assert message in str(error.value)


def test_all_problems_of_all_cohorts_are_told_at_once():
    with pytest.raises(ContractError) as error:
        ShiftedBetaGeometric(pd.DataFrame({2023: [100, 120], 2024: [-1, -2]}))
    assert "cohort 2023: is above" in str(error.value)
    assert "cohort 2024: is negative" in str(error.value)


def test_no_table_of_tenures():
    people = pd.DataFrame({"tenure": [0, 1.5, 3, 2], "churned": [True, False, 2, True], "weight": [1, 1, 1, 0]})
    with pytest.raises(ContractError) as error:
        BetaDiscreteWeibull.from_tenures(people)
    for problem in (
        "tenure: not a whole number, 0 or more in 1 rows (first: 2)",
        "churned: neither true nor false in 1 rows (first: 3)",
        "churned without a renewal due (tenure 0) in 1 rows (first: 1)",
        "weight: not above 0 in 1 rows (first: 4)",
    ):
        assert problem in str(error.value)


@pytest.mark.parametrize("kind", [ShiftedBetaGeometric, BetaDiscreteWeibull])
@pytest.mark.parametrize(
    ("survivors", "why"),
    [
        ([100, 100, 100], "nobody has left"),
        ([100, 0], "all left at the first renewal"),
        ([100_000, 80_000, 64_000, 51_200, 40_960], "one retention rate is enough"),
        ([100], "nobody has left"),
        ([100, 40, 40, 40], "more renewals are needed"),
    ],
)
def test_data_without_a_maximum_are_told(kind, survivors, why):
    with pytest.raises(ConvergenceError) as error:
        kind(survivors).fit()
    assert why in str(error.value)
    assert "customers, of whom" in str(error.value)


@pytest.mark.parametrize("times", [-1, 0.5, [1, np.nan], []])
def test_times_are_whole_numbers(times):
    with pytest.raises(ContractError, match="must be whole numbers"):
        at(0.7, 1.2).survival(times)
    with pytest.raises(ContractError, match="1 or more"):
        at(0.7, 1.2).retention(0)


def test_an_infinite_tenure_is_told():
    with pytest.raises(ContractError, match="the expected tenure is infinite"):
        at(0.7, 1.2).expected_tenure()


@pytest.mark.parametrize("arguments", [(0.0,), (-0.1,), (np.nan,), (0.1, 0)])
def test_a_discount_rate_is_positive(arguments):
    with pytest.raises(ContractError, match="must be positive"):
        at(0.7, 1.2).discounted_lifetime(*arguments)
