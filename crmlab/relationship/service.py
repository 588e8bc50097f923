"""Waiting at a service desk: Erlang C and Erlang A.

Both models take calls that arrive by a Poisson process at a constant rate, handling times that are exponential, and
agents who take the longest waiting call first. In Erlang C (M/M/n) a caller waits for ever, so that a desk with more
load than agents has no steady state. In Erlang A (M/M/n+M, after Palm) a caller hangs up after an exponential time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.errors import ContractError

if TYPE_CHECKING:
    Array = npt.NDArray[Any]

_MOST_STATES = 5_000_000  # longer chains do not fit in memory


@dataclass(frozen=True, eq=False)
class Waiting:
    """The steady state of a desk; every number is a float, or an array of the shape of the arguments together.

    Attributes
    ----------
    model : {"Erlang C", "Erlang A"}
        Whether callers are patient for ever, or hang up.
    calls_per_hour, agents, within_seconds : float or array
        The arguments, brought to one shape.
    waits : float or array
        Chance that a call has to wait.
    service_level : float or array
        Share of all calls that are answered within `within_seconds`; who hangs up before was not answered.
    abandons : float or array
        Share of all calls in which the caller hangs up; 0 in Erlang C.
    mean_wait_seconds : float or array
        Mean wait of all calls, those that end by hanging up included.
    answered_wait_seconds : float or array
        Mean wait of the answered calls (average speed of answer).
    occupancy : float or array
        Share of their time that agents are talking.
    """

    model: Literal["Erlang C", "Erlang A"]
    calls_per_hour: Any
    agents: Any
    within_seconds: Any
    waits: Any
    service_level: Any
    abandons: Any
    mean_wait_seconds: Any
    answered_wait_seconds: Any
    occupancy: Any

    @property
    def definitions(self) -> dict[str, str]:
        """What each column of `to_frame` means."""
        return {
            "waits": "chance that a call has to wait",
            "service_level": "share of all calls answered within `within_seconds`",
            "abandons": "share of all calls in which the caller hangs up",
            "mean_wait_seconds": "mean wait of all calls",
            "answered_wait_seconds": "mean wait of the answered calls",
            "occupancy": "share of their time that agents are talking",
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per case: the arguments and everything in `definitions`."""
        names = ["calls_per_hour", "agents", "within_seconds", *self.definitions]
        return pd.DataFrame({name: np.ravel(getattr(self, name)) for name in names})

    def __repr__(self) -> str:
        frame = self.to_frame()
        lines = [f"  {name:<22} {meaning}" for name, meaning in self.definitions.items()]
        shown = frame.head(10).round(4).to_string(index=False)
        more = f"\n  ... and {len(frame) - 10} more cases" if len(frame) > 10 else ""
        return "\n".join([f"{self.model}, {len(frame)} case(s)", *lines, shown]) + more


