"""Figures of a portfolio draw what the results say, with labels and units."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from crmlab.relationship.portfolio import relationship_economics, relationship_types
from crmlab.relationship.portfolio_plots import (
    plot_economics,
    plot_gaps,
    plot_sensitivity,
    plot_types,
    plot_value_map,
)
from crmlab.relationship.portfolio_risk import choice_risk
from crmlab.relationship.portfolio_views import delivered_value, gap_scores

mpl.use("agg")
pytestmark = pytest.mark.usefixtures("figures")

SEGMENTS = pd.DataFrame(
    {"customers": [10, 200, 9_000], "margin": [500.0, 60.0, 2.0], "loyalty": [0.9, 0.5, 0.4], "sales": [5.0, 2.0, 1.0]},
    index=["A", "B", "C"],
)
PLANS = pd.DataFrame({"yearly_cost": [0.0, 20.0], "hazard_ratio": [1.0, 0.5]}, index=["basic", "partnership"])


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_types():
    ax = plot_types(relationship_types(SEGMENTS))
    assert texts(ax) == ["A", "B", "C"]
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.xaxis_inverted()
    assert "money" in ax.get_ylabel()
    assert len(ax.lines) == 4
    assert ax.get_legend_handles_labels()[1] == ["basic", "accountable", "partnership"]
    other = plot_types(relationship_types(SEGMENTS, "loyalty_sales"), ax=plt.figure().subplots())
    assert other.get_xscale() == "linear"
    assert not other.xaxis_inverted()


def test_economics():
    plan = relationship_economics(PLANS, margin=100.0, retention=0.64, annual_discount_rate=0.1)
    ax = plot_economics(plan)
    gain = np.asarray(ax.lines[1].get_ydata(), dtype=float)
    margins = np.asarray(ax.lines[1].get_xdata(), dtype=float)
    assert np.interp(plan.table["break_even"]["partnership"], margins, gain) == pytest.approx(0, abs=1e-9)
    assert np.asarray(ax.lines[0].get_ydata(), dtype=float) == pytest.approx(0)
    assert ax.get_ylabel() == "value of a customer above basic, money"


def test_sensitivity():
    limits = pd.DataFrame(
        [[0, 0, 1, 1], [10, 30, 0.3, 0.8]],
        ["basic", "partnership"],
        ["yearly_cost_low", "yearly_cost_high", "hazard_ratio_low", "hazard_ratio_high"],
    )
    risk = choice_risk(limits, margin=(60, 90), retention=(0.5, 0.7), annual_discount_rate=0.1, seed=1, draws=1_000)
    ax = plot_sensitivity(risk, most=2)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(risk.sensitivity.index[:2])[::-1]
    assert "money per customer" in ax.get_xlabel()


def test_value_map():
    ratings = pd.DataFrame({"product": [8.0, 6.0], "money": [7.0, 3.0]}, index=["ours", "theirs"])
    found = delivered_value(ratings, pd.DataFrame({"product": [70, 50], "money": [30, 50]}), costs=["money"])
    ax = plot_value_map(found)
    assert texts(ax) == ["theirs, +2.4", "ours, +2.0"]
    assert "mean offer = 1" in ax.get_xlabel()


def test_gaps():
    rng = np.random.default_rng(1)
    views = [pd.DataFrame(rng.normal(size=(20, 2)), columns=["trust", "quality"]) for _ in range(2)]
    given = plt.figure().subplots()
    ax = plot_gaps(gap_scores(*views), ax=given)
    assert ax is given
    assert [label.get_text() for label in ax.get_yticklabels()] == ["quality", "trust"]
    assert "points (95% intervals for all items together)" in ax.get_xlabel()
