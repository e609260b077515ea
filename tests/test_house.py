"""The rules of the house: rooms import only from rooms before them, files stay small, importing stays quick."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import echoform

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "echoform"
ROOMS = ["linalg", "scene", "physics", "measure", "nets", "recon", "assess", "train", "deploy", "report", "apps"]
FILES = sorted(SOURCE.rglob("*.py"))
MODULES = ["echoform", *(m.name for m in pkgutil.walk_packages([str(SOURCE)], "echoform."))]
#: packages that `import echoform` must not load
HEAVY = ("deepinv", "torchvision", "transformers", "matplotlib")


def label(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def imports_of(source: str, package: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Dotted names imported anywhere in a file, relative ones resolved against its package."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple((node.module or "").split(".")) if node.module else ()
            found += [(*base, alias.name) for alias in node.names]
    return found


def trespasses(source: str, path: Path) -> list[str]:
    """What a file of a room imports from rooms that come after it, or from folders that are no room."""
    inside = path.relative_to(SOURCE).parts
    if len(inside) == 1:
        return []  # the package's own __init__ belongs to no room
    room = ROOMS.index(inside[0])
    found = []
    for name in imports_of(source, ("echoform", *inside[:-1])):
        if name[0] != "echoform" or len(name) < 2 or name[1] == "__version__":
            continue
        if name[1] not in ROOMS or ROOMS.index(name[1]) > room:
            found.append(".".join(name))
    return found


def test_every_module_is_found() -> None:
    assert {"echoform.linalg.cg", "echoform.apps.cli", "echoform.report.page"} <= set(MODULES)
    assert len(MODULES) == len(FILES)


@pytest.mark.parametrize("module", MODULES)
def test_module_imports(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize("path", FILES, ids=label)
def test_rooms_import_only_from_rooms_before_them(path: Path) -> None:
    assert trespasses(path.read_text(), path) == []


@pytest.mark.parametrize(
    "line",
    [
        "import echoform.report.page",
        "from echoform.report import page",
        "from echoform import report",
        "from ..report.page import Page",
        "from .. import report",
        "def late():\n    from echoform.apps.cli import main",
        "from echoform.attic import thing",
    ],
)
def test_walk_sees_a_trespass(line: str) -> None:
    assert trespasses(line, SOURCE / "recon" / "reconstructor.py") != []


def test_walk_allows_earlier_rooms() -> None:
    lines = "from echoform.linalg.cg import cg\nfrom .reconstructor import Estimate\nfrom echoform import __version__"
    assert trespasses(lines, SOURCE / "recon" / "network.py") == []


def test_every_folder_with_code_is_a_room() -> None:
    folders = {path.relative_to(SOURCE).parts[0] for path in FILES if path.parent != SOURCE}
    assert folders <= set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=label)
def test_file_keeps_the_style(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 500
    assert path.name not in {"utils.py", "util.py", "helpers.py", "misc.py"}
    functions = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    assert [f.name for f in functions if f.args.kwarg is not None] == []


def seconds_and_modules(statement: str) -> tuple[float, set[str]]:
    """Time a statement takes in a fresh interpreter that has torch already, and what is loaded afterwards."""
    script = (
        "import sys, time, torch\n"
        "start = time.perf_counter()\n"
        f"{statement}\n"
        "print(time.perf_counter() - start, *{name.split('.')[0] for name in sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    elapsed, *modules = result.stdout.split()
    return float(elapsed), set(modules)


def test_import_is_light() -> None:
    runs = [seconds_and_modules("import echoform") for _ in range(3)]
    assert min(elapsed for elapsed, _ in runs) < 1.0
    assert not runs[0][1] & set(HEAVY)
    assert "echoform" in runs[0][1]


def test_importing_every_room_of_the_core_loads_nothing_heavy() -> None:
    core = [name for name in MODULES if name.split(".")[1:2] != ["apps"]]
    _, modules = seconds_and_modules("import " + ", ".join(core))
    assert not modules & set(HEAVY)


def test_help_is_quick_because_torch_is_not_loaded() -> None:
    script = (
        "import sys\nfrom echoform.apps.cli import main\ncode = main(['--help'])\n"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules\nsys.exit(code)"
    )
    start = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "reconstruct" in result.stdout
    assert time.perf_counter() - start < 10


def test_version_is_one_number() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == echoform.__version__
