"""Denoising examples of ours for other models: the same masks, spelled as text and read by the other's tokenizer."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from rot5.data.denoise import Denoised, Plan
from rot5.data.tokenizer import MODES, spellings, text_encoder
from rot5.errors import UserError
from rot5.evaluation.likelihood import Likelihood, as_table, measure_ids
from rot5.loading import Loaded

SENTINELS = ("<extra_id_{}>", "[MASK-{}]")
"""What masked spans are called: by T5 and its kin, and by us."""

GUARDS = ("\n", ".", "|")
"""Characters to put in front of a text that begins inside a word, for tokenizers that put a space there."""

_EXAMPLES_AT_ONCE = 1024
_SPACES = ("\u2581", "\u0120")


class SpelledExample(NamedTuple):
    """One example as text: its parts alternate between kept and masked, the first one kept and perhaps empty."""

    kind: int
    parts: tuple[str, ...]
    closes_target: bool
    """Whether the target ends with EOS: always, except for a piece of S that stops before its document does."""
    closes_input: bool
    bytes: int
    """UTF-8 bytes of the masked parts; the space in front of a document counts, as in `byte_lengths`."""


def spell(examples: Denoised, tokenizer: PreTrainedTokenizerFast, numbers: np.ndarray) -> list[SpelledExample]:
    """The examples of these numbers (int64[N]) as text; `tokenizer` is the one that made their corpus.

    A mask that cuts a character, which takes pieces of single bytes, leaves the whole character before the cut; what a
    piece shows of characters that its ends cut is dropped. Otherwise the parts together are the piece's text, byte by
    byte, with one space in front of a document.
    """
    plan: Plan = examples.plan(numbers)
    tokens = examples.corpus.read(plan.pieces.document, plan.pieces.start, plan.pieces.stop)
    spans = examples.spans(plan)
    spelled = spellings(tokenizer)
    found = []
    for n in range(len(numbers)):
        pieces = [spelled[token] for token in tokens.row(n).tolist()]
        ends = np.cumsum([0, *map(len, pieces)])
        chosen = slice(spans.offsets[n], spans.offsets[n + 1])
        cuts = np.stack([spans.starts[chosen], spans.stops[chosen]], axis=1).ravel()
        parts = _cut(b"".join(pieces), [0, *ends[cuts].tolist(), int(ends[-1])])
        masked = sum(len(part.encode()) for part in parts[1::2])
        found.append(
            SpelledExample(
                int(plan.kinds[n]), tuple(parts), bool(plan.closes_target[n]), bool(plan.closes_input[n]), masked
            )
        )
    return found


def _cut(content: bytes, cuts: Sequence[int]) -> list[str]:
    """The text between each two cuts, which move on to the next beginning of a character.

    >>> [len(part) for part in _cut("A\\u00e9z".encode(), [0, 2, 4])]
    [2, 1]
    """
    moved = []
    for cut in cuts:
        while cut < len(content) and content[cut] & 0xC0 == 0x80:
            cut += 1
        moved.append(cut)
    return [content[start:stop].decode(errors="ignore") for start, stop in pairwise(moved)]


class Reader:
    """Another model's tokenizer: how it writes parts of a text, masks and the ends of inputs and targets."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, mode_tokens: bool = True):
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            raise UserError(f"{type(tokenizer).__name__} is no fast tokenizer: spans cannot be cut with it")
        vocabulary = tokenizer.get_vocab()
        self._encoder: Tokenizer = text_encoder(tokenizer)
        self._unknown = tokenizer.unk_token_id
        self.sentinels: list[int] = []
        for family in SENTINELS:
            names = map(family.format, range(len(vocabulary)))
            self.sentinels = self.sentinels or [vocabulary[name] for name in takewhile(vocabulary.__contains__, names)]
        added = tokenizer.get_added_vocab()
        ours = all(f"[{mode}]" in added for mode in MODES)
        self.modes = {mode: added[f"[{mode}]"] for mode in MODES} if ours and mode_tokens else {}
        self.closes_all_inputs = not ours
        """T5 and its kin close every input, ours only those whose text ends."""
        self._input_ends = _ends(tokenizer("a").input_ids, self._plain("a"))
        self._target_ends = _ends(tokenizer(text_target="a").input_ids, self._plain("a"))
        self._puts_space = self._encoder.encode("a", add_special_tokens=False).tokens[0].startswith(_SPACES)

    def _plain(self, text: str) -> list[int]:
        return self._encoder.encode(text, add_special_tokens=False).ids

    def part(self, text: str) -> list[int]:
        """Ids of a part of a longer text: a space in front is one space, and where there is none, none is put there.

        Without a way to tell the tokenizer so, which a character in front mostly is, the part is read as a text.
        """
        if not self._puts_space or not text:
            return self._plain(text)
        if text.startswith(" ") and len(text) > 1:
            return self._plain(text[1:])
        for guard in GUARDS:
            read = self._encoder.encode(guard + text, add_special_tokens=False)
            first = next((n for n, (start, stop) in enumerate(read.offsets) if start >= 1 and stop > 1), None)
            if first is None or read.offsets[first][0] != len(guard):  # a piece may hold the guard and more
                continue
            if first and not (read.tokens[first].startswith(_SPACES) and not text.startswith(" ")):
                return read.ids[first:]
        return self._plain(text)

    def lost_bytes(self, text: str) -> int:
        """UTF-8 bytes of the characters of a part, spaces aside, that its ids do not spell.

        These are unknown ones, and line breaks that are dropped or become spaces.
        """
        spelled = self._encoder.decode([token for token in self.part(text) if token != self._unknown])
        missing = Counter(text.replace(" ", "")) - Counter(spelled)
        return sum(len(character.encode()) * count for character, count in missing.items())

    def example(self, spelled: SpelledExample, kind: str) -> tuple[list[int], list[int]]:
        """Input and target ids of an example whose denoiser is of that kind: R, S or X."""
        opening = [self.modes[kind]] if self.modes else []
        parts = [self.part(text) for text in spelled.parts]
        shown, target = list(parts[0]), []
        for n, (masked, kept) in enumerate(zip(parts[1::2], parts[2::2], strict=True)):
            sentinel = [] if kind == "S" else [self.sentinels[n]]
            shown += [*sentinel, *kept]
            target += [*sentinel, *masked]
        before, behind = self._input_ends
        closes = self.closes_all_inputs or spelled.closes_input
        source = [*before, *opening, *shown, *(behind if closes else [])]
        before, behind = self._target_ends
        return source, [*before, *target, *(behind if spelled.closes_target else [])]


