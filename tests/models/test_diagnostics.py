"""Diagnostics add up, and figures show the numbers of their tables and draw where they are told."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from crmlab.errors import ContractError
from crmlab.models import BetaGeoNBD, ParetoNBD, plots
from crmlab.models.diagnostics import (
    by_frequency,
    by_recency,
    frequency_fit,
    history_grid,
    spend_by_frequency,
    survival_projection,
    tracking,
)


@pytest.fixture(scope="module")
def table(cdnow) -> pd.DataFrame:
    return cdnow.to_pandas()


@pytest.fixture(scope="module")
def fit(cdnow):
    return BetaGeoNBD(cdnow).fit()


@pytest.fixture(scope="module")
def rich(cdnow, table):
    """With a covariate whose coefficients are nearly nothing, so that all that goes by customer can be compared."""
    noise = table[["customer_id"]].assign(noise=np.random.default_rng(1).normal(size=len(table)))
    return ParetoNBD(cdnow, buying=noise).fit()


@pytest.fixture
def ax():
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    yield plt.subplots()[1]
    plt.close("all")


def test_expected_frequencies_are_of_all_customers(fit, rich, cdnow):
    for result in (fit, rich):
        found = frequency_fit(result, top=5)
        assert found.table.sum().tolist() == pytest.approx([2357, 2357])
        assert found.df == 5 - len(result.params)
    plain = frequency_fit(ParetoNBD(cdnow).fit()).table
    np.testing.assert_allclose(frequency_fit(rich).table["expected"], plain["expected"], rtol=0.02)


def test_totals_at_the_end_of_calibration_are_those_of_the_summary(fit, rich, cdnow_log, cdnow, table):
    """39 weeks, of which the day of acquisition does not count: what the periods add up to is what T adds up to."""
    for result in (fit, ParetoNBD(cdnow).fit()):
        last = tracking(result, cdnow_log, periods=39).iloc[-1]
        by_hand = result.expected_purchases_of_new_customer(table["T"]).sum()
        assert last["cumulative_expected"] == pytest.approx(by_hand, rel=1e-12)
        assert last["cumulative_actual"] == table["frequency"].sum()
    own = tracking(rich, cdnow_log, periods=39)["cumulative_expected"].iloc[-1]
    assert own == pytest.approx(by_hand, rel=0.01)


def test_classes_share_the_customers_and_their_purchases(fit, table):
    came = table["frequency_holdout"]
    for classes in (by_frequency(fit, came, 39), by_recency(fit, came, 39, width=4)):
        assert classes["customers"].sum() == 2357
        assert (classes["actual"] * classes["customers"]).sum() == pytest.approx(came.sum())
        expected = fit.expected_purchases(39).sum()
        assert (classes["expected"] * classes["customers"]).sum() == pytest.approx(expected)
    recency = by_recency(fit, came, 39, width=4)
    assert recency.index[:3].tolist() == ["0", "0 to 4", "4 to 8"]
    assert recency.loc["0", "customers"] == 1411
    assert recency.loc["0 to 4", "customers"] == ((table["recency"] > 0) & (table["recency"] <= 4)).sum()


def test_diagnostics_refuse_what_does_not_fit(fit, table, cdnow_log):
    with pytest.raises(ContractError, match=r"actual has shape \(3,\), but the model was fitted to 2,357"):
        by_frequency(fit, [1, 2, 3], 39)
    with pytest.raises(ContractError, match="width must be positive, in weeks"):
        by_recency(fit, table["frequency_holdout"], 39, width=0)
    with pytest.raises(ContractError, match="the log lacks 1 of the fitted customers"):
        tracking(fit, cdnow_log[cdnow_log["customer_id"] != table["customer_id"].iloc[4]], periods=10)
    with pytest.raises(ContractError, match="first_day"):
        tracking(fit, cdnow_log, periods=10, first_day="maybe")  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="monetary_value"):
        spend_by_frequency(table[["frequency"]])


def test_the_grid_is_what_single_customers_get(fit, rich, history):
    alive, worth = history_grid(fit, 39, most=6), history_grid(rich, 39, most=6, annual_discount_rate=0.15, steps=13)
    assert alive.shape == (60, 6)
    assert alive[2].iloc[-1] == fit.probability_alive(history((2, 39.0, 39.0)))[0]
    assert alive.iloc[:-1, 5].is_monotonic_increasing
    assert (worth.index[-1], worth.columns[-1]) == (39.0, 6)
    assert worth.loc[39.0].is_monotonic_increasing


def test_spend_by_frequency_is_that_of_the_customers(table):
    spend = spend_by_frequency(table)
    assert spend["customers"].sum() == 946
    once: Any = table.loc[table["frequency"] == 1, "monetary_value"].to_numpy()
    assert spend["mean"].iloc[0] == pytest.approx(once.mean())
    assert spend["se"].iloc[0] == pytest.approx(once.std(ddof=1) / np.sqrt(len(once)))


class Geometric:
    def survival(self, t: Any) -> Any:
        return 0.8**t


def legend(ax) -> Any:
    return ax.get_legend()


def test_figures(ax: Any, fit, table, cdnow_log):
    assert plots.plot_frequency_fit(frequency_fit(fit), ax=ax) is ax
    bars: list[Any] = list(ax.patches)
    assert [bar.get_height() for bar in bars[:2]] == [1411, 439]
    assert legend(ax).get_title().get_text() == "chi-square 4.8, df 3, p 0.19"
    ax.clear()
    weeks = tracking(fit, cdnow_log, periods=78)
    plots.plot_tracking(weeks, time_unit="week", calibration_end=39, cumulative=False, ax=ax)
    assert np.asarray(ax.lines[0].get_ydata()).tolist() == weeks["actual"].tolist()
    assert ax.get_ylabel() == "repeat purchases in the week"
    ax.clear()
    classes = by_frequency(fit, table["frequency_holdout"], 39)
    plots.plot_conditional_expectation(classes, ax=ax)
    assert [text.get_text() for text in legend(ax).get_texts()] == ["actual", "expected"]
    ax.clear()
    worth = history_grid(fit, 39, most=9, annual_discount_rate=0.1)
    plots.plot_iso_value(worth, time_unit="week", levels=[1, 5], ax=ax)
    assert ax.get_xlabel() == "recency (last purchase, in weeks)"
    ax.clear()
    shares = survival_projection({"geometric": Geometric()}, pd.Series([1, 0.8, 0.7]))
    assert shares["geometric"].tolist() == pytest.approx([1, 0.8, 0.64])
    plots.plot_survival(shares, fitted_until=1, time_unit="year", ax=ax)
    assert ax.get_xlabel() == "years since acquisition"
    ax.clear()
    plots.plot_spend_by_frequency(spend_by_frequency(table), currency="$", ax=ax)
    assert ax.get_ylabel() == "mean spend per purchase ($)"
    surface = plots.plot_alive_surface(history_grid(fit, 39, most=9), time_unit="week")
    assert surface is not ax
    assert surface.figure.axes[1].get_ylabel() == "P(alive)"
    plots.plot_iso_value(worth, time_unit="week", ax=surface)