def erlang_c(
    calls_per_hour: npt.ArrayLike,
    agents: npt.ArrayLike,
    *,
    handling_minutes: npt.ArrayLike,
    within_seconds: npt.ArrayLike = 20.0,
) -> Waiting:
    r"""Waiting where nobody hangs up (M/M/n).

    With load :math:`a = \lambda h` Erlang (calls in a mean handling time :math:`h`) and :math:`n` agents the chance to
    wait is :math:`C = 1 / (1 + (1 - a/n) \sum_{k<n} (a^k/k!) / (a^n/n!))`, the wait of those who wait is exponential
    with mean :math:`h / (n - a)`, and the service level is :math:`1 - C e^{-(n - a) t / h}`.

    Parameters
    ----------
    calls_per_hour : float or array_like
        Calls offered in an hour, above 0.
    agents : int or array_like of int
        Agents on the phone, 1 or more.
    handling_minutes : float or array_like
        Mean time that a call keeps an agent busy, after-call work included.
    within_seconds : float or array_like, default 20
        Wait within which an answer counts for the service level.

    Returns
    -------
    Waiting
        Arguments are broadcast together.

    Raises
    ------
    ContractError
        If an argument is empty, not finite, out of range or of another shape, or if a desk is overloaded.

    References
    ----------
    Erlang, A. K. (1917). Solution of some problems in the theory of probabilities of significance in automatic
    telephone exchanges. *Elektroteknikeren* 13, 5-13.
    Gans, N., Koole, G. & Mandelbaum, A. (2003). Telephone call centers: tutorial, review, and research prospects.
    *Manufacturing & Service Operations Management* 5(2), 79-141, section 4.1.

    Examples
    --------
    >>> desk = erlang_c(30, 1, handling_minutes=1)  # M/M/1 at half load: half of the callers wait, 2 h - h = 1 minute
    >>> round(desk.waits, 3), round(desk.mean_wait_seconds, 1)
    (0.5, 60.0)
    """
    calls, n, handling, within = arguments(
        calls_per_hour=calls_per_hour, agents=agents, handling_minutes=handling_minutes, within_seconds=within_seconds
    )
    load = calls * handling / 60
    over = np.flatnonzero(load >= n)
    if len(over):
        first = ", ".join(f"{load.flat[i]:.3g} Erlang for {n.flat[i]:.0f} agents" for i in over[:3])
        raise ContractError(
            f"Erlang C has no steady state where the load reaches the agents: {len(over)} of {load.size} cases "
            f"(first: {first}). If nobody hung up, the queue would grow for ever: add agents, or use erlang_a"
        )
    waits = each(_chance_to_wait, load, n)
    seconds = 60 * handling
    prompt = 1 - waits * np.exp(-(n - load) * within / seconds)
    wait = waits / (n - load) * seconds
    return _waiting("Erlang C", calls, n, within, waits, prompt, np.zeros(load.shape), wait, wait, load / n)


def erlang_a(
    calls_per_hour: npt.ArrayLike,
    agents: npt.ArrayLike,
    *,
    handling_minutes: npt.ArrayLike,
    patience_minutes: npt.ArrayLike,
    within_seconds: npt.ArrayLike = 20.0,
) -> Waiting:
    r"""Waiting where callers hang up (M/M/n+M); an overloaded desk has a steady state, too.

    Calls in the system are a birth-death chain with births :math:`\lambda` and deaths
    :math:`\min(k, n)\mu + (k - n)^+\theta`. A caller who finds :math:`j` others waiting needs :math:`j + 1` steps at
    rates :math:`n\mu + i\theta`, so that :math:`e^{-\theta V}` of the offered wait :math:`V` is
    Beta(:math:`n\mu/\theta,\ j + 1`) and is the chance that patience outlasts it. Sums over the states give every
    number; they are taken in logs, so that hundreds of agents are no difficulty.

    Parameters
    ----------
    calls_per_hour, agents, handling_minutes, within_seconds
        As in `erlang_c`.
    patience_minutes : float or array_like
        Mean time after which a caller who is still waiting hangs up; see `mean_patience`.

    Returns
    -------
    Waiting
        Arguments are broadcast together.

    Raises
    ------
    ContractError
        If an argument is empty, not finite, out of range or of another shape.

    References
    ----------
    Palm, C. (1957). Research on telephone traffic carried by full availability groups. *Tele* 1, 1-107.
    Garnett, O., Mandelbaum, A. & Reiman, M. (2002). Designing a call center with impatient customers. *Manufacturing &
    Service Operations Management* 4(3), 208-227.

    Examples
    --------
    >>> desk = erlang_a(2880, 50, handling_minutes=1, patience_minutes=2)  # 48 calls a minute for 50 agents
    >>> round(desk.abandons, 3), round(desk.mean_wait_seconds, 1)
    (0.031, 3.7)
    """
    calls, n, handling, within, patience = arguments(
        calls_per_hour=calls_per_hour,
        agents=agents,
        handling_minutes=handling_minutes,
        within_seconds=within_seconds,
        patience_minutes=patience_minutes,
    )
    found = each(_palm, calls * handling / 60, n, handling / patience, within / 60 / handling)
    waits, prompt, abandons, wait, answered = np.moveaxis(found, -1, 0)
    seconds = 60 * handling
    occupancy = calls * handling / 60 * (1 - abandons) / n
    return _waiting(
        "Erlang A", calls, n, within, waits, prompt, abandons, wait * seconds, answered * seconds, occupancy
    )


