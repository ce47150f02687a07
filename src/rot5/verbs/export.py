"""`rot5 export`: a model and its tokenizer as a folder for transformers, with the modelling code if it shall travel."""

from pathlib import Path

from rot5.config import ExportConfig
from rot5.errors import UserError
from rot5.export import AUTO_MAP, own_sources, portable_files
from rot5.folders import complete_or_absent
from rot5.loading import Loaded, load


def run(config: ExportConfig) -> None:
    """Write the folder and print how to load it."""
    out = Path(config.out)
    check_place(out, overwrite=config.overwrite)
    write(load(config.model), config.model, out, portable=config.portable)
    trust = ", trust_remote_code=True" if config.portable else ""
    print(f'{out}: AutoModelForSeq2SeqLM.from_pretrained("{out}"{trust})')


def check_place(out: Path, *, overwrite: bool) -> None:
    """Raise UserError where no model folder may be written."""
    if out.exists() and not overwrite:
        raise UserError(f"{out} already exists: replace it with --overwrite true or choose another --out")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "config.json").is_file()):
        raise UserError(f"{out} exists and is not a model folder: name a new folder")


def write(loaded: Loaded, name: str, out: Path, *, portable: bool) -> None:
    """Write a model, which goes by that name, and its tokenizer; with the modelling code where it is `portable`."""
    settings = loaded.model.config
    if portable and settings.model_type != "rot5":
        raise UserError(
            f"{name} is a {settings.model_type} model, whose code is transformers' own: export it without --portable"
        )
    vars(settings).pop("auto_map", None)
    with complete_or_absent(out) as folder:
        if portable:
            settings.auto_map = AUTO_MAP
            for file, text in portable_files(own_sources()).items():
                (folder / file).write_text(text, encoding="utf-8")
        loaded.model.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
