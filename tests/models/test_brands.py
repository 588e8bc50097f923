"""NBD-Dirichlet: against independent implementations, a simulated market, and laws that it must keep."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize
from scipy.special import gammaln
from scipy.stats import betabinom, nbinom

from crmlab.errors import ContractError
from crmlab.models import ConvergenceError, DirichletMultinomial, NBDDirichlet, brand_S
from crmlab.models.brands import _split_terms

# Sums over the category's purchases are cut off where 1e-10 of the households are left.
EXACT = 1e-8
TRUTH = NBDDirichlet(M=1.47, K=2.1, alphas=pd.Series({"A": 1.1, "B": 0.5, "C": 0.4}), S=2.0)


def market(model: NBDDirichlet, households: int, seed: int) -> pd.DataFrame:
    """Purchases drawn by the story of the model, one household at a time."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(model.K, model.M / model.K, households)
    chances = rng.dirichlet(model.alphas.to_numpy(), households)
    return pd.DataFrame(rng.multinomial(rng.poisson(rates), chances), columns=model.alphas.index)


@pytest.fixture(scope="module")
def panel() -> pd.DataFrame:
    return market(TRUTH, 40_000, seed=5)


def test_measures_equal_those_of_a_drawn_market(panel: pd.DataFrame) -> None:
    bought, total = panel > 0, panel.sum(axis=1)
    seen = pd.DataFrame(
        {
            "share": panel.sum() / panel.to_numpy().sum(),
            "penetration": bought.mean(),
            "purchases_per_buyer": panel.sum() / bought.sum(),
            "category_purchases_per_buyer": bought.mul(total, axis=0).sum() / bought.sum(),
            "share_of_requirements": panel.sum() / bought.mul(total, axis=0).sum(),
            "sole_buyers": (panel.eq(total, axis=0) & bought).sum() / bought.sum(),
        }
    )
    expected = TRUTH.performance()[seen.columns]
    # forty thousand households: the standard error of a share is about 0.0025, of a rate about 0.02
    assert (seen - expected).abs().max().max() < 0.05
    assert (seen - expected)[["share", "penetration", "sole_buyers"]].abs().max().max() < 0.012
    both = (bought.astype(int).T @ bought.astype(int)).div(bought.sum(), axis=0)
    assert (both - TRUTH.duplication()).abs().max().max() < 0.012
    assert bought.sum(axis=1)[total > 0].mean() == pytest.approx(TRUTH.portfolio_size(), abs=0.01)
    drawn = panel["B"].clip(upper=3).value_counts(normalize=True).sort_index().to_numpy()
    assert TRUTH.purchases("B", most=2).to_numpy() == pytest.approx(drawn, abs=0.006)


def test_two_brands_are_a_beta_binomial_and_the_category_an_nbd() -> None:
    model = NBDDirichlet(M=2.5, K=0.8, alphas=pd.Series({"ours": 0.7}), S=1.9)
    n = np.arange(400)
    category = nbinom.pmf(n, 0.8, 0.8 / (0.8 + 2.5))
    assert model.category().to_numpy()[:50] == pytest.approx(category[:50], abs=EXACT)
    for x in range(4):
        expected = category @ betabinom.pmf(x, n, 0.7, 1.2)
        assert model.purchases("ours").iloc[x] == pytest.approx(expected, abs=EXACT)
    assert model.performance().loc["ours", "penetration"] == pytest.approx(1 - category @ betabinom.pmf(0, n, 0.7, 1.2))
    year = nbinom.pmf(n, 0.8, 0.8 / (0.8 + 10.0))
    assert model.performance(4).loc["ours", "penetration"] == pytest.approx(
        1 - year @ betabinom.pmf(0, n, 0.7, 1.2), abs=1e-6
    )


def test_light_and_heavy_buyers_make_up_everybody() -> None:
    chances = TRUTH.category()
    light, heavy = TRUTH.performance(category_purchases=(0, 2)), TRUTH.performance(category_purchases=(3, 1_000))
    mixed = light["penetration"] * chances[:3].sum() + heavy["penetration"] * chances[3:].sum()
    assert mixed.to_numpy() == pytest.approx(TRUTH.performance()["penetration"].to_numpy(), abs=EXACT)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.05, 20.0),
    st.floats(0.05, 20.0),
    st.floats(0.05, 30.0),
    st.lists(st.floats(0.02, 1.0), min_size=2, max_size=6),
    st.floats(0.2, 8.0),
)
def test_laws(mean: float, shape: float, s: float, weights: list[float], periods: float) -> None:
    shares = np.array(weights) / (sum(weights) * 1.02)
    model = NBDDirichlet(M=mean, K=shape, alphas=pd.Series(shares * s), S=s)
    table, duplication = model.performance(periods), model.duplication(periods)
    chances = model.category(periods)
    assert chances.sum() == pytest.approx(1)
    purchases = float(chances.to_numpy() @ np.arange(len(chances)))
    assert purchases == pytest.approx(mean * periods, rel=1e-4)
    bought = (table["penetration"] * table["purchases_per_buyer"]).to_numpy()
    assert bought == pytest.approx((table["share"] * purchases).to_numpy())
    shares_within = table[["penetration", "share_of_requirements", "sole_buyers", "repeat_rate"]]
    assert ((shares_within > -EXACT) & (shares_within < 1 + EXACT)).all().all()
    assert ((duplication > -EXACT) & (duplication < 1 + EXACT)).all().all()
    both = duplication.mul(table["penetration"], axis=0)
    assert np.abs(both - both.T).max().max() < EXACT
    order = table["share"].argsort()
    assert (
        (table.iloc[order][["purchases_per_buyer", "repeat_rate"]].diff().dropna() > -EXACT).all().all()
    )  # double jeopardy
    assert model.purchases(0, most=3, periods=periods).sum() == pytest.approx(1)  # type: ignore[arg-type]


