"""`rot5 pretrain`: a model from scratch on denoising."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np

from rot5 import ranks
from rot5.build.jobs import Job, complete
from rot5.build.pretraining import pretraining
from rot5.config import PretrainConfig
from rot5.folders import sole
from rot5.generate.answers import generate
from rot5.generate.settings import GenerateConfig
from rot5.loading import load
from rot5.report.page import write_report
from rot5.train.samples import write_samples

SAMPLES_PER_KIND = 3
LONGER = 8
"""Tokens that the model may write beyond those of the target."""


def run(config: PretrainConfig, *, resume: bool = False, overwrite: bool = False) -> None:
    """Train to the end, score the whole validation set, write samples, export and report."""
    with sole(Path(config.out)) if ranks.is_main() else nullcontext():
        job = pretraining(config, resume=resume, overwrite=overwrite)
        complete(job, resume=resume)
        if ranks.is_main():
            write_samples(job.run.samples_file, denoising_samples(job))
            print(write_report(job.run.path))


def denoising_samples(job: Job) -> list[dict]:
    """Per denoiser, a few validation examples with the target and what the model writes."""
    examples = job.subject.validation
    plan = examples.plan(np.arange(min(len(examples), 200)))
    kinds = range(len(examples.kind_names))
    chosen = np.concatenate([np.flatnonzero(plan.kinds == kind)[:SAMPLES_PER_KIND] for kind in kinds])
    inputs, targets = examples.materialise(plan, chosen)
    prompts, references = ([each.row(n).tolist() for n in range(len(chosen))] for each in (inputs, targets))
    longest = [len(reference) + LONGER for reference in references]
    model = load(str(job.run.path)).model
    pad = model.config.pad_token_id
    settings = GenerateConfig(max_new_tokens=max(longest, default=1), batch_size=len(chosen))
    answers = generate(model, prompts, pad, settings)
    return [
        {
            "index": number,
            "kind": examples.kind_names[plan.kinds[number]],
            "input": job.tokenizer.decode(prompts[n]),
            "references": [job.tokenizer.decode(references[n])],
            "prediction": job.tokenizer.decode([token for token in answers[n][: longest[n]] if token != pad]),
        }
        for n, number in enumerate(chosen.tolist())
    ]
