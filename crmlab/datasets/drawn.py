"""A small shop, drawn by a program: several acquisition cohorts with known truth."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

DEFAULT_SEED = 2024
FIRST_DAY = pd.Timestamp("2023-01-01")
LAST_DAY = pd.Timestamp("2024-12-31")


@dataclass(frozen=True)
class ShopProcess:
    """The process that the shop's customers follow.

    A customer of cohort k (0, 1, …) is acquired on a day spread evenly over the quarter, buys at once and then at a
    constant rate of Gamma(`rate_shape`, `rate_scale`) × (1 - `decline`)^k orders a week until an exponential
    drop-out time whose rate is Gamma(`dropout_shape`, `dropout_scale`) a week. An order's amount is lognormal around
    the customer's own mean, Gamma(`spend_shape`, `spend_scale`) dollars.

    Attributes
    ----------
    cohorts, customers_per_cohort : int
        Number of quarterly cohorts, and the mean of the Poisson number of customers in each.
    decline : float
        By which share each cohort's buying rate falls short of the one before.
    noise : float
        Standard deviation of the logarithm of an order's amount within a customer.
    """

    cohorts: int = 8
    customers_per_cohort: int = 250
    rate_shape: float = 0.9
    rate_scale: float = 0.13
    decline: float = 0.06
    dropout_shape: float = 0.8
    dropout_scale: float = 0.05
    spend_shape: float = 6.0
    spend_scale: float = 7.0
    noise: float = 0.45


def draw_shop(seed: int | None = None, process: ShopProcess | None = None) -> dict[str, pd.DataFrame]:
    """Draw the transactions log of a shop, and the truth behind it.

    Parameters
    ----------
    seed : int, optional
        Seed of the random numbers; the same seed gives the same shop. None is 2024.
    process : ShopProcess, optional
        Sizes and rates; the defaults are those that the data card describes.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``transactions`` (customer_id, date, amount, order_id; one row an order, in order of time) and ``truth``
        (one row a customer: cohort, first_date, weekly_rate, dropout_week after the first purchase, mean_amount).

    Examples
    --------
    >>> shop = draw_shop(seed=1)
    >>> list(shop["transactions"].columns)
    ['customer_id', 'date', 'amount', 'order_id']
    """
    process = process or ShopProcess()
    rng = np.random.default_rng(DEFAULT_SEED if seed is None else seed)
    truth = _draw_customers(rng, process)
    return {"transactions": _draw_orders(rng, truth, process), "truth": truth}


def _draw_customers(rng: np.random.Generator, process: ShopProcess) -> pd.DataFrame:
    quarters = pd.period_range(FIRST_DAY, periods=process.cohorts, freq="Q")
    sizes = rng.poisson(process.customers_per_cohort, process.cohorts)
    cohort = np.repeat(np.arange(process.cohorts), sizes)
    starts = quarters.start_time[cohort]
    lengths = (quarters.end_time - quarters.start_time).days.to_numpy()[cohort] + 1
    first = starts + pd.to_timedelta(rng.integers(0, lengths), unit="D")
    customers = len(cohort)
    base_rate = rng.gamma(process.rate_shape, process.rate_scale, customers)
    dropout_rate = rng.gamma(process.dropout_shape, process.dropout_scale, customers)
    return pd.DataFrame(
        {
            "customer_id": np.arange(1, customers + 1),
            "cohort": quarters.astype(str)[cohort],
            "first_date": first.astype("datetime64[us]"),
            "weekly_rate": base_rate * (1 - process.decline) ** cohort,
            "dropout_week": rng.exponential(1 / np.maximum(dropout_rate, 1e-9)),
            "mean_amount": rng.gamma(process.spend_shape, process.spend_scale, customers),
        }
    )


def _draw_orders(rng: np.random.Generator, truth: pd.DataFrame, process: ShopProcess) -> pd.DataFrame:
    weeks_seen = (LAST_DAY - truth["first_date"]).dt.days.to_numpy() / 7
    active = np.minimum(weeks_seen, truth["dropout_week"].to_numpy())
    repeats = rng.poisson(truth["weekly_rate"].to_numpy() * active)
    buyer = np.concatenate([np.arange(len(truth)), np.repeat(np.arange(len(truth)), repeats)])
    week = np.concatenate([np.zeros(len(truth)), rng.uniform(size=repeats.sum()) * np.repeat(active, repeats)])
    amount = truth["mean_amount"].to_numpy()[buyer] * rng.lognormal(-(process.noise**2) / 2, process.noise, len(buyer))
    orders = pd.DataFrame(
        {
            "customer_id": truth["customer_id"].to_numpy()[buyer],
            "date": truth["first_date"].to_numpy()[buyer] + pd.to_timedelta(np.floor(week * 7), unit="D"),
            "amount": np.maximum(amount.round(2), 0.01),
        }
    )
    orders = orders.sort_values(["date", "customer_id", "amount"], kind="stable", ignore_index=True)
    return orders.assign(date=orders["date"].astype("datetime64[us]"), order_id=np.arange(1, len(orders) + 1))
