"""`rot5 overlap`: how much of a validation corpus stands in a training corpus, word by word."""

import json
from collections.abc import Iterable
from pathlib import Path

from rot5.config import OverlapConfig
from rot5.data.corpus import Corpus, PairCorpus, documents
from rot5.data.manifest import MANIFEST, read_manifest
from rot5.errors import UserError
from rot5.evaluation.overlap import RUN, overlaps
from rot5.evaluation.text_measures import cut_words
from rot5.folders import check_writable, write_json
from rot5.progress import counted


def run(config: OverlapConfig) -> None:
    """Print the counts, and put them in a file."""
    known = _known(Path(config.out)) if config.out else []
    if config.out:
        check_writable(Path(config.out), "out")
        Path(config.out).parent.mkdir(parents=True, exist_ok=True)
    found = measure(Path(config.training), Path(config.validation))
    if config.out:
        others = [each for each in known if any(each[key] != found[key] for key in _NAMES)]
        write_json(Path(config.out), [*others, found])
    print(
        f"of {found['texts']:,} texts {found['whole_texts_seen']:,} stand whole in {config.training}; of their "
        f"{found[_RUNS]:,} runs of {RUN} words {found['runs_seen_percent']:.2f} %"
    )


_RUNS = f"runs_of_{RUN}_words"
_NAMES = ("training", "validation")


def measure(training: Path, validation: Path) -> dict:
    """Counts and shares; a text stands whole in the training corpus if one run of it is as long as the text."""
    texts = list(_texts(validation))
    found = overlaps(texts, counted(_texts(training), "reading training texts"))
    whole = [each.longest >= len(cut_words(text)) for each, text in zip(found, texts, strict=True)]
    runs = sum(each.runs for each in found)
    return {
        "training": str(training),
        "validation": str(validation),
        "texts": len(texts),
        "whole_texts_seen": sum(whole),
        _RUNS: runs,
        "runs_seen_percent": 100 * sum(each.found for each in found) / max(runs, 1),
    }


def _texts(folder: Path) -> Iterable[str]:
    """Documents of a prepared corpus, or inputs of prepared pairs."""
    if not (folder / MANIFEST).is_file():
        raise UserError(f"no corpus at {folder}: prepare one")
    if read_manifest(folder)["kind"] == "pairs":
        return (pair.input for pair in PairCorpus.open(folder).references())
    return documents(Corpus.open(folder))


def _known(path: Path) -> list[dict]:
    """The figures that a file holds, to which others are added; those of the same two corpora are replaced."""
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        known = [{**each, **{key: str(each[key]) for key in _NAMES}} for each in known]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} holds something else than overlaps: name another file") from error
    return known
