"""Roll-out: decisions by hand, and what shrinkage does when the truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from crmlab.database import roll_out
from crmlab.errors import ContractError
from crmlab.models import BetaBinomial, BetaBinomialResults, ConvergenceError


def cells(**columns) -> pd.DataFrame:
    return pd.DataFrame(columns, index=list("abcdef")[: len(columns["tested"])])


SIX = {"tested": [40] * 6, "responses": [0, 1, 3, 4, 8, 14], "remaining": [1000, 500, 800, 100, 0, 300]}


def test_rates_decisions_and_profit():
    found = roll_out(cells(**SIX), margin=20.0, contact_cost=2.0)
    a, b = found.fit.params
    assert found.table["test_rate"].tolist() == [x / 40 for x in SIX["responses"]]
    np.testing.assert_allclose(found.table["shrunken_rate"], [(a + x) / (a + b + 40) for x in SIX["responses"]])
    np.testing.assert_allclose(
        found.table["chance_above"], [beta.sf(0.1, a + x, b + 40 - x) for x in SIX["responses"]], rtol=1e-9
    )
    assert found.break_even_rate == 0.1
    assert found.table["mail_by_test"].tolist() == [False, False, False, False, True, True]
    assert (found.table["mail_by_model"] == (found.table["shrunken_rate"] > 0.1)).all()
    expected = (20 * found.table["shrunken_rate"] - 2) * found.table["remaining"]
    np.testing.assert_allclose(found.table["expected_profit"], expected)
    assert "6 cells, break-even rate 0.1" in repr(found)


def test_summary_expects_and_later_knows():
    found = roll_out(cells(**SIX), margin=20.0, contact_cost=2.0)
    ahead = found.summary()
    assert ahead["contacted"].tolist()[:2] == [2700, 300]
    assert ahead.loc["model", "profit"] == ahead["profit"].max()
    known = pd.Series([10, 20, 30, 40, 0, 60], list("abcdef"))
    after = found.summary(known.sample(frac=1, random_state=1))
    assert after.loc["all", "profit"] == 20 * 160 - 2 * 2700
    assert after.loc["test rate", "profit"] == 20 * 60 - 2 * 300
    with pytest.raises(ContractError, match=r"1 are not \(first: b\)"):
        found.summary(known.replace(20, 501))
    with pytest.raises(ContractError, match=r"1 are not \(first: f\)"):
        found.summary(known.drop("f"))


def test_the_best_test_cells_disappoint_and_shrunken_rates_do_not():
    truth = BetaBinomialResults("", pd.Series({"alpha": 1.0, "beta": 19.0}), pd.DataFrame(np.eye(2)), 0.0, 1.0, 0.0, "")
    drawn = truth.simulate(np.tile([15, 100], 1_000), seed=5)
    table = drawn.rename(columns={"trials": "tested", "successes": "responses"}).assign(remaining=1_000)
    found = roll_out(table, margin=10.0, contact_cost=1.0)
    best = found.table.nlargest(200, "test_rate").join(drawn["rate"])
    # 200 cells, rates with a standard deviation below 0.05: the mean is known to 0.004
    assert best["test_rate"].mean() > best["rate"].mean() + 0.03
    assert best["shrunken_rate"].mean() == pytest.approx(best["rate"].mean(), abs=0.01)
    everybody, by_test, by_model = found.summary(1_000 * drawn["rate"])["profit"].tolist()
    # with tests of one size both rules draw the same line; with two sizes the model asks more of the small ones
    assert by_model > by_test > everybody
    inside = drawn["rate"].between(found.table["low"], found.table["high"]).mean()
    assert inside == pytest.approx(0.95, abs=0.015)  # 2,000 cells: standard error 0.005, and parameters estimated


def test_printed_prior_gives_silent_segments_a_chance(published):
    """With the printed alpha and beta a segment without an answer passes unless some hundred letters were tried."""
    prior = pd.Series({"alpha": published("DBM-001"), "beta": published("DBM-002")})
    fit = BetaBinomialResults("", prior, pd.DataFrame(np.eye(2)), 0.0, 126.0, 0.0, "")
    rates = fit.rates([0, 0, 0], [50, 116, 117])["estimate"]
    assert (rates > published("DBM-005a")).tolist() == [True, True, False]


def test_rates_that_do_not_differ_are_told():
    with pytest.raises(ConvergenceError, match="one pooled rate is enough"):
        roll_out(cells(tested=[50] * 4, responses=[5, 5, 5, 5], remaining=[10] * 4), margin=20.0, contact_cost=1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"remaining": [1, -1, 1, 1, 1, 1]}, "remaining: below 0 in 1 rows (first: 2)"),
        ({"remaining": [1, np.nan, 1, 1, 1, 1]}, "remaining: not a finite number in 1 rows (first: 2)"),
        ({"remaining": list("123456")}, "remaining: no numbers but str (first: '1', '2', '3')"),
        ({"responses": [0, 1, 3, 4, 8, 41]}, "successes: more than trials in 1 rows (first: 6)"),
        ({"tested": [40, 40, 40, 40, 40, 0], "responses": [0, 1, 3, 4, 8, 0]}, "trials: none in 1 rows (first: 6)"),
    ],
)
def test_cells_are_checked(change, message):
    with pytest.raises(ContractError) as caught:
        roll_out(cells(**(SIX | change)), margin=20.0, contact_cost=2.0)
    assert message in str(caught.value)


def test_a_contact_that_cannot_pay_is_made_to_nobody():
    found = roll_out(cells(**SIX), margin=1.0, contact_cost=2.0)
    assert found.break_even_rate == 2.0
    assert not found.table[["mail_by_test", "mail_by_model"]].any(axis=None)
    assert (found.table["chance_above"] == 0).all()


def test_frames_are_checked_and_not_changed():
    table = cells(**SIX)
    before = table.copy()
    roll_out(table, margin=20.0, contact_cost=2.0)
    pd.testing.assert_frame_equal(table, before)
    with pytest.raises(ContractError, match="did you mean 'teste'"):
        roll_out(table.rename(columns={"tested": "teste"}), margin=20.0, contact_cost=2.0)
    with pytest.raises(ContractError, match="the same cell twice in 1 rows"):
        roll_out(table.set_axis(list("abcdea")), margin=20.0, contact_cost=2.0)
    found = roll_out(table, margin=20.0, contact_cost=2.0)
    for known, said in (
        (pd.Series(list("abcdef"), index=table.index), "no numbers"),
        (pd.Series(1, index=list("abcdee")), "the same cell twice"),
    ):
        with pytest.raises(ContractError, match=said):
            found.summary(known)
    with pytest.raises(ContractError, match="margin must be above 0"):
        roll_out(table, margin=0.0, contact_cost=2.0)
    assert isinstance(BetaBinomial(table["responses"], table["tested"]).fit().table, pd.DataFrame)
