"""Finished runs of a benchmark that takes long, kept from one call to the next."""

import json
from pathlib import Path
from typing import Any


class KeptRuns:
    """Finished runs as JSON lines; a line that a kill cut short is passed over."""

    def __init__(self, path: Path):
        self.path = path
        self.runs = []
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    self.runs.append(json.loads(line))
                except ValueError:
                    continue

    def find(self, told: dict[str, Any]) -> dict[str, Any] | None:
        """The result of a run of just these settings."""
        return next((run["found"] for run in self.runs if run["told"] == told), None)

    def add(self, told: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
        """Keep a result and return it."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" * bool(file.tell()) + json.dumps({"told": told, "found": found}))
        return found
