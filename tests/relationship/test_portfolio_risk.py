"""The cost of a wrong choice: against integrals, known limits, and laws of regret."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from crmlab.relationship.portfolio import relationship_economics
from crmlab.relationship.portfolio_risk import choice_risk

COLUMNS = ["yearly_cost_low", "yearly_cost_high", "hazard_ratio_low", "hazard_ratio_high"]
KNOWN: dict[str, Any] = {"margin": (100.0, 100.0), "retention": (0.7, 0.7), "annual_discount_rate": 0.1}
NOISE = 4.5  # standard errors of a simulated mean; the seeds are fixed


def plans(*rows) -> pd.DataFrame:
    return pd.DataFrame(list(rows), [f"p{i}" for i in range(len(rows))], COLUMNS, dtype=float)


def test_values_and_regret_are_the_integrals():
    risk = choice_risk(plans((0, 0, 1, 1), (20, 20, 0.3, 1.2)), **KNOWN, seed=1, draws=40_000)
    middle, spread = np.log(0.3 * 1.2) / 2, np.log(1.2 / 0.3) / (2 * norm.ppf(0.975))
    base = 100 * 1.1 / (1.1 - 0.7)

    def gain(z: float) -> float:
        return 80 * 1.1 / (1.1 - 0.7 ** np.exp(middle + spread * z)) - base

    def mean(function) -> float:
        return quad(lambda z: function(z) * norm.pdf(z), -8, 8, limit=200)[0]

    table = risk.table
    assert table.T["p0"][["value", "low", "high"]].tolist() == pytest.approx([base] * 3)
    error = NOISE * table["regret_error"]["p0"]
    assert table["value"]["p1"] == pytest.approx(base + mean(gain), abs=2 * error)
    assert table["regret"]["p0"] == pytest.approx(mean(lambda z: max(gain(z), 0)), abs=error)
    error = NOISE * table["regret_error"]["p1"]
    assert table["regret"]["p1"] == pytest.approx(mean(lambda z: max(-gain(z), 0)), abs=error)
    assert table["best_in"].sum() == pytest.approx(1)


def test_limits_hold_95_percent_of_the_draws():
    risk = choice_risk(
        plans((0, 0, 1, 1), (50, 50, 1, 1)),
        margin=(80.0, 180.0),
        retention=(0.7, 0.7),
        annual_discount_rate=0.1,
        seed=2,
        draws=40_000,
    )
    k = 1.1 / 0.4
    assert risk.table["low"]["p0"] == pytest.approx(80 * k, rel=0.01)
    assert risk.table["high"]["p0"] == pytest.approx(180 * k, rel=0.01)
    assert risk.chosen == "p0"
    assert risk.perfect_information == 0  # the dearer plan does nothing, whatever the margin
    assert risk.table["regret"]["p1"] == pytest.approx(50 * k)
    assert risk.table["regret_error"]["p1"] == pytest.approx(0, abs=1e-9)


def test_limits_of_retention_are_those_of_the_odds():
    settings = KNOWN | {"retention": (0.4, 0.8)}
    risk = choice_risk(plans((0, 0, 1, 1), (1, 1, 1.5, 1.5)), **settings, seed=3, draws=40_000)
    expected = [100 * 1.1 / (1.1 - r) for r in (0.4, 0.8)]
    assert risk.table.T["p0"][["low", "high"]].tolist() == pytest.approx(expected, rel=0.02)


def test_narrow_limits_give_the_economics():
    narrow = plans((1, 1.0001, 1, 1), (20, 20.001, 0.5, 0.50001))
    risk = choice_risk(narrow, **KNOWN, seed=1)
    same = relationship_economics(
        pd.DataFrame({"yearly_cost": [1.0, 20.0], "hazard_ratio": [1.0, 0.5]}, index=["p0", "p1"]),
        margin=100.0,
        retention=0.7,
        annual_discount_rate=0.1,
    ).table["value"]
    assert risk.table["value"].tolist() == pytest.approx(same.tolist(), rel=1e-4)
    assert risk.chosen == same.idxmax()


WIDE = plans((0, 0, 1, 1), (5, 20, 0.6, 1.1), (15, 35, 0.3, 0.7))
FREE: dict[str, Any] = {"margin": (60.0, 200.0), "retention": (0.5, 0.85), "annual_discount_rate": 0.1}


@pytest.mark.parametrize("seed", range(5))
def test_laws_of_regret(seed):
    risk = choice_risk(WIDE, **FREE, seed=seed, draws=2_000)
    table = risk.table
    assert table["value"].idxmax() == table["regret"].idxmin() == risk.chosen
    total = (table["value"] + table["regret"]).to_numpy()
    assert total == pytest.approx(total[0])  # the mean of the best of every draw
    assert risk.perfect_information == table["regret"][risk.chosen] >= 0
    assert table["best_in"].sum() == pytest.approx(1)
    pd.testing.assert_frame_equal(table, choice_risk(WIDE, **FREE, seed=seed, draws=2_000).table)


def test_sensitivity_names_the_uncertain_inputs_and_their_signs():
    risk = choice_risk(WIDE, **FREE, seed=1)
    found = risk.sensitivity
    assert "yearly cost of p0" not in found.index
    assert set(found.index) == {
        "margin",
        "retention",
        "yearly cost of p1",
        "hazard ratio of p1",
        "yearly cost of p2",
        "hazard ratio of p2",
    }
    assert (found["low"] < found["high"]).all()
    assert risk.chosen == "p2"
    own = found.T["hazard ratio of p2"]
    assert own["ahead_low"] > 0 > own["ahead_high"]
    assert own["best_low"] == "p2" != own["best_high"]
    widths = (found["ahead_high"] - found["ahead_low"]).abs()
    assert widths.is_monotonic_decreasing
    assert "p2 has the highest mean value of 10,000 draws" in repr(risk)
