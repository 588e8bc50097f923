"""The files that describe the project agree with one another."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rattler import MatchSpec

import crmlab

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

CONDA_NAMES = {"duckdb": "python-duckdb", "ibis-framework": "ibis-duckdb", "tzdata": "python-tzdata"}
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


def test_environment_agrees_with_pyproject():
    conda, pip = environment()
    wanted = {CONDA_NAMES.get(n, n): s for n, s in requirements(PROJECT["dependencies"]).items()}
    found = {line.split(" ", 1)[0]: SpecifierSet(line.split(" ", 1)[1]) for line in conda if line != "pip"}
    assert found.pop("python") == SpecifierSet(PROJECT["requires-python"])
    assert found == wanted
    by_pip = requirements([line for line in pip if not line.startswith("-")])
    assert by_pip == requirements(EXTRAS["data"])


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


def test_import_is_light():
    import subprocess
    import sys

    code = (
        "import sys; before = set(sys.modules); import crmlab; "
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "['crmlab']"
