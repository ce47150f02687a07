"""`rot5 distill`: a model tuned on pairs beside a teacher, token by token or piece by piece of the targets."""

from rot5.build.distilling import distilling
from rot5.config import DistillConfig
from rot5.verbs.finetune import tune


def run(config: DistillConfig, *, resume: bool = False, overwrite: bool = False) -> None:
    """Ask the teacher what it has not been asked, and tune, evaluate, export and report as `rot5 finetune` does."""
    tune(distilling, config, resume=resume, overwrite=overwrite)
