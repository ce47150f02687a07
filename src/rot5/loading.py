"""Models that can be asked: a run folder, a model folder or a hub name, ours or any sequence-to-sequence model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    MT5ForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5ForConditionalGeneration,
)
from transformers.utils import logging

from rot5.data.tokenizer import reading
from rot5.errors import UserError
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import parameter_counts
from rot5.model.cross_entropy import IGNORED
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.runtime import autocast, device

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
"""Suffixes of weights that are pickles."""

SMALL, SMALL_DEPTH = 2**20, 64
"""Weights and layers that any machine has room for."""

LAYER_COUNTS = ("num_layers", "num_hidden_layers", "num_decoder_layers", "encoder_layers", "decoder_layers")
"""Names under which configurations of transformers tell how many layers there are; some tell it twice."""


@dataclass(frozen=True)
class Loaded:
    """A model on its device, its tokenizer, and the text that goes before every input."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    prefix: str
    """Written before each input: the mode token of ours, `summarize: ` of T5."""

    def read_inputs(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of input texts behind the prefix, as the tokenizer opens and closes them."""
        return self._read(text=[self.prefix + text for text in texts]) if texts else []

    def read_targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of target texts as the model is to write them: without what it is started with, closed by the end token.

        Some tokenizers (Gemma's) put the start there too, and no end.
        """
        if not texts:
            return []
        start, end = self.decoder_start(), self.tokenizer.eos_token_id
        assert end is None or isinstance(end, int)
        bare = [ids[1:] if len(ids) > 1 and ids[0] == start else ids for ids in self._read(text_target=list(texts))]
        return [ids if end is None or ids[-1:] == [end] else [*ids, end] for ids in bare]

    def _read(self, **texts: Any) -> list[list[int]]:
        found: Any = self.tokenizer(**texts, return_attention_mask=False, verbose=False)
        return found["input_ids"]

    def decoder_start(self) -> int | None:
        """The token that the model puts before every target."""
        prepare = getattr(self.model, "prepare_decoder_input_ids_from_labels", None)
        if prepare is None:
            return getattr(self.model.config, "decoder_start_token_id", None)
        return int(prepare(labels=torch.zeros(1, 1, dtype=torch.long, device=self.model.device))[0, 0])

    def logits(
        self, sources: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], precision: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [B, T, V] of target ids behind input ids, and the targets as labels [B, T], -100 behind their ends."""
        pad, place = self.tokenizer.pad_token_id, self.model.device
        assert isinstance(pad, int)
        ids, labels = _padded(sources, pad).to(place), _padded(answers, IGNORED).to(place)
        lengths = torch.tensor([len(source) for source in sources], device=place)
        mask = (torch.arange(ids.shape[1], device=place) < lengths[:, None]).long()
        with torch.inference_mode(), autocast(place, precision):
            output = self.model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False)
        return output.logits, labels


def _padded(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
    return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=filler)


def positions(config: PreTrainedConfig) -> tuple[float, float]:
    """Tokens that an encoder and a decoder have places for."""
    found = []
    for stack in ("encoder", "decoder"):
        inner = getattr(config, stack, None)
        places = (
            getattr(config, f"max_{stack}_position_embeddings", None),
            getattr(inner, "max_position_embeddings", None),
            getattr(config, "max_position_embeddings", None),
        )
        found.append(next((place for place in places if isinstance(place, int) and place > 0), math.inf))
    return found[0], found[1]


def as_ours(model: PreTrainedModel) -> Rot5ForConditionalGeneration | None:
    """The same function in our architecture, if that has it: of T5, Flan-T5 and mT5, in a copy."""
    if not isinstance(model, T5ForConditionalGeneration | MT5ForConditionalGeneration):
        return None
    try:
        return Rot5ForConditionalGeneration.from_t5(model).to(model.device)  # type: ignore[arg-type]
    except ValueError:  # an activation of its own
        return None


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
    if Path(name).is_file():
        raise UserError(f"{name} is a file: name a run folder, a model folder or a model of the hub")
    if not name or _is_path(name):
        raise UserError(f"no model {name!r}: there is no such folder")
    if Path(name).is_dir() and not (Path(folder) / "config.json").is_file():
        raise UserError(f"{name} holds no exported model (no export/ and no config.json in it): name a finished run")
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except StrictDataclassError as error:
        raise UserError(
            f"{name} has a config.json that no model fits: {_first_line(error.__cause__ or error)}"
        ) from error
    except Exception as error:  # transformers lets through whatever a field of a wrong type makes Python raise
        raise UserError(
            f"no model {name!r}: neither a folder here nor a name the hub gives ({_first_line(error)})"
        ) from error
    if not config.is_encoder_decoder:
        raise UserError(f"{name} is a {config.model_type} model, not an encoder-decoder")
    check_weights(name, config, Path(folder))
    model = _fitting_model(name, folder)
    with reading(name):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    match getattr(config, "task_specific_params", None):
        case {"summarization": {"prefix": str(prefix)}}:
            pass
        case _:
            prefix = ""
    return Loaded(model.to(device()).eval(), tokenizer, prefix)  # type: ignore[arg-type]


def _is_path(name: str) -> bool:
    """Whether a name is meant as a folder that is not there, not as one of the hub, which would be asked for it."""
    return not Path(name).exists() and (
        name.startswith((".", "/", "~")) or name.count("/") > 1 or ("/" in name and Path(Path(name).parts[0]).exists())
    )


def check_weights(name: str, config: PreTrainedConfig, folder: Path) -> None:
    """Look at the weights in a folder before a model is built: the configuration may come from a stranger.

    Raises UserError for pickled weights, which run code when they are read, and for a configuration that asks for more
    than is stored, whose model might fill all memory before anybody notices. Nothing is known of a name of the hub.
    """
    if not folder.is_dir():
        return
    files = sorted(folder.glob("*.safetensors"))
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED)
    if pickled and not files:
        raise UserError(
            f"{name} holds pickled weights ({pickled[0]}), which can run code when they are read: where you trust "
            "them, load them with transformers and save_pretrained them as safetensors"
        )
    try:
        shapes = [shape for file in files for shape in _shapes(file)]
    except (SafetensorError, OSError) as error:
        raise UserError(f"cannot load {name!r}: {_first_line(error)}") from error
    stored = sum(map(math.prod, shapes))
    if files and (_layers(config.to_dict()) > 2 * len(shapes) + SMALL_DEPTH or _size(config) > 2 * stored + SMALL):
        raise UserError(
            f"cannot load {name!r}: its config.json asks for far more than the {stored:,} weights that are stored: "
            "restore both files from the same model"
        )


def _layers(settings: Mapping[str, Any]) -> float:
    """All layers that a configuration and those inside it name."""
    inner = [value for value in settings.values() if isinstance(value, Mapping)]
    named = [settings[key] for key in LAYER_COUNTS if isinstance(settings.get(key), int | float)]
    return sum(named) + sum(map(_layers, inner))


def _size(config: PreTrainedConfig) -> int:
    """Weights of the model that a configuration asks for, which is built without any memory of theirs."""
    if isinstance(config, Rot5Config):
        return parameter_counts(config).total
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    try:
        with torch.device("meta"):
            return kind.from_config(config, trust_remote_code=False).num_parameters()
    except Exception as error:  # whatever a field of a wrong value makes torch or Python raise
        raise UserError(f"a {config.model_type} model cannot be built so: {_first_line(error)}") from error


def _shapes(file: Path) -> list[list[int]]:
    with safe_open(file, framework="numpy") as tensors:
        return [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118 (it is no dict)


def _fitting_model(name: str, folder: str) -> PreTrainedModel:
    """The model of a folder. Raises UserError if its weights are not those that its configuration asks for."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # its table of weights that do not fit is said in one line below
    try:
        model, fit = AutoModelForSeq2SeqLM.from_pretrained(
            folder,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except Exception as error:  # as above
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
