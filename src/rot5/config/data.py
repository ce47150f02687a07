"""What a user may set of data: stories, corpora, pairs and tasks."""

from dataclasses import dataclass, field

from rot5.data.parts import PartsConfig
from rot5.data.sources import SourceConfig


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
    """In place of a mixture at most so many of every task, which take turns, to judge by."""
    held_out: bool = False
    """Only the tasks that are held out, instead of the others."""
    tasks: str = ""
    """Patterns of tasks with commas between, in place of those in the file: `world/summary,tales/*`. A task that is
    named in full is taken though the file holds it out."""
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
