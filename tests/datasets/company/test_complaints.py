"""What becomes of failed orders."""

from typing import Any

import numpy as np
import pytest

from crmlab.datasets.company import scenario, simulate

GROCER: Any = scenario("grocer")
SERVICE = GROCER.service


@pytest.fixture(scope="module")
def firm():
    return simulate(8_000, seed=12)


def test_every_failed_order_is_in_the_truth_once(firm):
    truth, orders = firm.truth["complaints"], firm.truth["orders"]
    assert set(truth["order_id"]) == set(orders["order_id"][orders["failed"]])
    assert truth["order_id"].is_unique
    assert (truth["order_id"] // 10_000 == truth["customer_id"]).all()
    assert not (truth["recovered"] & ~truth["complained"]).any()


def test_the_first_failure_is_that_of_the_history(firm):
    truth = firm.truth["complaints"].groupby("customer_id").head(1).set_index("customer_id")
    recovery = [firm.firm.block(number).history.recovery for number in range(firm.firm.n_blocks)]
    for name in ("complained", "recovered"):
        drawn = np.concatenate([getattr(one, name) for one in recovery])
        assert (drawn[truth.index - 1] == truth[name]).all()


@pytest.mark.parametrize("later", [False, True])
def test_chances_hold_for_first_and_later_failures(firm, later):
    truth = firm.truth["complaints"]
    part = truth[(truth.groupby("customer_id").cumcount() > 0) == later]
    complained = part[part["complained"]]
    assert part["complained"].mean() == pytest.approx(SERVICE.complains, abs=4 * 0.5 / np.sqrt(len(part)))
    assert complained["recovered"].mean() == pytest.approx(SERVICE.recovered, abs=4 * 0.5 / np.sqrt(len(complained)))
