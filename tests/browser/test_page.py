"""The page of a server in a real browser: every tab by pointer and by keyboard, for eyes and for screen readers."""

import json
import re
import time

import httpx
from browser.conftest import add_record, serving

from rot5.page import looks, summaries

HOSTILE = 'Tom said: <img src=x onerror="document.title=1"> ${1 + 1} {{ 2 * 3 }} </p><script>document.title=2</script>'
TABS = ("Summarize", "Denoise", "Inspect", "Runs")


def button(page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def go(page, tab: str) -> None:
    page.get_by_role("tab", name=tab).click()


def wait_for(page, text: str) -> None:
    page.get_by_text(re.compile(text)).first.wait_for()


def focus(page, role: str, name: str, key: str = "Tab") -> None:
    """Walk by Tab to the element of that role and name."""
    wanted = page.get_by_role(role, name=name, exact=True)
    for _ in range(60):
        page.keyboard.press(key)
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{role} {name} cannot be reached by Tab")


def show_all_by_keyboard(page) -> None:
    """Something on each tab without a pointer, ending on the last one."""
    page.get_by_role("tab", name="Summarize").wait_for()
    for tab, name, done in (
        ("Summarize", "Summarize", "Done;"),
        ("Denoise", "Mask and fill", "Done: "),
        ("Inspect", "Look inside", "Open the page by itself"),
    ):
        page.evaluate("document.activeElement.blur()")
        focus(page, "tab", tab)
        page.keyboard.press("Enter")
        focus(page, "button", name)
        page.keyboard.press("Enter")
        wait_for(page, done)
    focus(page, "tab", "Runs", "Shift+Tab")
    page.keyboard.press("Enter")
    page.locator("figure").first.wait_for()


def test_summaries_stand_side_by_side_with_what_is_true_of_them(site, opened):
    with opened(site.url) as page:
        button(page, "Summarize").click()
        wait_for(page, "Done; while the models wrote")
        columns = page.get_by_role("article")
        assert [columns.nth(n).get_attribute("aria-label") for n in range(2)] == ["tuned", "plain"]
        for column in columns.all():
            assert re.search(r"\d s, \d+ tokens, [\d,]+ tokens/s", column.inner_text())
            assert re.search(r"content words are true of the story|no content word", column.inner_text())
        record = summaries.story("test", 0)
        assert page.locator(".gold li").all_inner_texts() == list(record.summaries)
        page.get_by_label("Story", exact=True).fill("A dog ran to the sea.")
        page.get_by_role("checkbox", name="plain").uncheck()
        button(page, "Summarize").click()
        wait_for(page, "^Done\\.$")
        assert columns.count() == 1 and page.locator(".gold").count() == 0
        button(page, "Next story").click()
        page.wait_for_function("text => document.querySelector('textarea').value == text",
                               arg=summaries.story("test", 1).story)  # fmt: skip


def test_mistakes_are_told_in_a_sentence(site, opened):
    with opened(site.url) as page:
        page.get_by_label("Story", exact=True).fill("  ")
        button(page, "Summarize").click()
        wait_for(page, "There is no text yet")
        assert page.get_by_role("alert").first.inner_text() == "There is no text yet: write or paste one."
        assert "Traceback" not in page.content()
        go(page, "Inspect")
        page.get_by_label("Text", exact=True).last.fill("Tom ran. " * 400)
        button(page, "Look inside").click()
        wait_for(page, "can be looked at: shorten it")


def test_stop_gives_the_answers_up(site, opened, monkeypatch):
    cancelled = []

    class Endless:
        new_tokens = 0

        def __iter__(self):
            while not cancelled:
                time.sleep(0.05)
                yield "on and "

        def cancel(self):
            cancelled.append(self)

    monkeypatch.setattr(site.models[0], "ask", lambda *given: Endless())
    with opened(site.url) as page:
        page.get_by_role("checkbox", name="plain").uncheck()
        button(page, "Summarize").click()
        wait_for(page, "on and on and")
        button(page, "Stop").click()
        wait_for(page, "Stopped")
        deadline = time.monotonic() + 10
        while not cancelled and time.monotonic() < deadline:
            time.sleep(0.05)
    assert cancelled


def test_gaps_and_what_the_model_puts_there(site, opened):
    with opened(site.url) as page:
        go(page, "Denoise")
        page.get_by_label("Text", exact=True).first.fill(" ".join([HOSTILE] * 3))
        button(page, "Mask and fill").click()
        wait_for(page, "Done: ")
        rows = page.get_by_role("row").all_inner_texts()
        assert rows[0].split("\t") == ["Gap", "Target", "The model fills in", "Same"] and rows[1].startswith("Gap 1")
        page.get_by_text("With special tokens", exact=True).click()
        told = page.locator("details .tokens").first.inner_text()
        assert "[R]" in told and "[MASK-0]" in told
        shown = page.locator("section .read").inner_text() + "".join(rows)
        assert "<img" in shown and "${1 + 1}" in shown and "{{ 2" in shown and page.title() == "ROT5"
        page.get_by_role("radio", name=re.compile("^S: go on behind")).check()
        button(page, "Other gaps").click()
        wait_for(page, "as the model goes on")
        assert page.get_by_label("Seed of the gaps").input_value() == "1"


def test_a_look_inside_in_a_frame_and_as_files(site, opened, tmp_path):
    with opened(site.url) as page:
        go(page, "Inspect")
        page.get_by_role("radio", name="plain").check()
        button(page, "Look inside").click()
        frame = page.frame_locator("iframe")
        frame.get_by_role("button", name="Decoder", exact=True).click()
        assert "looks at" in frame.locator("#attention .said").inner_text()
        assert frame.get_by_role("heading", name="Experts").count() == 1
        for name in looks.TYPES:
            with page.expect_download() as download:
                page.get_by_role("link", name=re.compile(f"^{name}")).click()
            download.value.save_as(tmp_path / name)
            assert download.value.suggested_filename == name
        assert json.loads((tmp_path / "inside.json").read_text())["model"] == "plain"
        assert (tmp_path / "inside.npz").read_bytes().startswith(b"PK")


def test_runs_are_followed_while_they_train(site, opened):
    with opened(site.url) as page:
        go(page, "Runs")
        row = page.get_by_role("row", name=re.compile("study.first"))
        row.wait_for()
        assert page.get_by_role("row", name=re.compile("^second")).inner_text().split("\t")[1:] == [
            "finetune", "done", "123,456", "3", "2.000", "0.667", "41.5", "700"]  # fmt: skip
        page.get_by_role("img", name=re.compile("Training loss")).wait_for()
        add_record(site.runs / "study" / "first", 5)
        page.get_by_role("row", name=re.compile("study.first.* 5 1.200")).wait_for(timeout=20_000)
        button(page, "Remove second").click()
        button(page, "Remove study/first").click()
        wait_for(page, "Choose a run")
        page.get_by_role("combobox", name="Curves of").click()
        page.keyboard.type("second")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.get_by_role("img", name=re.compile("Speed")).wait_for()


def test_all_tabs_are_for_everybody_and_fit_a_phone(site, opened, findings):
    with opened(site.url) as page:
        show_all_by_keyboard(page)
        for scheme, background, chosen in (
            ("light", "rgb(253, 253, 251)", "rgb(11, 107, 116)"),
            ("dark", "rgb(20, 24, 26)", "rgb(92, 196, 204)"),
        ):
            page.emulate_media(color_scheme=scheme)
            for tab in TABS:
                go(page, tab)
                assert findings(page) == [], (scheme, tab)
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == background
            colour = page.get_by_role("tab", name="Runs").evaluate("tab => getComputedStyle(tab).color")
            assert colour == chosen  # axe does not see it
        page.set_viewport_size({"width": 390, "height": 844})
        for tab in TABS:
            go(page, tab)
            assert page.evaluate("document.documentElement.scrollWidth") == 390, tab


def test_an_open_page_does_not_keep_the_server_from_stopping(site, chromium):
    page = chromium.new_page()
    with serving(site.models, site.runs) as (url, stop):
        page.goto(url)
        page.get_by_role("tab", name="Runs").click()
        page.locator("figure").first.wait_for()
        assert stop() < 10
    page.close()


def test_nothing_is_uploaded_and_nothing_left_on_the_disk(site):
    assert httpx.post(site.url + "gradio_api/upload", files={"files": b"x"}).status_code == 404
    assert not [path for path in site.temporary.rglob("*") if path.is_file()]
