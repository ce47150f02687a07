"""A model as an object: it writes, says how likely texts are, and can be looked into."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, overload

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from rot5 import loading
from rot5.config import ExportConfig
from rot5.data.corpus import Corpus, PairCorpus
from rot5.errors import UserError
from rot5.evaluation.likelihood import token_nats
from rot5.generate.answers import write_texts
from rot5.generate.settings import GenerateConfig, problems
from rot5.inspect.look import Inside, look
from rot5.inspect.passage import as_subject, read_passage
from rot5.inspect.reading import open_data
from rot5.inspect.settings import AttributionConfig, NeuronConfig
from rot5.serve.models import Served
from rot5.serve.settings import ServerConfig
from rot5.verbs import export

EXAMPLES = 16
"""Pairs whose likelihood is computed together."""


def load(name: str | Path, precision: str = "float32") -> "Model":
    """The model of a run folder, of a model folder or of a hub name: ours, T5, Flan-T5, BART or another of their kind.

    `precision` is what it writes in: float32, bf16 or, for ours and T5 on a CPU, int8. The weights stay what they are.
    Raises UserError if there is no such model, or if it cannot be loaded safely.

    >>> model = load("runs/mine/tuned", precision="int8")
    >>> model.name, model.precision, model.model.config.model_type
    ('runs/mine/tuned', 'int8', 'rot5')
    """
    _check(GenerateConfig(precision=precision))
    return Model(str(name), loading.load(str(name)), precision)


class LogProb(NamedTuple):
    """How likely a target is behind an input, in nats."""

    total: float
    """Log-probability of the whole target, its end token included."""
    tokens: list[str]
    """The target as the tokenizer cuts it."""
    of_tokens: list[float]
    """Log-probability of each behind those before it; together they are `total`."""


class Model:
    """A model with its tokenizer, on the accelerator if there is one; `rot5.load` makes it.

    >>> model = load("runs/mine/tuned")
    >>> texts = ["Tom lost a kite.", "Mia found a shell."]
    >>> len(model.summarize(texts, max_new_tokens=8))
    2
    >>> isinstance(model.summarize(texts[0], max_new_tokens=8), str)
    True
    """

    def __init__(self, name: str, loaded: loading.Loaded, precision: str = "float32"):
        self.name, self.precision = name, precision
        self.loaded = loaded

    def __repr__(self) -> str:
        return f"<{self.model.config.model_type} model {self.name}: {self.parameters:,} parameters>"

    @property
    def model(self) -> PreTrainedModel:
        """The model as transformers knows it: a torch module with `generate`, `config`, `save_pretrained`."""
        return self.loaded.model

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Its tokenizer, as transformers knows it."""
        return self.loaded.tokenizer

    @property
    def parameters(self) -> int:
        """How many weights it has; shared ones count once."""
        return self.model.num_parameters()

    @overload
    def summarize(self, texts: str, *, max_new_tokens: int = 96, num_beams: int = 1) -> str: ...
    @overload
    def summarize(self, texts: Sequence[str], *, max_new_tokens: int = 96, num_beams: int = 1) -> list[str]: ...
    def summarize(self, texts: str | Sequence[str], *, max_new_tokens: int = 96, num_beams: int = 1) -> str | list[str]:
        """A summary of a text, or of each text, on one line: what the model was tuned to write, as `rot5 summarize`.

        >>> summary = load("runs/mine/tuned").summarize("Tom lost a kite.", max_new_tokens=8)
        >>> "\\n" in summary
        False
        """
        given = _given(texts)
        written = self.generate(given, max_new_tokens=max_new_tokens, num_beams=num_beams)
        lines = [" ".join(each.split()) for each in written]
        return lines[0] if isinstance(texts, str) else lines

    @overload
    def generate(
        self,
        texts: str,
        *,
        prefix: str | None = None,
        max_new_tokens: int = 96,
        min_new_tokens: int = 0,
        num_beams: int = 1,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> str: ...
    @overload
    def generate(
        self,
        texts: Sequence[str],
        *,
        prefix: str | None = None,
        max_new_tokens: int = 96,
        min_new_tokens: int = 0,
        num_beams: int = 1,
        do_sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[str]: ...
    def generate(
        self, texts: str | Sequence[str], *, prefix: str | None = None, **settings: int | float | bool
    ) -> str | list[str]:
        """What the model writes behind a text, or behind each: greedily, with beams, or drawn.

        `prefix` is written before every text, in place of the model's own: `[S]` lets a pretrained model go on with a
        text, `summarize: ` is T5's. What is drawn depends on `seed` and on the text's place alone. Raises UserError
        for settings that cannot work.

        >>> model = load("runs/mine/tuned")
        >>> drawn = [model.generate("Tom lost", prefix="[S]", do_sample=True, seed=3, max_new_tokens=8) for _ in "ab"]
        >>> drawn[0] == drawn[1]
        True
        """
        config = GenerateConfig(precision=self.precision, **settings)  # type: ignore[arg-type]
        _check(config)
        written = write_texts(self._behind(prefix), _given(texts, prefix), config)
        return written[0] if isinstance(texts, str) else written

    def stream(
        self, text: str, *, prefix: str | None = None, max_new_tokens: int = 96, **settings: int | float | bool
    ) -> Iterator[str]:
        """What the model writes behind a text, in pieces as it is written; together they are what `generate` gives.

        `settings` are those of `generate`, but for beams, which are done only at the end. For models of ours, T5,
        Flan-T5 and mT5. Raises UserError for settings that cannot work.

        >>> model = load("runs/mine/tuned")
        >>> "".join(model.stream("Tom lost a kite.", max_new_tokens=8)) == model.generate(
        ...     "Tom lost a kite.", max_new_tokens=8
        ... )
        True
        """
        config = GenerateConfig(precision=self.precision, max_new_tokens=max_new_tokens, **settings)  # type: ignore[arg-type]
        _check(config)
        limits = ServerConfig(
            precision=self.precision, slots=1, max_input_tokens=sys.maxsize, max_new_tokens=max_new_tokens
        )
        served = Served(self.name, self.loaded, limits)
        try:
            yield from served.ask(text, config, prefix)
        finally:
            served.close(grace=0)

    def logprobs(self, texts: Sequence[str], targets: Sequence[str], *, prefix: str | None = None) -> list[LogProb]:
        """How likely each target is behind the text of the same place, in float32.

        >>> said = load("runs/mine/tuned").logprobs(["Tom lost a kite."], ["He was sad."])[0]
        >>> abs(sum(said.of_tokens) - said.total) < 1e-9, len(said.tokens) == len(said.of_tokens)
        (True, True)
        """
        if isinstance(texts, str) or isinstance(targets, str):
            raise UserError("logprobs takes a list of texts and a list of targets: put each in brackets")
        if len(texts) != len(targets):
            raise UserError(f"{len(texts)} texts and {len(targets)} targets: give two lists of one length")
        loaded = self._behind(prefix)
        answers = loaded.read_targets(targets)
        nats = token_nats(loaded, loaded.read_inputs(texts), answers, "float32", EXAMPLES)
        return [
            LogProb(-float(each.sum()), list(self.tokenizer.convert_ids_to_tokens(ids)), (-each).tolist())
            for ids, each in zip(answers, nats, strict=True)
        ]

    def inspect(self, text: str, target: str = "", *, corpus: str | Path = "", max_new_tokens: int = 96) -> Inside:
        """A look inside while it reads a text and writes its answer, or `target`: as `rot5 inspect`, as one object.

        Attention of all heads, what each decoder layer would write, which words counted, routes of experts; with the
        folder of a prepared `corpus` also units and what excites them. For models of ours, T5, Flan-T5 and mT5.

        >>> inside = load("runs/mine/tuned").inspect("Tom lost a kite.", "He was sad.")
        >>> layers, heads, read, _ = inside.attention.encoder_LHSS.shape
        >>> read == len(inside.passage.source.texts)
        True
        """
        subject = as_subject(self.name, self.loaded)
        data: Corpus | PairCorpus | None = open_data(str(corpus), subject) if corpus else None
        return look(
            subject,
            read_passage(subject, text, target, max_new_tokens),
            attribution=AttributionConfig(),
            neurons=NeuronConfig(),
            data=data,
            max_new_tokens=max_new_tokens,
        )

    def save(self, folder: str | Path, *, portable: bool = False, overwrite: bool = False) -> None:
        """Write the model, its tokenizer and a card as a folder for transformers, as `rot5 export`.

        `portable` puts the modelling code of ours in it: it then loads where rot5 is not installed, by
        `trust_remote_code=True`. Raises UserError where something else is in the folder.

        >>> model = load("runs/mine/tuned")
        >>> model.save("runs/mine/summarizer", portable=True)
        >>> load("runs/mine/summarizer").parameters == model.parameters
        True
        """
        config = ExportConfig(model=self.name, out=str(folder), portable=portable, overwrite=overwrite)
        export.write(config, self.loaded)

    def _behind(self, prefix: str | None) -> loading.Loaded:
        return self.loaded if prefix is None else replace(self.loaded, prefix=prefix)


def _check(config: GenerateConfig) -> None:
    if found := problems(config):
        raise UserError("; ".join(found))


def _given(texts: object, prefix: str | None = None) -> list[str]:
    """One text or many as a list. Raises UserError for what is no text, and for one with nothing in it or before it."""
    found = list(texts) if isinstance(texts, Iterable) and not isinstance(texts, str) else [texts]
    for number, text in enumerate(found, start=1):
        if not isinstance(text, str):
            raise UserError(f"text {number} is {text!r}, no text: give a string, or a list of strings")
        if not (text.strip() or prefix):
            raise UserError(f"text {number} is empty: give some text")
    return found  # type: ignore[return-value]
