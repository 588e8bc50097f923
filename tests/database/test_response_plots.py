"""Figures of response models show the numbers of their result and label them."""

import numpy as np
import pandas as pd
import pytest

from crmlab.database import calibration, gains, profit_curve, response_plots, roll_out

pytestmark = pytest.mark.usefixtures("figures")


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(1)
    chance = rng.beta(2, 5, 400)
    return chance, rng.random(400) < chance


def drawn(line) -> np.ndarray:
    return np.asarray(line.get_ydata(), dtype=float)


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_gains(ax, people):
    found = gains(*people)
    assert response_plots.plot_gains({"model": found, "other": found}, ax=ax) is ax
    assert legend(ax) == [f"model: AUC {found.auc:.3f}", f"other: AUC {found.auc:.3f}", "random order"]
    assert drawn(ax.lines[0])[0] == 0
    np.testing.assert_allclose(drawn(ax.lines[0])[1:], found.curve["gain"])
    assert "best first" in response_plots.plot_gains(found).get_xlabel()


def test_decile_lift(ax, people):
    found = gains(*people)
    response_plots.plot_decile_lift(found, 5, ax=ax)
    np.testing.assert_allclose(drawn(ax.lines[0]), found.deciles(5)["decile_lift"])
    assert "20%" in ax.get_xlabel()


def test_calibration(ax, people):
    found = calibration(*people, bins=4)
    response_plots.plot_calibration({"model": found}, ax=ax)
    assert "model" in legend(ax)
    np.testing.assert_allclose(drawn(ax.containers[0][0]), found.table["observed"])


def test_profit(ax, people):
    curve = profit_curve(gains(*people), margin=10.0, contact_cost=3.0)
    response_plots.plot_profit(curve, ax=ax)
    assert legend(ax)[1] == f"best depth {curve.best_depth:.0%}: {curve.best['profit']:,.0f}"
    assert drawn(ax.lines[1]).tolist() == [curve.best["profit"]]
    assert "money" in ax.get_ylabel()


def test_roll_out(ax):
    table = pd.DataFrame({"tested": [40] * 4, "responses": [0, 3, 5, 12], "remaining": 100}, index=list("abcd"))
    decided = roll_out(table, margin=8.0, contact_cost=1.0)
    actual = pd.Series([0.2, 0.1, 0.05, 0.02], index=list("dcba"))
    response_plots.plot_roll_out(decided, actual, ax=ax)
    discs = np.concatenate([np.asarray(one.get_offsets()) for one in ax.collections])
    assert len(discs) == 4
    assert set(np.round(discs[:, 1], 9)) == set(decided.table["shrunken_rate"].round(9))
    assert drawn(ax.lines[0]).tolist() == [0.02, 0.05, 0.1, 0.2]
    assert "rate in the roll-out" in legend(ax)
    assert "rate in the roll-out" not in legend(response_plots.plot_roll_out(decided))
