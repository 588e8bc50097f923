"""Who the customers are: when and how they were acquired, what they need, and what they think of the firm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from crmlab.datasets.company.base import YEAR, Columns, NotNegative, Number, Positive, Share, category, choose, dates

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.firm import Block


@dataclass(frozen=True)
class Channel:
    """A way by which customers are acquired.

    Attributes
    ----------
    share : float
        Share of the customers acquired by it.
    cost : float
        Mean cost of acquiring one customer, in money.
    rate : float
        Factor on the buying rate of its customers.
    """

    share: Share
    cost: NotNegative
    rate: Positive = 1.0


@dataclass(frozen=True)
class Need:
    """A latent segment of customers who want the same from the firm.

    Attributes
    ----------
    share : float
        Weight at the mean of the covariates; shares are the weights over their sum.
    by_age, by_size : float
        Change of the log-odds per standard deviation of age and of household size (of employees for accounts).
    """

    share: Positive
    by_age: Number = 0.0
    by_size: Number = 0.0


@dataclass(frozen=True)
class People:
    """The customers of a firm.

    Attributes
    ----------
    kind : {"household", "account"}
        Persons with a household, or firms with employees.
    growth : float
        Yearly growth of the number of customers acquired; -0.1 is a tenth fewer each year.
    regions : tuple of str
        Where customers live, equally likely.
    channels : mapping of str to Channel
        Acquisition channels by name. A channel called ``referral`` takes its customers from friends of customers.
    needs : mapping of str to Need
        Latent need segments by name.
    dislikes_contact : float
        Share of the customers whom advertising drives away.
    """

    kind: Literal["household", "account"]
    growth: Annotated[float, Field(gt=-1, le=100)]
    regions: Annotated[tuple[str, ...], Field(min_length=1)]
    channels: Annotated[Mapping[str, Channel], Field(min_length=1)]
    needs: Annotated[Mapping[str, Need], Field(min_length=1)]
    dislikes_contact: Share = 0.0


#: Path coefficients of the structural model; every construct has mean 0 and variance 1 among customers.
PATHS: Mapping[str, Mapping[str, float]] = {
    "expectations": {},
    "quality": {"expectations": 0.45},
    "value": {"expectations": 0.1, "quality": 0.55},
    "satisfaction": {"expectations": 0.05, "quality": 0.5, "value": 0.3},
    "trust": {"satisfaction": 0.6},
    "confidence": {"trust": 0.5},
    "social": {"satisfaction": 0.2},
    "special": {"satisfaction": 0.1},
    "commitment": {"trust": 0.35, "confidence": 0.2, "social": 0.2, "special": 0.1},
    "loyalty": {"satisfaction": 0.35, "commitment": 0.4},
}


@dataclass(frozen=True)
class Drawn:
    """The customers of a block; every array has one entry per customer. Times are days since the opening."""

    acquired: "Floats"
    channel: "Ints"
    cost: "Floats"
    region: "Ints"
    birth_year: "Ints"
    size: "Ints"
    income: "Ints"
    industry: "Ints"
    need: "Ints"
    dislikes: "Bools"
    attitudes: Mapping[str, "Floats"]


INCOMES = ("low", "lower middle", "middle", "upper middle", "high")
INDUSTRIES = ("food", "construction", "machinery", "transport", "energy", "health")


def draw_people(block: "Block") -> Drawn:
    """Draw the customers of a block."""
    people, rng, n = block.scenario.people, block.rng("people"), block.n
    channels = list(people.channels.values())
    channel = choose(rng, np.tile([one.share for one in channels], (n, 1)))
    cost = np.array([one.cost for one in channels])[channel] * rng.gamma(4.0, 1 / 4.0, n)
    age, size = _demographics(people, rng, n)
    standard_age, standard_size = (age - 47) / 15, (np.log(size) - 0.7) / 0.6
    if people.kind == "account":
        standard_size = (np.log(size) - 4) / 1.2
    logits = np.column_stack(
        [np.log(one.share) + one.by_age * standard_age + one.by_size * standard_size for one in people.needs.values()]
    )
    return Drawn(
        acquired=_acquired(people.growth, block.days, rng.random(n)),
        channel=channel,
        cost=np.round(cost, 2),
        region=rng.integers(0, len(people.regions), n),
        birth_year=2022 - age,
        size=size,
        income=np.clip(np.rint(rng.normal(2 + 0.4 * standard_age, 1.1, n)), 0, 4).astype(int),
        industry=rng.integers(0, len(INDUSTRIES), n),
        need=choose(rng, np.exp(logits)),
        dislikes=rng.random(n) < people.dislikes_contact,
        attitudes=draw_attitudes(rng, n),
    )


def _demographics(people: People, rng: np.random.Generator, n: int) -> "tuple[Ints, Ints]":
    age = np.minimum(18 + np.abs(np.rint(rng.normal(47, 15, n)) - 18), 90).astype(int)  # no crowd at 18
    if people.kind == "account":
        return age, np.ceil(rng.lognormal(4.0, 1.2, n)).astype(int)
    return age, 1 + rng.binomial(4, np.where((age > 28) & (age < 55), 0.4, 0.18))


def _acquired(growth: float, days: int, quantile: "Floats") -> "Floats":
    """Times whose density grows exponentially by `growth` a year: the inverse of its distribution function."""
    slope = np.log1p(growth) / YEAR
    if abs(slope) < 1e-12:
        return quantile * days
    return np.log1p(quantile * np.expm1(slope * days)) / slope


def residual_deviations() -> Mapping[str, float]:
    """Standard deviation of every construct's own part, such that its variance is 1."""
    names = list(PATHS)
    covariance = np.eye(len(names))
    deviations = {}
    for row, name in enumerate(names):
        weights = np.array([PATHS[name].get(other, 0.0) for other in names])
        explained = weights @ covariance @ weights
        covariance[row, :row] = covariance[:row, row] = (covariance @ weights)[:row]
        deviations[name] = float(np.sqrt(1 - explained))
    return deviations


