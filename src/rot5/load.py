"""Models that can be asked: a run folder, a model folder or a hub name, ours or any sequence-to-sequence model."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import logging

import rot5.model.modeling_rot5  # noqa: F401 (registers the architecture)
from rot5.errors import UserError
from rot5.runtime import device


@dataclass(frozen=True)
class Loaded:
    """A model on its device, its tokenizer, and the text that goes before every input."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    prefix: str
    """Written before each input: the mode token of ours, `summarize: ` of T5."""


def model_folder(name: str) -> str:
    """The folder that holds the weights: a run folder's export, or `name` itself."""
    export = Path(name) / "export"
    return str(export) if export.is_dir() else name


def load(name: str) -> Loaded:
    """Load a model for use. Raises UserError if there is none of that name, or it is no encoder-decoder."""
    logging.disable_progress_bar()
    folder = model_folder(name)
    if Path(name).is_dir() and not (Path(folder) / "config.json").is_file():
        raise UserError(f"{name} holds no exported model (no export/ and no config.json in it): name a finished run")
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no model {name!r}: neither a folder here nor a name the hub gives ({_first_line(error)})"
        ) from error
    if not config.is_encoder_decoder:
        raise UserError(f"{name} is a {config.model_type} model, not an encoder-decoder")
    try:
        model = AutoModelForSeq2SeqLM.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"cannot load {name!r}: {_first_line(error)}") from error
    tasks = getattr(config, "task_specific_params", None) or {}
    prefix = tasks.get("summarization", {}).get("prefix", "")
    return Loaded(model.to(device()).eval(), tokenizer, prefix)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
