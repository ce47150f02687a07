"""What the hub reads of a model card: licence, task, data sets and figures, as the YAML before its text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from transformers import PreTrainedConfig

from rot5.data.sources import HUB
from rot5.report.origin import Stage

HUB_LICENCES = (
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "unlicense", "other"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0"),
    *("cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "odc-by", "odbl", "openrail"),
)
"""Words that the hub knows licences by; it calls all others `other`, with a name."""

MEASURES = {
    "content_true": ("content_words_true", "Content words true, %"),
    "rouge1": ("rouge", "ROUGE-1"),
    "rouge2": ("rouge", "ROUGE-2"),
    "rougeL": ("rouge", "ROUGE-L"),
}
"""Figures of summaries in the front matter: the hub's word for the measure, and its name."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What a folder holds, wherever the model comes from."""

    name: str
    """What the card calls the model, and what it is loaded by: a folder, or a name of the hub."""
    config: PreTrainedConfig
    parameters: int
    """All weights, each counted once."""
    prefix: str
    """Written before each input."""
    portable: bool = False
    """Whether the modelling code is in the folder."""
    onnx: bool = False
    """Whether the ONNX graphs are."""


def front_matter(exported: Exported, stages: Sequence[Stage], licence: str) -> ModelCardData:
    """The card's data; `licence` is empty where nobody said one."""
    known = licence.lower() in HUB_LICENCES
    sources = [data.source for stage in stages for data in stage.data]
    results = _eval_results(stages, _task(exported, stages) or "text-generation")
    return ModelCardData(
        language="en",
        license=(licence.lower() if known else "other") if licence else None,
        license_name=licence if licence and not known else None,
        library_name="transformers",
        pipeline_tag=_task(exported, stages),
        tags=list(dict.fromkeys(["rot5", "encoder-decoder", exported.config.model_type, *["onnx"] * exported.onnx])),
        datasets=list(dict.fromkeys(HUB[source] for source in sources if source in HUB)) or None,
        model_name=exported.name,
        eval_results=results or None,
    )


def _task(exported: Exported, stages: Sequence[Stage]) -> str | None:
    """The hub's word for what the model does; None where it is not known."""
    tuned = [stage for stage in stages if stage.kind != "pretrain"]
    if stages and (not tuned or stages[-1].run.summaries.get("tasks")):
        return "text-generation"
    params = getattr(exported.config, "task_specific_params", None) or {}
    return "summarization" if tuned or "summarization" in params else None


def _eval_results(stages: Sequence[Stage], task: str) -> list[EvalResult]:
    """Figures of the last stage, whose model it is."""
    if not stages:
        return []
    run, found = stages[-1].run, []

    def add(told: Mapping[str, Any], measure: str, name: str, figure: Mapping[str, float]) -> None:
        data = data_name(told)
        interval = {"interval": "95 % bootstrap", "low": round(figure["low"], 4), "high": round(figure["high"], 4)}
        value = round(figure["mean"], 4)
        result = EvalResult(task, data, data, measure, value, metric_name=name, metric_args=interval)
        found.append(result)

    if overall := run.likelihood.get("overall"):
        add(run.likelihood, "bits_per_byte", "Bits per byte", overall["bits_per_byte"])
    model = run.summaries.get("systems", {}).get("model", {})
    for key, (measure, name) in MEASURES.items():
        if key in model:
            add(run.summaries, measure, name, model[key])
    return found


def data_name(evaluated: Mapping[str, Any]) -> str:
    """Name of the folder that a part of eval.json is about."""
    return Path(str(evaluated.get("settings", {}).get("data", ""))).name or "validation data"
