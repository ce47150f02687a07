"""`rot5 finetune`: a model tuned on (text, summary) pairs."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from rot5 import ranks
from rot5.build.finetuning import finetuning
from rot5.build.jobs import Job, complete
from rot5.config import FinetuneConfig
from rot5.data.corpus import PairCorpus
from rot5.evaluation.answers import evaluate_summaries
from rot5.folders import sole
from rot5.generate.settings import GenerateConfig
from rot5.loading import load
from rot5.report.page import write_report
from rot5.train.samples import write_samples
from rot5.verbs.evaluate import show


def run(config: FinetuneConfig, *, resume: bool = False, overwrite: bool = False) -> None:
    """Train to the end, write and score summaries of validation texts, export and report."""
    tune(finetuning, config, resume=resume, overwrite=overwrite)


def tune(ready: Callable[..., Job], config: FinetuneConfig, *, resume: bool, overwrite: bool) -> None:
    """As `run`, for a run that `ready` makes of the settings."""
    with sole(Path(config.out)) if ranks.is_main() else nullcontext():
        job = ready(config, resume=resume, overwrite=overwrite)
        complete(job, resume=resume)
        _judge(job, config)
        if ranks.is_main():
            show(job.run.evaluation())
            print(write_report(job.run.path))


def _judge(job: Job, config: FinetuneConfig) -> None:
    """Write summaries, each rank its share, and score them."""
    if config.summaries:
        table, samples, seconds = evaluate_summaries(
            load(str(job.run.path)),
            PairCorpus.open(Path(config.validation)),
            config.summaries,
            GenerateConfig(max_new_tokens=config.max_new_tokens),
        )
        if ranks.is_main():
            write_samples(job.run.samples_file, samples)
            job.run.add_evaluation("summaries", table)
            print(f"{len(samples):,} summaries written in {seconds:.1f} s")
