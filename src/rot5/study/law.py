"""The law of size that the runs of a study follow: their points, the fit, and what a page shows of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rot5.build.models import shape
from rot5.config import PretrainConfig
from rot5.data.mixture import open_corpus
from rot5.data.tokenizer import special_ids
from rot5.errors import UserError
from rot5.report.tables import Column
from rot5.sizing.compute import working_parameters
from rot5.sizing.fitting import fit
from rot5.sizing.laws import Point
from rot5.study.budget import flops_per_story_token
from rot5.study.file import Study
from rot5.study.runs import Chain


def points(study: Study, finished: Mapping[str, Sequence[Chain]]) -> list[Point]:
    """One point per finished run: parameters at work on a token, story tokens, operations, bits per byte.

    Raises UserError for variants of several stages."""
    found = []
    for variant in study.variants:
        for each in finished.get(variant.name, ()):
            runs = each.of("pretrain")
            if len(runs) != 1 or not isinstance(config := runs[0].config, PretrainConfig) or config.init:
                raise UserError(f"law: {variant.name} must be one pretraining of a new model")
            specials = special_ids(open_corpus(config.corpus, config.temperature).tokenizer())
            tokens = runs[0].folder.metrics()[-1]["story_tokens"]
            loss = runs[0].folder.evaluation()["likelihood"]["overall"]["bits_per_byte"]["mean"]
            found.append(
                Point(
                    parameters=working_parameters(shape(config.model, specials)),
                    tokens=tokens,
                    flops=tokens * flops_per_story_token(config),
                    loss=loss,
                    name=f"{each.variant}, seed {each.seed}",
                    group=f"{variant.budget['flops']:.1e}" if "flops" in variant.budget else "",
                )
            )
    return found


def law_of(study: Study, finished: Mapping[str, Sequence[Chain]]) -> dict[str, Any]:
    """The fit of `sizing.fitting` to all finished runs. Raises UserError where they are too few or too alike."""
    return fit(points(study, finished))


CONSTANT_COLUMNS = (
    Column("constant", "Constant", text=True),
    Column("value", "Value, with 95\u00a0% of resampled runs", digits=4),
)
PREDICTION_COLUMNS = (
    Column("run", "Run", text=True),
    Column("parameters", "Parameters"),
    Column("tokens", "Story tokens"),
    Column("flops", "Operations", text=True),
    Column("loss", "Bits per byte", digits=4),
    Column("error", "Law of all runs, error\u00a0%", digits=1, scale=100),
    Column("unseen", "Law without these, error\u00a0%", digits=1, scale=100),
)
MINIMUM_COLUMNS = (
    Column("budget", "Operations", text=True),
    Column("parameters", "Best parameters"),
    Column("loss", "Bits per byte there", digits=4),
)
ABOUT_LAW = (
    "L(N, D) = E + A / N^alpha + B / D^beta in bits per byte; N are parameters at work on a token (of token tables the "
    "head alone), D story tokens, a and b the exponents of the budget in the best N and D, k the operations per "
    "parameter and story token."
)
ABOUT_ERRORS = "The last column is a law fitted without the dearest budget, tried on it."
ABOUT_MINIMA = "Minima of parabolas through runs of one budget; a curve without a minimum inside its sizes is left out."


def constant_rows(found: Mapping[str, Any]) -> list[dict]:
    """The constants of the parametric law, and the slope of the line through the minima of equal budgets."""
    rows = [{"constant": name, "value": value} for name, value in found["parametric"]["intervals"].items()]
    isoflop = found["isoflop"] or {}
    if isoflop.get("law"):
        value = (isoflop["intervals"] or {}).get("a", isoflop["law"]["a"])
        rows.append({"constant": "a, of the minima of equal budgets", "value": value})
    return rows


def prediction_rows(found: Mapping[str, Any]) -> list[dict]:
    """Every run with what the law says of it."""
    unseen = {each["name"]: each["relative_error"] for each in (found["held_out"] or {}).get("predictions", ())}
    return [
        {
            "run": point["name"],
            "parameters": round(point["parameters"]),
            "tokens": round(point["tokens"]),
            "flops": f"{point['flops']:.2e}",
            "loss": point["loss"],
            "error": predicted["relative_error"],
            "unseen": unseen.get(point["name"]),
        }
        for point, predicted in zip(found["points"], found["parametric"]["predictions"], strict=True)
    ]


def minimum_rows(found: Mapping[str, Any]) -> list[dict]:
    """The best size of each budget, and why others have none."""
    isoflop = found["isoflop"] or {}
    rows = [
        {"budget": f"{group['flops']:.2e}", "parameters": round(group["parameters"]), "loss": group["loss"]}
        for group in isoflop.get("groups", ())
    ]
    return rows + [{"budget": f"{each['group']}: {each['why']}"} for each in isoflop.get("left_out", ())]
