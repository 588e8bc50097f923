"""Figures of service show the numbers of their result, label them, and draw where they are told."""

import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.relationship import service_plots as plots
from crmlab.relationship.influence import two_stage_least_squares
from crmlab.relationship.recovery import compare_groups
from crmlab.relationship.service_staffing import desk_table, staffing_curve

pytestmark = pytest.mark.usefixtures("figures")


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def heights(ax) -> list[float]:
    return [bar.get_height() for bar in ax.patches]


def line(ax, number: int) -> np.ndarray:
    return np.column_stack([ax.lines[number].get_xdata(), ax.lines[number].get_ydata()]).astype(float)


def test_a_desk_shows_bars_lines_and_where_erlang_c_is_silent(ax):
    desk = pd.DataFrame(
        {
            "slot": ["8:00", "8:30", "9:00"],
            "agents": [3, 3, 3],
            "calls_offered": [10, 15, 40],
            "calls_abandoned": [0, 2, 15],
            "answered_in_time": [9, 11, 10],
        }
    )
    table = desk_table(desk, by=["slot"], handling_minutes=5, patience_minutes=4)
    assert plots.plot_desk(table, slot="slot", ax=ax) is ax
    assert heights(ax) == pytest.approx([0.9, 11 / 15, 0.25])
    assert line(ax, 0)[:, 1] == pytest.approx(table["service_level_a"].to_numpy())
    assert line(ax, 2)[:, 0].tolist() == [2]
    assert {"observed", "Erlang A", "Erlang C", "Erlang C: overloaded"} == set(legend(ax))
    assert "share of all calls" in ax.get_ylabel()
    with pytest.raises(ContractError, match="slots of one day"):
        plots.plot_desk(pd.concat([table, table]), slot="slot")


def test_staffing_marks_the_cheapest_number(ax):
    curve = staffing_curve(150, np.arange(8, 25), handling_minutes=5, patience_minutes=4, agent_hour=28, lost_call=9)
    assert plots.plot_staffing(curve, ax=ax) is ax
    best = curve.set_index("agents")["cost"].idxmin()
    assert f"cheapest: {best}" in legend(ax)
    assert line(ax, 2)[:, 1] == pytest.approx(curve["cost"].to_numpy())
    assert ax.get_ylabel() == "money an hour"


def test_groups_are_drawn_plain_and_adjusted():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"customer_id": range(200), "x": rng.normal(size=200), "g": ["a", "b"] * 100})
    found = compare_groups(
        data.assign(spent=data["x"] + rng.normal(size=200)), "spent", group="g", reference="a", adjust=["x"]
    )
    ax = plots.plot_groups(found)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a\n(100)", "b\n(100)"]
    assert ax.get_ylabel() == "spent"
    assert legend(ax) == ["as observed", "adjusted"]
    assert any(
        np.allclose(line(ax, n)[:, 1], found.table["adjusted"]) for n in range(len(ax.lines)) if len(line(ax, n)) == 2
    )


def test_four_estimates_with_their_intervals():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"g": np.arange(200) // 5, "z": rng.integers(0, 2, 200)})
    data["d"] = data["z"] + rng.normal(size=200)
    data["y"] = data["d"] + rng.normal(size=200)
    found = two_stage_least_squares(data, outcome="y", treatment="d", instrument="z", cluster="g")
    ax = plots.plot_instrumented(found)
    assert [label.get_text() for label in ax.get_yticklabels()] == found.table.index[::-1].tolist()
    assert [text.get_text() for text in ax.texts] == [f"{one:.2f}" for one in found.table["estimate"][::-1]]
    assert "95% interval" in ax.get_xlabel()