def arguments(**given: Any) -> "list[Array]":
    """The arguments of a queue as float arrays of one shape; all problems are told at once."""
    try:
        values = {name: np.asarray(value, dtype=float) for name, value in given.items()}
    except (TypeError, ValueError) as error:
        raise ContractError(f"waiting needs numbers, got something else: {error}") from None
    kinds = {"agents": "a whole number of 1 or more", "within_seconds": "0 or more"}
    problems = []
    for name, value in values.items():
        good = np.isfinite(value) & ((value > 0) | ((name == "within_seconds") & (value == 0)))
        if name == "agents":
            good &= value % 1 == 0
        if value.size == 0:
            problems.append(f"{name} is empty")
        elif not good.all():
            problems.append(f"{name} must be {kinds.get(name, 'above 0')} and finite; got {value[~good].flat[0]:g}")
    if not problems:
        try:
            return list(np.broadcast_arrays(*values.values()))
        except ValueError:
            problems = [f"{name} has shape {value.shape}" for name, value in values.items()]
    raise ContractError("waiting cannot be computed from these arguments", problems)


def each(kernel: Callable[..., Any], *arguments: "Array") -> "Array":
    """The kernel of every case, in the shape of the cases."""
    found = np.array([kernel(*case) for case in zip(*(one.ravel().tolist() for one in arguments), strict=True)])
    return found.reshape(arguments[0].shape + found.shape[1:])


def _chance_to_wait(load: float, agents: float) -> float:
    from scipy.special import gammaln, logsumexp

    k = np.arange(int(agents) + 1)
    log = k * np.log(load) - gammaln(k + 1)
    below = logsumexp(log[:-1] - log[-1])
    return float(1 / (1 + (1 - load / agents) * np.exp(min(below, 700.0))))


def _palm(load: float, agents: float, impatience: float, within: float) -> tuple[float, float, float, float, float]:
    """Chance to wait, answered within, abandoned, mean waits of all and of the answered, in mean handling times."""
    from scipy.special import betainc

    n, servers, queue = int(agents), agents / impatience, load / impatience
    longest = 12 * np.sqrt(queue) + 50
    if load < agents:
        longest = min(longest, 45 / np.log(agents / load) + 50)
    most = int(n + max(queue - servers, 0) + longest)
    if most > _MOST_STATES:
        raise ContractError(
            f"{load:.3g} Erlang, {n} agents and a patience of {1 / impatience:.3g} handling times make a queue of "
            f"{most:,} calls: check the units (calls an hour, minutes)"
        )
    k = np.arange(1, most + 1)
    log = np.concatenate([[0.0], np.cumsum(np.log(load / (np.minimum(k, n) + np.maximum(k - n, 0) * impatience)))])
    state = np.exp(log - log.max())
    busy = state[n:] / state.sum()
    ahead = np.arange(len(busy))
    served = busy * servers / (servers + ahead + 1)
    prompt = 1 - busy.sum() + (served * betainc(ahead + 1, servers + 1, -np.expm1(-impatience * within))).sum()
    wait = (ahead * busy).sum() / load  # Little's law
    answered = (served * np.cumsum(1 / (n + impatience * (ahead + 1)))).sum()
    lost = impatience * wait
    return float(busy.sum()), max(float(prompt), 0.0), float(lost), float(wait), float(answered / (1 - lost))


def plain(value: "Array") -> Any:
    return value.item() if value.ndim == 0 else value


def _waiting(model: Literal["Erlang C", "Erlang A"], *numbers: "Array") -> Waiting:
    return Waiting(model, *(plain(np.asarray(one)) for one in numbers))
