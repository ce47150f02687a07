"""Token ids in, token ids out: batched generation for any sequence-to-sequence model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from rot5.load import Loaded
from rot5.runtime import autocast


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """How answers are drawn."""

    max_new_tokens: int = 96
    """Longest answer, in tokens."""
    num_beams: int = 1
    """1 is greedy decoding."""
    batch_size: int = 64
    """Inputs decoded together."""
    precision: str = "float32"
    """float32 or bf16."""


def problems(config: GenerateConfig) -> list[str]:
    """What cannot work, one sentence each."""
    return [
        f"{key} {getattr(config, key)} must be at least 1"
        for key in ("max_new_tokens", "num_beams", "batch_size")
        if getattr(config, key) < 1
    ]


def generate(
    model: PreTrainedModel,
    inputs: Sequence[Sequence[int]],
    pad: int,
    config: GenerateConfig,
    progress: Callable[[int], None] | None = None,
) -> list[list[int]]:
    """Answers to token id sequences, in their order, special tokens included, cut at the end token.

    Inputs of like length are decoded together, longest first, so that little is padded and memory shows its peak at
    once. `progress` is told how many answers are done.
    """
    answers: list[list[int]] = [[] for _ in inputs]
    by_length = sorted(range(len(inputs)), key=lambda index: -len(inputs[index]))
    for first in range(0, len(by_length), config.batch_size):
        chosen = by_length[first : first + config.batch_size]
        width = len(inputs[chosen[0]])
        ids = torch.tensor([[*inputs[index], *[pad] * (width - len(inputs[index]))] for index in chosen])
        mask = torch.tensor([[1] * len(inputs[index]) + [0] * (width - len(inputs[index])) for index in chosen])
        with torch.inference_mode(), autocast(model.device, config.precision):
            output = model.generate(  # type: ignore[operator]
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                max_new_tokens=config.max_new_tokens,
                num_beams=config.num_beams,
                do_sample=False,
            )
        for index, row in zip(chosen, output.tolist(), strict=True):
            answers[index] = row[1:]
        if progress is not None:
            progress(min(first + config.batch_size, len(by_length)))
    return answers


def write_texts(
    loaded: Loaded,
    texts: Sequence[str],
    config: GenerateConfig,
    progress: Callable[[int], None] | None = None,
) -> list[str]:
    """The model's text for each input text, special tokens dropped."""
    tokenizer = loaded.tokenizer
    inputs = [tokenizer(loaded.prefix + text).input_ids for text in texts]
    pad = tokenizer.pad_token_id
    assert isinstance(pad, int)
    answers = generate(loaded.model, inputs, pad, config, progress)
    return [text.strip() for text in tokenizer.batch_decode(answers, skip_special_tokens=True)]
