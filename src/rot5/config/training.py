"""What a user may set of training: plans, models new and tuned, teachers and stages."""

from dataclasses import dataclass, field

from rot5.data.denoise import DenoiseConfig
from rot5.data.packing import PackConfig
from rot5.model.settings import ModelConfig
from rot5.train.settings import LoraConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """What a model costs before anything is trained: parameters and operations; with `tokens`, time and memory of
    training it; with `flops`, or `tokens` without a preset, which size is best."""

    preset: str = "all"
    """Shape of the model; all lists every preset."""
    encoder_length: int = 512
    """Encoder tokens of a document."""
    decoder_length: int = 256
    """Decoder tokens of a document."""
    vocab_size: int = 0
    """Ids of the tokenizer; 0 for those that the preset's size is stated for."""
    tokens: float = 0.0
    """Story tokens to train on: what that takes, or, without a preset, the size for so much text."""
    flops: float = 0.0
    """Training operations to spend: the best size and amount of text for them."""
    law: str = "chinchilla"
    """Law of size: chinchilla, or a JSON file with laws that were fitted, which is then shown beside it."""
    hardware: str = "A100-80GB"
    """What to train on: A100-80GB, H100-SXM, H200, RTX-4090, L4, or here, which measures this machine first."""
    devices: int = 1
    """How many of them, each with rows of its own."""
    price_per_hour: float = 0.0
    """Price of one device."""
    batch_rows: int = 16
    """Packed rows that each device takes in a step."""
    pack: PackConfig = field(default_factory=PackConfig)
    """The rows."""
    document_length: int = 230
    """Story tokens of a document."""
    optimizer: str = "muon"
    """muon, adamw, adamw_rms or adafactor."""
    checkpointing: bool = False
    """Keep each layer's input alone and make the rest again in the backward pass."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """A model from scratch on denoising."""

    corpus: str
    """Folder of the prepared training corpus; or several with commas between, each with a weight behind `=` or without:
    their shares of the examples."""
    validation: str
    """Folder of the prepared validation corpus."""
    out: str
    """Run folder to write."""
    temperature: float = 1.0
    """Of several corpora without weights: shares go by tokens to the power of 1 / temperature."""
    init: str = ""
    """Run or model folder of ours to go on from; empty for a new model."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The model's shape; with `init`, what it grows into, whatever the preset: width, depth, heads, experts."""
    denoise: DenoiseConfig = field(default_factory=DenoiseConfig)
    """The objective."""
    pack: PackConfig = field(default_factory=PackConfig)
    """The rows."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """The training loop."""
    seed: int = 0
    """Of initialisation, data order, denoising and dropout."""


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """A pretrained (or new) model tuned on pairs."""

    pairs: str
    """Folder of the prepared training pairs."""
    validation: str
    """Folder of the prepared validation pairs."""
    out: str
    """Run folder to write."""
    init: str = ""
    """Run, model folder or hub name of any sequence-to-sequence model to start from; empty for a new one of the shape
    below."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The shape of a new model; ignored with `init`."""
    mode: str = "S"
    """Mode token before each input: R, S, X, or none. Models of others have a text of their own there (`summarize: ` of
    T5), or nothing with none."""
    limit: int = 0
    """Tune on the first so many pairs alone; 0 for all."""
    pack: PackConfig = field(default_factory=PackConfig)
    """The rows; ignored for models that know none (all but ours and T5's kin), which are trained on padded ones."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """The training loop."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Adapters that are trained in place of the weights."""
    summaries: int = 300
    """Validation summaries written and scored at the end."""
    max_new_tokens: int = 96
    """Longest summary, in tokens."""
    seed: int = 0
    """Of initialisation, data order and dropout."""


@dataclass(frozen=True, kw_only=True)
class DistillConfig(FinetuneConfig):
    """A model tuned on pairs beside a teacher, whose probabilities at every token of the targets it learns; the teacher
    is asked once."""

    teacher: str
    """Run, model folder or hub name of any sequence-to-sequence model."""
    method: str = "forward_kl"
    """forward_kl (the student covers what the teacher holds likely) or reverse_kl (it keeps to that), both token by
    token, of one vocabulary; or likelihood (of pieces of text that end in both tokenizers), for any two."""
    temperature: float = 1.0
    """What both models' log-probabilities are divided by: of tokens, or of pieces of text."""
    top_k: int = 32
    """So many of the teacher's likeliest tokens are kept at every place; all others count as one."""
    gold: float = 0.5
    """Weight of the targets' own cross-entropy; the rest is that of the teacher's part."""
    teacher_precision: str = "auto"
    """Of asking the teacher: bf16, float32 or auto, as for training."""
    encoder_layers: int = 0
    """In place of `init`: the student begins as the teacher with so many of its encoder layers; 0 for all if decoder
    layers are named."""
    decoder_layers: int = 0
    """The same of decoder layers."""
    cache: str = ""
    """Folder of what the teacher says, which students may share; default: the run folder's name and `.teacher`."""


@dataclass(frozen=True, kw_only=True)
class TeachConfig:
    """Pairs with the answers of a teacher for targets, on which a student is tuned; no answer is asked for twice."""

    teacher: str
    """Run folder, model folder or hub name of any sequence-to-sequence model."""
    pairs: str
    """Folder of the prepared pairs whose inputs are answered."""
    out: str
    """Folder to write; the answers stay beside it, for other choices among them."""
    candidates: int = 1
    """Answers to each input: 1 takes the likeliest tokens, more are drawn."""
    best: int = 1
    """Of them so many with the highest likelihood are kept, each as a pair."""
    gold: bool = False
    """Keep the pairs' own targets beside the teacher's."""
    temperature: float = 1.0
    """Of answers that are drawn."""
    max_new_tokens: int = 96
    """Longest answer, in tokens of the teacher."""
    precision: str = "float32"
    """float32, bf16 or, for a teacher of ours on a CPU, int8."""
    seed: int = 0
    """Of answers that are drawn."""


@dataclass(frozen=True, kw_only=True)
class StagesConfig:
    """A model trained in stages, each from the one before; whatever is there already is not run again."""

    file: str
    """YAML file of stages by name, each with settings of `pretrain`, `finetune` or `distill`, which may also stand
    beside them, for all."""
    out: str
    """Folder of the run folders, named after the stages."""
