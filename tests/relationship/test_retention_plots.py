"""Figures show the numbers of their result, label them with their unit, and draw where they are told."""

import numpy as np
import pandas as pd
import pytest

from crmlab.datasets.company import simulate
from crmlab.errors import ContractError
from crmlab.relationship import life_table, plots, read_spells, retention_table, stage_chain, survival

pytestmark = pytest.mark.usefixtures("figures")


@pytest.fixture(scope="module")
def contracts():
    table = simulate(800, seed=3, scenario="subscription")["subscriptions"]
    return read_spells(table, time_unit="month", ends="renewal", window_end="2024-12-31")


def test_survival_draws_a_step_at_every_loss(ax, contracts):
    curve = survival(contracts)
    assert plots.plot_survival(curve, ax=ax) is ax
    x, y = (np.asarray(one) for one in ax.lines[0].get_data())
    assert (x[-1], y[0], y[-1]) == (curve.last, 1.0, curve.table["survival"].iloc[-1])
    assert ax.get_xlabel() == "tenure, months"
    assert ax.get_ylabel() == "share still there"
    assert ax.get_legend() is None
    late = plots.plot_survival({"late": survival(contracts, given=3), "again": survival(contracts, given=3)})
    assert late.get_ylabel() == "share of those who reached 3 still there"
    legend = late.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["late", "again"]


def test_hazards_have_their_intervals(ax, contracts):
    life = life_table(contracts)
    plots.plot_hazard({"all": life}, ax=ax)
    assert np.asarray(ax.lines[0].get_ydata()) == pytest.approx(life.table["hazard"].to_numpy())
    assert ax.get_ylabel() == "share of those at risk who leave"
    assert ax.get_legend() is not None


def test_a_triangle_leaves_small_cells_empty(ax, contracts):
    table = retention_table(contracts, period="quarter")
    plots.plot_retention(table, "survival", at_least=20, ax=ax)
    shown = [text.get_text() for text in ax.texts]
    grid = table.pivot("survival").where(table.pivot("at_risk") >= 20)
    assert len(shown) == grid.notna().sum().sum()
    assert shown[0] == f"{grid.to_numpy()[0, 0]:.0%}"
    assert next(label.get_text() for label in ax.get_yticklabels()) == "2022Q1"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("tenure, months", "quarter of the start")
    plane = plots.plot_retention(table, rows="tenure", columns="calendar", numbers=False)
    assert (plane.get_xlabel(), plane.get_ylabel()) == ("calendar quarter", "tenure, months")
    assert not plane.texts
    with pytest.raises(ContractError, match="no cell holds"):
        plots.plot_retention(table, at_least=10_000)


def test_a_chain_hides_moves_that_were_never_seen(ax):
    panel = pd.DataFrame(
        {"customer_id": [1, 1, 1, 2, 2], "period": [1, 2, 3, 1, 2], "stage": ["on", "on", "off", "on", "on"]}
    )
    plots.plot_chain(stage_chain(panel, absorbing=["off"]), ax=ax)
    assert sorted(text.get_text() for text in ax.texts) == ["100%", "33%", "67%"]
    assert ax.get_xlabel() == "stage one period later"


def test_nothing_and_mixed_units_are_refused(contracts):
    for call in (plots.plot_survival, plots.plot_hazard):
        with pytest.raises(ContractError, match="to draw"):
            call({})
    table = contracts.table[["customer_id", "started_on", "ended_on"]]
    days = read_spells(table, time_unit="day", ends="any_time", window_end="2024-12-31")
    with pytest.raises(ContractError, match="cannot share an axis"):
        plots.plot_survival({"months": survival(contracts), "days": survival(days)})
