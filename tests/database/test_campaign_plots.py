"""Figures of campaigns show the numbers of their result, label them, and draw where they are told."""

import numpy as np
import pandas as pd
import pytest

from crmlab.database import campaign_plots as plots
from crmlab.database.campaign import read_out
from crmlab.database.campaign_design import balance, plan_test
from crmlab.database.policy import policy_value, qini_curve, uplift_curve
from crmlab.errors import ContractError

pytestmark = pytest.mark.usefixtures("figures")


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"before": rng.gamma(2, 5, 600), "age": rng.uniform(-1, 1, 600), "t": rng.random(600) < 0.5})
    return frame.assign(y=frame["before"] + 2 * frame["age"] * frame["t"])


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_power_marks_the_plan(ax):
    plan = plan_test(baseline=0.02, difference=0.005)
    assert plots.plot_power(plan, ax=ax) is ax
    curve, dot = (np.asarray(line.get_xydata()) for line in ax.lines[:2])
    assert dot.tolist() == [[plan.customers, plan.power]]
    at = np.interp(plan.customers, curve[:, 0], curve[:, 1])
    assert at == pytest.approx(0.8, abs=0.01)
    assert f"{plan.customers:,} customers: 80%" in legend(ax)
    assert "customers" in ax.get_xlabel()


def test_effects_are_drawn_with_their_intervals(ax, data):
    result = read_out(data["y"], data["t"], before=data["before"])
    plots.plot_effects({"letter": result}, label="sales per customer, money", ax=ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["letter", "letter, adjusted"]
    assert ax.lines[0].get_xdata() == pytest.approx([result.difference.low, result.difference.high])
    assert ax.lines[3].get_xdata() == pytest.approx([result.effect.estimate])
    assert ax.get_xlabel() == "sales per customer, money, 95% interval"


def test_balance_shows_the_largest_first(ax, data):
    result = balance(data[["before", "age"]], data["before"] > 9)
    plots.plot_balance(result, most=1, ax=ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["before"]
    assert ax.lines[0].get_xdata()[0] == pytest.approx(result.table.loc[0, "smd"])
    assert ax.get_xlim()[1] > result.table.loc[0, "smd"]


def test_targeting_curves_start_and_end_together(ax, data):
    curves = {
        "age": uplift_curve(data["y"], data["t"], data["age"]),
        "no": uplift_curve(data["y"], data["t"], data["y"]),
    }
    plots.plot_targeting(curves, unit="sales, money", ax=ax)
    ends = [(line.get_ydata()[0], line.get_ydata()[-1]) for line in ax.lines]
    assert len(ends) == 3
    for start, end in ends:
        assert (start, end) == pytest.approx(ends[0])
    assert legend(ax)[-1] == "random order"
    assert "sales, money" in ax.get_ylabel()


def test_policies_are_bars_with_errors(ax, data):
    result = policy_value(data["y"], data["t"], {"young": data["age"] > 0, "all": np.ones(600)})
    plots.plot_policies(result, ax=ax)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(result.table["profit"].tolist())
    assert ax.get_yticklabels()[0].get_text().startswith("young (")


def test_without_axes_a_figure_is_made():
    assert plots.plot_power(plan_test(sd=1, difference=0.1)).figure is not None


def test_nothing_and_two_kinds_are_refused(data):
    y, t, s = data["y"], data["t"], data["age"]
    with pytest.raises(ContractError, match="no curves to draw"):
        plots.plot_targeting({})
    with pytest.raises(ContractError, match="cannot share an axis"):
        plots.plot_targeting({"a": uplift_curve(y, t, s), "b": qini_curve(y, t, s)})
    with pytest.raises(ContractError, match="no read-outs"):
        plots.plot_effects({})
