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
    model = load(str(job.run.path)).model
    samples = []
    for kind, name in enumerate(examples.kind_names):
        chosen = np.flatnonzero(plan.kinds == kind)[:SAMPLES_PER_KIND]
        inputs, targets = examples.materialise(plan, chosen)
        prompts = [inputs.row(index).tolist() for index in range(len(chosen))]
        longest = int(targets.lengths.max(initial=1)) + 8
        answers = generate(
            model, prompts, model.config.pad_token_id, GenerateConfig(max_new_tokens=longest, batch_size=8)
        )
        for index, number in enumerate(chosen.tolist()):
            samples.append(
                {
                    "index": number,
                    "kind": name,
                    "input": job.tokenizer.decode(prompts[index]),
                    "references": [job.tokenizer.decode(targets.row(index).tolist())],
                    "prediction": job.tokenizer.decode(
                        [token for token in answers[index] if token != model.config.pad_token_id]
                    ),
                }
            )
    return samples
