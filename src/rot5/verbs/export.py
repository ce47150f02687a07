"""`rot5 export`: a model and its tokenizer as a folder to share, with a card, and if asked the code, ONNX graphs, and
a copy on the hub."""

from pathlib import Path

from rot5.config import ExportConfig
from rot5.errors import UserError
from rot5.export.onnx_graphs import check_onnx, write_onnx
from rot5.export.portable import AUTO_MAP, own_sources, portable_files
from rot5.export.push import check_pushable, push
from rot5.folders import complete_or_absent
from rot5.loading import Loaded, load
from rot5.report.card import model_card
from rot5.report.front_matter import Exported
from rot5.report.origin import Stage, stages_of

CARD, RUN_SETTINGS = "README.md", "rot5_config.yaml"


def run(config: ExportConfig) -> None:
    """Write the folder and print how to load it."""
    model = write(config).model
    out = Path(config.out)
    trust = ", trust_remote_code=True" if config.portable else ""
    known = "" if config.portable or model.config.model_type != "rot5" else "import rot5.model.modeling_rot5; "
    print(f'{out}: {known}AutoModelForSeq2SeqLM.from_pretrained("{out}"{trust})')
    if config.push:
        print(f"pushing to {config.push}", flush=True)
        print(push(out, config.push, private=config.private))


def write(config: ExportConfig, loaded: Loaded | None = None) -> Loaded:
    """Write the folder of the model, which is `loaded` where it is there already, and return that."""
    out = Path(config.out)
    _check(config, out)
    loaded = loaded or load(config.model)
    settings = loaded.model.config
    if config.portable and settings.model_type != "rot5":
        raise UserError(
            f"{config.model} is a {settings.model_type} model, whose code is transformers' own: export it without "
            "--portable"
        )
    traced = check_onnx(loaded.model) if config.onnx else None
    stages = stages_of(config.model)
    vars(settings).pop("auto_map", None)
    with complete_or_absent(out) as folder:
        if config.portable:
            settings.auto_map = AUTO_MAP
            for name, text in portable_files(own_sources()).items():
                (folder / name).write_text(text, encoding="utf-8")
        loaded.model.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
        for weights in folder.glob("*.safetensors"):  # which are made for their owner alone
            weights.chmod((folder / "config.json").stat().st_mode)
        if traced is not None:
            write_onnx(traced, folder)
        _write_card(config, loaded, stages, folder)
    return loaded


def _check(config: ExportConfig, out: Path) -> None:
    """Raise UserError for what can be seen before the model is loaded."""
    if out.exists() and not config.overwrite:
        raise UserError(f"{out} already exists: replace it with --overwrite true or choose another --out")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "config.json").is_file()):
        raise UserError(f"{out} exists and is not a model folder: name a new folder")
    if config.push:
        check_pushable(config.push)


def _write_card(config: ExportConfig, loaded: Loaded, stages: list[Stage], folder: Path) -> None:
    """The card, and beside it all settings of the run that it tells of."""
    exported = Exported(
        name=config.push or Path(config.out).resolve().name,
        config=loaded.model.config,
        parameters=loaded.model.num_parameters(),
        prefix=loaded.prefix,
        portable=config.portable,
        onnx=config.onnx,
    )
    (folder / CARD).write_text(model_card(exported, stages, config.licence), encoding="utf-8", errors="replace")
    if stages:
        (folder / RUN_SETTINGS).write_bytes(stages[-1].run.folder.settings_file.read_bytes())
