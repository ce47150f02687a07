"""The verbs of the command line: settings, modules and examples, all as names, so that nothing is loaded."""

from typing import NamedTuple

DATA, TRAIN, JUDGE, USE, STUDY = GROUPS = ("data", "train", "judge", "use", "study")
"""What verbs are for, in the order of a model's life."""


class Verb(NamedTuple):
    """A verb's group, its settings class in `rot5.config`, its module, the setting that a bare first argument gives,
    what it makes, and commands as a user types them."""

    group: str
    settings: str
    module: str
    bare: str | None
    summary: str
    examples: tuple[str, ...]
    several: bool = False
    """Whether more bare arguments may follow the first, for a setting that is a list."""


VERBS = {
    "stories": Verb(
        DATA,
        "StoriesConfig",
        "rot5.verbs.stories",
        "count",
        "records of StoryWorld as text",
        ("rot5 stories 3", "rot5 stories 1000 --split train --format jsonl --out stories.jsonl"),
    ),
    "prepare": Verb(
        DATA,
        "PrepareConfig",
        "rot5.verbs.prepare",
        "source.name",
        "text or pairs into a corpus",
        (
            "rot5 prepare stories.txt --out runs/mine/data/train",
            "rot5 prepare pairs.jsonl --pairs true --tokenizer runs/mine/data/train --out runs/mine/data/pairs",
        ),
    ),
    "mix": Verb(
        DATA,
        "MixConfig",
        "rot5.verbs.mix",
        "mixture",
        "tasks and templates into pairs, for instruction tuning",
        (
            "rot5 mix recipes/tasks/stories.yaml --tokenizer runs/mine/data/train --examples 20000 "
            "--out runs/mine/data/tasks",
        ),
    ),
    "sort": Verb(
        DATA,
        "SortConfig",
        "rot5.verbs.sort",
        "corpus",
        "a corpus cut into parts from easy to hard",
        ("rot5 sort runs/mine/data/train --by vocabulary --out runs/mine/data/sorted",),
    ),
    "overlap": Verb(
        DATA,
        "OverlapConfig",
        "rot5.verbs.overlap",
        "validation",
        "what validation texts share with training",
        ("rot5 overlap runs/mine/data/valid --training runs/mine/data/train",),
    ),
    "plan": Verb(
        TRAIN,
        "PlanConfig",
        "rot5.verbs.plan",
        "preset",
        "what a model costs: parameters, operations, time and memory",
        ("rot5 plan mini", "rot5 plan mini --tokens 1.4e9 --hardware H200 --devices 4"),
    ),
    "pretrain": Verb(
        TRAIN,
        "PretrainConfig",
        "rot5.verbs.pretrain",
        None,
        "a model from scratch on denoising",
        (
            "rot5 pretrain --corpus runs/mine/data/train --validation runs/mine/data/valid --model.preset 2m "
            "--out runs/mine/pretrain",
            "rot5 pretrain --config recipes/tinystories.yaml --train.steps 1000",
        ),
    ),
    "finetune": Verb(
        TRAIN,
        "FinetuneConfig",
        "rot5.verbs.finetune",
        None,
        "a model tuned on (text, summary) pairs",
        (
            "rot5 finetune --init runs/mine/pretrain --pairs runs/mine/data/pairs --validation runs/mine/data/test "
            "--out runs/mine/tuned",
        ),
    ),
    "distill": Verb(
        TRAIN,
        "DistillConfig",
        "rot5.verbs.distill",
        None,
        "a model tuned on what a teacher holds likely",
        (
            "rot5 distill --teacher runs/mine/tuned --decoder_layers 2 --pairs runs/mine/data/pairs "
            "--validation runs/mine/data/test --out runs/mine/student",
        ),
    ),
    "teach": Verb(
        TRAIN,
        "TeachConfig",
        "rot5.verbs.teach",
        "teacher",
        "pairs whose targets a teacher has written",
        ("rot5 teach runs/mine/tuned --pairs runs/mine/data/pairs --out runs/mine/data/taught",),
    ),
    "stages": Verb(
        TRAIN,
        "StagesConfig",
        "rot5.stages",
        "file",
        "a model trained in stages, each from the last",
        ("rot5 stages stages.yaml --out runs/mine/staged",),
    ),
    "evaluate": Verb(
        JUDGE,
        "EvaluateConfig",
        "rot5.verbs.evaluate",
        "model",
        "likelihood and summaries of a model or a file",
        (
            "rot5 evaluate runs/mine/tuned",
            "rot5 evaluate --predictions theirs.jsonl --data runs/mine/data/test --out runs/mine/theirs",
        ),
    ),
    "judge": Verb(
        JUDGE,
        "JudgeConfig",
        "rot5.verbs.judge",
        "model",
        "completed stories, measured and graded",
        (
            "rot5 judge runs/mine/pretrain --prompts examples/prompts/story_openings.jsonl --out runs/mine/judged",
            "rot5 judge runs/mine/pretrain --prompts examples/prompts/story_openings.jsonl --out runs/mine/judged "
            "--judge_url http://127.0.0.1:8000/v1 --judge_model judge",
        ),
    ),
    "inspect": Verb(
        JUDGE,
        "InspectConfig",
        "rot5.verbs.inspect",
        "model",
        "a look inside a model at work on a text",
        ("rot5 inspect runs/mine/tuned --text story.txt --out runs/mine/inside",),
    ),
    "doctor": Verb(
        JUDGE,
        "DoctorConfig",
        "rot5.verbs.doctor",
        "folder",
        "what is the matter with a run, and what to do",
        ("rot5 doctor runs/mine/pretrain",),
    ),
    "summarize": Verb(
        USE,
        "SummarizeConfig",
        "rot5.verbs.summarize",
        "input",
        "a summary of your own text",
        (
            "rot5 summarize examples/stories.txt --model runs/demo/finetune",
            "rot5 summarize - --model runs/demo/finetune --num_beams 4",
        ),
    ),
    "generate": Verb(
        USE,
        "GenerateTextConfig",
        "rot5.verbs.generate",
        "input",
        "what a model writes behind your own text",
        ("rot5 generate story.txt --model runs/mine/tuned --do_sample true --temperature 0.8",),
    ),
    "export": Verb(
        USE,
        "ExportConfig",
        "rot5.verbs.export",
        "model",
        "a model as a folder for transformers",
        ("rot5 export runs/mine/tuned --portable --out runs/mine/summarizer",),
    ),
    "serve": Verb(
        USE,
        "ServeConfig",
        "rot5.verbs.serve",
        "models",
        "models that answer over HTTP, many requests at a time",
        ("rot5 serve runs/mine/tuned", "rot5 serve runs/mine/tuned google/flan-t5-small --port 8080 --precision int8"),
        several=True,
    ),
    "completion": Verb(
        USE,
        "CompletionConfig",
        "rot5.verbs.completion",
        "shell",
        "a script that completes verbs and settings in a shell",
        ('eval "$(rot5 completion bash)"', "rot5 completion fish"),
    ),
    "report": Verb(
        STUDY,
        "ReportConfig",
        "rot5.verbs.report",
        "folder",
        "one HTML page about a run or a folder of runs",
        ("rot5 report runs/mine", "rot5 report runs/mine --markdown mine.md"),
    ),
    "study": Verb(
        STUDY,
        "StudyConfig",
        "rot5.study.run",
        "file",
        "variants compared at matched budgets, over seeds",
        ("rot5 study recipes/studies/ladder.yaml --jobs 2",),
    ),
    "bench": Verb(
        STUDY,
        "BenchConfig",
        "rot5.bench.run",
        "what",
        "speed and memory, measured here",
        ("rot5 bench train --preset 2m", "rot5 bench decode --model runs/mine/tuned --markdown decode.md"),
    ),
    "demo": Verb(
        STUDY,
        "DemoConfig",
        "rot5.demo",
        None,
        "everything in one go, with a report at the end",
        ("rot5 demo --size smoke --out runs/smoke",),
    ),
}
"""Handlers are `run(settings)`; those that can be taken up are `run(settings, resume=…, overwrite=…)`."""

CONTINUABLE = ("prepare", "mix", "pretrain", "finetune", "distill", "teach")
CONTINUING = ("evaluate", "judge", "stages", "study")
"""Verbs that, called again, do what is missing and nothing twice: `--resume` goes without saying."""

SPREAD = ("pretrain", "finetune", "evaluate")
"""Verbs that several processes, which torchrun starts, do together."""

SWITCHES = {
    "resume": "go on where a stopped call of the same command ended",
    "overwrite": "begin anew in place of what is there",
}
"""What verbs that can be taken up also take."""
