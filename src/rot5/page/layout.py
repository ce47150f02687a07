"""The page's four tabs: what can be chosen in them, and what is called when a button is pressed."""

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from rot5.errors import UserError
from rot5.page import gaps, looks, runs, summaries
from rot5.page.writing import sentence, side_by_side
from rot5.report.html import Html, element
from rot5.serve.models import Failed, Served
from rot5.serve.worker import Closed, Full

FIRST_STORY = 0
"""Of the test split: stands in each tab, so that one click shows something."""
SECONDS = 3
"""Between two looks at the runs."""
WRITING, LOOKING = 4, 1
"""Requests that are answered at once: of texts to write, which the models queue themselves, and of looks inside."""
CALL: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Of every call: the page alone makes it, and says itself how far it is."""


ACTION: dict[str, Any] = {"scale": 0, "min_width": 180}
"""How wide the buttons are that start and stop work."""


def build(served: Sequence[Served], shelf: looks.Shelf, board: runs.Board) -> gr.Blocks:
    """The page of these models; looks inside are kept on the shelf, from where they are served."""
    with gr.Blocks(title="ROT5", analytics_enabled=False) as page:
        _html(_header(served))
        with gr.Tabs(overflow_behavior="wrap"):
            with gr.Tab("Summarize", id="summarize"):
                _summarize(served)
            with gr.Tab("Denoise", id="denoise"):
                _denoise(served)
            with gr.Tab("Inspect", id="inspect"):
                _inspect(served, shelf)
            with gr.Tab("Runs", id="runs") as tab:
                _runs(board, tab, page)
    page.queue(max_size=64, default_concurrency_limit=WRITING)
    return page


def _html(content: str = "") -> gr.HTML:
    return gr.HTML(content, elem_classes="rot5", apply_default_css=False)


def _header(served: Sequence[Served]) -> Html:
    names = ", ".join(model.name for model in served)
    told = f"{'Models' if len(served) > 1 else 'Model'} on this machine: {names}. What you write stays on it."
    return element("header", element("h1", "ROT5"), element("p", told), class_="top")


def _mistake(error: Exception) -> Html:
    return element("p", sentence(error), class_="mistake", role="alert")


def _note(text: str) -> Html:
    return element("p", text, class_="note", role="status")


def _of(served: Sequence[Served], name: str) -> Served:
    found = next((model for model in served if model.name == name), None)
    if found is None:
        raise UserError("Choose a model.")
    return found


def _model_choice(served: Sequence[Served], first: str) -> gr.Radio:
    return gr.Radio([model.name for model in served], value=first, label="Model", visible=len(served) > 1)


def _summarize(served: Sequence[Served]) -> None:
    names = [model.name for model in served]
    first = summaries.story("test", FIRST_STORY).story
    with gr.Row():
        with gr.Column(scale=3):
            text = gr.Textbox(first, label="Story", lines=11, max_lines=18, max_length=summaries.MOST_CHARACTERS)
            with gr.Row():
                run = gr.Button("Summarize", variant="primary", **ACTION)
                stop = gr.Button("Stop", **ACTION)
        with gr.Column(scale=2):
            split = gr.Radio([(name, key) for key, name in summaries.SPLITS.items()], value="test",
                             label="Stories of StoryWorld")  # fmt: skip
            number = gr.Number(FIRST_STORY, label="Number", precision=0, minimum=0, maximum=summaries.MOST_NUMBER)
            with gr.Row():
                show = gr.Button("Show this story", size="md")
                following = gr.Button("Next story", size="md")
            chosen = gr.CheckboxGroup(names, value=names, label="Models", visible=len(names) > 1)
            with gr.Accordion("How it is written", open=False):
                sample = gr.Radio([("The likeliest word each time", False), ("Drawn at random", True)], value=False,
                                  label="Words")  # fmt: skip
                temperature = gr.Slider(0.1, 2.0, value=0.8, step=0.1, label="Temperature of what is drawn")
                seed = gr.Number(0, label="Seed of what is drawn", precision=0, minimum=0)
                longest = gr.Slider(8, 192, value=96, step=8, label="Longest summary, in tokens")
    message, shown = _html(), _html()

    def take(split: str, number: float | None, step: int) -> tuple[Any, Any, Html]:
        try:
            at = (number or 0) + step
            return gr.update(value=summaries.story(split, at).story), gr.update(value=at), Html()
        except UserError as error:
            return gr.skip(), gr.skip(), _mistake(error)

    def write(text: str, split: str, number: float | None, chosen: list[str], *how: Any) -> Iterator[tuple[Any, Html]]:
        try:
            told, settings = summaries.check_text(text), summaries.settings_of(*how)
            asked = [_of(served, name) for name in names if name in chosen]
            if not asked:
                raise UserError("Choose a model.")
        except UserError as error:
            yield _mistake(error), Html()
            return
        record = summaries.known_record(told, split, number)
        yield Html(), Html()
        for columns in side_by_side(asked, told, settings):
            yield gr.skip(), summaries.columns_html(columns, record)

    picked = {"inputs": [split, number], "outputs": [text, number, message]}
    show.click(lambda split, number: take(split, number, 0), **picked, **CALL)
    following.click(lambda split, number: take(split, number, 1), **picked, **CALL)
    asked = [text, split, number, chosen, sample, temperature, longest, seed]
    writing = run.click(write, asked, [message, shown], concurrency_limit=WRITING, concurrency_id="writing", **CALL)
    stop.click(lambda: _note("Stopped."), None, message, cancels=[writing], **CALL)


def _denoise(served: Sequence[Served]) -> None:
    mixtures = {model.name: gaps.denoisers_of(model.name, model.loaded) for model in served}

    def choices(name: str) -> tuple[dict[str, Any], str]:
        mixture, whose = mixtures[name]
        told = [(gaps.in_words(denoiser), denoiser.name) for denoiser in mixture.denoisers]
        return {"choices": told, "value": told[0][1]}, whose

    first = next((model.name for model in served if not model.loaded.prefix), served[0].name)
    known, whose = choices(first)
    with gr.Row():
        with gr.Column(scale=3):
            story = summaries.story("test", FIRST_STORY).story
            text = gr.Textbox(story, label="Text", lines=11, max_lines=18, max_length=summaries.MOST_CHARACTERS)
            with gr.Row():
                run = gr.Button("Mask and fill", variant="primary", **ACTION)
                other = gr.Button("Other gaps", **ACTION)
        with gr.Column(scale=2):
            model = _model_choice(served, first)
            denoiser = gr.Radio(known["choices"], value=known["value"], label="Denoiser")
            seed = gr.Number(0, label="Seed of the gaps", precision=0, minimum=0)
            note = _html(_note(whose))
    message, shown = _html(), _html()

    def change(name: str) -> tuple[Any, Html]:
        known, whose = choices(name)
        return gr.update(**known), _note(whose)

    def fill(name: str, text: str, denoiser: str, seed: float | None) -> Iterator[tuple[Html, Html]]:
        try:
            model = _of(served, name)
            masked = gaps.mask(model.loaded, mixtures[name][0], denoiser, summaries.check_text(text), int(seed or 0))
            yield Html(), gaps.page(model.loaded, masked, None)
            yield Html(), gaps.page(model.loaded, masked, gaps.fill(model, masked))
        except (UserError, Full, Closed, Failed) as error:
            yield _mistake(error), Html()

    model.change(change, model, [denoiser, note], **CALL)
    asked, filled = [model, text, denoiser, seed], [message, shown]
    bounds: dict[str, Any] = {"concurrency_limit": LOOKING, "concurrency_id": "looking"}
    run.click(fill, asked, filled, **bounds, **CALL)
    moved = other.click(lambda seed: (seed or 0) + 1, seed, seed, **CALL)
    moved.then(fill, asked, filled, **bounds, **CALL)


def _inspect(served: Sequence[Served], shelf: looks.Shelf) -> None:
    with gr.Row():
        with gr.Column(scale=3):
            story = summaries.story("test", FIRST_STORY).story
            text = gr.Textbox(story, label="Text", lines=8, max_lines=18, max_length=summaries.MOST_CHARACTERS)
            with gr.Row():
                run = gr.Button("Look inside", variant="primary", **ACTION)
        with gr.Column(scale=2):
            model = _model_choice(served, served[0].name)
            integrated = gr.Checkbox(False, label="Integrated gradients too",
                                     info="They take some ten times as long as all else.")  # fmt: skip
    message, shown = _html(), _html()

    def show(name: str, text: str, integrated: bool) -> Iterator[tuple[Html, Html]]:
        yield _note("Looking inside: this takes seconds, and longer for long texts and large models."), Html()
        try:
            model = _of(served, name)
            found = looks.look_inside(name, model.loaded, summaries.check_text(text), integrated)
        except UserError as error:
            yield _mistake(error), Html()
            return
        yield Html(), looks.look_html(shelf.add(found), found)

    run.click(
        show, [model, text, integrated], [message, shown], concurrency_limit=LOOKING, concurrency_id="looking",
        api_visibility="private", show_progress="minimal", show_progress_on=message,
    )  # fmt: skip


def _runs(board: runs.Board, tab: gr.Tab, page: gr.Blocks) -> None:
    seen = gr.State((-1, ()))
    table = _html()
    chosen = gr.Dropdown([], value=[], multiselect=True, max_choices=runs.MOST_CHOSEN, label="Curves of",
                         info=f"Up to {runs.MOST_CHOSEN} runs; they are drawn on while a run goes on.")  # fmt: skip
    curves = _html()
    timer = gr.Timer(SECONDS, active=False)

    def look(names: list[str] | None, seen: tuple[int, tuple[str, ...]]) -> tuple[Any, ...]:
        version, found = board.refresh()
        before, known = seen
        if version == before:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        every = tuple(watched.name for watched in found)
        kept = [name for name in names or [] if name in every] or ([] if known else runs.newest(found))
        choice = gr.skip() if every == known and kept == names else gr.update(choices=list(every), value=kept)
        return runs.table_html(found, board.folder), choice, _curves(found, kept), (version, every)

    def draw(names: list[str] | None) -> Html:
        return _curves(board.refresh()[1], names or [])

    def _curves(found: Sequence[runs.Watched], names: Sequence[str]) -> Html:
        return runs.curves_html([watched for watched in found if watched.name in names])

    bounds: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "runs"}
    shows: dict[str, Any] = {"inputs": [chosen, seen], "outputs": [table, chosen, curves, seen]}
    tab.select(lambda: gr.update(active=True), None, timer, **CALL).then(look, **shows, **bounds, **CALL)
    timer.tick(look, **shows, **bounds, **CALL)
    chosen.input(draw, chosen, curves, trigger_mode="always_last", **bounds, **CALL)
