"""The pages that are files, in a real browser: the report of a run, and a look inside a model."""

from pathlib import Path

import pytest
from browser.conftest import small_model, write_run

STORY = "Tom had a red kite. One day Mia took the kite. Tom was sad."


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    from rot5.report.page import write_report

    folder = tmp_path_factory.mktemp("reported")
    write_run(folder / "one", "pretrain", 40)
    write_run(folder / "two", "finetune", 40, rouge=41.5)
    return write_report(folder).as_uri()


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> str:
    from rot5.report.page import write_report

    return write_report(write_run(tmp_path_factory.mktemp("reported") / "one", "finetune", 40, rouge=41.5)).as_uri()


@pytest.fixture(scope="session")
def inside(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A look at a model with experts."""
    from rot5.loading import load
    from rot5.page.looks import look_inside

    folder = tmp_path_factory.mktemp("looked")
    small_model(corpora, folder, num_experts=3, encoder_sparse_step=2, decoder_sparse_step=0)
    page = folder / "inside.html"
    page.write_bytes(look_inside("small", load(str(folder)), STORY, integrated=False).files["inside.html"])
    return page.as_uri()


@pytest.mark.parametrize("which", ["report", "alone", "inside"])
def test_pages_are_for_everybody_and_fit_a_phone(request, opened, findings, which):
    with opened(request.getfixturevalue(which), 1440) as page:
        page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
        page.evaluate("document.querySelectorAll('.tinted').forEach((each) => each.style.setProperty('--share', 1))")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert findings(page) == [], scheme  # under the strongest tint
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_look_inside_by_pointer_and_by_keyboard(inside, opened):
    with opened(inside) as page:
        said = page.locator("#attention .said")
        assert said.inner_text().startswith("Layer 0, head 0")
        assert page.locator("#attention .tokens button[aria-pressed=true]").count() == 1
        page.locator("#attention").get_by_role("button", name="Cross-attention").click()
        page.get_by_role("button", name="layer 1, head 2").click()
        assert said.inner_text().startswith("Layer 1, head 2")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        assert said.inner_text().startswith("Layer 0, head 2")
        page.keyboard.press("Tab")
        before = said.inner_text()
        page.keyboard.press("ArrowRight")
        assert said.inner_text() != before
        page.locator("#attribution").get_by_role("button", name="Leaving a word out").press("Enter")
        assert "hangs on" in page.locator("#attribution .said").inner_text()
        page.get_by_role("link", name="Experts").press("Enter")
        assert page.url.endswith("#section-5") and page.locator("#experts .tinted").count()


def test_a_report_links_to_its_sections(report, opened):
    with opened(report) as page:
        page.get_by_role("link", name="Curves").first.click()
        assert "#section-" in page.url
        assert page.get_by_role("img").count() >= 3
