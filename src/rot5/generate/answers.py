"""Token ids in, token ids out: models of ours and T5 by an engine of our own, others by transformers."""

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedModel

from rot5.errors import UserError
from rot5.generate.beams import beam_search
from rot5.generate.decoder import Decoder
from rot5.generate.queue import decode
from rot5.generate.settings import GenerateConfig
from rot5.loading import Loaded, as_ours
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.runtime import autocast

Progress = Callable[[int], None]

PLAIN = (
    *("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"),
    *("max_length", "max_new_tokens", "min_new_tokens", "num_beams", "do_sample", "temperature", "top_k", "top_p"),
    *("use_cache", "transformers_version", "_from_model_config"),
)
"""Settings of a generation configuration that our engine has, or that `GenerateConfig` sets in their place."""


class Engine:
    """A model of ours made ready to answer in one precision, with the weights it has now: a copy of most of them."""

    @torch.inference_mode()
    def __init__(self, model: Rot5ForConditionalGeneration, precision: str):
        """Raises UserError for a precision that the device does not have, and for a model without a start token."""
        self.start, self.ends = _start(model), end_tokens(model)
        self.decoder = Decoder(model, precision, self.ends)

    @torch.inference_mode()
    def __call__(
        self, inputs: Sequence[Sequence[int]], config: GenerateConfig, progress: Progress | None = None
    ) -> list[list[int]]:
        """As `generate`, for inputs that have tokens."""
        if not inputs:
            return []
        if config.num_beams > 1:
            return beam_search(self.decoder, inputs, self.start, self.ends, config, progress)
        return decode(self.decoder, inputs, self.start, self.ends, config, progress)


def generate(
    model: PreTrainedModel,
    inputs: Sequence[Sequence[int]],
    pad: int,
    config: GenerateConfig,
    progress: Progress | None = None,
) -> list[list[int]]:
    """Answers to token id sequences, in their order, cut behind the end token, which they include.

    Inputs of like length are decoded together, longest first, so that little is padded and memory shows its peak at
    once. `progress` is told how many answers are done. Raises UserError for an input without tokens, and for a
    precision that the model or its device does not have.
    """
    if empty := [index for index, each in enumerate(inputs) if not len(each)]:
        raise UserError(f"input {empty[0] + 1} has no tokens: give at least one")
    if (ours := for_the_engine(model)) is not None:
        return Engine(ours, config.precision)(inputs, config, progress)
    return _generate_theirs(model, inputs, pad, config, progress)


def for_the_engine(model: PreTrainedModel) -> Rot5ForConditionalGeneration | None:
    """The model, or the same function, where our engine answers as transformers would: a T5 whose generation
    configuration asks for more than ids, lengths and beams is left to those who know what."""
    if isinstance(model, Rot5ForConditionalGeneration):
        return model
    asked = model.generation_config.to_diff_dict() if model.generation_config else {}
    if any(value for key, value in asked.items() if key not in PLAIN):
        return None
    ours = as_ours(model)
    return None if ours is None else ours.float()


def _start(model: PreTrainedModel) -> int:
    """The token that every answer is written behind. Raises UserError for a model that has none."""
    for settings in (model.generation_config, model.config):
        if (start := getattr(settings, "decoder_start_token_id", None)) is not None:
            return start
    raise UserError("the model has no decoder_start_token_id: set it in its config.json")


def end_tokens(model: PreTrainedModel) -> list[int]:
    """The tokens that end an answer."""
    ends = getattr(model.generation_config, "eos_token_id", None)
    ends = model.config.eos_token_id if ends is None else ends
    return [ends] if isinstance(ends, int) else list(ends or [])


def _generate_theirs(
    model: PreTrainedModel, inputs: Sequence[Sequence[int]], pad: int, config: GenerateConfig, progress: Progress | None
) -> list[list[int]]:
    if config.precision == "int8":
        raise UserError(f"precision int8 is for models of rot5 and T5, not for {model.config.model_type}: choose bf16")
    drawn = {key: getattr(config, key) for key in ("temperature", "top_k", "top_p")} if config.do_sample else {}
    ends = end_tokens(model)
    answers: list[list[int]] = [[] for _ in inputs]
    by_length = sorted(range(len(inputs)), key=lambda index: -len(inputs[index]))
    for first in range(0, len(by_length), config.batch_size):
        chosen = by_length[first : first + config.batch_size]
        width = len(inputs[chosen[0]])
        ids = torch.tensor([[*inputs[index], *[pad] * (width - len(inputs[index]))] for index in chosen])
        mask = torch.tensor([[1] * len(inputs[index]) + [0] * (width - len(inputs[index])) for index in chosen])
        with torch.random.fork_rng(), torch.inference_mode(), autocast(model.device, config.precision):
            torch.manual_seed(config.seed + first)
            output = model.generate(  # type: ignore[operator]
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=config.max_new_tokens,
                min_new_tokens=config.min_new_tokens or None,
                num_beams=config.num_beams,
                do_sample=config.do_sample,
                **drawn,
            )
        for index, row in zip(chosen, output.tolist(), strict=True):
            end = next((at for at, token in enumerate(row[1:], start=1) if token in ends), len(row))
            answers[index] = row[1 : end + 1]
        if progress is not None:
            progress(min(first + config.batch_size, len(by_length)))
    return answers


def write_texts(
    loaded: Loaded,
    texts: Sequence[str],
    config: GenerateConfig,
    progress: Progress | None = None,
) -> list[str]:
    """The model's text for each input text, special tokens dropped."""
    tokenizer = loaded.tokenizer
    pad = tokenizer.pad_token_id
    assert isinstance(pad, int)
    answers = generate(loaded.model, loaded.read_inputs(texts), pad, config, progress)
    decoded = tokenizer.batch_decode(answers, skip_special_tokens=True) if answers else []  # it makes one of none
    return [text.strip() for text in decoded]
