"""`rot5 report`: one HTML page about a run or a folder of runs."""

from pathlib import Path

from rot5.config import ReportConfig
from rot5.folders import check_writable
from rot5.progress import shown
from rot5.report.markdown import write_markdown
from rot5.report.page import write_report


def run(config: ReportConfig) -> None:
    """Write report.html and print where it is."""
    if config.markdown:
        check_writable(Path(config.markdown), "markdown")
    with shown("writing the report"):
        page = write_report(Path(config.folder))
    print(page)
    if config.markdown:
        print(write_markdown(Path(config.folder), Path(config.markdown)))