def test_derivatives_are_exact(panel: pd.DataFrame) -> None:
    data = tuple(panel.iloc[:40].to_numpy(dtype=float).T)
    logs = np.log([0.7, 1.3, 0.4])

    def total(at: np.ndarray) -> float:
        return float(_split_terms(data, list(np.exp(at))).value.sum())

    def slope(at: np.ndarray) -> np.ndarray:
        return _split_terms(data, list(np.exp(at))).gradient.sum(axis=1)

    rows = _split_terms(data, list(np.exp(logs)))
    assert rows.gradient.sum(axis=1) == pytest.approx(approx_fprime(logs, total, 1e-6), rel=1e-4)
    assert rows.hessian.sum(axis=2) == pytest.approx(approx_fprime(logs, slope, 1e-6), rel=1e-4)


def test_the_maximum_is_that_of_a_general_optimiser(panel: pd.DataFrame) -> None:
    few = panel.iloc[:3_000]
    counts = few[few.sum(axis=1) > 0].to_numpy(dtype=float)

    def minus(logs: np.ndarray) -> float:
        alphas = np.exp(logs)
        n, s = counts.sum(axis=1), alphas.sum()
        split = gammaln(alphas + counts) - gammaln(alphas) - gammaln(counts + 1)
        return -float((gammaln(n + 1) + gammaln(s) - gammaln(s + n) + split.sum(axis=1)).sum())

    best = minimize(minus, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 5_000})
    fit = DirichletMultinomial(few).fit()
    assert fit.params.to_numpy() == pytest.approx(np.exp(best.x), rel=1e-4)
    assert fit.llf == pytest.approx(-best.fun, abs=1e-6)
    assert fit.customers == len(counts)


def test_recovery_and_coverage_of_the_truth() -> None:
    inside = np.zeros(3)
    for seed in range(60):
        fit = DirichletMultinomial(market(TRUTH, 1_500, seed)).fit()
        ends = fit.conf_int()
        inside += ((ends["low"] <= TRUTH.alphas) & (TRUTH.alphas <= ends["high"])).to_numpy()
    assert (inside >= 51).all()  # 57 of 60 are expected; fewer than 51 has a chance below 1 %


def test_a_panel_with_and_without_its_non_buyers(panel: pd.DataFrame) -> None:
    whole = NBDDirichlet.from_purchases(panel)
    found = [whole.M, whole.K, whole.S]
    assert found == pytest.approx([TRUTH.M, TRUTH.K, TRUTH.S], rel=0.05)
    with pytest.raises(ContractError, match="without non-buyers use DirichletMultinomial"):
        NBDDirichlet.from_purchases(panel[panel.sum(axis=1) > 0])
    split = DirichletMultinomial(panel[panel.sum(axis=1) > 0]).fit()
    assert abs(split.S - whole.S) < 1e-6
    assert split.polarization == pytest.approx(1 / (1 + split.S))


def test_a_summary_gives_back_the_model_it_was_made_from() -> None:
    table, none = TRUTH.performance(), TRUTH.category()[0]
    again = NBDDirichlet.from_summary(table, penetration=1 - none, purchase_rate=TRUTH.M / (1 - none))
    found = [again.M, again.K, again.S]
    assert found == pytest.approx([TRUTH.M, TRUTH.K, TRUTH.S], rel=1e-5)
    assert brand_S(table, TRUTH.M, TRUTH.K).to_numpy() == pytest.approx([2.0, 2.0, 2.0], rel=1e-5)
    assert str(TRUTH).endswith("per household and period, K = 2.1, S = 2; shares A 55%, B 25%, C 20%")


def test_a_penetration_that_no_S_gives_is_left_out() -> None:
    brands = pd.DataFrame({"share": [0.5, 0.1], "penetration": [0.45, 0.001]}, index=["good", "impossible"])
    assert brand_S(brands, 1.47, 2.1).isna().tolist() == [False, True]
    model = NBDDirichlet.from_summary(brands, penetration=0.67, purchase_rate=2.19)
    assert model.performance().loc["good", "penetration"] == pytest.approx(0.45, abs=1e-3)


