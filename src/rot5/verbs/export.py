"""`rot5 export`: a model and its tokenizer as a folder for transformers, with the modelling code if it shall travel."""

from pathlib import Path

from rot5.config import ExportConfig
from rot5.errors import UserError
from rot5.export import AUTO_MAP, own_sources, portable_files
from rot5.folders import complete_or_absent
from rot5.loading import load


def run(config: ExportConfig) -> None:
    """Write the folder and print how to load it."""
    out = Path(config.out)
    if out.exists() and not config.overwrite:
        raise UserError(f"{out} already exists: replace it with --overwrite true or choose another --out")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "config.json").is_file()):
        raise UserError(f"{out} exists and is not a model folder: name a new folder")
    loaded = load(config.model)
    settings = loaded.model.config
    if config.portable and settings.model_type != "rot5":
        raise UserError(
            f"{config.model} is a {settings.model_type} model, whose code is transformers' own: export it without "
            "--portable"
        )
    vars(settings).pop("auto_map", None)
    with complete_or_absent(out) as folder:
        if config.portable:
            settings.auto_map = AUTO_MAP
            for name, text in portable_files(own_sources()).items():
                (folder / name).write_text(text, encoding="utf-8")
        loaded.model.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
    trust = ", trust_remote_code=True" if config.portable else ""
    print(f'{out}: AutoModelForSeq2SeqLM.from_pretrained("{out}"{trust})')
