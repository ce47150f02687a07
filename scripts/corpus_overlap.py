"""How much of a validation corpus stands in a training corpus: whole texts, and runs of eight words."""

import argparse
import json
from pathlib import Path

from rot5.data.corpus import Corpus, PairCorpus, documents
from rot5.data.manifest import MANIFEST
from rot5.evaluate.overlap import RUN, overlaps
from rot5.evaluate.text_measures import cut_words
from rot5.folders import write_json


def texts_of(folder: Path) -> list[str]:
    """Documents of a prepared corpus, or inputs of prepared pairs."""
    kind = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["kind"]
    if kind == "pairs":
        return [pair.input for pair in PairCorpus.open(folder).references()]
    return list(documents(Corpus.open(folder)))


def measure(training: Path, validation: Path) -> dict:
    """Counts and shares; a text stands whole in the training corpus if one run of it is as long as the text."""
    texts = texts_of(validation)
    found = overlaps(texts, documents(Corpus.open(training)))
    whole = [each.longest >= len(cut_words(text)) for each, text in zip(found, texts, strict=True)]
    return {
        "training": str(training),
        "validation": str(validation),
        "texts": len(texts),
        "whole_texts_seen": sum(whole),
        f"runs_of_{RUN}_words": sum(each.runs for each in found),
        "runs_seen_percent": 100 * sum(each.found for each in found) / sum(each.runs for each in found),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs_of_folders", nargs="+", help="TRAINING:VALIDATION, both prepared")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    arguments = parser.parse_args()
    figures = [measure(*map(Path, each.split(":"))) for each in arguments.pairs_of_folders]
    print(json.dumps(figures, indent=2))
    if arguments.out:
        write_json(arguments.out, figures)
