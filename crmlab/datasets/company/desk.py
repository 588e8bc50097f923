"""The service desk: calls that wait by the law of Erlang A, e-mails that wait in a backlog, and the tickets of both.

References
----------
Palm, C. (1957). Research on telephone traffic carried by full availability groups. *Tele* 1, 1-107.
Garnett, O., Mandelbaum, A. & Reiman, M. (2002). Designing a call center with impatient customers. *Manufacturing &
Service Operations Management* 4(3), 208-227.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.special import betainc

from crmlab.datasets.company.base import (
    START,
    YEAR,
    Columns,
    NotNegative,
    Number,
    Positive,
    Share,
    category,
    choose,
    counts,
    rank,
    stamps,
)

if TYPE_CHECKING:
    from crmlab.datasets.company.base import Bools, Floats, Ints
    from crmlab.datasets.company.firm import Block, Firm


Minutes = Annotated[float, Field(ge=0.01, le=60)]


@dataclass(frozen=True)
class Desk:
    """A desk that works for many firms, so that its load does not depend on this one; open from 8:00 to 22:00.

    Calls of all firms come by a Poisson process; service and patience are exponential, and every half-hour of the week
    is in its own stationary state (M/M/c+M). E-mails come by a Poisson process too and are answered in their order,
    `mail_capacity` in each half-hour from Monday to Friday. Complaints are made in writing.

    Attributes
    ----------
    calls, mails : float
        Mean calls and e-mails of all firms in a half-hour whose factors are 1.
    weekdays, hours : tuple of float
        Factors on both by weekday from Monday and by hour from 8:00.
    handling, patience, chat_wait : float
        Means in minutes: of handling, of the time after which a waiting caller hangs up, of waiting in a chat.
    shift : int
        Half-hours for which the roster is made; agents are the mean load of the shift + `safety` × its square root.
    questions : float
        Questions a customer asks in a year, by the same curve over the week.
    channels : mapping of str to float
        Channel to its share of the questions.
    compensation : float
        Share of the order's amount that is paid when a complaint is made good.
    """

    calls: Positive
    mails: Positive
    weekdays: Annotated[tuple[Positive, ...], Field(min_length=7, max_length=7)]
    hours: Annotated[tuple[Positive, ...], Field(min_length=14, max_length=14)]
    handling: Minutes
    patience: Minutes
    chat_wait: Minutes
    shift: Literal[1, 2, 4, 7, 14, 28]
    safety: Number
    mail_capacity: Positive
    questions: NotNegative
    channels: Mapping[Literal["phone", "email", "chat"], Share]
    compensation: Share

    def peak(self) -> float:
        """Calls that are served or wait at once in the busiest half-hour, were there an agent for each."""
        return self.calls * max(self.weekdays) * max(self.hours) / 30 * (self.handling + self.patience)


DAY, WEEKDAYS = 28, ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HALF_HOURS = tuple(f"{hour:02d}:{minute:02d}" for hour in range(8, 22) for minute in (0, 30))
CHANNELS: tuple[Literal["phone", "email", "chat"], ...] = ("phone", "email", "chat")
KEPT_WEEKS, PROMPT, MOST_TICKETS = 8, 20 / 60, 10_000


@dataclass(frozen=True)
class ErlangA:
    """The exact stationary law of each half-hour of the week; rates are per minute.

    Attributes
    ----------
    arrival, agents : array, shape (196,)
        Rate of calls, and agents.
    service, abandonment : float
        One over the means of handling and of patience.
    states : array, shape (196, most + 1)
        Probability of each number of calls in the system, from the birth-death chain.
    waits, abandons, prompt : array, shape (196,)
        Chance that a call has to wait, that it is abandoned, and that it is answered within 20 seconds.
    """

    arrival: "Floats"
    agents: "Ints"
    service: float
    abandonment: float
    states: "Floats"
    waits: "Floats"
    abandons: "Floats"
    prompt: "Floats"


def load_curve(desk: Desk) -> "Floats":
    """Factor on the load in each half-hour of the week, from Monday 8:00."""
    return np.outer(desk.weekdays, np.repeat(desk.hours, 2)).ravel()


def roster(desk: Desk) -> "Ints":
    """Agents in each half-hour of the week."""
    load = desk.calls * load_curve(desk) / 30 * desk.handling
    mean = np.repeat(load.reshape(-1, desk.shift).mean(axis=1), desk.shift)
    return np.maximum(np.ceil(mean + desk.safety * np.sqrt(mean)), 1).astype("int64")


def erlang_a(desk: Desk) -> ErlangA:
    """Solve the birth-death chain of every half-hour; a queue is never longer than that of infinitely many servers."""
    arrival, agents = desk.calls * load_curve(desk) / 30, roster(desk)
    service, abandonment = 1 / desk.handling, 1 / desk.patience
    longest = arrival.max() / abandonment
    most = int(agents.max() + longest + 12 * np.sqrt(longest) + 20)
    number = np.arange(1, most + 1)
    queue = np.maximum(number - agents[:, None], 0)
    death = np.minimum(number, agents[:, None]) * service + queue * abandonment
    log = np.concatenate([np.zeros((len(arrival), 1)), np.cumsum(np.log(arrival[:, None] / death), axis=1)], axis=1)
    states = np.exp(log - log.max(axis=1, keepdims=True))
    states /= states.sum(axis=1, keepdims=True)
    busy = np.arange(most + 1) >= agents[:, None]
    ahead, patience = np.where(busy, np.arange(most + 1) - agents[:, None] + 1, 1), agents * service / abandonment
    soon = betainc(ahead, patience[:, None] + 1, -np.expm1(-abandonment * PROMPT))
    served_soon = patience[:, None] / (patience[:, None] + ahead) * soon
    return ErlangA(
        arrival=arrival,
        agents=agents,
        service=service,
        abandonment=abandonment,
        states=states,
        waits=(states * busy).sum(axis=1),
        abandons=(states[:, 1:] * queue).sum(axis=1) * abandonment / arrival,
        prompt=(states * np.where(busy, served_soon, 1.0)).sum(axis=1),
    )


def draw_waits(law: ErlangA, half_hour: "Ints", rng: np.random.Generator) -> "tuple[Floats, Bools]":
    """Draw minutes of waiting for calls in these half-hours of the week, and whether the caller hangs up.

    With k calls to go before one's own, an endless wait would be a sum of k exponentials of rates c mu + j theta,
    j < k, which is -log(B) / theta with B ~ Beta(c mu / theta, k).
    """
    calls, size = len(half_hour), law.states.shape[1]
    edges = np.cumsum(law.states, axis=1) + np.arange(len(law.agents))[:, None]
    found = np.searchsorted(edges.ravel(), rng.random(calls) + half_hour, side="right") - half_hour * size
    ahead = np.clip(found, 0, size - 1) - law.agents[half_hour] + 1
    shape = law.agents[half_hour] * law.service / law.abandonment
    endless = -np.log(rng.beta(shape, np.maximum(ahead, 1))) / law.abandonment
    patience = rng.exponential(1 / law.abandonment, calls)
    waits = ahead > 0
    return np.where(waits, np.minimum(endless, patience), 0.0), waits & (patience < endless)


@dataclass(frozen=True)
class Mails:
    """E-mails of all firms in each half-hour since the opening, those unanswered at its end, and answers so far."""

    arrived: "Ints"
    backlog: "Floats"
    capacity: "Floats"


def draw_mails(firm: "Firm") -> Mails:
    """Draw the e-mails of all firms, four weeks longer than the simulation."""
    desk = firm.scenario.desk
    assert desk is not None
    week = week_of(np.arange((firm.days + 28) * DAY))
    arrived = firm.rng("desk mails").poisson(desk.mails * load_curve(desk)[week])
    capacity = np.where(week < 5 * DAY, desk.mail_capacity, 0.0)
    net: Floats = np.cumsum(arrived - capacity)
    return Mails(arrived, net - np.minimum(np.minimum.accumulate(net), 0.0), np.cumsum(capacity))


def week_of(half_hour: "Ints") -> "Ints":
    """The half-hour of the week, from Monday 8:00, by half-hours since the opening."""
    return (half_hour + START.weekday() * DAY) % (7 * DAY)


def _questions(block: "Block", desk: Desk) -> "tuple[Ints, Floats]":
    """Who asks, and when: a Poisson process that follows the load curve, thinned from its peak."""
    rng, start = block.rng("questions"), block.people.acquired
    curve = load_curve(desk) / load_curve(desk).mean()
    span = np.minimum(block.history.left, block.days) - start
    customer = np.repeat(np.arange(block.n), counts(rng, desk.questions / YEAR * curve.max() * span, "desk.questions"))
    time = start[customer] + rng.random(len(customer)) * span[customer]
    keep = rng.random(len(time)) * curve.max() < curve[week_of((time * DAY).astype("int64"))]
    return customer[keep], time[keep]


def _answered(block: "Block", time: "Floats", channel: "Ints") -> "tuple[np.ndarray, Floats, Bools]":
    """When a ticket is answered, minutes of waiting, whether it was abandoned; NaT and NaN for one that is open."""
    desk, law, mails, rng = block.scenario.desk, block.firm.erlang, block.firm.mails, block.rng("waits")
    assert desk is not None
    step = (time * DAY).astype("int64")
    wait, hangs_up = draw_waits(law, week_of(step), rng)
    turn = np.searchsorted(mails.capacity, mails.capacity[step] + mails.backlog[step], side="right")
    reply = (turn + rng.random(len(time))) / DAY
    chat = rng.exponential(desk.chat_wait, len(time))
    mailed = (stamps(reply) - stamps(time)) / np.timedelta64(1, "m")
    mailed[reply >= block.days] = np.nan
    waited = np.round(np.select([channel == 0, channel == 1], [wait, mailed], chat), 2)
    abandoned = hangs_up & (channel == 0)
    silent = abandoned | np.isnan(waited)
    seconds = np.rint(np.where(silent, 0, waited) * 60).astype("timedelta64[s]")
    return np.where(silent, np.datetime64("NaT", "us"), stamps(time) + seconds), waited, abandoned


def tickets_table(block: "Block") -> Columns:
    """What customers asked and complained of, and what the desk did."""
    desk, complaints, history, rng = block.scenario.desk, block.complaints, block.history, block.rng("tickets")
    assert desk is not None
    said = np.flatnonzero(np.isfinite(complaints.at))
    asks, asked_at = _questions(block, desk)
    row = np.concatenate([complaints.row[said], np.full(len(asks), -1)])
    customer = np.concatenate([history.customer[complaints.row[said]], asks])
    time = np.concatenate([complaints.at[said], asked_at])
    repaired = np.concatenate([complaints.repaired[said], np.full(len(asks), np.nan)])
    order = np.lexsort((time, customer))
    row, customer, time, repaired = row[order], customer[order], time[order], repaired[order]
    complaint = row >= 0
    shares = np.array([desk.channels.get(name, 0.0) for name in CHANNELS])
    channel = choose(rng, np.where(complaint[:, None], shares * [0, 1, 1], shares))
    answered_at, waited, abandoned = _answered(block, time, channel)
    answered = ~np.isnat(answered_at)
    handling = np.where(answered, np.maximum(np.round(rng.exponential(desk.handling, len(time)), 2), 0.01), np.nan)
    done = answered_at + np.rint(np.nan_to_num(handling) * 60).astype("timedelta64[s]")
    recovered = answered & np.isfinite(repaired)
    good = np.where(recovered, np.fmax(done, stamps(repaired)), np.datetime64("NaT", "us"))
    paid = np.round(desk.compensation * block.lines.order_cents[row] / 100, 2) * recovered
    return {
        "ticket_id": block.ids[customer] * MOST_TICKETS + rank(customer),
        "customer_id": block.ids[customer],
        "order_id": np.where(complaint, history.order_id[row], np.nan),
        "kind": category(complaint.astype(int), ["question", "complaint"]),
        "channel": category(channel, CHANNELS),
        "created_at": stamps(time),
        "answered_at": answered_at,
        "waited_minutes": waited,
        "handling_minutes": handling,
        "resolved_at": np.where(complaint, good, done),
        "abandoned": abandoned,
        "recovered": recovered,
        "compensation": np.where(complaint, paid, np.nan),
    }


def desk_table(firm: "Firm") -> Columns:
    """The whole desk in each half-hour of the last eight weeks."""
    law, mails, rng = firm.erlang, firm.mails, firm.rng("desk calls")
    step = np.arange(max(firm.days - 7 * KEPT_WEEKS, 0) * DAY, firm.days * DAY)
    week = week_of(step)
    offered = rng.poisson(law.arrival[week] * 30)
    abandoned = rng.binomial(offered, law.abandons[week])
    prompt = rng.binomial(offered - abandoned, np.minimum(law.prompt / (1 - law.abandons), 1)[week])
    return {
        "start": stamps((step + 0.01) / DAY),
        "weekday": category(week // DAY, WEEKDAYS),
        "half_hour": category(week % DAY, HALF_HOURS),
        "agents": law.agents[week],
        "calls_offered": offered,
        "calls_abandoned": abandoned,
        "answered_within_20s": prompt,
        "mails_in": mails.arrived[step],
        "mail_backlog": np.rint(mails.backlog[step]).astype("int64"),
    }


def true_desk_table(firm: "Firm") -> Columns:
    """The law of each half-hour of the week; rates are per minute."""
    law, week = firm.erlang, np.arange(7 * DAY)
    return {
        "weekday": category(week // DAY, WEEKDAYS),
        "half_hour": category(week % DAY, HALF_HOURS),
        "arrival_rate": law.arrival,
        "service_rate": np.full(len(week), law.service),
        "abandonment_rate": np.full(len(week), law.abandonment),
        "agents": law.agents,
        "waits": law.waits,
        "abandons": law.abandons,
        "within_20s": law.prompt,
    }
