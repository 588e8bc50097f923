"""What users feed a buying model by accident: a right answer, or a refusal that says what is wrong and where."""

import numpy as np
import pandas as pd
import pytest

from crmlab.database import CustomerSummary
from crmlab.errors import ContractError
from crmlab.models import BetaGeoNBD, ConvergenceError, ModifiedBetaGeoNBD, ParetoNBD, load_results

MODELS = [BetaGeoNBD, ModifiedBetaGeoNBD, ParetoNBD]
every_model = pytest.mark.parametrize("model", MODELS)


@pytest.fixture
def table(cdnow) -> pd.DataFrame:
    return cdnow.to_pandas()[["customer_id", "frequency", "recency", "T"]]


def change(table: pd.DataFrame, column: str, row: int, value: float) -> pd.DataFrame:
    return table.astype({column: float}).assign(**{column: lambda t: t[column].where(t.index != row, value)})


@every_model
@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("recency", np.nan, r"recency: not a finite number in 1 rows \(first: 6\)"),
        ("frequency", np.nan, r"frequency: not a finite number in 1 rows \(first: 6\)"),
        ("T", np.inf, r"T: not a finite number in 1 rows \(first: 6\)"),
        ("recency", 500.0, r"recency: larger than T in 1 rows \(first: 6\)"),
        ("frequency", -1.0, r"frequency: negative in 1 rows \(first: 6\)"),
        ("frequency", 1.5, r"frequency: not a whole number in 1 rows \(first: 6\)"),
        ("frequency", 0.0, r"recency: above 0 without a repeat purchase in 1 rows \(first: 6\)"),
        ("recency", 0.0, r"recency: 0 with repeat purchases in 1 rows \(first: 6\)"),
        ("T", -1.0, r"T: negative in 1 rows \(first: 6\)"),
    ],
)
def test_impossible_values_are_refused_with_their_row(model, table, column, value, message):
    with pytest.raises(ContractError, match=message):
        model(change(table, column, 5, value), time_unit="week")


def test_all_problems_are_told_at_once(table):
    broken = change(change(table, "T", 5, -1.0), "frequency", 7, 0.5)
    with pytest.raises(ContractError, match="frequency: not a whole number") as told:
        BetaGeoNBD(broken, time_unit="week")
    assert "T: negative" in str(told.value)


def with_heavy_buyers(table: pd.DataFrame, rows: slice) -> pd.DataFrame:
    heavy = table.copy()
    heavy.loc[rows, "frequency"], heavy.loc[rows, "recency"] = 500, heavy.loc[rows, "T"] - 1
    return heavy


@pytest.mark.parametrize(
    ("model", "rows"),
    [(model, slice(5, 5)) for model in MODELS] + [(model, slice(0, 49)) for model in MODELS if model is not ParetoNBD],
)
def test_heavy_buyers_are_fitted_and_scored(model, rows, table):
    result = model(with_heavy_buyers(table, rows), time_unit="week").fit()
    forecast = result.expected_purchases(39)
    assert (np.isfinite(forecast) & (forecast >= 0)).all()
    assert result.probability_alive().between(0, 1).all()


def test_where_all_would_leave_alike_pareto_has_no_maximum(table):
    """Fifty robots make the rates of leaving equal: s and beta grow together for ever, and the likelihood with them."""
    with pytest.raises(ConvergenceError, match=r"the search left at s = .*\n.*\n.*all leave alike"):
        ParetoNBD(with_heavy_buyers(table, slice(0, 49)), time_unit="week").fit()


@every_model
def test_buying_to_the_very_end_leaves_nothing_to_learn_of_leaving(model, table):
    late = table.assign(recency=np.where(table["frequency"] > 0, table["T"], 0.0))
    with pytest.raises(ConvergenceError, match="100% of those who bought again did so at the very end of their T"):
        model(late, time_unit="week").fit()


@every_model
def test_nobody_bought_again(model, table):
    with pytest.raises(ConvergenceError, match="nobody bought again\n  - 2,357 customers, of whom 0 bought again"):
        model(table.assign(frequency=0, recency=0.0), time_unit="week").fit()


@every_model
def test_one_customer(model, history):
    with pytest.raises(ConvergenceError, match="one row of data has no differences"):
        model(history((3, 20.0, 39.0)), time_unit="week").fit()


