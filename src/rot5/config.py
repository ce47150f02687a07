"""What a user may set: the rooms' settings composed into one object per verb."""

from dataclasses import dataclass, field

from rot5.data.denoise import DenoiseConfig
from rot5.data.packing import PackConfig
from rot5.data.parts import PartsConfig
from rot5.data.sources import SourceConfig
from rot5.generate.settings import GenerateConfig
from rot5.inspect.settings import AttributionConfig, NeuronConfig
from rot5.model.settings import ModelConfig
from rot5.train.settings import LoraConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class StoriesConfig:
    """Records of StoryWorld as text."""

    count: int = 1
    """How many."""
    split: str = "held_out"
    """train, test or held_out (compositions that the others never show)."""
    seed: int = 0
    """Seed of the world."""
    format: str = "text"
    """text (stories alone), instruct (TinyStories-Instruct records) or jsonl (everything, with the facts)."""
    out: str = "-"
    """File to write, or - for standard output."""


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Text into a corpus: token shards, offsets and a manifest."""

    source: SourceConfig
    """Where the text comes from."""
    out: str
    """Folder to write."""
    pairs: bool = False
    """Prepare (text, summary) pairs for tuning instead of text for pretraining."""
    tokenizer: str = "mistral"
    """`mistral`, or a folder (a prepared corpus counts) whose tokenizer is taken over."""
    prune: bool = False
    """Keep only the pieces that this text uses: for small models, whose embedding would be most of them."""
    num_sentinels: int = 500
    """Sentinels [MASK-0], [MASK-1], … of a tokenizer made here."""
    parts: PartsConfig = field(default_factory=PartsConfig)
    """Text prepared in parts by several processes or machines, and without its duplicates; needs the extra `scale`."""


@dataclass(frozen=True, kw_only=True)
class MixConfig:
    """Tasks over stories and questions into pairs of an instruction and its answer: what instruction tuning learns."""

    mixture: str
    """YAML file of sources, tasks, shares and formats."""
    out: str
    """Folder to write; `rot5 finetune` and `rot5 evaluate` take it as pairs."""
    tokenizer: str = "mistral"
    """`mistral`, or a folder (a prepared corpus or a run counts) whose tokenizer is taken over."""
    examples: int = 10_000
    """So many, mixed by the shares of their tasks."""
    per_task: int = 0
    """In place of a mixture at most so many of every task, task by task, to judge by."""
    held_out: bool = False
    """Only the tasks that are held out, instead of the others."""
    tasks: str = ""
    """Patterns of tasks with commas between, in place of those in the file: `world/summary,tales/*`."""
    split: str = ""
    """Split of all sources, in place of what the file says."""
    format: str = ""
    """Format of all examples, in place of the shares in the file: plain, shots or rationale."""
    longest_input: int = 448
    """Tokens of the longest input; examples with longer ones are left out, and fewer others are put before one."""
    longest_target: int = 224
    """Tokens of the longest target."""
    seed: int = 0
    """Of items, templates, formats and order."""


@dataclass(frozen=True, kw_only=True)
class SortConfig:
    """A corpus cut into parts of like size from easy to hard: for training that begins with what is easy."""

    corpus: str
    """Folder of the prepared corpus."""
    out: str
    """Folder to write: the parts, 1 and so on, and difficulty.json, what each is like."""
    by: str = "length"
    """length (tokens), vocabulary (how rare its tokens are) or loss (of a model)."""
    model: str = ""
    """Run or model folder of ours, for the loss."""
    parts: int = 3
    """How many."""


@dataclass(frozen=True, kw_only=True)
class OverlapConfig:
    """How much of a validation corpus stands in a training corpus: whole texts, and runs of eight words."""

    validation: str
    """Folder of prepared text or pairs whose texts are looked for."""
    training: str
    """Folder of prepared text or pairs in which they are looked for."""
    out: str = ""
    """JSON file to add the figures to."""


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
class EvaluateConfig:
    """Scores of a model, or of texts that somebody else wrote, on prepared data; into `eval.json`."""

    model: str = ""
    """Run folder, model folder or hub name; empty with `predictions`."""
    data: str = ""
    """Folder of a prepared corpus (likelihood per denoiser) or of pairs (likelihood, summaries); default: the run's
    own validation data."""
    predictions: str = ""
    """Summaries of all pairs, or of the first `summaries`, to score in place of a model's: JSON lines with
    `prediction`, or a text a line."""
    against: str = ""
    """A file like `predictions` whose summaries are compared with the others, pair by pair."""
    summaries: int = 300
    """Summaries written and scored, of pairs."""
    max_new_tokens: int = 96
    """Longest summary, in tokens."""
    num_beams: int = 1
    """1 is greedy decoding."""
    precision: str = "float32"
    """Of writing the summaries: float32, bf16 or, for a model of ours on a CPU, int8."""
    original_rouge: bool = False
    """Also ROUGE of lemmas without stop words, as the ROT5 of 2024 was judged by."""
    objective: str = ""
    """Run folder whose denoisers and rows mask a text corpus; default: the model's own, or else UL2's."""
    out: str = ""
    """Folder for eval.json and samples.jsonl; default: the run folder."""


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """Openings of stories completed by a model, measured, and graded by a large language model; a re-run asks nothing
    twice, and without a judge nothing is asked at all."""

    model: str
    """Run folder, model folder or hub name; an encoder-decoder or a causal language model."""
    prompts: str
    """File of openings: JSON lines with `opening` and, together, `kind` and `instruction`."""
    out: str
    """Folder for completions.jsonl, answers.jsonl, grades.jsonl and judge.json; the same one continues."""
    judge_url: str = ""
    """What stands before /chat/completions at the judge's server; the key comes from the variable ROT5_JUDGE_KEY. Empty
    for measures without a judge."""
    judge_model: str = ""
    """The judge's name on that server."""
    training: str = ""
    """Folder of the prepared corpus that the model was trained on: how much of the completions stands in it."""
    samples: int = 10
    """Completions of each opening."""
    temperature: float = 1.0
    """Of the completions; the judge is asked at 0."""
    max_new_tokens: int = 200
    """Longest completion, in tokens."""
    seed: int = 0
    """Of the completions."""
    price_in: float = 0.0
    """Price of a million tokens sent, for the estimate."""
    price_out: float = 0.0
    """Price of a million tokens answered."""
    max_cost: float = 0.0
    """Ask nothing if the estimate is above it; 0 for no limit."""
    answer_tokens: int = 300
    """Longest answer of the judge; more for one that thinks first."""
    parallel: int = 4
    """Requests at the same time."""
    timeout: float = 60.0
    """Seconds until a request is given up."""
    retries: int = 5
    """Repetitions of a request that failed in passing, behind waits that double."""


