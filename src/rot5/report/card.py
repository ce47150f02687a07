"""The model card of an export: what a stranger must know of a model, filled from the runs that made it.

Front matter and headings are those of the hub's model cards (Mitchell et al., arXiv:1810.03993). What nobody noted is
left out, never guessed.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rot5 import __version__
from rot5.data.manifest import UNKNOWN_LICENCE
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import parameter_counts
from rot5.report.front_matter import Exported, data_name, front_matter
from rot5.report.markdown import markdown_table
from rot5.report.origin import Stage
from rot5.report.tables import (
    CLAIM_COLUMNS,
    LIKELIHOOD_COLUMNS,
    SUMMARY_COLUMNS,
    TASK_COLUMNS,
    Column,
    claim_rows,
    likelihood_rows,
    summary_rows,
    task_rows,
)

DATA_COLUMNS = (
    Column("stage", "Stage", text=True),
    Column("name", "Data", text=True),
    Column("source", "Source", text=True),
    Column("licence", "Licence", text=True),
    Column("documents", "Documents or pairs"),
    Column("tokens", "Tokens"),
    Column("bytes", "Bytes"),
    Column("fingerprint", "Fingerprint", text=True),
)
RECIPE_COLUMNS = (
    Column("stage", "Stage", text=True),
    Column("verb", "Verb", text=True),
    Column("steps", "Steps"),
    Column("rows", "Rows a step"),
    Column("lengths", "Tokens of a row", text=True),
    Column("optimizer", "Optimizer, rate", text=True),
    Column("schedule", "Schedule", text=True),
    Column("precision", "Precision", text=True),
    Column("seed", "Seed"),
    Column("denoisers", "Denoisers", text=True),
    Column("adapters", "Adapters", text=True),
    Column("method", "Method", text=True),
)
HARDWARE_COLUMNS = (
    Column("stage", "Stage", text=True),
    Column("device", "Device", text=True),
    Column("threads", "Threads"),
    Column("ranks", "Processes"),
    Column("minutes", "Minutes"),
    Column("story_tokens", "Story tokens read"),
    Column("torch", "torch", text=True),
)
FACT_COLUMNS = (Column("what", "Of the model", text=True), Column("value", "Value", text=True))
METHODS = (
    (lambda shape: True, "Raffel et al. (2020), T5: encoder-decoder and span corruption, arXiv:1910.10683"),
    (lambda shape: shape.position_encoding == "rope", "Su et al. (2021), rotary positions, arXiv:2104.09864"),
    (
        lambda shape: shape.num_key_value_heads != shape.num_heads,
        "Ainslie et al. (2023), grouped-query attention, arXiv:2305.13245",
    ),
    (lambda shape: shape.is_gated, "Shazeer (2020), gated feed-forward networks, arXiv:2002.05202"),
    (lambda shape: shape.num_experts > 0, "Fedus et al. (2021), Switch experts, arXiv:2101.03961"),
)
"""Papers, each with the shapes that follow it."""

LIMITS = (
    "A small model: it writes fluent text that is false. It takes one name for another and invents names and events.",
    "It knows the language, the topics and the lengths that it was trained on, and nothing else; no safety training of "
    "any kind was done. Check what it writes before anybody relies on it.",
)


def model_card(exported: Exported, stages: Sequence[Stage], licence: str = "") -> str:
    """The text of README.md: front matter and Markdown; `stages` are the runs that made the model, the last one last.

    `licence` is what the user says of the model's; empty for that of the data, if it is known and one.
    """
    licence = licence or _licence_of_data(stages)
    body = [
        f"# {escaped(exported.name)}",
        _about(exported, stages),
        markdown_table(_shape(exported), FACT_COLUMNS),
        "## Use",
        *_use(exported, stages),
    ]
    if stages:
        body += ["## Training data", *_data(stages)]
        body += ["## Training", *_recipe(stages), *_hardware(stages)]
    if results := [part for stage in stages for part in _results(stage)]:
        body += ["## Results", *results]
    body += ["## Limits", "\n".join(f"- {limit}" for limit in (*LIMITS, *_lengths(stages)))]
    body += ["## Licence", _licence(licence)]
    if isinstance(exported.config, Rot5Config):
        body += ["## Methods", "\n".join(f"- {told}." for told in _methods(exported.config, stages))]
    front = front_matter(exported, stages, licence).to_yaml()
    return f"---\n{front}\n---\n\n" + "\n\n".join(body) + "\n"


def escaped(text: object) -> str:
    r"""Text of a user's own on one line of Markdown, shown as it is, in a table too.

    >>> print(escaped("a|b *c* <d>"))
    a\|b \*c\* \<d\>
    """
    return re.sub(r"([\\`*_\[\]<>|#~&!])", r"\\\1", " ".join(str(text).split()))


def _code(language: str, text: str) -> str:
    """A block of code; what it holds cannot end it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def _inline(text: str) -> str:
    """Code within a line."""
    text = text.replace("\n", " ")
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def _literal(text: str) -> str:
    """A string of Python; JSON's are such where no character is escaped as two halves."""
    return json.dumps(text, ensure_ascii=False)