@every_model
def test_nobody_at_all(model, history):
    with pytest.raises(ContractError, match="it has no rows"):
        model(history(), time_unit="week")


@every_model
def test_all_alike(model, history):
    with pytest.raises(ConvergenceError, match="did not converge"):
        model(history(*[(3, 20.0, 39.0)] * 50), time_unit="week").fit()


@every_model
def test_left_censored_customers_are_refused_with_the_remedy(model, table):
    seen = CustomerSummary.from_frame(table, time_unit="week", acquisition="left_censored")
    with pytest.raises(ContractError, match="keep those acquired in view"):
        model(seen)


def test_the_unit_must_be_told_and_agree(table, cdnow):
    with pytest.raises(ContractError, match="say in which unit"):
        BetaGeoNBD(table)
    with pytest.raises(ContractError, match="seconds"):
        BetaGeoNBD(table, time_unit="seconds")
    with pytest.raises(ContractError, match="the summary is in weeks"):
        BetaGeoNBD(cdnow, time_unit="day")
    result = BetaGeoNBD(cdnow).fit()
    days = CustomerSummary.from_frame(table, time_unit="day")
    for data in (days, BetaGeoNBD(days)):
        with pytest.raises(ContractError, match="the model is in weeks, the data in days"):
            result.expected_purchases(10, data)


def test_rows_in_rows_out_whatever_the_index(table):
    """An index with repeated labels, as pandas.concat leaves it, is not a key."""
    twice = pd.concat([table, table]).drop(columns="customer_id")
    result = ParetoNBD(twice, time_unit="week").fit()
    assert result.customers == 2 * 2357
    assert len(result.expected_purchases(10)) == 2 * 2357


@pytest.mark.parametrize("t", [-1.0, np.nan, np.inf, [1.0, -2.0]])
def test_lengths_of_time_that_are_none(cdnow, t):
    with pytest.raises(ContractError, match="t must be finite and not negative"):
        BetaGeoNBD(cdnow).fit().expected_purchases(t)


def test_covariates_are_checked_together(cdnow, table):
    ids = table["customer_id"]
    with pytest.raises(ContractError) as told:
        ParetoNBD(
            cdnow,
            buying=pd.DataFrame({"customer_id": ids[1:], "age": 1.0}),
            dropout=pd.DataFrame({"customer_id": ids, "region": "north"}),
        )
    assert f"buying: no covariates for 1 customers (first: {ids[0]})" in str(told.value)
    assert "dropout: not finite numbers in region; make dummies" in str(told.value)


@every_model
def test_a_constant_covariate_is_no_covariate(model, cdnow, table):
    constant = table[["customer_id"]].assign(one=1.0)
    with pytest.raises(ConvergenceError, match="did not converge"):
        model(cdnow, buying=constant).fit()


@every_model
def test_kept_and_read_again(model, cdnow, table, tmp_path):
    rng = np.random.default_rng(2)
    some = table[["customer_id"]].assign(age=rng.normal(size=len(table)))
    plain, rich = model(cdnow).fit(), model(cdnow, buying=some).fit()
    for result, data in ((plain, cdnow), (rich, model(cdnow, buying=some))):
        result.save(tmp_path / "fit.json")
        again = load_results(tmp_path / "fit.json")
        assert type(again) is type(result)
        assert (again.llf, again.time_unit, again.customers) == (result.llf, "week", 2357)
        pd.testing.assert_frame_equal(again.conf_int(), result.conf_int())
        for level in (None, 0.9):
            kept, first = again.expected_purchases(10, data, level=level), result.expected_purchases(10, level=level)
            assert kept.equals(first)
        with pytest.raises(ContractError, match="knows no customers"):
            again.expected_purchases(10)
    with pytest.raises(ContractError, match="the fit has the covariates buying_age, the data none"):
        again.expected_purchases(10, cdnow)


@pytest.mark.parametrize("text", ["", "{}", '{"model": "magic"}', "[1]"])
def test_files_that_are_no_fit(tmp_path, text):
    (tmp_path / "fit.json").write_text(text)
    with pytest.raises(ContractError, match="is not a fit written by"):
        load_results(tmp_path / "fit.json")
    with pytest.raises(ContractError, match="is not a fit written by"):
        load_results(tmp_path / "absent.json")
