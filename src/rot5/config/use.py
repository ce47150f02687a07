"""What a user may set of a model in use: scored, judged, asked, looked into, handed on."""

from dataclasses import dataclass, field

from rot5.generate.settings import GenerateConfig
from rot5.inspect.settings import AttributionConfig, NeuronConfig
from rot5.serve.settings import ServerConfig


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
class GenerateTextConfig(GenerateConfig):
    """What a model writes behind texts of a user's own: answers to instructions, continuations."""

    input: str
    """A text file, or - for standard input; texts are split at <|endoftext|>."""
    model: str
    """Run folder, model folder or hub name."""
    prefix: str | None = None
    """Written before every text, in place of the model's own: the mode token of ours, `summarize: ` of T5."""


@dataclass(frozen=True, kw_only=True)
class ServeConfig(ServerConfig):
    """Models that answer over HTTP, many requests at a time, on this machine unless `host` says otherwise."""

    models: tuple[str, ...] = ()
    """Run folders, model folders or hub names; of ours, or T5, Flan-T5 or mT5. Requests name one, or get the first."""
    ui: bool = False
    """Also show a page for people at the server's root."""
    runs: str = "runs"
    """Folder of runs that the page shows."""


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
class ExportConfig:
    """A model and its tokenizer as a folder that transformers loads, with a model card."""

    model: str
    """Run folder, model folder or hub name."""
    out: str
    """Folder to write; replaced if it is a model folder already and `overwrite` is set."""
    portable: bool = False
    """Put the modelling code in the folder too: it then loads where rot5 is not installed, by trust_remote_code."""
    onnx: bool = False
    """Put the model in the folder as ONNX graphs too, encoder and decoder, each checked against the model."""
    licence: str = ""
    """Of the weights, for the card, as the hub names it (apache-2.0); empty for the data's, where it is known."""
    push: str = ""
    """USER/NAME on the hub to upload the folder to, by your login there; empty for nowhere."""
    private: bool = True
    """Whether a repository that is made there is private."""
    overwrite: bool = False
    """Replace a model folder that is already there."""


@dataclass(frozen=True, kw_only=True)
class CompletionConfig:
    """A script, for a shell to read, that completes verbs, settings and what they may be."""

    shell: str
    """bash, zsh or fish. In its start-up file: `eval "$(rot5 completion bash)"`, the same with zsh, or
    `rot5 completion fish | source`."""
