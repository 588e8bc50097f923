"""Figures of a programme show what their result holds."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.relationship.programme import group_time_effects
from crmlab.relationship.programme_averages import effects_by
from crmlab.relationship.programme_plots import plot_event_study, plot_redemption, plot_sensitivity
from crmlab.relationship.programme_points import points_liability
from crmlab.relationship.programme_trends import sensitivity

pytestmark = pytest.mark.usefixtures("figures")


def legend(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.fixture
def effects():
    rng = np.random.default_rng(1)
    joined = pd.Series(rng.choice([2.0, 3.0, np.nan], 60))
    return group_time_effects(pd.DataFrame(rng.standard_normal((60, 5))), joined)


def test_event_study(effects):
    study = effects_by(effects)
    truth = pd.Series({0: 0.0, 1: 0.1, 2: 0.2})
    ax = plot_event_study(study, unit="orders", truth=truth)
    points = ax.containers[0].get_children()[0]
    assert np.asarray(points.get_xdata()).tolist() == study.table.index.tolist()  # type: ignore[attr-defined]
    assert np.asarray(points.get_ydata()).tolist() == study.table["estimate"].tolist()  # type: ignore[attr-defined]
    assert ax.get_ylabel() == "orders, more than the controls"
    assert legend(ax) == ["truth", "estimate"]
    with pytest.raises(ContractError, match="these effects are by cohort"):
        plot_event_study(effects_by(effects, "cohort"))


def test_sensitivity_marks_where_the_effect_is_undone(effects):
    result = sensitivity(effects_by(effects), [0, 1, 2])
    _, given = plt.subplots()
    assert plot_sensitivity(result, unit="orders", ax=given) is given
    assert given.get_xlim() == (0, 2)
    assert np.asarray(given.lines[0].get_ydata())[0] == result.estimate
    assert legend(given) == ["estimate", f"undone at {result.undone_at:.2f}"]


def test_redemption_adds_up_to_one():
    days = pd.to_datetime(["2024-01-01", "2024-01-10", "2024-01-01", "2024-03-20"])
    book = pd.DataFrame({"customer_id": [1, 1, 2, 2], "date": days, "points": [100, -40, 50, -50]})
    book["kind"] = ["earn", "redeem", "earn", "expire"]
    result = points_liability(book, 0.01, n=20)
    shares = result.curve[["redeemed_so_far", "still_open", "expired_so_far"]].sum(axis=1)
    assert shares.tolist() == pytest.approx([1.0] * len(shares))
    ax = plot_redemption(result)
    assert legend(ax) == ["redeemed", "still open", "expired"]
    assert ax.get_xlabel() == "age of a point, months"
