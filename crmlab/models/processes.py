"""The buying models as mathematics: one description that the same fit and the same predictions serve."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from crmlab.models import bgnbd, paretonbd
from crmlab.models.base import RowTerms


@dataclass(frozen=True)
class Process:
    """The mathematics of a buying model: functions of its parameters and of histories.

    Attributes
    ----------
    name : str
    parameters : tuple of str
        Names; those in `timed` grow with the unit of time.
    timed : tuple of str
    linked : mapping of {"buying", "dropout"} to tuple of (str, int)
        Parameters that covariates act on, and the sign with which they do.
    count_terms, time_terms : callable
        Terms of the log-likelihood, for `crmlab.models.base.Part`.
    chunk : int
        Rows of `time_terms` to evaluate at once.
    leaving, growth, discounted, probability, drawn : callable
        Log-odds of having left; expected and discounted purchases of a customer who has not; chance of a number of
        purchases of a new customer; simulated histories.
    starts : tuple of tuple of float
        Where to begin, as parameters for times with mean 1 and one purchase in the mean.
    """

    name: str
    parameters: tuple[str, ...]
    timed: tuple[str, ...]
    linked: dict[str, tuple[tuple[str, int], ...]]
    count_terms: RowTerms
    time_terms: RowTerms
    chunk: int
    leaving: Callable[..., Any]
    growth: Callable[..., Any]
    discounted: Callable[..., Any]
    probability: Callable[..., Any]
    drawn: Callable[..., Any]
    starts: tuple[tuple[float, ...], ...]


def _bg(name: str, at_once: int) -> Process:
    return Process(
        name=name,
        parameters=("r", "alpha", "a", "b"),
        timed=("alpha",),
        linked={"buying": (("alpha", -1),), "dropout": (("a", 1), ("b", 1))},
        count_terms=partial(bgnbd.count_terms, at_once=at_once),
        time_terms=partial(bgnbd.time_terms, at_once=at_once),
        chunk=8_192,
        leaving=partial(bgnbd.log_odds_of_leaving, at_once=at_once),
        growth=partial(bgnbd.growth, at_once=at_once),
        discounted=partial(bgnbd.discounted, at_once=at_once),
        probability=partial(bgnbd.purchase_probability, at_once=at_once),
        drawn=partial(bgnbd.drawn, at_once=at_once),
        starts=((0.5, 0.3, 1.0, 2.0), (2.0, 1.5, 0.3, 1.0), (0.1, 0.1, 0.5, 5.0)),
    )


PARETO = Process(
    name="Pareto/NBD",
    parameters=("r", "alpha", "s", "beta"),
    timed=("alpha", "beta"),
    linked={"buying": (("alpha", -1),), "dropout": (("beta", -1),)},
    count_terms=paretonbd.count_terms,
    time_terms=paretonbd.time_terms,
    chunk=2_048,
    leaving=paretonbd.log_odds_of_leaving,
    growth=paretonbd.growth,
    discounted=paretonbd.discounted,
    probability=paretonbd.purchase_probability,
    drawn=paretonbd.drawn,
    starts=((0.5, 0.3, 0.5, 0.5), (2.0, 1.5, 2.0, 3.0), (0.2, 0.2, 0.2, 0.1)),
)

BG, MBG = _bg("BG/NBD", 0), _bg("MBG/NBD", 1)
PROCESSES = {one.name: one for one in (BG, MBG, PARETO)}
