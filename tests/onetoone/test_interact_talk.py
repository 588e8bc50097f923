"""Conversations: where they stop, where they go on, and that a stop is a stop."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmlab.errors import ContractError
from crmlab.onetoone import Conversation, Question, contact_plan, eligible
from crmlab.onetoone.interact_talk import Turn

DIET = Question("diet", "Do you eat meat?", ("yes", "no"))
COOK = Question("cooking", "How often do you cook?", ("daily", "at weekends", "never"))


def consents(*channels: str, customer=7) -> pd.DataFrame:
    return pd.DataFrame(
        {"customer_id": customer, "channel": channels, "given_on": "2024-01-01", "withdrawn_on": pd.NaT}
    )


def test_it_goes_on_where_it_stopped_on_another_channel():
    agreed = consents("email", "mail", "app")
    talk = Conversation(7, (DIET, COOK)).ask("email", "2024-02-01", agreed)
    later = Conversation.from_json(talk.to_json())
    assert later == talk
    assert later.waiting == DIET
    assert later.next == DIET
    talk = later.answer("no", "app", "2024-02-03")
    assert talk.answers == {"diet": "no"}
    assert talk.waiting is None
    assert talk.next == COOK
    talk = talk.ask("app", "2024-02-03", agreed).answer("daily", "app", "2024-02-03")
    assert talk.next is None
    assert [turn.channel for turn in talk.turns] == ["email", "app", "app", "app"]
    with pytest.raises(ContractError, match="answered every question"):
        talk.ask("app", "2024-02-04", agreed)


def test_steps_do_not_change_what_was():
    first = Conversation(7, (DIET,))
    second = first.ask("email", "2024-02-01", consents("email"))
    assert first.turns == ()
    assert len(second.turns) == 1


def test_a_stop_ends_asking_there_and_reaches_the_consents():
    agreed = consents("email", "mail")
    talk = Conversation(7, (DIET,)).ask("email", "2024-02-01", agreed).stop("email", "2024-02-02")
    assert talk.stopped == {"email": "2024-02-02"}
    assert talk.waiting == DIET
    with pytest.raises(ContractError, match="may not be asked by email on 2024-02-02"):
        talk.ask("email", "2024-02-02", agreed)  # although the firm's table does not know it yet
    assert talk.ask("mail", "2024-02-05", agreed).waiting == DIET
    known = talk.withdraw_from(agreed)
    assert not eligible([7], known, channel="email", on="2024-02-02").item()
    assert eligible([7], known, channel="email", on="2024-02-01").item()
    assert eligible([7], known, channel="mail", on="2024-02-02").item()
    assert agreed["withdrawn_on"].isna().all()
    offers = pd.DataFrame({"customer_id": [7], "channel": ["email"], "value": [9.0], "cost": [0.1]})
    assert contact_plan(offers, known, on="2024-02-02", budget=1).table.empty


def test_a_stop_covers_every_purpose_and_an_earlier_end_stays():
    table = pd.concat([consents("email").assign(purpose=one) for one in ("marketing", "service")])
    table["withdrawn_on"] = table["withdrawn_on"].where(table["purpose"] == "service", pd.Timestamp("2024-01-15"))
    known = Conversation(7, (DIET,)).stop("email", "2024-02-02").withdraw_from(table)
    assert known["withdrawn_on"].dt.strftime("%Y-%m-%d").tolist() == ["2024-01-15", "2024-02-02"]


def test_a_consent_given_after_the_stop_holds():
    talk = Conversation(7, (DIET,)).stop("email", "2024-02-02")
    again = pd.concat([consents("email"), consents("email").assign(given_on="2024-03-01")])
    assert talk.ask("email", "2024-03-02", again).waiting == DIET
    with pytest.raises(ContractError, match="no consent in force"):
        talk.ask("email", "2024-02-20", again)


def test_no_consent_no_question():
    with pytest.raises(ContractError, match="customer 7 may not be asked by app"):
        Conversation(7, (DIET,)).ask("app", "2024-02-01", consents("email"))
    with pytest.raises(ContractError, match="name the purpose"):
        Conversation(7, (DIET,)).ask("email", "2024-02-01", consents("email").assign(purpose="service"))
    asked = Conversation(7, (DIET,)).ask(
        "email", "2024-02-01", consents("email").assign(purpose="service"), purpose="service"
    )
    assert asked.waiting == DIET


@given(st.lists(st.sampled_from(["ask email", "ask mail", "answer", "stop email", "stop mail"]), max_size=12))
@settings(max_examples=60, deadline=None)
def test_after_a_stop_nothing_is_asked_there(steps):
    talk, agreed = Conversation(7, (DIET, COOK)), consents("email", "mail")
    stopped: set[str] = set()
    for day, step in enumerate(steps, start=1):
        verb, _, channel = step.partition(" ")
        on = pd.Timestamp("2024-02-01") + pd.Timedelta(days=day)
        if verb == "stop":
            talk, stopped = talk.stop(channel, on), stopped | {channel}
        elif verb == "ask" and talk.next is not None:
            if channel in stopped:
                with pytest.raises(ContractError):
                    talk.ask(channel, on, agreed)
            else:
                talk = talk.ask(channel, on, agreed)
        elif verb == "answer" and talk.waiting is not None:
            talk = talk.answer(talk.waiting.choices[0], "email", on)
    for turn in talk.turns:
        if turn.said == "asked":
            assert turn.on < talk.stopped.get(turn.channel, "9")
    assert set(talk.answers) <= {"diet", "cooking"}


def test_a_stop_leaves_other_customers_and_later_days_alone():
    both = pd.concat(
        [consents("email"), consents("email", customer=8), consents("email").assign(given_on="2024-03-01")]
    )
    known = Conversation(7, (DIET,)).stop("email", "2024-02-02").withdraw_from(both)
    assert known["withdrawn_on"].isna().tolist() == [False, True, True]
    ending = consents("email").assign(withdrawn_on="2024-06-30")  # an end to come is brought forward
    known = Conversation(7, (DIET,)).stop("email", "2024-02-02").withdraw_from(ending)
    assert known["withdrawn_on"].tolist() == [pd.Timestamp("2024-02-02")]


def test_a_later_answer_replaces_an_earlier_one():
    first = Conversation(7, (DIET,)).ask("email", "2024-02-01", consents("email")).answer("no", "email", "2024-02-01")
    again = (Turn("2024-03-01", "app", "asked", "diet"), Turn("2024-03-01", "app", "answered", "diet", "yes"))
    assert Conversation(7, (DIET,), first.turns + again).answers == {"diet": "yes"}


def test_refusals():
    agreed = consents("email")
    talk = Conversation(7, (DIET,)).ask("email", "2024-02-01", agreed)
    with pytest.raises(ContractError, match="'maybe' is no answer to 'diet'; it has yes, no"):
        talk.answer("maybe", "email", "2024-02-02")
    with pytest.raises(ContractError, match="already at 2024-02-01"):
        talk.answer("no", "email", "2024-01-31")
    with pytest.raises(ContractError, match="no question to customer 7 waits"):
        Conversation(7, (DIET,)).answer("no", "email", "2024-02-01")
    refused: list[Any] = [("yes", "yes"), ("yes",), "yn"]
    for choices in refused:
        with pytest.raises(ContractError, match="two or more different choices"):
            Question("diet", "Do you eat meat?", choices)
    with pytest.raises(ContractError, match="nobody would match"):
        talk.stop("email", "2024-02-03").withdraw_from(agreed.assign(customer_id="7"))
    with pytest.raises(ContractError, match="two questions have one name among diet, diet"):
        Conversation(7, (DIET, DIET))
    with pytest.raises(ContractError, match="a whole number or text, got None"):
        Conversation(None, (DIET,))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["Fünf?", "你多久做一次饭？", "one\u2028two\nthree", '"'])
def test_any_text_and_numpy_ids_come_back(text):
    number: Any = np.int64(3)
    talk = Conversation(number, (Question("q", text, ("yes", "no")),)).stop("email", "2024-02-01")
    assert Conversation.from_json(talk.to_json()) == talk
    assert "\n" not in talk.to_json()


GOOD = {"on": "2024-02-01", "channel": "email", "said": "asked", "question": "diet"}


@pytest.mark.parametrize(
    ("turns", "match"),
    [
        ([GOOD | {"question": "age"}], "turn of 2024-02-01 is not about one of the questions"),
        ([GOOD | {"said": "shouted"}], "not about one of the questions"),
        ([GOOD | {"on": "20240201"}], "in the order of their days, written as 'YYYY-MM-DD'"),
        ([GOOD | {"on": 3}], "in the order of their days"),
        ([GOOD, GOOD | {"on": "2024-01-31"}], "in the order of their days"),
        ([GOOD, GOOD | {"said": "answered", "answer": "maybe"}], "'maybe' is no answer to 'diet'"),
        ([GOOD | {"mood": "good"}], "no conversation: .*mood"),
    ],
)
def test_damaged_texts_are_refused(turns, match):
    good = Conversation(7, (DIET,)).to_json()
    with pytest.raises(ContractError, match=match):
        Conversation.from_json(json.dumps(json.loads(good) | {"turns": turns}))


@pytest.mark.parametrize("text", ["", "{}", "[1]", "7", '{"customer_id": [1], "questions": [], "turns": []}'])
def test_texts_of_something_else_are_refused(text):
    with pytest.raises(ContractError, match=r"conversation|customer_id"):
        Conversation.from_json(text)
