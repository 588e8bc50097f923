"""Bad arguments are refused with the name, the value and what to do; all wrong parameters at once."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from crmlab.datasets.company import scenario, scenario_names, simulate
from crmlab.datasets.company.scenarios import checked, parse
from crmlab.errors import ContractError, DataUnavailableError
from crmlab.resources import course_dir


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"n_customers": 0}, "n_customers must be a whole number from 1 to 1,000,000,000, got 0"),
        ({"n_customers": 10.5}, "n_customers must be a whole number from 1 to 1,000,000,000, got 10.5"),
        ({"n_customers": True}, "n_customers must be a whole number from 1 to 1,000,000,000, got True"),
        ({"seed": -1}, "seed must be a whole number from 0 to 9,223,372,036,854,775,807, got -1"),
        ({"seed": None}, "seed must be a whole number from 0 to 9,223,372,036,854,775,807, got None"),
        ({"years": 0}, "years must be a whole number from 1 to 20, got 0"),
        ({"years": 2.5}, "years must be a whole number from 1 to 20, got 2.5"),
        ({"scenario": 3}, "scenario must be a name, the path of a file or a Scenario, got 3"),
    ],
)
def test_arguments(told, words):
    with pytest.raises(ContractError) as refusal:
        simulate(**({"n_customers": 10, "seed": 1} | told))
    assert str(refusal.value) == words


def test_an_unknown_scenario_gets_a_suggestion():
    with pytest.raises(ContractError, match=r"no scenario 'grocr' \(did you mean 'grocer'\?\); choose one of grocer,"):
        simulate(10, seed=1, scenario="grocr")


def test_every_wrong_parameter_is_named():
    base: Any = scenario("grocer")
    wrong = dataclasses.replace(
        base,
        buying=dataclasses.replace(base.buying, r=-1.0),
        campaigns=dataclasses.replace(base.campaigns, treated=2.0),
    )
    with pytest.raises(ContractError) as refusal:
        simulate(10, seed=1, scenario=wrong)
    assert str(refusal.value) == (
        "scenario 'grocer' cannot be simulated\n"
        "  - buying.r: Input should be greater than 0; got -1.0\n"
        "  - campaigns.treated: Input should be less than or equal to 1; got 2.0"
    )


def test_a_scenario_of_your_own(tmp_path: Path):
    fields = yaml.safe_load((course_dir("datasets") / "company/scenarios/textbook.yml").read_text(encoding="utf-8"))
    own = tmp_path / "own.yml"
    own.write_text(yaml.safe_dump(fields | {"name": "own"}), encoding="utf-8")
    assert simulate(10, seed=1, scenario=own)["customers"].equals(
        simulate(10, seed=1, scenario="textbook")["customers"]
    )
    fields["buying"]["alhpa"] = fields["buying"].pop("alpha")
    own.write_text(yaml.safe_dump(fields), encoding="utf-8")
    with pytest.raises(ContractError, match=r"own\.yml cannot be simulated\n  - buying\.alpha: Field required"):
        simulate(10, seed=1, scenario=own)
    fields["buying"]["alpha"] = 2.0
    own.write_text(yaml.safe_dump(fields), encoding="utf-8")
    with pytest.raises(ContractError, match=r"nothing reads\n  - buying\.alhpa \(did you mean 'alpha'\?\)"):
        simulate(10, seed=1, scenario=str(own))
    own.write_text("a: [", encoding="utf-8")
    with pytest.raises(ContractError, match="cannot be read as a scenario"):
        simulate(10, seed=1, scenario=own)


@pytest.mark.parametrize("name", scenario_names())
def test_named_scenarios_are_valid_and_keep_their_name(name):
    assert scenario(name).name == name
    assert checked(scenario(name)) == scenario(name)
    assert len(scenario(name).facts) > 50


def test_a_file_without_processes_is_refused():
    with pytest.raises(ContractError, match="people: Field required"):
        parse({"name": "x", "title": "x", "facts": "x"}, "x")
    with pytest.raises(ContractError, match=r"x cannot be simulated\n  - all of it: Input should be a dictionary"):
        parse(None, "x")


def test_a_large_firm_is_not_drawn_into_memory():
    large = simulate(100_001, seed=1)
    with pytest.raises(
        ContractError, match=r"a firm of 100,001 customers is not kept in memory .* open_company\(folder\)"
    ):
        large["customers"]


def test_a_missing_table_is_answered_with_those_there_are():
    firm = simulate(10, seed=1, scenario="textbook")
    with pytest.raises(
        DataUnavailableError, match=r"scenario 'textbook' has no table 'campaigns'.*; there are: transactions"
    ):
        firm["campaigns"]
    with pytest.raises(DataUnavailableError, match=r"the truth has no table 'custmers' \(did you mean 'customers'\?\)"):
        firm.truth["custmers"]