def draw_attitudes(rng: np.random.Generator, n: int) -> Mapping[str, "Floats"]:
    """Draw the constructs of the structural model for `n` customers."""
    drawn: dict[str, Floats] = {}
    for name, deviation in residual_deviations().items():
        known = sum((weight * drawn[other] for other, weight in PATHS[name].items()), np.zeros(n))
        drawn[name] = known + deviation * rng.standard_normal(n)
    return drawn


def customers_table(block: "Block") -> Columns:
    """What the firm knows of its customers."""
    drawn, people = block.people, block.scenario.people
    household = people.kind == "household"
    blank = np.full(block.n, -1)
    size = drawn.size.astype("float64")
    return {
        "customer_id": block.ids,
        "acquired_on": dates(drawn.acquired),
        "acquisition_channel": category(drawn.channel, list(people.channels)),
        "acquisition_cost": drawn.cost,
        "region": category(drawn.region, people.regions),
        "birth_year": drawn.birth_year.astype("float64") if household else np.full(block.n, np.nan),
        "household_size": size if household else np.full(block.n, np.nan),
        "income": category(drawn.income if household else blank, INCOMES),
        "industry": category(blank if household else drawn.industry, INDUSTRIES),
        "employees": np.full(block.n, np.nan) if household else size,
    }


def true_customers_table(block: "Block") -> Columns:
    """What no firm knows of its customers: needs, attitudes, rates."""
    drawn = block.people
    return {
        "customer_id": block.ids,
        "need": category(drawn.need, list(block.scenario.people.needs)),
        "dislikes_contact": drawn.dislikes,
        **drawn.attitudes,
        **block.rates.columns(),
        "left_on": dates(np.where(block.history.left < block.days, block.history.left, np.inf)),
    }