@pytest.mark.parametrize(
    ("panel", "said"),
    [
        (pd.DataFrame({"a": [1, -1], "b": [0, 2]}), r"a: not a whole number, 0 or more in 1 rows \(first: 2\)"),
        (pd.DataFrame({"a": [1, 0.5], "b": [0, 2]}), "a: not a whole number"),
        (pd.DataFrame({"a": [1, np.nan], "b": [0, 2]}), "a: not a whole number"),
        (pd.DataFrame({"a": ["x", "1"], "b": [0, 2]}), "a: not a whole number"),
        (pd.DataFrame({"a": [1, 2]}), "two brands are needed, got 1"),
        (pd.DataFrame({"a": [1, 2], "b": [0, 0]}), "b: never bought; leave it out"),
        (pd.DataFrame({"a": [], "b": []}), "a: never bought"),
    ],
)
def test_what_is_no_panel_is_refused(panel: pd.DataFrame, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        DirichletMultinomial(panel)


@pytest.mark.parametrize(
    "panel",
    [
        pd.DataFrame({"a": [5, 0, 7, 0] * 5, "b": [0, 4, 0, 9] * 5}),
        pd.DataFrame({"a": [1, 0, 1, 0], "b": [0, 1, 0, 1]}),
        pd.DataFrame({"a": [5, 5, 5], "b": [5, 5, 5]}),
    ],
    ids=["all loyal", "one purchase each", "all alike"],
)
def test_what_has_no_maximum_is_told(panel: pd.DataFrame) -> None:
    with pytest.raises(ConvergenceError, match="households with a purchase"):
        DirichletMultinomial(panel).fit()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"share": [0.7, 0.6]}, "the shares add up to 1.300"),
        ({"share": [0.0, 0.6]}, "share: not between 0 and 1 in 1 rows"),
        ({"penetration": [np.nan, 0.2]}, "penetration: not between 0 and 1"),
    ],
)
def test_what_is_no_summary_is_refused(change: dict[str, list[float]], said: str) -> None:
    brands = pd.DataFrame({"share": [0.4, 0.3], "penetration": [0.3, 0.2]}, index=["a", "b"]).assign(**change)
    with pytest.raises(ContractError, match=said):
        NBDDirichlet.from_summary(brands, penetration=0.6, purchase_rate=2.5)


@pytest.mark.parametrize(
    ("category", "said"),
    [
        ((0.0, 2.0), "a penetration between 0 and 1"),
        ((0.5, 1.0), "more than one purchase per buyer"),
        ((0.9, 1.1), "fewer than if all had one rate"),
    ],
)
def test_what_is_no_category_is_refused(category: tuple[float, float], said: str) -> None:
    brands = pd.DataFrame({"share": [0.4, 0.3], "penetration": [0.3, 0.2]}, index=["a", "b"])
    with pytest.raises(ContractError, match=said):
        NBDDirichlet.from_summary(brands, penetration=category[0], purchase_rate=category[1])


def test_what_are_no_parameters_or_periods_is_refused() -> None:
    with pytest.raises(ContractError, match="the alphas add up to 3, more than S = 2"):
        NBDDirichlet(M=1.0, K=1.0, alphas=pd.Series({"a": 3.0}), S=2.0)
    with pytest.raises(ContractError, match="M must be a positive number, got nan"):
        NBDDirichlet(M=np.nan, K=1.0, alphas=pd.Series({"a": 1.0}), S=2.0)
    with pytest.raises(ContractError, match="alphas must be positive numbers"):
        NBDDirichlet(M=1.0, K=1.0, alphas=pd.Series({"a": 0.0}), S=2.0)
    with pytest.raises(ContractError, match="periods must be a positive number"):
        TRUTH.performance(0)
    with pytest.raises(ContractError, match="there is no brand 'D'"):
        TRUTH.purchases("D")
    with pytest.raises(ContractError, match="nobody has 5 to 4 category purchases"):
        TRUTH.performance(category_purchases=(5, 4))


@pytest.mark.parametrize(("mean", "shape"), [(1e9, 1.0), (1.0, 1e-9)])
def test_a_tail_that_fills_the_memory_is_refused(mean: float, shape: float) -> None:
    with pytest.raises(ContractError, match="check the units"):
        NBDDirichlet(M=mean, K=shape, alphas=pd.Series({"a": 0.5}), S=1.0).performance()


def test_every_brand_has_one_column_and_one_alpha() -> None:
    with pytest.raises(ContractError, match="two columns"):
        DirichletMultinomial(pd.DataFrame([[1, 2], [2, 0]], columns=["a", "a"]))
    with pytest.raises(ContractError, match="not ndarray"):
        DirichletMultinomial(np.ones((3, 2)))  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="each brand once"):
        NBDDirichlet(M=1.0, K=1.0, alphas=pd.Series([0.5, 0.2], index=["a", "a"]), S=1.0)
