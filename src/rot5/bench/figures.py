"""What a benchmark found, as data: shown on a terminal, kept as JSON, and read back for the page of all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rot5.report.charts import Chart, Series
from rot5.report.tables import Column, Table


@dataclass(frozen=True)
class Figures:
    """The result of one benchmark; everything in it is plain data."""

    title: str
    about: str
    """What was measured and how, and what stands beside what: a paragraph."""
    tables: Sequence[Table]
    charts: Sequence[Chart] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is worth keeping: every round, sizes, fills."""


def figures_from(found: Mapping[str, Any]) -> Figures:
    """The figures that `dataclasses.asdict` made plain, back from JSON; entries that are not theirs are passed over."""
    tables = [
        Table(each["title"], each["rows"], [Column(**column) for column in each["columns"]], each["about"])
        for each in found["tables"]
    ]
    charts = [Chart(**{**each, "series": [Series(**line) for line in each["series"]]}) for each in found["charts"]]
    return Figures(found["title"], found["about"], tables, charts, found["facts"])
