"""`rot5 inspect`: a look inside a model at work on a text, as data and as one page."""

from pathlib import Path

import numpy as np

from rot5.config import InspectConfig
from rot5.data.files import texts_given
from rot5.errors import UserError
from rot5.folders import complete_or_absent
from rot5.inspect.files import ARRAYS, JSON, arrays, as_json, told
from rot5.inspect.look import look
from rot5.inspect.passage import MOST_WRITTEN, open_subject, read_passage
from rot5.inspect.reading import open_data
from rot5.inspect.settings import problems
from rot5.progress import shown
from rot5.report.inside import write_inside


def run(config: InspectConfig) -> None:
    """Write the folder and print what the model wrote."""
    out, found = Path(config.out), problems(config.attribution, config.neurons)
    if not 1 <= config.max_new_tokens <= MOST_WRITTEN:
        found.append(f"max_new_tokens {config.max_new_tokens} must be between 1 and {MOST_WRITTEN}")
    if out.exists() and not config.overwrite:
        found.append(f"{out} already exists: replace it with --overwrite true or choose another --out")
    elif out.exists() and not (out / JSON).is_file():
        found.append(f"{out} exists and holds no {JSON}: choose another --out")
    if found:
        raise UserError("; ".join(found))
    texts = texts_given(config.text)
    if len(texts) > 1:
        raise UserError(f"{config.text} holds {len(texts)} texts: give one")
    subject = open_subject(config.model)
    data = open_data(config.corpus, subject) if config.corpus else None
    passage = read_passage(subject, texts[0], config.target, config.max_new_tokens)
    with shown("documents read" if data else "looking inside") as tell:
        inside = look(
            subject,
            passage,
            attribution=config.attribution,
            neurons=config.neurons,
            data=data,
            max_new_tokens=config.max_new_tokens,
            progress=tell,
        )
    figures, maps = told(inside), arrays(inside)
    with complete_or_absent(out) as folder:
        (folder / JSON).write_text(as_json(figures), encoding="utf-8", errors="replace")
        with open(folder / ARRAYS, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **maps)
        page = write_inside(folder, figures, maps)
    print("".join(passage.target.texts).strip())
    print(out / page.name)
