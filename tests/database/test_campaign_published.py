"""Read-outs of printed arms against the numbers printed with them."""

import pytest

from crmlab.database.campaign import read_arms
from crmlab.datasets import load
from crmlab.lab.reproduction import published

NUMBERS = published()
ARMS = {"mens": "Mens E-Mail", "womens": "Womens E-Mail"}


def assert_published(value: float, id: str) -> None:
    row = NUMBERS.loc[id]
    assert abs(value - row["value"]) <= row["tolerance"]


@pytest.mark.parametrize(("arm", "letter", "number"), [("mens", "a", "008"), ("womens", "b", "009")])
def test_hillstroms_shares(arm: str, letter: str, number: str):
    arms = load("hillstrom_arms")["arms"]
    visit = read_arms(arms.rename(columns={"visit_rate": "mean"}), ARMS[arm], "No E-Mail")
    bought = read_arms(arms.rename(columns={"conversion_rate": "mean"}), ARMS[arm], "No E-Mail")
    assert_published(visit.difference.estimate, f"UPL-005{letter}")
    assert_published(visit.statistic, f"UPL-{number}a")
    assert_published(bought.statistic, f"UPL-{number}b")


def test_the_match_raises_gifts_and_its_ratio_does_not():
    """What Karlan and List (2007) say of their Table 2A: a match pays, a larger one pays no more."""
    arms = load("donation_match_arms")["arms"].rename(
        columns={"letters": "customers", "dollars_per_letter": "mean", "dollars_per_letter_se": "se"}
    )
    assert read_arms(arms, "2:1", "control").p_value < 0.06
    assert read_arms(arms, "3:1", "1:1").p_value > 0.5
    assert read_arms(arms, "2:1", "1:1").p_value > 0.4