@dataclass(frozen=True, kw_only=True)
class SummarizeConfig:
    """A summary of a user's own text."""

    input: str
    """A text file, or - for standard input; texts are split at <|endoftext|>."""
    model: str
    """Run folder, model folder or hub name."""
    max_new_tokens: int = 96
    """Longest summary, in tokens."""
    num_beams: int = 1
    """1 is greedy decoding."""
    precision: str = "float32"
    """float32, bf16 or, for a model of ours on a CPU, int8."""


@dataclass(frozen=True, kw_only=True)
class InspectConfig:
    """A look inside a model at work on a text: attention, units, experts, what each layer tells, which words counted;
    as data and as one page."""

    model: str
    """Run folder, model folder or hub name; of ours, or T5, Flan-T5 or mT5."""
    text: str
    """A file that holds one text, or - for standard input."""
    out: str
    """Folder to write: inside.html, inside.json and inside.npz."""
    target: str = ""
    """What is looked at as the model's answer; empty for what it writes."""
    corpus: str = ""
    """Folder of a prepared corpus, of texts or of pairs, through which units and experts are followed."""
    max_new_tokens: int = 96
    """Longest answer, in tokens."""
    attribution: AttributionConfig = field(default_factory=AttributionConfig)
    """Which words counted."""
    neurons: NeuronConfig = field(default_factory=NeuronConfig)
    """Units, with a corpus."""
    overwrite: bool = False
    """Replace an older look."""


