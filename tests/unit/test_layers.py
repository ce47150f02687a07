"""The layout of the house: imports go down only, every module is importable on its own, and help is light."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import rot5

SOURCE = Path(rot5.__file__).parent

LAYERS = [
    {"commands", "errors", "stopping"},
    {"folders", "ranks", "recipes"},
    {"runtime", "progress"},
    {"model", "data"},
    {"train", "loading"},
    {"generate", "export"},
    {"evaluation", "distill", "inspect", "serve", "sizing"},
    {"config"},
    {"build", "report"},
    {"page"},
    {"verbs", "bench"},
    {"demo", "study", "stages", "api"},
    {"cli"},
]
"""Rooms from the ground up; a room imports from lower layers and from itself."""

FLOOR = {room: floor for floor, rooms in enumerate(LAYERS) for room in rooms}
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(rot5.__path__, "rot5.") if not module.name.endswith("__main__")
)


def imports(path: Path) -> set[str]:
    """Modules that a file imports from the project or from torch, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_only(path):
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for module in imports(path):
        if not module.startswith("rot5.") or room_of(module) not in FLOOR:
            continue
        other = room_of(module)
        assert other == room or FLOOR[other] < FLOOR[room], f"{room} must not import {module}"
    if room == "data":
        assert not any(module.startswith("torch.nn") for module in imports(path))


def test_every_room_has_a_floor():
    rooms = {path.name.removesuffix(".py") for path in SOURCE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__pycache__"} == set(FLOOR)


def test_the_reader_of_facts_shares_nothing_with_the_generator():
    for path in (SOURCE / "evaluation").glob("*.py"):
        assert not any("storyworld" in module for module in imports(path)), path.name


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_imported(name):
    importlib.import_module(name)


@pytest.mark.parametrize("arguments", [["--help"], ["pretrain", "--help"], ["prepare", "--help"]])
def test_help_imports_no_torch(arguments):
    code = f"""
import sys
from rot5.cli import run
try:
    run({arguments!r})
except SystemExit as stop:
    assert not stop.code, stop.code
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


TESTS = Path(__file__).parent.parent


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_file_is_empty(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert any(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in ast.walk(tree))
