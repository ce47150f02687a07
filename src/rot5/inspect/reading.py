"""A corpus as the model reads it, batch by batch: of texts the first half is read and the second written, of pairs the
input and the target.

Shape suffixes: B documents of a batch, S tokens that are read, T tokens that are written.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rot5.data.corpus import Corpus, PairCorpus
from rot5.data.manifest import read_manifest
from rot5.inspect.passage import CONTINUES, MOST_READ, MOST_WRITTEN, Subject, start_of

NOWHERE = -1
"""The place of tokens that do not stand in the corpus: special ones and padding."""


class Stream(NamedTuple):
    """What the encoder or the decoder reads of a batch: its tokens, and where in the corpus each one stands."""

    ids_BT: torch.Tensor
    mask_BT: torch.Tensor
    places_BT: NDArray[np.int64]
    """The number of the token in its document, or `NOWHERE`."""


class Batch(NamedTuple):
    """Documents of a corpus as both stacks read them."""

    documents_B: NDArray[np.int64]
    encoder: Stream
    decoder: Stream

    def inputs(self) -> dict[str, torch.Tensor]:
        """As the model takes them."""
        return {
            "input_ids": self.encoder.ids_BT,
            "attention_mask": self.encoder.mask_BT,
            "decoder_input_ids": self.decoder.ids_BT,
            "decoder_attention_mask": self.decoder.mask_BT,
        }


def open_data(folder: str, subject: Subject) -> Corpus | PairCorpus:
    """A prepared corpus, of texts or of pairs. Raises UserError if there is none, or if its tokenizer is another."""
    kind = read_manifest(Path(folder))["kind"] if (Path(folder) / "manifest.json").is_file() else ""
    data = (PairCorpus if kind == "pairs" else Corpus).open(folder)
    data.check_tokenizer(subject.loaded.tokenizer)
    return data


def sides(data: Corpus | PairCorpus) -> tuple[Corpus, Corpus]:
    """Where the tokens that the encoder reads, and those that the decoder does, are kept."""
    return (data.inputs, data.targets) if isinstance(data, PairCorpus) else (data, data)


def read_batches(subject: Subject, data: Corpus | PairCorpus, documents: int, batch: int) -> Iterator[Batch]:
    """The first so many documents, 0 for all, so many at once; nothing else of the corpus is in memory.

    Texts and inputs are cut behind `MOST_READ` tokens, targets behind `MOST_WRITTEN`. Inputs of pairs are closed by the
    end token; what the decoder reads begins with its start token.
    """
    whole = isinstance(data, PairCorpus)
    read, written = sides(data)
    number = min(documents or read.num_documents, read.num_documents)
    tokenizer, device = subject.loaded.tokenizer, subject.model.device
    prefix = tokenizer(CONTINUES if subject.untuned else subject.loaded.prefix, add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    closing = [end] if whole and isinstance(end, int) else []
    for first in range(0, number, batch):
        chosen = np.arange(first, min(first + batch, number))
        if whole:
            starts, stops = np.zeros_like(chosen), np.minimum(written.lengths[chosen], MOST_WRITTEN)
            middles = np.minimum(read.lengths[chosen], MOST_READ)
        else:
            stops = np.minimum(read.lengths[chosen], MOST_READ)
            starts = middles = (stops + 1) // 2
        inputs = read.read(chosen, np.zeros_like(chosen), middles)
        targets = written.read(chosen, starts, stops)
        yield Batch(
            chosen,
            _stream([(prefix, inputs.row(n), closing, 0) for n in range(len(chosen))], device),
            _stream([([start_of(subject.model)], targets.row(n), [], starts[n]) for n in range(len(chosen))], device),
        )


def _stream(rows: list[tuple[list[int], NDArray[np.int64], list[int], int]], device: torch.device) -> Stream:
    """Rows of ids before, tokens of the corpus, and ids behind; with the place of the first token of the corpus."""
    ids = [
        torch.from_numpy(np.array([*before, *tokens, *behind], dtype=np.int64)) for before, tokens, behind, _ in rows
    ]
    width = max(map(len, ids))
    places_BT = np.full((len(rows), width), NOWHERE)
    mask_BT = np.zeros((len(rows), width), dtype=np.int64)
    for n, (before, tokens, behind, first) in enumerate(rows):
        places_BT[n, len(before) : len(before) + len(tokens)] = np.arange(first, first + len(tokens))
        mask_BT[n, : len(before) + len(tokens) + len(behind)] = 1
    padded = nn.utils.rnn.pad_sequence(ids, batch_first=True)
    return Stream(padded.to(device), torch.from_numpy(mask_BT).to(device), places_BT)
