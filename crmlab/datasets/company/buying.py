"""How often customers buy, how long they stay, what they spend: Pareto/NBD or BG/NBD, and Gamma-Gamma.

References
----------
Schmittlein, D. C., Morrison, D. G. & Colombo, R. (1987). Counting your customers: who are they and what will they do
next? *Management Science* 33(1), 1-24.
Fader, P. S., Hardie, B. G. S. & Lee, K. L. (2005). "Counting your customers" the easy way: an alternative to the
Pareto/NBD model. *Marketing Science* 24(2), 275-284.
Fader, P. S. & Hardie, B. G. S. (2013). The Gamma-Gamma model of monetary value. Note 025.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.special import betaincinv, gammaincinv, ndtr

from crmlab.datasets.company.base import WEEK, Columns, Correlation, Positive, counts, months, rank
from crmlab.datasets.company.bonds import bonded

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.firm import Block, Firm


@dataclass(frozen=True)
class Buying:
    """Rates of buying and of leaving; the unit of time is the week.

    A customer buys when acquired, and then by a Poisson process of rate lambda ~ Gamma(r, alpha). With ``pareto`` the
    customer leaves at a time that is exponential with rate mu ~ Gamma(s, beta); with ``bg`` after each repeat purchase
    with probability p ~ Beta(s, beta).

    Attributes
    ----------
    r, alpha : float
        Shape and rate of the buying rates.
    s, beta : float
        Shape and rate of the drop-out rates, or the two parameters of the drop-out probabilities.
    loyalty_to_rate, loyalty_to_dropout : float
        Correlation of the attitude *loyalty* with the rates on the normal scale (a Gaussian copula, so that the
        rates keep their gamma and beta distributions).
    cohort_trend : float
        Factor minus one on lambda for each quarter of acquisition after the first.
    season : tuple of 12 float, optional
        Factors on lambda by calendar month; None switches the season off.
    """

    process: Literal["pareto", "bg"]
    r: Positive
    alpha: Positive
    s: Positive
    beta: Positive
    loyalty_to_rate: Correlation = 0.0
    loyalty_to_dropout: Correlation = 0.0
    cohort_trend: Annotated[float, Field(gt=-1, le=1)] = 0.0
    season: Annotated[tuple[Positive, ...], Field(min_length=12, max_length=12)] | None = None


@dataclass(frozen=True)
class Spend:
    """The Gamma-Gamma model: an order is worth z ~ Gamma(p, nu), and nu ~ Gamma(q, gamma) over customers.

    Without q > 1 there would be no mean value.
    """

    p: Positive
    q: Annotated[float, Field(gt=1, le=1e9)]
    gamma: Positive


@dataclass(frozen=True)
class Rates:
    """What a customer's buying follows; arrays with one entry per customer.

    Attributes
    ----------
    weekly : array of float
        Orders a week while a customer, before season, programme, service and campaigns.
    score : array of float
        The standard normal score of the gamma draw behind it.
    dropout : array of float
        Drop-out rate a week (``pareto``), or drop-out probability after a repeat purchase (``bg``).
    lifetime : array of float
        Days from acquisition to leaving; infinite where only purchases decide (``bg``).
    unbonded : array of float
        The same without relationship bonds.
    value : array of float
        True mean of an order's value.
    """

    weekly: "Floats"
    score: "Floats"
    dropout: "Floats"
    lifetime: "Floats"
    unbonded: "Floats"
    value: "Floats"

    def columns(self) -> Columns:
        """As columns of the table of true customers."""
        return {"weekly_rate": self.weekly, "dropout": self.dropout, "mean_order_value": self.value}


def draw_rates(block: "Block") -> Rates:
    """Draw the rates of a block's customers."""
    buying, spend, people, n = block.scenario.buying, block.scenario.spend, block.people, block.n
    assert buying is not None
    assert spend is not None
    rng = block.rng("rates")
    loyalty = people.attitudes["loyalty"]
    score = _coupled(buying.loyalty_to_rate, loyalty, rng.standard_normal(n))
    channels = np.array([one.rate for one in block.scenario.people.channels.values()])
    trend = (1 + buying.cohort_trend) ** (months(people.acquired) // 3)
    weekly = gammaincinv(buying.r, ndtr(score)) / buying.alpha * channels[people.channel] * trend
    quantile = ndtr(_coupled(buying.loyalty_to_dropout, loyalty, rng.standard_normal(n)))
    if buying.process == "pareto":
        dropout = gammaincinv(buying.s, quantile) / buying.beta
        with np.errstate(divide="ignore", over="ignore"):  # a rate of zero: never
            lifetime = rng.exponential(1.0, n) / dropout * WEEK
    else:
        dropout, lifetime = betaincinv(buying.s, buying.beta, quantile), np.full(n, np.inf)
    value = spend.p / rng.gamma(spend.q, 1 / spend.gamma, n)
    return Rates(weekly, score, dropout, bonded(block, lifetime), lifetime, value)


def _coupled(correlation: float, attitude: "Floats", own: "Floats") -> "Floats":
    return correlation * attitude + np.sqrt(1 - correlation**2) * own


def season_by_day(firm: "Firm") -> "Floats":
    """The season's factor on each day of the simulation."""
    buying = firm.scenario.buying
    if buying is None or buying.season is None:
        return np.ones(firm.days)
    return np.asarray(buying.season)[months(np.arange(firm.days, dtype="float64")) % 12]


@dataclass(frozen=True)
class Candidates:
    """Moments at which an order is possible; it happens where ``mark < intensity / ceiling``.

    Sorted by customer and time. The first of each customer is the acquisition, with a mark below every intensity.

    Attributes
    ----------
    customer : array of int
        Position of the customer in the block.
    time : array of float
        Days since the opening.
    mark : array of float
        Uniform between 0 and 1: thinning by the same mark makes processes with and without an effect comparable,
        order by order.
    """

    customer: "Ints"
    time: "Floats"
    mark: "Floats"


def draw_candidates(block: "Block", ceiling: float) -> Candidates:
    """Draw the candidates of a Poisson process of `ceiling` times each customer's rate."""
    rates, start, n = block.rates, block.people.acquired, block.n
    rng = block.rng("candidates")
    span = np.minimum(rates.lifetime, block.days - start)
    number = counts(rng, rates.weekly / WEEK * ceiling * span, "buying (rates of r, alpha and season)")
    customer = np.concatenate([np.arange(n), np.repeat(np.arange(n), number)])
    later = rng.random(number.sum()) * np.repeat(span, number) + np.repeat(start, number)
    time = np.concatenate([start, later])
    mark = np.concatenate([np.full(n, -1.0), rng.random(len(later))])
    order = np.lexsort((time, customer))
    return Candidates(customer[order], time[order], mark[order])


def left_after(block: "Block", candidates: Candidates, base: "Bools") -> "Floats":
    """When each customer leaves, in days since the opening; infinite for those who do not.

    `base` marks the orders that count for BG/NBD drop-out: those of the customer's own rate.
    """
    start, rates, buying = block.people.acquired, block.rates, block.scenario.buying
    assert buying is not None
    if buying.process == "pareto":
        return start + rates.lifetime
    with np.errstate(divide="ignore", over="ignore"):
        last = np.ceil(np.log(block.rng("dropout").random(block.n)) / np.log1p(-rates.dropout))  # a geometric count
    rows = np.flatnonzero(base)
    owner = candidates.customer[rows]
    leaving = rows[rank(owner) == np.maximum(last, 1)[owner]]
    left = np.full(block.n, np.inf)
    left[candidates.customer[leaving]] = candidates.time[leaving]
    return left
