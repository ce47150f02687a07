"""What is looked at: a model of ours, or a T5 made one, and a text with what the model writes for it."""

from dataclasses import replace
from typing import NamedTuple

import torch

from rot5.data.tokenizer import MODES
from rot5.errors import UserError
from rot5.generate.answers import generate
from rot5.generate.settings import GenerateConfig
from rot5.inspect.tokens import Tokens, read_tokens
from rot5.loading import Loaded, as_ours, load
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

MOST_READ, MOST_WRITTEN = 512, 256
"""Tokens of a text that is looked at, and of what is written: the maps of attention grow with their squares."""
CONTINUES = "[S]"
"""The mode token behind which a model of ours that was never tuned goes on with a text."""


class Subject(NamedTuple):
    """A model to look into, under the name that it goes by."""

    name: str
    loaded: Loaded
    model: Rot5ForConditionalGeneration
    untuned: bool
    """Whether it is a model of ours that knows no task: texts are then read behind `[S]`, and not closed."""


class Passage(NamedTuple):
    """What the model reads and what it writes for that, or is given to write; both never empty."""

    source: Tokens
    target: Tokens
    given: bool

    def ids(self, model: Rot5ForConditionalGeneration) -> dict[str, torch.Tensor]:
        """The passage as the model takes it: ids [1, S], and [1, T] of what stands before each token to be written."""
        before = [start_of(model), *self.target.ids[:-1]]
        return {
            "input_ids": torch.tensor([self.source.ids], device=model.device),
            "decoder_input_ids": torch.tensor([before], device=model.device),
        }


def start_of(model: Rot5ForConditionalGeneration) -> int:
    """The token that answers are written behind."""
    start = model.config.decoder_start_token_id
    assert start is not None
    return start


def open_subject(name: str) -> Subject:
    """The model of a folder or a name. Raises UserError as `load` does, and as `as_subject`."""
    return as_subject(name, load(name))


def as_subject(name: str, loaded: Loaded) -> Subject:
    """A loaded model to look into; T5, Flan-T5 and mT5 become models of ours, which are the same function.

    Raises UserError for another architecture, and for a model that does not say what begins its answers.
    """
    given = loaded.model
    model = given if isinstance(given, Rot5ForConditionalGeneration) else as_ours(given)
    if model is None:
        raise UserError(f"{name} is a {given.config.model_type} model: only those of rot5, T5 and its kin can be seen")
    missing = [key for key in ("decoder_start_token_id", "pad_token_id") if getattr(model.config, key) is None]
    if missing:
        raise UserError(f"{name} has no {' and no '.join(missing)}: set them in its config.json")
    ours = model is given and CONTINUES in loaded.tokenizer.get_added_vocab()
    untuned = ours and not getattr(model.config, "task_specific_params", None)
    model = model.float().eval()
    return Subject(name, replace(loaded, model=model), model, untuned)


def read_passage(subject: Subject, text: str, target: str = "", max_new_tokens: int = 96) -> Passage:
    """A text as the model reads it, with the target given or else what the model writes by greedy decoding.

    Special tokens spelled in the text are read as such. A text for an untuned model that does not begin with a mode
    token gets `[S]` in front. Raises UserError for an empty text, and for one of too many tokens.
    """
    if not text.strip():
        raise UserError("the text is empty: give some words")
    loaded, model = subject.loaded, subject.model
    if subject.untuned:
        begins = any(text.startswith(f"[{mode}]") for mode in MODES)
        source = loaded.read_inputs([text if begins else CONTINUES + text])[0]
        source = source[:-1] if source[-1] == loaded.tokenizer.eos_token_id else source
    else:
        source = loaded.read_inputs([text])[0]
    _check("the text", source, MOST_READ, model)
    if target.strip():
        written = loaded.read_targets([target])[0]
    else:
        settings = GenerateConfig(max_new_tokens=max_new_tokens)
        written = generate(model, [source], model.config.pad_token_id or 0, settings)[0]
    _check("the target" if target.strip() else "what the model writes", written, MOST_WRITTEN, model)
    tokenizer = loaded.tokenizer
    return Passage(read_tokens(tokenizer, source), read_tokens(tokenizer, written), bool(target.strip()))


def _check(what: str, ids: list[int], most: int, model: Rot5ForConditionalGeneration) -> None:
    if len(ids) > most:
        raise UserError(f"{what} has {len(ids)} tokens, and {most} can be looked at: shorten it")
    if max(ids) >= model.config.vocab_size:
        raise UserError(
            f"{what} has id {max(ids)}, and the model {model.config.vocab_size} ids: its tokenizer is another"
        )
