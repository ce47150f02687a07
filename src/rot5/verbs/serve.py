"""`rot5 serve`: models that answer over HTTP."""

import os
import sys
from pathlib import Path

from rot5.config import ServeConfig
from rot5.errors import UserError
from rot5.serve.settings import problems

KEPT_PRODUCTS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}
"""Keep oneDNN's memory from growing for hours: by itself it keeps a thousand kinds of matrix product, one for each
number of rows, and an encoder sees hundreds. It reads these variables once, when it is first used."""


def run(config: ServeConfig) -> None:
    """Serve until told to stop. Raises UserError for settings and models that cannot work."""
    found = problems(config)
    if not config.models:
        found.append("no model: name one or more")
    if len(set(config.models)) < len(config.models):
        found.append("models must differ from each other")
    if config.ui and config.bearer():
        found.append("ui and a token exclude each other: a browser sends no token")
    if found:
        raise UserError("; ".join(found))
    for key, value in KEPT_PRODUCTS.items():
        os.environ.setdefault(key, value)
    try:
        from rot5.serve.app import build_app
        from rot5.serve.run import bind, serve
    except ImportError as error:
        raise UserError(f"serving needs {error.name}: pip install 'rot5[serve]'") from error
    from rot5.runtime import give_back_freed_memory
    from rot5.serve.models import Served

    give_back_freed_memory()
    place = bind(config)
    served = [Served.open(name, config) for name in config.models]
    app = build_app(served, config)
    if config.ui:
        from rot5.page.mount import attach

        attach(app, served, Path(config.runs))
    host, port = place.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def started() -> None:
        for each in served:
            told = each.info()
            size = f"{told['parameters']:,} parameters"
            print(f"model {each.name}: {told['kind']}, {size}, {told['precision']} on {told['device']}")
        print(
            f"limits: {config.slots} answers at work, {config.waiting} waiting, inputs of {config.max_input_tokens} "
            f"tokens, answers of {config.max_new_tokens}, {config.request_seconds:g} s a request"
        )
        print(f"serving at {address}", flush=True)

    if not serve(app, served, config, place, started):
        print("rot5: stopped before all answers were whole", file=sys.stderr)
        sys.exit(1)
