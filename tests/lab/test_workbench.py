"""Copying the chapters to a folder of one's own: an edit is never lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from crmlab.lab.workbench import copy_course, open_lab
from tests.lab.conftest import MakeCourse


def actions(target: Path, course: Path) -> dict[str, str]:
    return {one.file: one.action for one in copy_course(target, course)}


def test_an_edit_is_kept_and_an_older_copy_renewed(make_course: MakeCourse, tmp_path: Path) -> None:
    target = tmp_path / "a" / "mine"
    course = make_course(c11=["1"], c12=["1"])
    assert actions(target, course) == {"course.yml": "new", "11_chapter.ipynb": "new", "12_chapter.ipynb": "new"}
    assert set(actions(target, course).values()) == {"unchanged"}
    edited = target / "11_chapter.ipynb"
    edited.write_text(edited.read_text().replace("count customers", "my notes"))
    assert actions(target, course)["11_chapter.ipynb"] == "kept"
    newer = make_course(c11=["2"], c12=["2"])
    assert actions(target, newer) == {
        "course.yml": "unchanged", "11_chapter.ipynb": "kept", "12_chapter.ipynb": "renewed",
    }  # fmt: skip
    assert "my notes" in edited.read_text()
    assert (target / "12_chapter.ipynb").read_bytes() == (newer / "12_chapter.ipynb").read_bytes()
    edited.unlink()
    assert actions(target, newer)["11_chapter.ipynb"] == "new"


@pytest.mark.parametrize("manifest", ["{", "[]", None])
def test_without_a_manifest_nothing_is_overwritten(
    make_course: MakeCourse, tmp_path: Path, manifest: str | None
) -> None:
    course = make_course(c11=["1"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "11_chapter.ipynb").write_text("mine")
    if manifest is not None:
        (tmp_path / "mine" / ".crmlab.json").write_text(manifest)
    assert actions(tmp_path / "mine", course) == {"course.yml": "new", "11_chapter.ipynb": "kept"}
    assert (tmp_path / "mine" / "11_chapter.ipynb").read_text() == "mine"


def test_jupyterlab_of_this_python_is_opened_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def note(command: list[str], **options: object) -> "subprocess.CompletedProcess[str]":
        calls.append((command, options["cwd"]))
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", note)
    assert open_lab(tmp_path) == 3
    assert calls == [([sys.executable, "-m", "jupyterlab"], tmp_path)]

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupt)
    assert open_lab(tmp_path) == 0
