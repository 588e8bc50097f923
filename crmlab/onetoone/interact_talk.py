"""A conversation that goes on where it stopped, by whatever channel, and ends where the customer ends it."""

import datetime as dt
import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from crmlab.contracts import as_day
from crmlab.errors import ContractError
from crmlab.onetoone.interact_plan import check_consents, check_same_ids, eligible

Said = Literal["asked", "answered", "stopped"]


@dataclass(frozen=True)
class Question:
    """Something to learn from a customer.

    Attributes
    ----------
    name : str
        What is learnt.
    text : str
        The words.
    choices : tuple of str
        Possible answers.
    """

    name: str
    text: str
    choices: tuple[str, ...]

    def __post_init__(self) -> None:
        if isinstance(self.choices, str) or not self.name or not 2 <= len(self.choices) == len(set(self.choices)):
            raise ContractError(f"question {self.name!r} needs a name and two or more different choices")


@dataclass(frozen=True)
class Turn:
    """One thing said: on which day, by which channel, about which question, with what answer."""

    on: str
    channel: str
    said: Said
    question: str = ""
    answer: str = ""


@dataclass(frozen=True)
class Conversation:
    """What one customer was asked and answered so far; every step gives a new one.

    Attributes
    ----------
    customer_id : int or str
        With whom.
    questions : tuple of Question
        What is to be learnt, in this order.
    turns : tuple of Turn
        What was said, oldest first.

    Examples
    --------
    >>> consents = pd.DataFrame(
    ...     {"customer_id": 7, "channel": ["email", "app"], "given_on": "2024-01-01", "withdrawn_on": None}
    ... )
    >>> diet = Question("diet", "Do you eat meat?", ("yes", "no"))
    >>> talk = Conversation(7, (diet,)).ask("email", "2024-02-01", consents)
    >>> talk.waiting.text
    'Do you eat meat?'
    >>> later = Conversation.from_json(talk.to_json())
    >>> later.answer("no", "app", "2024-02-03").answers
    {'diet': 'no'}
    """

    customer_id: int | str
    questions: tuple[Question, ...]
    turns: tuple[Turn, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.customer_id, int | str | np.integer):
            raise ContractError(f"a customer_id is a whole number or text, got {self.customer_id!r}")
        choices = {one.name: one.choices for one in self.questions}
        if len(choices) < len(self.questions):
            raise ContractError(f"two questions have one name among {', '.join(one.name for one in self.questions)}")
        days = [_day(turn.on) for turn in self.turns]
        if days != sorted(days) or any(turn.on != day for turn, day in zip(self.turns, days, strict=True)):
            raise ContractError("turns are in the order of their days, written as 'YYYY-MM-DD'")
        for turn in self.turns:
            if turn.said not in get_args(Said) or (turn.said != "stopped" and turn.question not in choices):
                raise ContractError(f"the turn of {turn.on} is not about one of the questions")
            if turn.said == "answered" and turn.answer not in choices[turn.question]:
                raise ContractError(f"{turn.answer!r} is no answer to {turn.question!r}")

    @property
    def answers(self) -> dict[str, str]:
        """Question to its latest answer."""
        return {turn.question: turn.answer for turn in self.turns if turn.said == "answered"}

    @property
    def stopped(self) -> dict[str, str]:
        """Channel to the last day on which the customer asked not to be contacted there."""
        return {turn.channel: turn.on for turn in self.turns if turn.said == "stopped"}

    @property
    def waiting(self) -> Question | None:
        """The question that was asked and is not answered yet: where the conversation stopped."""
        said = [turn for turn in self.turns if turn.said != "stopped"]
        return self._question(said[-1].question) if said and said[-1].said == "asked" else None

    @property
    def next(self) -> Question | None:
        """What to ask now: the question that waits, else the first without an answer, else nothing."""
        return self.waiting or next((one for one in self.questions if one.name not in self.answers), None)

    def ask(self, channel: str, on: Any, consents: pd.DataFrame, *, purpose: str | None = None) -> "Conversation":
        """Put the next question, if the customer may be asked by this channel on this day.

        Raises
        ------
        ContractError
            If there is no consent in force, the customer said stop on this channel, or all questions are answered.
        """
        day = self._now(on)
        question = self.next
        if question is None:
            raise ContractError(f"customer {self.customer_id} has answered every question")
        current = self.withdraw_from(consents)
        if not eligible([self.customer_id], current, channel=channel, on=day, purpose=purpose).item():
            raise ContractError(
                f"customer {self.customer_id} may not be asked by {channel} on {day}: no consent in force"
            )
        return self._and(Turn(day, channel, "asked", question.name))

    def answer(self, choice: str, channel: str, on: Any) -> "Conversation":
        """Note the answer to the question that waits; it may come by another channel than the question."""
        day, question = self._now(on), self.waiting
        if question is None:
            raise ContractError(f"no question to customer {self.customer_id} waits for an answer")
        if choice not in question.choices:
            raise ContractError(f"{choice!r} is no answer to {question.name!r}; it has {', '.join(question.choices)}")
        return self._and(Turn(day, channel, "answered", question.name, choice))

    def stop(self, channel: str, on: Any) -> "Conversation":
        """Note that the customer wants no more contact by this channel; see `withdraw_from`."""
        return self._and(Turn(self._now(on), channel, "stopped"))

    def withdraw_from(self, consents: pd.DataFrame) -> pd.DataFrame:
        """The consents after what was said: a stop ends every consent to that channel, for every purpose.

        Parameters
        ----------
        consents : pandas.DataFrame
            As for `eligible`. It is not changed.

        Returns
        -------
        pandas.DataFrame
            The same rows; ``withdrawn_on`` is the day of the stop where a consent given by then had no earlier end.
        """
        table = check_consents(consents)
        check_same_ids(pd.Series([self.customer_id]), table, "the consents")
        for turn in self.turns:
            if turn.said == "stopped":
                day = pd.Timestamp(turn.on)
                hit = (table["customer_id"] == self.customer_id) & (table["channel"] == turn.channel)
                hit &= (table["given_on"] <= day) & ~(table["withdrawn_on"] <= day)
                table["withdrawn_on"] = table["withdrawn_on"].where(~hit, day)
        return table

    def to_json(self) -> str:
        """The conversation as one line of JSON, to be kept in a file or a column until the customer comes back."""
        return json.dumps(asdict(self), ensure_ascii=False, default=int)

    @classmethod
    def from_json(cls, text: str) -> "Conversation":
        """Go on from a text that `to_json` wrote.

        Raises
        ------
        ContractError
            If it is none.
        """
        try:
            told = json.loads(text)
            questions = tuple(Question(one["name"], one["text"], tuple(one["choices"])) for one in told["questions"])
            return cls(told["customer_id"], questions, tuple(Turn(**one) for one in told["turns"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ContractError(f"this text is no conversation: {error!r}") from None

    def _now(self, on: Any) -> str:
        day = as_day(on, "on").isoformat()
        if self.turns and day < self.turns[-1].on:
            raise ContractError(f"the conversation is already at {self.turns[-1].on}; {day} is before that")
        return day

    def _and(self, turn: Turn) -> "Conversation":
        return replace(self, turns=(*self.turns, turn))

    def _question(self, name: str) -> Question:
        return next(one for one in self.questions if one.name == name)


def _day(text: str) -> str:
    """The day written in full, or nothing."""
    try:
        return dt.date.fromisoformat(text).isoformat()
    except (TypeError, ValueError):
        return ""
