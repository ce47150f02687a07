"""What the tab of summaries shows: stories of StoryWorld, columns of models, and which words are true of the story."""

from collections.abc import Sequence

from rot5.data.sources import storyworld
from rot5.data.storyworld import Record
from rot5.errors import UserError
from rot5.evaluation.facts import JudgedWord, judged_words
from rot5.evaluation.rouge import rouge_scores
from rot5.generate.settings import GenerateConfig, problems
from rot5.page.writing import Column
from rot5.report.charts import STYLES
from rot5.report.html import Html, element, join

SPLITS = {"test": "Test", "held_out": "Held out", "train": "Training"}
MOST_NUMBER = 9999
"""Stories of a split that can be picked: to find one, those before it are counted."""
MOST_CHARACTERS = 20_000
"""Of a text to summarize: some ten times what the models read."""


def story(split: str, number: float | None) -> Record:
    """A story of StoryWorld by its number in the split. Raises UserError for a number that is none."""
    if number is None or not 0 <= number <= MOST_NUMBER or number != int(number):
        raise UserError(f"there is no story {number}: choose a whole number from 0 to {MOST_NUMBER:,}")
    return next(storyworld(0, split, int(number), int(number) + 1))


def known_record(text: str, split: str, number: float | None) -> Record | None:
    """The record of that number if the text is still its story, else None."""
    try:
        record = story(split, number)
    except UserError:
        return None
    return record if record.story.split() == text.split() else None


def settings_of(sample: bool, temperature: float, longest: float, seed: float | None) -> GenerateConfig:
    """How answers are drawn. Raises UserError for what cannot work."""
    settings = GenerateConfig(
        max_new_tokens=int(longest), do_sample=sample, temperature=float(temperature), seed=int(seed or 0)
    )
    if found := problems(settings):
        raise UserError("; ".join(found))
    return settings


def check_text(text: str) -> str:
    """The text, if it is one to work on. Raises UserError for an empty one and for one that is far too long."""
    if not text.strip():
        raise UserError("There is no text yet: write or paste one.")
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"The text has {len(text):,} characters, and {MOST_CHARACTERS:,} are taken: shorten it.")
    return text.strip()


def columns_html(columns: Sequence[Column], record: Record | None) -> Html:
    """A column for each model and, where the story is known, which words are true, and its references."""
    shown = [_column(column, n, record) for n, column in enumerate(columns)]
    parts = [
        element("p", status(columns), class_="note", role="status"),
        element("div", *shown, class_="columns"),
    ]
    if record is not None:
        items = [element("li", text) for text in record.summaries]
        about = "Summaries that were written with the story; ROUGE-L is the mean over the three."
        parts.append(
            element(
                "section",
                element("h2", "Gold summaries"),
                element("ul", *items, class_="gold"),
                element("p", about, class_="note"),
                aria_label="Gold summaries",
            )
        )
    return join(parts)


def status(columns: Sequence[Column]) -> str:
    """How far the models are, in words that change seldom enough to be read aloud."""
    done = sum(column.done for column in columns)
    if done < len(columns):
        return "Writing." if len(columns) == 1 else f"Writing: {done} of {len(columns)} done."
    return "Done." if len(columns) == 1 else "Done; while the models wrote, they shared the machine."


def _column(column: Column, number: int, record: Record | None) -> Html:
    heading = element("h2", column.name)
    if column.error:
        return element("article", heading, element("p", column.error, class_="mistake"), class_="written")
    text = column.text.strip()
    judged = judged_words(record.story, text) if record is not None and column.done and text else None
    body: Html | str = text if judged is None else marked(text, judged)
    if not text:
        body = element("span", "(nothing)" if column.done else "…", class_="none")
    parts = [heading, element("p", body, class_="read", dir="auto"), element("p", _speed(column), class_="note")]
    if judged is not None and record is not None:
        parts.append(element("p", verdict(judged), class_="verdict"))
        parts.append(element("p", f"ROUGE-L {rouge_scores(text, record.summaries)['rougeL']:.1f}", class_="note"))
    return element("article", *parts, class_=f"written edge-{number % STYLES}", aria_label=column.name)


def _speed(column: Column) -> str:
    if not column.done:
        return f"{column.seconds:.1f} s"
    return f"{column.seconds:.2f} s, {column.tokens} tokens, {column.speed:,.0f} tokens/s"


def verdict(judged: Sequence[JudgedWord]) -> str:
    """How many content words are true, and which are not, in words."""
    if not judged:
        return "It has no content word."
    false = [word for word in judged if not word.true]
    told = f"{len(judged) - len(false)} of {len(judged)} content words are true of the story."
    misplaced = ", ".join(word.text for word in false if not word.invented)
    invented = ", ".join(word.text for word in false if word.invented)
    return " ".join(
        [
            told,
            *([f"Not true as said: {misplaced}."] if misplaced else []),
            *([f"Not in the story: {invented}."] if invented else []),
        ]
    )


def marked(text: str, judged: Sequence[JudgedWord]) -> Html:
    """The text with its false words marked, for eyes and in words for those who listen."""
    parts, at = [], 0
    for word in judged:
        place = text.find(word.text, at)
        if place < 0:  # a word of two lines
            continue
        if not word.true:
            said = " (not in the story)" if word.invented else " (not true)"
            parts += [
                text[at:place],
                element("mark", word.text, element("span", said, class_="unseen"), class_="false"),
            ]
        else:
            parts.append(text[at : place + len(word.text)])
        at = place + len(word.text)
    return join([*parts, text[at:]])
