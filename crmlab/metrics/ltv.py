"""Lifetime value of customers who buy without a contract: what they will buy, times what they spend.

References
----------
Fader, P. S., Hardie, B. G. S. & Lee, K. L. (2005). RFM and CLV: using iso-value curves for customer base analysis.
*Journal of Marketing Research* 42(4), 415-430.
"""

from typing import Any

import numpy as np
import pandas as pd

from crmlab.errors import ContractError
from crmlab.models import BuyingResults, GammaGammaResults


def customer_lifetime_value(
    buying: BuyingResults,
    spend: GammaGammaResults,
    *,
    horizon: float | None,
    annual_discount_rate: float,
    margin: float,
    data: Any = None,
    level: float | None = None,
) -> Any:
    """Present value of the margin that each customer will still bring, as of the end of its observation.

    It is margin × expected spend per purchase × discounted expected purchases. Purchases are discounted continuously
    from when they are made, at log(1 + rate) a year, which over a year comes to the annual rate. Discounting by whole
    periods, as for contracts and in the package lifetimes, puts them at the ends of periods and gives less. Without a
    horizon the discounted purchases are those of `BuyingResults.discounted_purchases`, the DERT.

    Parameters
    ----------
    buying : BuyingResults
        BG/NBD, MBG/NBD or Pareto/NBD.
    spend : GammaGammaResults
        Fitted to the same customers; spend must be independent of frequency, see `GammaGammaResults.independence`.
    horizon : float or None
        How far to look ahead, in ``buying.time_unit``; None for all the future.
    annual_discount_rate : float
        Effective rate a year, such as 0.15; above 0, and 0 only with a horizon.
    margin : float
        Share of the spend that is left after variable costs, above 0 and at most 1.
    data : CustomerSummary or pandas.DataFrame, optional
        Other customers than those of the fit, with ``monetary_value``.
    level : float, optional
        With it, the result is a frame with an interval for uncertainty about the parameters of both models: by the
        delta method, as if their estimates were independent, on the scale of the logarithm.

    Returns
    -------
    pandas.Series or DataFrame
        Value in the unit of the spend, one row per customer; with `level` columns estimate, low and high.

    Raises
    ------
    ContractError
        If an argument is out of its range, or the models were fitted to other customers or units.

    Examples
    --------
    >>> from crmlab.models import BetaGeoNBD, GammaGamma
    >>> rng, x = np.random.default_rng(1), np.tile([0, 1, 1, 4, 15], 60)
    >>> mean = rng.gamma(6 * np.maximum(x, 1)) / rng.gamma(4, 1 / 15, 300) / np.maximum(x, 1)
    >>> summary = pd.DataFrame({"frequency": x, "recency": np.tile([0.0, 1, 20, 6, 38], 60), "T": 39.0})
    >>> summary["monetary_value"] = np.where(x > 0, mean, 0)
    >>> buying, spend = BetaGeoNBD(summary, time_unit="week").fit(), GammaGamma(summary).fit()
    >>> value = customer_lifetime_value(buying, spend, horizon=52, annual_discount_rate=0.15, margin=0.3)
    >>> value.head(5).round(1).tolist()
    [5.1, 0.4, 3.5, 0.2, 121.8]
    """
    if not 0 < margin <= 1:
        raise ContractError(f"margin is the share of spend that is left, above 0 and at most 1; got {margin}")
    _same_customers(buying, spend, data)
    purchases = buying.discounted_purchases(annual_discount_rate, data, horizon=horizon, level=level)
    money = spend.expected_value(data if data is None or isinstance(data, pd.DataFrame) else _frame(data), level=level)
    if level is None:
        return (margin * purchases * money.to_numpy()).rename("lifetime_value")
    return _product(purchases, money.set_axis(purchases.index), margin)


def _product(purchases: pd.DataFrame, money: pd.DataFrame, margin: float) -> pd.DataFrame:
    """Interval of a product of two estimates with intervals, on the scale of the logarithm."""
    estimate = margin * purchases["estimate"] * money["estimate"]
    first, second = ((one["high"] / one["estimate"] - 1).fillna(0.0) for one in (purchases, money))
    factor = np.exp(np.sqrt(first**2 + second**2))
    return pd.DataFrame({"estimate": estimate, "low": estimate / factor, "high": estimate * factor})


def _frame(data: Any) -> pd.DataFrame:
    """The customers as a frame; a model brings those it was made for."""
    frame = data.histories.frame if hasattr(data, "histories") else data.to_pandas()
    return frame.reset_index() if frame.index.name == "customer_id" else frame


def _same_customers(buying: BuyingResults, spend: GammaGammaResults, data: Any) -> None:
    if not isinstance(buying, BuyingResults) or not isinstance(spend, GammaGammaResults):
        told = f"{type(buying).__name__} and {type(spend).__name__}"
        raise ContractError(f"lifetime value needs a buying model and Gamma-Gamma, in this order; got {told}")
    if data is not None or spend.frame is None or buying.histories is None:
        return
    histories = buying.histories.frame
    same = histories.index.equals(spend.frame.index)
    if not (same and np.array_equal(histories["frequency"], spend.frame["frequency"])):
        raise ContractError(
            f"buying was fitted to {len(histories):,} rows, spend to {len(spend.frame):,}, and they are not the same "
            "customers with the same frequencies; fit both to one summary, or give it as data="
        )