def _ends(whole: list[int], plain: list[int]) -> tuple[list[int], list[int]]:
    """What a tokenizer puts before a text and behind it."""
    at = next(n for n in range(len(whole)) if whole[n : n + len(plain)] == plain)
    return whole[:at], whole[at + len(plain) :]


def measure_spelled(
    loaded: Loaded, examples: Denoised, tokenizer: PreTrainedTokenizerFast, precision: str, batch_examples: int
) -> dict:
    """The `likelihood` of eval.json of another sequence-to-sequence model on our denoising examples.

    As `as_table` with `of_examples` (how many there are), `unknown_targets` (targets that are its unknown token, which
    spell nothing), `lost_bytes` (of the targets' text, see `Reader.lost_bytes`) and `skipped` (texts that say how many
    examples of a denoiser were left out, and why): those with more masks than it has sentinels, and those longer than
    its positions. Where some are left out there is no overall figure, and of a denoiser that lacks some there are the
    counts alone: what is left is not what the others are asked. Raises UserError where all are left out. Its own
    tokenizer's loss of characters, such as line breaks in T5's, is not made up for: their bytes count.
    """
    reader = Reader(loaded.tokenizer, examples.config.mode_tokens)
    room = getattr(loaded.model.config, "max_position_embeddings", None)
    sources, answers, kinds, spelled, skipped, lost = [], [], [], [], Counter(), 0
    for first in range(0, len(examples), _EXAMPLES_AT_ONCE):
        numbers = np.arange(first, min(first + _EXAMPLES_AT_ONCE, len(examples)))
        for example in spell(examples, tokenizer, numbers):
            kind = examples.config.denoisers[example.kind].kind
            if kind != "S" and len(example.parts) // 2 > len(reader.sentinels):
                count = len(reader.sentinels)
                skipped[example.kind, f"more masks than its {count} sentinels" if count else "it has no sentinels"] += 1
                continue
            source, answer = reader.example(example, kind)
            if room and max(len(source), len(answer)) > room:
                skipped[example.kind, f"longer than its {room} positions"] += 1
                continue
            sources.append(source)
            answers.append(answer)
            kinds.append(example.kind)
            spelled.append(example.bytes)
            lost += sum(map(reader.lost_bytes, example.parts[1::2]))
    left_out = [
        f"{examples.kind_names[kind]}: {count} examples ({reason})" for (kind, reason), count in sorted(skipped.items())
    ]
    if not sources:
        raise UserError(f"no example can be asked of this model: {'; '.join(left_out)}")
    nats = measure_ids(loaded, sources, answers, precision, batch_examples)
    lengths = np.array([len(answer) for answer in answers])
    table: dict = dict(as_table(Likelihood(np.array(kinds), nats, lengths, np.array(spelled)), examples.kind_names))
    if left_out:
        del table["overall"]
    for name in {examples.kind_names[kind] for kind, _ in skipped} & table.keys():
        table[name] = {key: table[name][key] for key in ("examples", "targets", "bytes")}
    unknown = loaded.tokenizer.unk_token_id
    return table | {
        "of_examples": len(examples),
        "skipped": left_out,
        "lost_bytes": lost,
        "unknown_targets": sum(answer.count(unknown) for answer in answers) if unknown is not None else 0,
    }
