"""The built Lab extension, where there is one: made from these sources, and found by Jupyter where it looks."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "jupyter_dist" / "labextension"
STAMP = BUNDLE / "build.sha256"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """The build's own functions, from setup.py."""
    pytest.importorskip("setuptools", reason="setup.py needs it")
    spec = importlib.util.spec_from_file_location("jupyter_dist_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


needs_bundle = pytest.mark.skipif(not STAMP.exists(), reason="the Lab extension is not built")


@needs_bundle
def test_bundle_was_built_from_these_sources(build: ModuleType) -> None:
    assert STAMP.read_text(encoding="ascii").strip() == build.hash_of_sources()


@needs_bundle
def test_bundle_names_an_entry_that_is_there() -> None:
    package = json.loads((BUNDLE / "package.json").read_text(encoding="utf-8"))
    assert package["name"] == "jupyter-dist"
    assert (BUNDLE / package["jupyterlab"]["_build"]["load"]).is_file()


@needs_bundle
def test_every_part_of_the_bundle_is_installed(build: ModuleType) -> None:
    shipped = {ROOT / name for _, names in build.data_files() for name in names}
    assert {file for file in BUNDLE.rglob("*") if file.is_file()} <= shipped


def test_server_extension_is_switched_on_by_the_install(build: ModuleType) -> None:
    place, names = build.data_files()[0]
    assert place == "etc/jupyter/jupyter_server_config.d"
    config = json.loads((ROOT / names[0]).read_text(encoding="utf-8"))
    assert config == {"ServerApp": {"jpserver_extensions": {"jupyter_dist": True}}}


def test_versions_of_package_and_extension_agree() -> None:
    extension = json.loads((ROOT / "labextension" / "package.json").read_text(encoding="utf-8"))
    version = (ROOT / "jupyter_dist" / "_version.py").read_text(encoding="utf-8")
    assert f'__version__ = "{extension["version"]}"' in version


def test_source_hash_changes_with_a_source(build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in build.BUNDLE_INPUTS:
        (tmp_path / name).write_text("{}", encoding="ascii")
    (tmp_path / "src").mkdir()
    source = tmp_path / "src" / "index.ts"
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    source.write_text("a", encoding="ascii")
    before = build.hash_of_sources()
    source.write_text("b", encoding="ascii")
    assert build.hash_of_sources() != before
