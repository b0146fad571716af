"""What is installed is what is here: packages, data files, layers, and no heavy imports where none belong."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("attacks", "audit", "dashboard", "models", "reports")
FRONT = ("api", "cli")


def folders(room: str) -> list[Path]:
    return sorted({path.parent for path in (ROOT / room).rglob("*.py")})


def modules() -> list[str]:
    """Every module of the rooms and of the front door, by its full name."""
    found = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append(".".join(("raiaudit", *parts)).removesuffix(".__init__"))
    front = [ROOT / "raiaudit", *(ROOT / "raiaudit" / name for name in FRONT)]
    for path in sorted(path for folder in front for path in folder.glob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not name.endswith("__main__"):
            found.append(name)
    return found


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_package_list_is_the_folders(project: dict[str, Any]) -> None:
    """A nested package that is forgotten works in an editable install and vanishes from the wheel."""
    here = {"raiaudit", *(f"raiaudit.{name}" for name in FRONT)}
    for room in ROOMS:
        here |= {".".join(("raiaudit", *folder.relative_to(ROOT).parts)) for folder in folders(room)}
    listed = project["tool"]["setuptools"]["packages"]
    assert sorted(here) == sorted(listed)
    assert len(listed) == len(set(listed))
    for room in ROOMS:
        for folder in folders(room):
            assert (folder / "__init__.py").is_file(), folder


def test_the_links_of_the_front_door_lead_to_the_rooms() -> None:
    links = {path.name: str(path.readlink()) for path in (ROOT / "raiaudit").iterdir() if path.is_symlink()}
    assert links == {room: f"../{room}" for room in ROOMS}


def test_every_dependency_is_bounded_and_pinned(project: dict[str, Any]) -> None:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if "==" in line and not line.startswith("#"):
            name, _, version = line.partition("==")
            pins[name.strip().lower().replace("_", "-")] = version
    for requirement in project["project"]["dependencies"]:
        name = requirement.split(">")[0].split("=")[0].strip().lower()
        assert any(sign in requirement for sign in ("<", "==", ">=")), requirement
        assert name in pins, f"{name} is not pinned"
        assert "+" not in pins[name], f"{name}: a local version exists on one index alone"


# Layers


def test_the_arrow_goes_one_way() -> None:
    done = subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 broken" in done.stdout


LIGHT = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
    for heavy in ("torch", "mlflow", "streamlit", "sqlalchemy", "sklearn", "opacus", "foolbox"):
        if heavy in sys.modules:
            sys.exit(f"{name} imports {heavy}")
"""


LIGHT_MODELS = (
    "card_sections",
    "cards",
    "markdown",
    "names",
    "numbers",
    "outside",
    "parts",
    "recipe",
    "version",
)


def test_what_reads_specs_and_runs_loads_no_tensors() -> None:
    """`validate`, `gate`, a second `run` and the dashboard must not wait for torch or MLflow."""
    light = [
        name
        for name in modules()
        if name.startswith(("raiaudit.audit", "raiaudit.reports", "raiaudit.models.data", "raiaudit.cli"))
        or name in ("raiaudit", "raiaudit.errors", "raiaudit.models")
        or name in {f"raiaudit.models.{part}" for part in LIGHT_MODELS}
        or name == "raiaudit.models.registry"
    ]
    assert len(light) > 50
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, json.dumps(light)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# Names


@pytest.mark.parametrize("room", [*ROOMS, "raiaudit"])
def test_public_names_are_sorted_and_exist(room: str) -> None:
    """By reading the source for the order; by importing for the existence (dashboard pages run on import)."""
    for name in modules():
        inside = name.split(".")[1] if "." in name else "raiaudit"
        if (inside if inside in ROOMS else "raiaudit") != room:
            continue
        path = ROOT.joinpath(*name.split("."))
        source = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        exported = _exported(source)
        assert exported == sorted(exported, key=_order), name
        assert len(exported) == len(set(exported)), name
        if room != "dashboard":
            module = importlib.import_module(name)
            assert [each for each in exported if not hasattr(module, each)] == [], name


def _exported(source: Path) -> list[str]:
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            names = ast.literal_eval(node.value)
            assert isinstance(names, list)
            return names
    return []


def _order(name: str) -> tuple[int, str]:
    """As ruff sorts: CONSTANTS, Classes, functions."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as a user's pip would, from a copy without caches or links to look through."""
    out = tmp_path_factory.mktemp("wheel")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    no_links = shutil.ignore_patterns(*ROOMS, "__pycache__")
    shutil.copytree(ROOT / "raiaudit", source / "raiaudit", ignore=no_links)
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_holds_all_modules_and_data_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for module in modules():
        path = module.replace(".", "/")
        assert names & {f"{path}.py", f"{path}/__init__.py"}, module
    data = [ROOT / "audit" / "schema" / f"{name}.schema.json" for name in ("spec", "results")]
    data += [path for path in (ROOT / "reports" / "templates").rglob("*") if path.is_file()]
    data += list((ROOT / "audit").rglob("*.yaml"))
    for file in data:
        assert f"raiaudit/{file.relative_to(ROOT).as_posix()}" in names, file
    assert "raiaudit/py.typed" in names
    outside = {name.split("/")[0] for name in names} - {"raiaudit"}
    assert all(name.endswith(".dist-info") for name in outside), outside
    assert not any(re.search(r"(^|/)(tests?[/_]|conftest)", name) for name in names)
    assert not any(name.endswith((".pyc", ".db", ".safetensors")) for name in names)


@pytest.mark.slow
def test_the_wheel_runs_inside_a_repository_with_its_own_models(wheel: Path, tmp_path: Path) -> None:
    """Installed in a new environment; the heavy dependencies are lent from this one, nothing of ours is."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()
    )  # fmt: skip
    install = [
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        "--quiet",
        str(wheel),
    ]
    subprocess.run([sys.executable, *install], check=True)
    # A plain path entry lends the packages, but the editable install's hook (a .pth file) is not run.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")

    theirs = tmp_path / "their-repository"
    for room in (*ROOMS, "raiaudit_rooms"):
        (theirs / room).mkdir(parents=True)
        (theirs / room / "__init__.py").write_text("raise ImportError('this is the user\\'s own package')\n")
    environment = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    commands: tuple[list[str | Path], ...] = (
        [tmp_path / "venv" / "bin" / "raiaudit", "--help"],
        [python, "-m", "raiaudit", "--help"],
        [tmp_path / "venv" / "bin" / "raiaudit", "init"],
        [tmp_path / "venv" / "bin" / "raiaudit", "validate", "audit.yaml"],
        [tmp_path / "venv" / "bin" / "raiaudit", "schema", "results"],
    )
    for command in commands:
        done = subprocess.run(
            command, cwd=theirs, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    where = (
        "import raiaudit.audit.spec, raiaudit.models.names as m; print(raiaudit.__file__); print(m.__file__)"
    )
    done = subprocess.run(
        [python, "-c", where], cwd=theirs, env=environment, capture_output=True, text=True, check=True
    )
    assert all(line.startswith(str(site)) for line in done.stdout.splitlines()), done.stdout
