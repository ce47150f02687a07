"""What a user may set of many runs at once: studies, reports, benchmarks, the demo."""

from dataclasses import dataclass, field

from rot5.data.packing import PackConfig


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
class BenchConfig:
    """Speed and memory, measured here; what is compared takes turns, so that the noise of the machine falls on all."""

    what: str = "train"
    """train: story tokens per second beside transformers' T5; memory: peaks of a step, one process each; moe: steps
    with experts beside dense ones; decode: new tokens per second beside transformers' and CTranslate2's; data: what
    feeds the training; time-to-loss: whole recipes on one clock; growth: speed over rows, sizes and batches; plan:
    memory and time beside what rot5 plan says of them; checkpoint: what saving costs; serve: a
    server of `model` under load; page: nothing anew, with `markdown`."""
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
    """Training time of the recipe that time-to-loss sets out from; how long serve is under load."""
    clients: int = 64
    """Clients that ask serve at the same time."""
    seeds: int = 3
    """Runs of each recipe in time-to-loss."""
    out: str = "runs/bench"
    """Folder to write the figures to, as JSON named after what was measured."""
    markdown: str = ""
    """Also write a page of all figures in that folder to this Markdown file, with its charts beside it."""


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Everything in one go: a corpus, a pretrained model, a tuned one, its scores and a report."""

    size: str = "full"
    """full (about ten minutes on two cores) or smoke (a minute, learns nothing)."""
    out: str = "runs/demo"
    """Folder to write."""
    overwrite: bool = False
    """Replace a demo that is already there."""
