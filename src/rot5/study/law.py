"""The law of size that the runs of a study follow: their points, the fit, and what a page shows of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rot5.build import shape
from rot5.config import PretrainConfig
from rot5.data.corpus import Corpus
from rot5.data.tokenizer import special_ids
from rot5.model.costs import parameter_counts
from rot5.sizing.fitting import fit
from rot5.sizing.laws import Point
from rot5.study.budget import flops_per_story_token
from rot5.study.file import Study
from rot5.study.runs import Chain


def points(study: Study, finished: Mapping[str, Sequence[Chain]]) -> list[Point]:
    """One point per finished run: active parameters without token tables, story tokens, operations, bits per byte."""
    found = []
    for variant in study.variants:
        for each in finished.get(variant.name, ()):
            config = each.pretrain.config
            assert isinstance(config, PretrainConfig)
            specials = special_ids(Corpus.open(Path(config.corpus)).tokenizer())
            tokens = each.pretrain.folder.metrics()[-1]["story_tokens"]
            loss = each.pretrain.folder.evaluation()["likelihood"]["overall"]["bits_per_byte"]["mean"]
            found.append(
                Point(
                    parameters=parameter_counts(shape(config.model, specials)).active_non_embedding,
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
