"""Queues and the insurance study against numbers in print; the ids are those of the published numbers."""

from collections.abc import Callable
from typing import Any

import pytest

from crmlab.datasets import load
from crmlab.lab.reproduction import published
from crmlab.relationship.influence import two_stage_least_squares
from crmlab.relationship.service import erlang_a, erlang_c

TRAITS = ["male", "age", "agpop", "ricearea_2010", "literacy", "intensive", "risk_averse", "disaster_prob"]


@pytest.fixture(scope="module")
def printed() -> Callable[[str], object]:
    """Published number by id, with the tolerance of its printed digits."""
    table: Any = published()
    return lambda number: pytest.approx(table.loc[number, "value"], abs=table.loc[number, "tolerance"])


def test_fifty_agents_with_and_without_impatient_callers(printed):
    patient = erlang_c(48 * 60, 50, handling_minutes=1)
    leaving = erlang_a(48 * 60, 50, handling_minutes=1, patience_minutes=2)
    assert patient.mean_wait_seconds == printed("ERL-001a")
    assert 100 * patient.occupancy == printed("ERL-001b")
    assert 100 * leaving.abandons == printed("ERL-001c")
    assert leaving.mean_wait_seconds == printed("ERL-001d")
    assert 100 * leaving.occupancy == printed("ERL-001e")


def test_word_of_mouth_among_rice_farmers(printed):
    farmers = load("insurance_sessions")["farmers"].dropna()
    found = two_stage_least_squares(
        farmers,
        outcome="takeup_survey",
        treatment="pre_takeup_rate",
        instrument="default",
        cluster="address",
        controls=[*TRAITS, "village"],
    )
    first, effect = found.table.loc["first stage"], found.table.loc["two-stage least squares"]
    assert first["estimate"] == printed("WOM-001a")
    assert first["std_error"] == printed("WOM-001b")
    assert effect["estimate"] == printed("WOM-001c")
    assert effect["std_error"] == printed("WOM-001d")
    assert found.rows == printed("WOM-001e")
