"""Openings of stories completed by sampling, by encoder-decoders and by decoders alike, kept on disk as they come."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig
from transformers.utils import logging

from rot5.errors import UserError
from rot5.folders import sync
from rot5.generate.answers import Engine
from rot5.generate.settings import GenerateConfig
from rot5.loading import Loaded, check_weights, load, model_folder
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.runtime import device

UNTUNED_PREFIX = "[S]"
"""The mode token behind which a model of ours continues a text."""


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """How completions are drawn: from the whole distribution, neither cut at its top nor at a share of it."""

    samples: int = 10
    """Completions of each opening."""
    temperature: float = 1.0
    """Of the distribution; above 0."""
    max_new_tokens: int = 200
    """Longest completion, in tokens of the model."""
    seed: int = 0
    """With the number of the opening it decides what is drawn."""


def problems(config: SampleConfig) -> list[str]:
    """What cannot work, one sentence each."""
    found = [f"{key} {getattr(config, key)} must be at least 1" for key in ("samples", "max_new_tokens")
             if getattr(config, key) < 1]  # fmt: skip
    if not 0 < config.temperature < float("inf"):
        found.append(f"temperature {config.temperature} must be above 0")
    if config.seed < 0:
        found.append(f"seed {config.seed} must not be negative")
    return found


@dataclass(frozen=True)
class Writer:
    """A model that completes texts, one of ours by its own engine, others by transformers."""

    loaded: Loaded
    engine: Engine | None


def load_writer(name: str) -> Writer:
    """An encoder-decoder or a causal language model for use. Raises UserError as `load` does.

    A model of ours that was never tuned has no prefix of its own: it continues texts behind its mode token [S].
    """
    try:
        config = AutoConfig.from_pretrained(model_folder(name), trust_remote_code=False)
    except Exception:
        config = None  # `load` says what is wrong
    if config and not config.is_encoder_decoder:
        return Writer(_load_causal(name, config), None)
    loaded = load(name)
    if not isinstance(loaded.model, Rot5ForConditionalGeneration):
        return Writer(loaded, None)
    engine = Engine(loaded.model, "float32")
    return Writer(Loaded(loaded.model, loaded.tokenizer, UNTUNED_PREFIX) if _untuned(loaded) else loaded, engine)


def _untuned(loaded: Loaded) -> bool:
    config = loaded.model.config
    ours = config.model_type == "rot5" and UNTUNED_PREFIX in loaded.tokenizer.get_added_vocab()
    return ours and not getattr(config, "task_specific_params", None)


def _load_causal(name: str, config: PreTrainedConfig) -> Loaded:
    logging.disable_progress_bar()
    folder, verbosity = model_folder(name), logging.get_verbosity()
    logging.set_verbosity_error()
    check_weights(name, config, Path(folder))
    try:
        model, fit = AutoModelForCausalLM.from_pretrained(  # type: ignore[misc]
            folder, output_loading_info=True, use_safetensors=True, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"cannot load {name!r}: {' '.join(str(error).split())[:200]}") from error
    finally:
        logging.set_verbosity(verbosity)
    if fit["missing_keys"]:
        raise UserError(f"cannot load {name!r}: its weights lack {min(fit['missing_keys'])}")
    return Loaded(model.to(device()).eval(), tokenizer, "")


def complete(writer: Writer, text: str, config: SampleConfig, number: int) -> list[str]:
    """Continuations of opening `number` of the prompts; the same on every call with the same model and settings.

    EOS closes the input of an encoder-decoder whose tokenizer says so, except for an untuned model of ours, whose
    inputs under [S] stop in the middle of a story; it never closes what a decoder continues. Raises UserError if a
    decoder has no room for the text and the new tokens.
    """
    loaded, tokenizer = writer.loaded, writer.loaded.tokenizer
    causal = not loaded.model.config.is_encoder_decoder
    ids: list[int] = tokenizer(loaded.prefix + text).input_ids
    if (causal or _untuned(loaded)) and ids[-1] == tokenizer.eos_token_id:
        ids = ids[:-1]
    room = getattr(loaded.model.config, "max_position_embeddings", None)
    if causal and room and len(ids) + config.max_new_tokens > room:
        raise UserError(
            f"opening {number + 1} has {len(ids)} tokens, and with {config.max_new_tokens} new ones the model's {room} "
            "positions do not suffice: lower --max_new_tokens"
        )
    seed = config.seed * 1_000_003 + number
    if writer.engine is None:
        written = _drawn_by_transformers(loaded, ids, config, seed)
    else:
        settings = GenerateConfig(
            do_sample=True,
            temperature=config.temperature,
            max_new_tokens=config.max_new_tokens,
            seed=seed,
            batch_size=config.samples,
        )
        written = writer.engine([ids] * config.samples, settings)
    return [each.strip() for each in tokenizer.batch_decode(written, skip_special_tokens=True)]


def _drawn_by_transformers(loaded: Loaded, ids: list[int], config: SampleConfig, seed: int) -> list[list[int]]:
    model, tokenizer = loaded.model, loaded.tokenizer
    given = torch.tensor([ids], device=model.device)
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(seed)
        output = model.generate(  # type: ignore[operator]
            input_ids=given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=config.max_new_tokens,
            do_sample=True,
            temperature=config.temperature,
            top_k=0,
            top_p=1.0,
            num_beams=1,
            num_return_sequences=config.samples,
            pad_token_id=tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
        )
    return output[:, 1 if model.config.is_encoder_decoder else len(ids) :].tolist()


def read_completions(path: Path, openings: int, samples: int) -> list[list[str]]:
    """The completions of the first openings, as far as all samples are there; what is behind them is cut off.

    Raises UserError for lines that are not those of so many openings and samples.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    lines = content[: content.rfind(b"\n") + 1].split(b"\n")[:-1]
    if len(lines) > openings * samples:
        raise UserError(
            f"{path} holds {len(lines)} completions, not {openings} x {samples}: it is of other prompts or settings: "
            "choose another --out"
        )
    found = []
    for number, line in enumerate(lines):
        opening, sample = divmod(number, samples)
        try:
            row = json.loads(line)
            ours = row["opening"] == opening and row["sample"] == sample and isinstance(row["completion"], str)
        except (ValueError, KeyError, TypeError):
            ours = False
        if not ours:
            raise UserError(
                f"{path}, line {number + 1}: not sample {sample} of opening {opening}: choose another --out"
            )
        found.append(row["completion"])
    whole = len(found) // samples
    kept = sum(len(line) + 1 for line in lines[: whole * samples])
    if kept < len(content):
        os.truncate(path, kept)
    return [found[n * samples : (n + 1) * samples] for n in range(whole)]


def add_completions(path: Path, opening: int, completions: Sequence[str]) -> None:
    """Append all samples of one opening (counted from 0)."""
    rows = [{"opening": opening, "sample": n, "completion": text} for n, text in enumerate(completions)]
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    sync(path)
