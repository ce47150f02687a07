"""Models that can be asked: a run folder, a model folder or a hub name, ours or any sequence-to-sequence model."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.errors import StrictDataclassError
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
    """Load a model for use.

    Raises UserError if there is none of that name, it is no encoder-decoder, or its weights are not those of its shape.
    """
    logging.disable_progress_bar()
    folder = model_folder(name)
    if Path(name).is_dir() and not (Path(folder) / "config.json").is_file():
        raise UserError(f"{name} holds no exported model (no export/ and no config.json in it): name a finished run")
    try:
        config = AutoConfig.from_pretrained(folder)
    except StrictDataclassError as error:
        raise UserError(
            f"{name} has a config.json that no model fits: {_first_line(error.__cause__ or error)}"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(
            f"no model {name!r}: neither a folder here nor a name the hub gives ({_first_line(error)})"
        ) from error
    if not config.is_encoder_decoder:
        raise UserError(f"{name} is a {config.model_type} model, not an encoder-decoder")
    model = _fitting_model(name, folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot load {name!r}: {_first_line(error)}") from error
    tasks = getattr(config, "task_specific_params", None) or {}
    prefix = tasks.get("summarization", {}).get("prefix", "")
    return Loaded(model.to(device()).eval(), tokenizer, prefix)  # type: ignore[arg-type]


def _fitting_model(name: str, folder: str) -> PreTrainedModel:
    """The model of a folder. Raises UserError if its weights are not those that its configuration asks for."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # its table of weights that do not fit is said in one line below
    try:
        model, fit = AutoModelForSeq2SeqLM.from_pretrained(
            folder, ignore_mismatched_sizes=True, output_loading_info=True
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"cannot load {name!r}: {_first_line(error)}") from error
    finally:
        logging.set_verbosity(verbosity)
    if misfits := _misfits(fit, ours=model.config.model_type == "rot5"):
        raise UserError(
            f"cannot load {name!r}: its weights do not fit its config.json: {misfits[0]} ({len(misfits)} such "
            "weights): restore both files from the same model"
        )
    return model


def _misfits(fit: dict, ours: bool) -> list[str]:
    """What the weights lack of the configuration, by transformers' loading report, those of another shape first.

    Weights without a place count for a model of ours only: models of the hub carry harmless ones.
    """
    shapes = [
        f"{name} is {'x'.join(map(str, stored))}, not {'x'.join(map(str, wanted))}"
        for name, stored, wanted in fit["mismatched_keys"]
    ]
    missing = [f"{name} is missing" for name in fit["missing_keys"]]
    return sorted(shapes) + sorted(missing) + sorted(f"{name} has no place" for name in fit["unexpected_keys"] if ours)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
