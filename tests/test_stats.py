"""Concentration, intervals and the house style."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmlab.errors import ContractError
from crmlab.stats import (
    PALETTE,
    Interval,
    axes_or_new,
    bootstrap_interval,
    check_level,
    gini,
    lorenz,
    percent_axis,
    proportion_interval,
    theme,
    top_share,
)

VALUES = st.lists(st.floats(0, 1e9), min_size=1, max_size=40).filter(lambda values: sum(values) > 1e-3)


@given(VALUES)
def test_lorenz_lies_below_equality_and_is_convex(values):
    curve = lorenz(values)
    held = curve["share_value"].to_numpy()
    assert held[0] == 0
    assert held[-1] == pytest.approx(1)
    assert (held <= curve["share_customers"] + 1e-9).all()
    assert (np.diff(held, 2) >= -1e-9).all()


@given(VALUES, st.floats(0, 1))
def test_top_share_and_gini_are_bounded(values, top):
    assert top - 1e-9 <= top_share(values, top) <= 1 + 1e-9
    assert -1e-9 <= gini(values) <= 1 - 1 / len(values) + 1e-9


@given(VALUES, st.integers(2, 4), st.floats(0.01, 100))
def test_copies_of_the_customers_and_the_unit_of_money_change_nothing(values, copies, unit):
    assert gini(np.repeat(values, copies) * unit) == pytest.approx(gini(values), abs=1e-9)
    assert top_share(np.repeat(values, copies) * unit) == pytest.approx(top_share(values), abs=1e-9)


def test_known_values():
    assert gini([1, 1, 1, 1]) == 0
    assert gini([0, 0, 0, 5]) == pytest.approx(0.75)
    assert top_share([1, 2, 3, 4], top=0.25) == pytest.approx(0.4)
    assert top_share([2, 2, 2, 2, 2], top=0.3) == pytest.approx(0.3)  # ties count in proportion


@pytest.mark.parametrize(("end", "percent"), [("1997-03-31", 55), ("1997-12-30", 65), ("1998-06-30", 68)])
def test_the_80_20_of_cdnow_depends_on_the_window(end, percent):
    from crmlab.datasets import load

    log = load("cdnow").transactions
    spent = log[log["date"] <= end].groupby("customer_id")["amount"].sum()
    assert round(100 * top_share(spent)) == percent


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "one value per customer"),
        ([[1.0]], "one value per customer"),
        ([1.0, -2.0], r"1 are not \(first: -2 at position 1\)"),
        ([1.0, np.nan], "nan at position 1"),
        ([0.0, 0.0], "all values are zero"),
    ],
)
def test_values_without_shares_are_refused(values, words):
    with pytest.raises(ContractError, match=words):
        lorenz(values)


def test_top_must_be_a_share():
    with pytest.raises(ContractError, match="top must lie between 0 and 1"):
        top_share([1.0], top=20)


def test_bootstrap_interval_of_a_mean_is_close_to_the_normal_one():
    values = np.random.default_rng(3).normal(10, 2, 400)
    interval = bootstrap_interval(values, np.mean, seed=1, n=2000)
    half = 1.96 * values.std() / 20
    assert interval.estimate == values.mean()
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03)
    assert interval == bootstrap_interval(values, np.mean, seed=1, n=2000)
    narrow = bootstrap_interval(values, np.mean, seed=1, n=2000, level=0.5)
    assert interval.low < narrow.low < narrow.high < interval.high


def test_bootstrap_resamples_whole_rows():
    rows = np.column_stack([np.arange(50.0), 2 * np.arange(50.0)])
    interval = bootstrap_interval(rows, lambda sample: sample[:, 1].sum() / sample[:, 0].sum(), seed=1, n=50)
    assert (interval.low, interval.high) == (2.0, 2.0)


def test_bootstrap_needs_observations_and_a_level():
    with pytest.raises(ContractError, match="at least 2 observations, got 1"):
        bootstrap_interval([1.0], np.mean, seed=1)
    with pytest.raises(ContractError, match="level must lie strictly between 0 and 1"):
        bootstrap_interval([1.0, 2.0], np.mean, seed=1, level=95)


def test_wilson_interval():
    from statsmodels.stats.proportion import proportion_confint

    for successes, n, level in ((0, 10, 0.95), (3, 10, 0.9), (10, 10, 0.95), (500, 10_000, 0.99)):
        interval = proportion_interval(successes, n, level)
        low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-12)
        assert interval.estimate == successes / n
    assert str(proportion_interval(1, 4, 0.9)).startswith("0.25 (90% interval")


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ContractError, match="need 0 <= successes <= n"):
        proportion_interval(successes, n)


def test_theme_is_explicit_and_leaves_a_font_that_exists():
    import matplotlib as mpl
    from matplotlib import font_manager
    from matplotlib.colors import to_hex

    with mpl.rc_context():
        theme()
        assert [to_hex(colour).upper() for colour in mpl.rcParams["axes.prop_cycle"].by_key()["color"]] == [*PALETTE]
        installed = {font.name for font in font_manager.fontManager.ttflist}
        assert set(mpl.rcParams["font.sans-serif"]) <= installed


def test_import_changes_no_style_and_loads_no_plotting():
    code = (
        "import crmlab.stats, crmlab.database, sys; assert not {'matplotlib', 'seaborn', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_axes_are_the_given_ones_or_new_and_write_per_cents():
    import matplotlib.pyplot as plt

    ax = axes_or_new(None, figsize=(3, 2))
    assert axes_or_new(ax) is ax
    assert plt.gcf().get_size_inches().tolist() == [3, 2]
    percent_axis(ax.xaxis, ax.yaxis)
    assert [axis.get_major_formatter()(0.25) for axis in (ax.xaxis, ax.yaxis)] == ["25%", "25%"]
    plt.close("all")


@pytest.mark.parametrize("level", [0, 1, 95, -0.5, float("nan")])
def test_a_level_that_is_none(level):
    assert check_level(0.9) == 0.9
    with pytest.raises(ContractError, match="strictly between 0 and 1"):
        check_level(level)


def test_an_interval_says_its_level_as_it_is():
    assert str(Interval(0.5, 0.25, 0.75, 0.999)) == "0.5 (99.9% interval 0.25 to 0.75)"
    assert str(Interval(0.5, 0.25, 0.75, 1 - 0.05)) == "0.5 (95% interval 0.25 to 0.75)"
