"""The page on the server's app: at its root, and beside it the files of looks inside."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from rot5.errors import UserError
from rot5.page import looks, runs
from rot5.report.frame import asset
from rot5.serve.models import Served

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'self'",
}
"""Of the files of looks; the pages among them name further on what they may do themselves."""

SECONDS = 0.2
"""Between two looks whether the server is about to stop."""


def attach(app: Starlette, served: Sequence[Served], runs_folder: Path) -> None:
    """Let the app of a server show the page of these models, and of the runs below the folder, where it has no route.

    Raises UserError where Gradio is not installed.
    """
    try:
        import gradio
    except ImportError as error:
        raise UserError("the page needs Gradio: pip install 'rot5[serve]'") from error
    from rot5.page.layout import build
    from rot5.page.theme import theme

    shelf = looks.Shelf()

    def look(request: Request) -> Response:
        file = request.path_params["file"]
        content = shelf.file(request.path_params["name"], file)
        if content is None:
            return PlainTextResponse("This look is not kept any more: look again.", status_code=404, headers=HEADERS)
        return Response(content, media_type=looks.TYPES[file], headers=HEADERS)

    def refuse(request: Request) -> Response:
        return PlainTextResponse("Nothing can be uploaded here.", status_code=404)

    app.router.routes.append(Route(f"/{looks.PATH}/{{name}}/{{file}}", look))
    # Nothing of the page takes files, and what is uploaded would stay on the disk.
    app.router.routes.append(Route("/gradio_api/upload", refuse, methods=["GET", "POST"]))
    gradio.mount_gradio_app(
        app,  # type: ignore[arg-type]
        build(served, shelf, runs.Board(runs_folder)),
        path="/",
        server_name="127.0.0.1",
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=theme(),
        head=_head(),
    )
    _let_go(app, app.routes[-1].app)  # type: ignore[attr-defined]


def _head() -> str:
    """The page's own style, that of the tables and charts of reports, and its script."""
    own = resources.files("rot5.page")
    style, script = (own.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return f"<style>.rot5 {{ {asset('figures.css')} }}\n{style}</style><script>{script}</script>"


def _let_go(app: Starlette, page: Any) -> None:
    """End the connection that each open page keeps once the server is about to stop, which else waits for them."""
    before = app.router.lifespan_context

    async def watch() -> None:
        while not app.state.service.draining:
            await asyncio.sleep(SECONDS)
        page.stop_event.set()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[Any]:
        async with before(app) as state:
            watching = asyncio.create_task(watch())
            yield state
            watching.cancel()

    app.router.lifespan_context = lifespan
