"""Models to train: settings turned into weights, new ones or those of a smaller model."""

from huggingface_hub.errors import StrictDataclassError
from transformers import GenerationConfig, PreTrainedTokenizerFast

from rot5 import runtime
from rot5.data.tokenizer import SpecialIds, fingerprint, padded_vocab_size, special_ids
from rot5.errors import UserError
from rot5.loading import load
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.growth import grow
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.settings import ModelConfig, changes, resolve


def shape(config: ModelConfig, specials: SpecialIds) -> Rot5Config:
    """The configuration of a new model. Raises UserError for an unknown preset or an impossible shape."""
    try:
        return Rot5Config(
            vocab_size=padded_vocab_size(specials.vocab_size),
            pad_token_id=specials.pad,
            eos_token_id=specials.eos,
            decoder_start_token_id=specials.decoder_start,
            **resolve(config),
        )
    except StrictDataclassError as error:
        raise UserError(f"model: {' '.join(str(error.__cause__ or error).split())}") from error


def shape_problems(config: ModelConfig, specials: SpecialIds) -> list[str]:
    try:
        shape(config, specials)
    except UserError as error:
        return [str(error)]
    return []


def grown_model(
    name: str, config: ModelConfig, tokenizer: PreTrainedTokenizerFast, seed: int
) -> Rot5ForConditionalGeneration:
    """The model of a run or a folder, grown to what the settings say besides the preset.

    Raises UserError for a model that is not ours, another tokenizer, and what a model cannot grow into.
    """
    loaded = load(name)
    if not isinstance(loaded.model, Rot5ForConditionalGeneration):
        raise UserError(f"init: {name} is a {loaded.model.config.model_type} model: name a run or an export of rot5")
    if fingerprint(loaded.tokenizer) != fingerprint(tokenizer):
        raise UserError(
            f"init: {name} has another tokenizer than the corpus: prepare the corpus with --tokenizer {name}"
        )
    runtime.seed_everything(seed)
    model = loaded.model
    if wanted := changes(config):
        try:
            model = grow(model, **wanted)
        except ValueError as error:
            raise UserError(f"model: {' '.join(str(error).split())}") from error
    model.config.task_specific_params = None
    return model


def new_model(config: ModelConfig, tokenizer: PreTrainedTokenizerFast, seed: int) -> Rot5ForConditionalGeneration:
    """A freshly initialised model for a tokenizer. Raises UserError for an impossible shape."""
    specials = special_ids(tokenizer)
    runtime.seed_everything(seed)
    model = Rot5ForConditionalGeneration(shape(config, specials))
    model.generation_config = GenerationConfig(
        pad_token_id=specials.pad, eos_token_id=specials.eos, decoder_start_token_id=specials.decoder_start
    )
    return model.to(runtime.device())  # type: ignore[arg-type]
