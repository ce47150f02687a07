"""ROT5: small encoder-decoder language models, from text to a tuned and measured summarizer.

>>> import rot5
>>> rot5.StoryWorld()[0].split
'train'

What stands in `__all__` is loaded when it is first asked for: the package itself imports nothing heavy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rot5.api.data import StoryWorld, denoise
    from rot5.api.judging import evaluate, score
    from rot5.api.models import Model, load
    from rot5.errors import UserError
    from rot5.serve.client import Client

__version__ = "0.1.0"

__all__ = ["Client", "Model", "StoryWorld", "UserError", "denoise", "evaluate", "load", "score"]

_HOMES = {
    "Client": "rot5.serve.client",
    "Model": "rot5.api.models",
    "StoryWorld": "rot5.api.data",
    "UserError": "rot5.errors",
    "denoise": "rot5.api.data",
    "evaluate": "rot5.api.judging",
    "load": "rot5.api.models",
    "score": "rot5.api.judging",
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    """A public name, from its module (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(importlib.import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