@dataclass(frozen=True, kw_only=True)
class GenerateTextConfig(GenerateConfig):
    """What a model writes behind texts of a user's own: answers to instructions, continuations."""

    input: str
    """A text file, or - for standard input; texts are split at <|endoftext|>."""
    model: str
    """Run folder, model folder or hub name."""
    prefix: str | None = None
    """Written before every text, in place of the model's own: the mode token of ours, `summarize: ` of T5."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """A model and its tokenizer as a folder that transformers loads."""

    model: str
    """Run folder, model folder or hub name."""
    out: str
    """Folder to write; replaced if it is a model folder already and `overwrite` is set."""
    portable: bool = False
    """Put the modelling code in the folder too: it then loads where rot5 is not installed, by trust_remote_code."""
    overwrite: bool = False
    """Replace a model folder that is already there."""


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """One self-contained HTML page about a run, or a folder of runs."""

    folder: str
    """Run folder, or a folder of run folders."""
    markdown: str = ""
    """Also write the tables and samples as Markdown to this file."""


@dataclass(frozen=True, kw_only=True)
class DoctorConfig:
    """What a run folder holds, what is missing or damaged, and what to do about it."""

    folder: str
    """Run folder."""


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Runs that a study file names, and a comparison of them; whatever is there already is not run again."""

    file: str
    """The study: a YAML file of variants, seeds, a budget and data."""
    out: str = ""
    """Folder for the comparison; default: runs/studies/ and the name of the file."""
    runs: str = "runs/studies/runs"
    """Folder of the run folders; studies that use the same one share equal runs."""
    jobs: int = 1
    """Runs at the same time; each gets its share of the cores."""
    accept_changes: bool = False
    """Go on though variants mean something else than when the study was begun; their old runs stay where they are."""
    markdown: str = ""
    """Also write the comparison as Markdown to this file."""


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


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Everything in one go: a corpus, a pretrained model, a tuned one, its scores and a report."""

    size: str = "full"
    """full (about ten minutes on two cores) or smoke (a minute, learns nothing)."""
    out: str = "runs/demo"
    """Folder to write."""
    overwrite: bool = False
    """Replace a demo that is already there."""


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Speed and memory, measured here; what is compared takes turns, so that the noise of the machine falls on all."""

    what: str = "train"
    """train: story tokens per second beside transformers' T5; memory: peaks of a step, one process each; moe: steps
    with experts beside dense ones; decode: new tokens per second beside transformers' and CTranslate2's; data: what
    feeds the training; time-to-loss: whole recipes on one clock; growth: speed over rows, sizes and batches; plan:
    memory and time beside what rot5 plan says of them; checkpoint: what saving costs; page:
    nothing anew, with `markdown`."""
    preset: str = "mini"
    """Shape of the model; plan takes several with commas between them."""
    model: str = ""
    """Run whose weights decode also takes in place of new ones."""
    corpus: str = ""
    """Prepared corpus whose text is used; default: StoryWorld with the full vocabulary."""
    validation: str = ""
    """Prepared corpus whose loss time-to-loss waits for."""
    rounds: int = 5
    """Timed rounds of each alternative; the median counts."""
    batch_rows: int = 8
    """Packed rows per step."""
    pack: PackConfig = field(default_factory=PackConfig)
    """The rows."""
    minutes: float = 10.0
    """Training time of the recipe that time-to-loss sets out from."""
    seeds: int = 3
    """Runs of each recipe in time-to-loss."""
    out: str = "runs/bench"
    """Folder to write the figures to, as JSON named after what was measured."""
    markdown: str = ""
    """Also write a page of all figures in that folder to this Markdown file, with its charts beside it."""
