"""The modelling code that travels: which modules, how their imports are rewritten, and what is refused."""

import ast
from textwrap import dedent

import pytest

import rot5
from rot5.export.portable import ENTRY, closure, own_sources, portable, portable_files


def sources(**texts: str) -> dict[str, str]:
    return {name: dedent(text) for name, text in texts.items()}


CHAIN = sources(
    top="from rot5.model.middle import a\nimport torch",
    middle="def a():\n    from rot5.model.bottom import b\n    return b",
    bottom="from rot5.model.top import c",
    other="from rot5.errors import UserError",
)


def test_the_closure_follows_imports_wherever_they_stand():
    assert closure(CHAIN, "top") == ["bottom", "middle", "top"]
    assert sorted(portable_files(CHAIN, "top")) == ["bottom.py", "middle.py", "top.py"]


@pytest.mark.parametrize(
    "line",
    [
        "from rot5.errors import UserError",
        "import rot5.errors",
        "import rot5",
        "from rot5 import __version__",
        "from rot5.model import attention",
        "import rot5.model.attention",
        "from .attention import Attention",
        "from rot5.model.kernels.fast import attend",
        "def late():\n    from rot5.runtime import device",
    ],
)
def test_what_would_not_be_found_elsewhere_is_refused(line):
    with pytest.raises(AssertionError, match="portable code cannot import"):
        closure(CHAIN | {"bottom": line}, "top")


def test_an_import_of_no_module_is_refused():
    with pytest.raises(AssertionError, match="absent is imported"):
        closure({"top": "from rot5.model.absent import a"}, "top")


def test_imports_become_relative_and_nothing_else_changes():
    text = dedent('''\
        """A module, as in `from rot5.model.x import y`."""

        import torch
        from transformers import AutoConfig

        from rot5.model.x import (
            y,
            z,
        )


        def late():
            from rot5.model.x import w
            return w


        AutoConfig.register("rot5", y, exist_ok=True)
        AutoConfig.register(
            "rot5",
            z,
        )
        LAST = 1
    ''')
    heading, _, rest = portable(text, "m").partition("\n")
    assert heading.startswith(f"# From rot5 {rot5.__version__}, rot5.model.m") and "Apache-2.0" in heading
    assert rest == dedent('''\
        """A module, as in `from rot5.model.x import y`."""

        import torch
        from transformers import AutoConfig

        from .x import (
            y,
            z,
        )


        def late():
            from .x import w
            return w


        LAST = 1
    ''')


def test_the_model_s_own_files_need_nothing_of_ours():
    files = portable_files(own_sources())
    assert {f"{ENTRY}.py", "configuration_rot5.py", "attention.py"} <= set(files)
    for name, text in files.items():
        tree = ast.parse(text, name)
        assert ast.get_docstring(tree), name
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("rot5") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level or not (node.module or "").startswith("rot5")
                assert not node.level or f"{node.module}.py" in files
    assert ".register(" not in "".join(files.values())
