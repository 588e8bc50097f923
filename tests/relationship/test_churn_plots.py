"""Figures of churn draw what the results say, with labels and units."""

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.relationship import COSTS, expected_maximum_profit, gone_errors, savings_curve
from crmlab.relationship.churn_plots import plot_expected_profit, plot_gone_errors, plot_savings

mpl.use("agg")
pytestmark = pytest.mark.usefixtures("figures")

RNG = np.random.default_rng(1)
SCORE, LEFT = RNG.random(200), (RNG.random(200) < 0.3).astype(int)


def heights(ax, line: int) -> np.ndarray:
    return np.asarray(ax.lines[line].get_ydata(), dtype=float)


def test_expected_profit():
    found = expected_maximum_profit(SCORE, LEFT)
    ax = plot_expected_profit({"one": found, "other": found})
    assert len(ax.lines) == 2
    assert heights(ax, 0)[99] == pytest.approx(found.best_profit(0.5).item())
    assert "money" in ax.get_ylabel()
    assert f"{found.profit:.3g} in the mean" in ax.get_legend_handles_labels()[1][0]


def test_savings():
    curve = savings_curve(SCORE, LEFT, pd.DataFrame([[20.0, 10.0, 100.0, 0.0]] * 200, columns=list(COSTS)))
    ax = plt.figure().subplots()
    assert plot_savings(curve, ax=ax) is ax
    assert heights(ax, 0).max() == curve.best["saved"] == heights(ax, 1)[0]
    assert "money" in ax.get_ylabel()


def test_gone_errors():
    found = gone_errors(SCORE, LEFT, [0.2, 0.5, 0.8])
    ax = plot_gone_errors(found)
    assert list(np.asarray(ax.lines[0].get_xdata())) == found.table["first_kind"].tolist()
    assert ax.get_xlabel().startswith("first kind")


@pytest.mark.parametrize("draw", [plot_expected_profit, plot_savings, plot_gone_errors])
def test_nothing_and_other_results_are_refused(draw):
    given: Any
    for given in ({}, None, {"one": SCORE}):
        with pytest.raises(ContractError, match="to draw: one"):
            draw(given)
    assert not plt.get_fignums()
