"""The wheel carries the course: built, installed away from the checkout, it lists and runs a chapter."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from crmlab.lab.results import Run

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter whose only crmlab is the one in the wheel; the dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("crmlab-*.whl")
    home = folder / "environment"
    venv.create(home, with_pip=False)
    scheme = {"base": str(home), "platbase": str(home)}
    packages = Path(sysconfig.get_path("purelib", scheme="venv", vars=scheme))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(packages)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    # A path file adds the dependencies; path files inside that folder, the editable crmlab's among them, do not count.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return Path(sysconfig.get_path("scripts", scheme="venv", vars=scheme)) / Path(sys.executable).name


def ask(python: Path, *arguments: str, cwd: Path) -> str:
    # the page templates of nbconvert lie beside the packages, in the environment that the dependencies come from
    environment = os.environ | {"JUPYTER_PATH": str(Path(sys.prefix, "share", "jupyter"))}
    command = [str(python), *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_is_what_is_imported(python: Path, tmp_path: Path):
    where = ask(python, "-c", "import crmlab; print(crmlab.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(python.parents[1])


def test_a_chapter_runs_from_the_wheel(python: Path, tmp_path: Path):
    assert "Start here" in ask(python, "-m", "crmlab", "list", cwd=tmp_path)
    ask(python, "-m", "crmlab", "run", "00", "--quick", "--out", "runs", cwd=tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    done = Run.read(folder)
    assert done.ok
    assert done.checks["right"].all()
    assert (folder / "html" / "00_start_here.html").stat().st_size > 50_000


def test_the_wheel_holds_notebooks_cards_and_small_tables_and_no_more(python: Path):
    (packages,) = {path.parents[1] for path in python.parents[1].rglob("_course")}
    course = packages / "crmlab" / "_course"
    names = {path.relative_to(course).as_posix() for path in course.rglob("*") if path.is_file()}
    notebooks = {path.name for path in (ROOT / "notebooks").glob("*.ipynb")} | {"course.yml"}
    assert {name for name in names if name.startswith("notebooks/")} == {f"notebooks/{name}" for name in notebooks}
    assert "datasets/cdnow/card.md" in names
    assert {"datasets/published/published.csv", "datasets/hard_candy/counts.csv"} <= names
    assert sum((course / name).stat().st_size for name in names) < 2_000_000
