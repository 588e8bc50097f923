"""Two-stage least squares against statsmodels, hand formulas and drawn truth."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.sandbox.regression.gmm import IV2SLS

from crmlab.relationship.influence import two_stage_least_squares

NAMES: dict[str, Any] = {"outcome": "y", "treatment": "d", "instrument": "z", "cluster": "g"}


def drawn(seed: int, *, effect: float = 0.5, strength: float = 1.0, clusters: int = 60) -> pd.DataFrame:
    """Clusters of ten; the lot falls on clusters; treatment and outcome share a hidden cause."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(clusters), 10)
    z = rng.permutation(np.arange(clusters) % 2)[g]
    hidden = rng.normal(size=len(g)) + rng.normal(size=clusters)[g]
    x = rng.normal(size=len(g))
    d = strength * z + hidden + 0.3 * x + rng.normal(size=len(g))
    y = effect * d + hidden + x + rng.normal(size=len(g))
    region = np.array(["north", "south", "west"])[rng.integers(0, 3, len(g))]
    return pd.DataFrame({"y": y, "d": d, "z": z, "x": x, "region": region, "g": g})


def test_coefficients_are_those_of_statsmodels():
    data = drawn(1)
    found = two_stage_least_squares(data, **NAMES, controls=["x", "region"]).table
    controls = pd.get_dummies(data[["x", "region"]], drop_first=True).astype(float)
    x, z = sm.add_constant(data[["d"]].join(controls)), sm.add_constant(data[["z"]].join(controls))
    peer = IV2SLS(data["y"], x, z).fit()
    assert found.loc["two-stage least squares", "estimate"] == pytest.approx(peer.params["d"], rel=1e-9)


def test_the_other_rows_are_clustered_least_squares():
    data = drawn(2)
    found = two_stage_least_squares(data, **NAMES, controls=["x", "region"])
    rows = {"least squares": ("y ~ d", "d"), "first stage": ("d ~ z", "z"), "reduced form": ("y ~ z", "z")}
    for name, (formula, term) in rows.items():
        peer = smf.ols(f"{formula} + x + C(region)", data).fit(
            cov_type="cluster", cov_kwds={"groups": data["g"]}, use_t=True
        )
        row = found.table.loc[name]
        assert row["estimate"] == pytest.approx(peer.params[term], rel=1e-9)
        assert row["std_error"] == pytest.approx(peer.bse[term], rel=1e-9)
        assert [row["low"], row["high"]] == pytest.approx(peer.conf_int().loc[term].tolist(), rel=1e-9)
        assert row["p_value"] == pytest.approx(peer.pvalues[term], rel=1e-6)
    assert found.first_stage_f == pytest.approx(
        (found.table["estimate"] / found.table["std_error"])["first stage"] ** 2
    )
    assert (found.rows, found.clusters) == (600, 60)
    assert "600 rows in 60 clusters" in repr(found)


def test_a_lot_of_yes_or_no_gives_the_ratio_of_two_differences():
    data = drawn(3)
    means = data.groupby("z")[["y", "d"]].mean().diff().iloc[-1]
    found = two_stage_least_squares(data, **NAMES).table["estimate"]
    assert found["two-stage least squares"] == pytest.approx(means["y"] / means["d"], rel=1e-9)
    assert found["two-stage least squares"] == pytest.approx(found["reduced form"] / found["first stage"], rel=1e-9)


def test_the_clustered_error_is_the_formula():
    data = drawn(4)
    x, z = (np.column_stack([data[name], np.ones(len(data))]) for name in ("d", "z"))
    fitted = z @ np.linalg.solve(z.T @ z, z.T @ x)
    bread = np.linalg.inv(fitted.T @ fitted)
    residual = data["y"].to_numpy() - x @ (bread @ fitted.T @ data["y"].to_numpy())
    meat = np.zeros((2, 2))
    for g in range(60):
        score = fitted[data["g"] == g].T @ residual[data["g"] == g]
        meat += np.outer(score, score)
    expected = np.sqrt((bread @ meat @ bread)[0, 0] * 60 / 59 * 599 / 598)
    found = two_stage_least_squares(data, **NAMES).table
    assert found.loc["two-stage least squares", "std_error"] == pytest.approx(expected, rel=1e-9)


def test_anderson_rubin_limits_are_where_the_reduced_form_of_the_rest_is_just_significant():
    data = drawn(5)
    found = two_stage_least_squares(data, **NAMES)
    for limit in (found.weak_low, found.weak_high):
        rest = data.assign(y=data["y"] - limit * data["d"])
        row = two_stage_least_squares(rest, **NAMES).table.loc["reduced form"]
        assert row["p_value"] == pytest.approx(0.05, abs=1e-9)


def test_intervals_hold_the_truth_and_least_squares_does_not():
    strong = [two_stage_least_squares(drawn(seed), **NAMES) for seed in range(150)]
    rows = pd.DataFrame([one.table.loc["two-stage least squares"] for one in strong])
    assert 0.89 <= rows["low"].le(0.5).mul(rows["high"].ge(0.5)).mean() <= 1  # 95 %; below 89 % has a chance of 0.1 %
    assert 0.89 <= np.mean([one.weak_low <= 0.5 <= one.weak_high for one in strong]) <= 0.995
    assert rows["estimate"].median() == pytest.approx(0.5, abs=0.06)  # five errors of a median of 150
    assert np.mean([one.table.loc["least squares", "estimate"] for one in strong]) > 0.9


def test_a_useless_instrument_says_so():
    weak = [two_stage_least_squares(drawn(seed, strength=0.0), **NAMES) for seed in range(60)]
    assert np.median([one.first_stage_f for one in weak]) < 2
    assert np.mean([np.isinf(one.weak_high) for one in weak]) > 0.85  # 95 % expected


def test_row_order_and_names_of_clusters_do_not_matter():
    data = drawn(6)
    other = data.sample(frac=1, random_state=1).assign(g=lambda t: "c" + t["g"].astype(str))
    one, two = (two_stage_least_squares(t, **NAMES, controls=["region"]).table for t in (data, other))
    pd.testing.assert_frame_equal(one, two)