def _facts(found: Mapping[str, object]) -> list[dict]:
    """Rows for `FACT_COLUMNS` of what is known."""
    return [{"what": key, "value": escaped(value)} for key, value in found.items() if value not in (None, "")]


def _about(exported: Exported, stages: Sequence[Stage]) -> str:
    ours = isinstance(exported.config, Rot5Config)
    kind = "ROT5" if ours else escaped(exported.config.model_type)
    size = f"{exported.parameters:,} parameters"
    what = f"An encoder-decoder language model ({kind}) of {size}, as rot5 {__version__} wrote it."
    if not stages:
        return f"{what} Nothing is known of how it was trained."
    done = {"pretrain": "pretrained on denoising", "finetune": "tuned on pairs", "distill": "distilled from a teacher"}
    told = ", then ".join(done[stage.kind] for stage in stages)
    began = f" It began with {escaped(stages[0].init)}, of which no more is known." if stages[0].init else ""
    return f"{what} It was {told}.{began}"


def _shape(exported: Exported) -> list[dict]:
    shape = exported.config
    if not isinstance(shape, Rot5Config):
        return _facts({"Architecture": shape.model_type, "Parameters": f"{exported.parameters:,}"})
    counts = parameter_counts(shape)
    positions = "relative bias" if shape.position_encoding == "relative_bias" else "rotary"
    experts = f"{shape.num_experts}, {shape.num_experts_per_tok} to a token" if shape.num_experts else None
    return _facts(
        {
            "Parameters": f"{counts.total:,}",
            "of which at work on a token": f"{counts.active:,}",
            "of which not of the token table": f"{counts.non_embedding:,}",
            "Layers": f"{shape.num_layers} of the encoder, {shape.num_decoder_layers} of the decoder",
            "Width": f"{shape.d_model}, feed-forward {shape.d_ff} ({shape.feed_forward_proj})",
            "Heads": f"{shape.num_heads} of width {shape.d_kv}, {shape.num_key_value_heads} for keys and values",
            "Positions": f"{positions}; {shape.cross_position_encoding} in cross-attention",
            "Experts": experts,
            "Vocabulary": f"{shape.vocab_size:,}",
        }
    )


def _use(exported: Exported, stages: Sequence[Stage]) -> list[str]:
    name, prefix = exported.name, exported.prefix
    ours = isinstance(exported.config, Rot5Config)
    needs_rot5 = ours and not exported.portable
    trust = ", trust_remote_code=True" if exported.portable else ""
    verb = "generate" if stages and stages[-1].kind == "pretrain" else "summarize"
    lines = [
        "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer",
        *(["", "import rot5.model.modeling_rot5  # tells transformers of the architecture"] if needs_rot5 else []),
        "",
        f"name = {_literal(name)}",
        "tokenizer = AutoTokenizer.from_pretrained(name)",
        f"model = AutoModelForSeq2SeqLM.from_pretrained(name{trust})",
        f'inputs = tokenizer({_literal(prefix) + " + " if prefix else ""}text, return_tensors="pt")',
        "answer = model.generate(**inputs, max_new_tokens=96, do_sample=False)",
        "print(tokenizer.decode(answer[0], skip_special_tokens=True))",
    ]
    before = f"Every input begins with {_inline(prefix)}, as in training. " if prefix else ""
    code = "The modelling code lies in this folder: read it before you trust it. " if exported.portable else ""
    lines_of_use = [
        f"{before}{code}`text` is yours:",
        _code("python", "\n".join(lines)),
        "With rot5, which writes the beginning of inputs itself:",
        _code("bash", f"rot5 {verb} text.txt --model {shlex.quote(name)}"),
    ]
    if exported.onnx:
        lines_of_use.append(
            "`encoder.onnx` and `decoder.onnx` are the same model for ONNX Runtime, in float32, with rows, input and "
            "answer of any length; the decoder takes the whole answer so far and keeps no cache."
        )
    return lines_of_use


def _data(stages: Sequence[Stage]) -> list[str]:
    rows = [
        {**{key: escaped(value) if isinstance(value, str) else value for key, value in vars(each).items()}}
        | {"stage": escaped(stage.run.name)}
        for stage in stages
        for each in stage.data
    ]
    parts = [markdown_table(rows, DATA_COLUMNS)]
    if teachers := [escaped(stage.run.config["teacher"]) for stage in stages if stage.kind == "distill"]:
        parts.append(f"Teacher: {', '.join(teachers)}.")
    parts.append("Fingerprints are of tokens and tokenizer, wherever the data lie.")
    return parts


