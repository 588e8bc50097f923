"""How well a model agrees with its data and with what came after: tables, which `crmlab.models.plots` draws."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from crmlab.contracts import one_of, require_columns
from crmlab.errors import ContractError
from crmlab.models.covariates import Covariates
from crmlab.models.predictions import PERIODS_PER_YEAR, BuyingResults, new_customer_purchases

if TYPE_CHECKING:
    from crmlab.models.base import Floats


@dataclass(frozen=True)
class FrequencyFit:
    """Customers by number of repeat purchases, as they are and as the model expects them.

    Attributes
    ----------
    table : pandas.DataFrame
        ``actual`` and ``expected`` customers, one row per number of purchases; the last row holds all larger numbers.
    chi_square : float
        Pearson's statistic over the rows.
    df : int
        Rows less parameters less one.
    p_value : float
        Of the statistic; NaN without degrees of freedom.
    time_unit : str
        Unit of the model's times.
    """

    table: pd.DataFrame
    chi_square: float
    df: int
    p_value: float
    time_unit: str


class Survival(Protocol):
    """A fitted model of tenure."""

    def survival(self, t: Any) -> Any: ...


def frequency_fit(result: BuyingResults, *, top: int = 7) -> FrequencyFit:
    """Compare the histogram of repeat purchases with the model, each customer observed for its own T.

    Parameters
    ----------
    result : BuyingResults
        A fit that knows its customers.
    top : int, default 7
        Numbers of purchases from here on are one class.

    Returns
    -------
    FrequencyFit

    Examples
    --------
    >>> from crmlab.models import BetaGeoNBD
    >>> history = pd.DataFrame({"frequency": [0, 2, 5, 1], "recency": [0.0, 9, 30, 2], "T": [38.0, 35, 33, 30]})
    >>> fit = BetaGeoNBD(history.assign(weight=50), time_unit="week").fit()
    >>> frequency_fit(fit, top=3).table["actual"].to_dict()
    {'0': 50.0, '1': 50.0, '2': 50.0, '3+': 50.0}

    References
    ----------
    Fader, P. S., Hardie, B. G. S. & Lee, K. L. (2005). *Marketing Science* 24(2), section 4.
    """
    histories, covariates = result.customers_of()
    x, _, age = histories.columns
    params, weight = covariates.params(result.process, result.coefficients), histories.weight
    actual = np.bincount(np.minimum(x, top).astype("int64"), weights=weight, minlength=top + 1)
    if not covariates.tables:
        age, place = np.unique(age, return_inverse=True)
        weight = np.bincount(place, weights=weight)
    counted = [weight @ result.process.probability(params, np.full(len(age), float(n)), age) for n in range(top)]
    expected = np.array([*counted, actual.sum() - sum(counted)])
    statistic, df = float(((actual - expected) ** 2 / expected).sum()), top - len(result.params)
    index = pd.Index([*map(str, range(top)), f"{top}+"], name="purchases")
    table = pd.DataFrame({"actual": actual, "expected": expected}, index=index)
    return FrequencyFit(table, statistic, df, float(chdtrc(df, statistic)) if df > 0 else np.nan, result.time_unit)


def by_frequency(result: BuyingResults, actual: Any, t: float, *, top: int = 7) -> pd.DataFrame:
    """Mean purchases in the next `t` by number of earlier ones: what came, and what the model expected.

    Parameters
    ----------
    result : BuyingResults
        A fit that knows its customers.
    actual : array_like of float, shape (n,)
        Purchases of each customer in the holdout, in the order of the fit: ``frequency_holdout`` of its summary.
    t : float
        Length of the holdout, in the model's time unit.
    top : int, default 7
        Customers with so many purchases and more are one class.

    Returns
    -------
    pandas.DataFrame
        ``customers``, ``actual`` and ``expected`` (means per customer), by ``frequency``.
    """
    histories, _ = result.customers_of()
    names = [*map(str, range(top)), f"{top}+"]
    labels = _classes("frequency", np.minimum(histories.columns[0], top), names)
    return _by_class(result, labels, actual, t)


def by_recency(result: BuyingResults, actual: Any, t: float, *, width: float) -> pd.DataFrame:
    """Mean purchases in the next `t` by time of the last purchase, in classes of `width`; else as `by_frequency`.

    Customers without a repeat purchase are a class of their own, with recency 0.
    """
    if not width > 0:
        raise ContractError(f"width must be positive, in {result.time_unit}s; got {width}")
    histories, _ = result.customers_of()
    recency = histories.frame["recency"].to_numpy(dtype=float)
    codes = np.ceil(recency / width)  # 0 for no repeat purchase
    names = ["0", *(f"{width * k:g} to {width * (k + 1):g}" for k in range(int(codes.max())))]
    return _by_class(result, _classes("recency", codes, names), actual, t)


def _classes(name: str, codes: "Floats", names: list[str]) -> pd.Series:
    return pd.Series(pd.Categorical.from_codes(codes.astype("int64"), pd.Index(names), ordered=True), name=name)


def _by_class(result: BuyingResults, classes: pd.Series, actual: Any, t: float) -> pd.DataFrame:
    histories, _ = result.customers_of()
    came, weight = np.asarray(actual, dtype=float), pd.Series(histories.weight)
    if came.shape != (len(classes),):
        raise ContractError(f"actual has shape {came.shape}, but the model was fitted to {len(classes):,} rows")
    columns = {"actual": came, "expected": result.expected_purchases(t).to_numpy()}
    totals = pd.DataFrame({"customers": weight} | {name: one * weight for name, one in columns.items()})
    found = totals.groupby(classes, observed=True).sum()
    return found.assign(**{name: found[name] / found["customers"] for name in columns})


def tracking(
    result: BuyingResults,
    transactions: pd.DataFrame,
    *,
    periods: int,
    first_day: Literal["not counted", "counted"] = "not counted",
) -> pd.DataFrame:
    """Repeat purchases of the fitted customers, period by period since the first of them was acquired.

    A period is the model's time unit. Expected totals add up what each customer is expected to have bought since its
    own acquisition. Purchases of one customer on one day are one.

    Parameters
    ----------
    result : BuyingResults
        A fit that knows its customers by ``customer_id``.
    transactions : pandas.DataFrame
        ``customer_id`` and ``date``, from before the first acquisition of a fitted customer to the end of the periods.
    periods : int
        Number of periods.
    first_day : {"not counted", "counted"}, default "not counted"
        Whether the day of acquisition is time in which to buy again. T does not count it, nor do Fader, Hardie & Lee
        (2005); the R package BTYD does, which makes expected totals a little larger.

    Returns
    -------
    pandas.DataFrame
        ``actual`` and ``expected`` (in the period), ``cumulative_actual`` and ``cumulative_expected``, by ``period``.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. & Lee, K. L. (2005). *Marketing Science* 24(2), section 4, figures 2 and 3.
    """
    histories, covariates = result.customers_of()
    one_of("first_day", first_day, Literal["not counted", "counted"])
    require_columns(transactions, ["customer_id", "date"], "a log for tracking")
    days = pd.to_datetime(transactions["date"]).dt.normalize().groupby(transactions["customer_id"])
    acquired = days.min().reindex(histories.frame.index)
    if acquired.isna().any():
        absent = acquired.index[acquired.isna()]
        raise ContractError(f"the log lacks {len(absent):,} of the fitted customers (first: {absent[0]!r})")
    length, start = 365.25 / PERIODS_PER_YEAR[result.time_unit], acquired.min()
    bought = transactions[["customer_id"]].assign(day=pd.to_datetime(transactions["date"]).dt.normalize())
    bought = bought[bought["customer_id"].isin(acquired.index)].drop_duplicates()
    bought = bought[bought["day"] > bought["customer_id"].map(acquired)]
    period = ((bought["day"] - start).dt.days.to_numpy() / length).astype("int64")
    actual = np.bincount(period, minlength=periods)[:periods]
    born = ((acquired - start).dt.days.to_numpy() + (first_day == "not counted")) / length
    total = np.diff([0.0, *_expected_totals(result, covariates, born, periods)])
    table = pd.DataFrame({"actual": actual, "expected": total}, index=pd.RangeIndex(1, periods + 1, name="period"))
    return table.join(table.cumsum().add_prefix("cumulative_"))


def _expected_totals(result: BuyingResults, covariates: Covariates, born: "Floats", periods: int) -> list[float]:
    """Expected repeat purchases up to the end of each period, of customers acquired at the times `born`."""
    params, weight = covariates.params(result.process, result.coefficients), np.ones(len(born))
    if not covariates.tables:
        born, counts = np.unique(born, return_counts=True)
        weight = counts.astype(float)
    ages = (np.maximum(end - born, 0.0) for end in range(1, periods + 1))
    return [float(weight @ new_customer_purchases(result.process, params, age)) for age in ages]


def history_grid(
    result: BuyingResults, T: float, *, most: int, annual_discount_rate: float | None = None, steps: int = 60
) -> pd.DataFrame:
    """P(alive), or discounted expected purchases, of customers with all possible histories.

    Parameters
    ----------
    result : BuyingResults
        Covariates, if any, are taken to be zero.
    T : float
        Time for which they have been observed, in the model's time unit.
    most : int
        Largest number of repeat purchases.
    annual_discount_rate : float, optional
        With it the values are `BuyingResults.discounted_purchases`, else `BuyingResults.probability_alive`.
    steps : int, default 60
        Number of different recencies.

    Returns
    -------
    pandas.DataFrame, shape (steps, most)
        Rows are ``recency``, above 0 to `T`; columns are ``frequency``, from 1 to `most`.

    References
    ----------
    Fader, P. S., Hardie, B. G. S. & Lee, K. L. (2005). RFM and CLV: using iso-value curves for customer base analysis.
    *Journal of Marketing Research* 42(4), 415-430.
    """
    recency, frequency = np.linspace(0, T, steps + 1)[1:], np.arange(1, most + 1)
    pairs = pd.MultiIndex.from_product([recency, frequency], names=["recency", "frequency"]).to_frame(index=False)
    plain = replace(result, params=result.params[list(result.process.parameters)], covariates=Covariates({}))
    histories = pairs.assign(T=float(T))
    if annual_discount_rate is None:
        values = plain.probability_alive(histories)
    else:
        values = plain.discounted_purchases(annual_discount_rate, histories)
    return pairs.assign(value=values.to_numpy()).pivot(index="recency", columns="frequency", values="value")


def survival_projection(models: Mapping[str, Survival], observed: pd.Series) -> pd.DataFrame:
    """Share of a cohort that is still there, beside what models say.

    Parameters
    ----------
    models : mapping of str to results
        Fits with a method ``survival(t)``, by the name to show.
    observed : pandas.Series
        Share of the cohort still there, by whole number of periods since acquisition.

    Returns
    -------
    pandas.DataFrame
        ``observed`` and one column per model, by ``period``.
    """
    periods = observed.index.to_numpy()
    columns = {name: np.asarray(model.survival(periods), dtype=float) for name, model in models.items()}
    return pd.DataFrame({"observed": observed.to_numpy()} | columns, index=pd.Index(periods, name="period"))


def spend_by_frequency(summary: Any, *, top: int = 7) -> pd.DataFrame:
    """Mean spend per purchase by number of repeat purchases: alike, if spend and frequency are independent.

    Parameters
    ----------
    summary : CustomerSummary or pandas.DataFrame
        With ``frequency`` and ``monetary_value``, one row per customer; those without a repeat purchase are left out.
    top : int, default 7
        Customers with so many purchases and more are one class.

    Returns
    -------
    pandas.DataFrame
        ``customers``, ``mean`` (money) and its standard error ``se`` (NaN for one customer), by ``frequency``.

    Examples
    --------
    >>> summary = pd.DataFrame({"frequency": [0, 1, 1, 9], "monetary_value": [0.0, 5, 9, 6]})
    >>> spend_by_frequency(summary, top=2)["mean"].to_dict()
    {'1': 7.0, '2+': 6.0}
    """
    frame = summary if isinstance(summary, pd.DataFrame) else summary.to_pandas()
    require_columns(frame, ["frequency", "monetary_value"], "a summary with spend")
    again = frame[frame["frequency"] > 0]
    codes = np.minimum(again["frequency"].to_numpy(dtype=float), top) - 1
    classes = _classes("frequency", codes, [*map(str, range(1, top)), f"{top}+"])
    spend = again["monetary_value"].reset_index(drop=True).groupby(classes, observed=True)
    return pd.DataFrame({"customers": spend.size(), "mean": spend.mean(), "se": spend.sem()})
