"""New models: settings turned into weights."""

from huggingface_hub.errors import StrictDataclassError
from transformers import GenerationConfig, PreTrainedTokenizerFast

from rot5 import runtime
from rot5.data.tokenizer import SpecialIds, padded_vocab_size, special_ids
from rot5.errors import UserError
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.settings import ModelConfig, resolve


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


def new_model(config: ModelConfig, tokenizer: PreTrainedTokenizerFast, seed: int) -> Rot5ForConditionalGeneration:
    """A freshly initialised model for a tokenizer. Raises UserError for an impossible shape."""
    specials = special_ids(tokenizer)
    runtime.seed_everything(seed)
    model = Rot5ForConditionalGeneration(shape(config, specials))
    model.generation_config = GenerationConfig(
        pad_token_id=specials.pad, eos_token_id=specials.eos, decoder_start_token_id=specials.decoder_start
    )
    return model.to(runtime.device())  # type: ignore[arg-type]