def _recipe(stages: Sequence[Stage]) -> list[str]:
    rows = []
    for stage in stages:
        config = stage.run.config
        train, derived = config.get("train", {}), config.get("derived", {})
        optimizer, schedule = train.get("optimizer", {}), train.get("schedule", {})
        pack, lora = config.get("pack", {}), config.get("lora") or {}
        denoisers = config.get("denoise", {}).get("denoisers", [])
        told = [f"{each['name']} {each['probability']:g}" for each in denoisers]
        rows.append(
            {
                "stage": escaped(stage.run.name),
                "verb": stage.kind,
                "steps": derived.get("steps"),
                "rows": train.get("batch_rows"),
                "lengths": f"{pack.get('encoder_length')} and {pack.get('decoder_length')}" if pack else None,
                "optimizer": f"{optimizer.get('name')}, {optimizer.get('lr'):g}" if optimizer else None,
                "schedule": schedule.get("name"),
                "precision": derived.get("precision", train.get("precision")),
                "seed": config.get("seed"),
                "denoisers": ", ".join(told) or None,
                "adapters": f"LoRA of rank {lora['rank']}" if lora.get("rank") else None,
                "method": escaped(config["method"]) if "method" in config else None,
            }
        )
    return [
        markdown_table(rows, RECIPE_COLUMNS),
        "All settings of the last stage: [rot5_config.yaml](rot5_config.yaml).",
    ]


def _hardware(stages: Sequence[Stage]) -> list[str]:
    rows = []
    for stage in stages:
        told, seconds = stage.run.environment, stage.seconds
        rows.append(
            {
                "stage": escaped(stage.run.name),
                "device": escaped(told["device"]) if "device" in told else None,
                "threads": told.get("threads"),
                "ranks": told.get("ranks"),
                "minutes": None if seconds is None else seconds / 60,
                "story_tokens": stage.run.last("story_tokens"),
                "torch": told.get("torch"),
            }
        )
    return [markdown_table(rows, HARDWARE_COLUMNS)]


def _results(stage: Stage) -> list[str]:
    run, parts = stage.run, []
    if run.likelihood:
        told = f"{escaped(run.name)}: likelihood of {escaped(data_name(run.likelihood))}"
        parts += [f"### {told}", markdown_table(likelihood_rows(run.likelihood), LIKELIHOOD_COLUMNS)]
    if run.summaries:
        count = run.summaries.get("examples", 0)
        told = f"{escaped(run.name)}: {count:,} answers on {escaped(data_name(run.summaries))}"
        parts.append(f"### {told}")
        for rows, columns in (
            (summary_rows(run.summaries), SUMMARY_COLUMNS),
            (claim_rows(run.summaries), CLAIM_COLUMNS),
            (task_rows(run.summaries), TASK_COLUMNS),
        ):
            if rows:
                parts.append(markdown_table([_plain(row) for row in rows], columns))
    return [*parts, "In brackets: 95 % bootstrap intervals over documents."] if parts else []


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose words are shown as they are."""
    return {key: escaped(value) if isinstance(value, str) else value for key, value in row.items()}


def _lengths(stages: Sequence[Stage]) -> list[str]:
    pack = stages[-1].run.config.get("pack", {}) if stages else {}
    if not pack:
        return []
    return [
        f"It was trained on inputs of at most {pack['encoder_length']} and answers of at most {pack['decoder_length']} "
        "tokens; nothing is known of longer ones."
    ]


def _licence_of_data(stages: Sequence[Stage]) -> str:
    """The one licence of all data; empty where they have several, or nobody said."""
    found = {each.licence for stage in stages for each in stage.data}
    return next(iter(found)) or "" if len(found) == 1 and found != {UNKNOWN_LICENCE} else ""


def _licence(licence: str) -> str:
    own = (
        f"Of the weights: {escaped(licence)}." if licence else "Of the weights: nobody has said; ask who gave you this."
    )
    return f"{own} Of the code of rot5: Apache-2.0."


def _methods(shape: Rot5Config, stages: Sequence[Stage]) -> list[str]:
    found = [told for holds, told in METHODS if holds(shape)]
    configs = [stage.run.config for stage in stages]
    if any("denoise" in config for config in configs):
        found.append("Tay et al. (2022), UL2: a mixture of denoisers, arXiv:2205.05131")
    if any(config.get("train", {}).get("optimizer", {}).get("name") == "muon" for config in configs):
        found.append("Jordan et al. (2024), Muon: an optimizer for hidden layers")
    return found
