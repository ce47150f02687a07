"""`rot5 prepare`: text or pairs into a corpus."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from rot5.config import PrepareConfig
from rot5.data import parts, sources
from rot5.data.corpus import Corpus, PairCorpus
from rot5.data.preparing import check_settings, noted_progress, prepare, prepare_pairs, tidy
from rot5.data.tokenizer import MISTRAL, build_tokenizer, prune_tokenizer, saved_tokenizer
from rot5.errors import UserError
from rot5.folders import unfinished


def run(config: PrepareConfig, *, resume: bool = False, overwrite: bool = False) -> None:
    """Write the corpus and print its counts."""
    out = Path(config.out)
    settings = _settings(config)
    if resume:
        tidy(out)
        if out.exists() and not noted_progress(out, settings):
            manifest = (PairCorpus if config.pairs else Corpus).open(out).manifest
            check_settings(out, manifest, settings)
            _tell(out, manifest)
            return
    elif out.exists() and not overwrite:
        raise UserError(f"{out} already exists: replace it with --overwrite or choose another --out")
    _check(config)
    tokenizer = _begun_tokenizer(out, settings) if resume else None
    if tokenizer is None:
        tokenizer = _tokenizer(config)
        if config.prune:
            tokenizer = prune_tokenizer(tokenizer, _all_text(config), config.num_sentinels)
    if config.parts.wanted:
        _prepare_parts(config, tokenizer, settings, resume)
        return
    told = {"source": config.source.name, "licence": sources.licence_of(config.source)}
    common: dict[str, Any] = {**told, "settings": settings, "resume": resume}
    if config.pairs:
        _tell(out, prepare_pairs(sources.pairs(config.source), tokenizer, out, **common))
    else:
        _tell(out, prepare(sources.Documents(config.source), tokenizer, out, **common))


def _check(config: PrepareConfig) -> None:
    found = parts.problems(config.parts)
    if config.parts.wanted and config.pairs:
        found.append("pairs are prepared in one part, with all their duplicates: leave out parts")
    if config.parts.number > 1 and config.source.limit and config.source.name != sources.STORYWORLD:
        found.append("a limit of the source is for one part: parts do not know how many documents the others have")
    if found:
        raise UserError("; ".join(found))


def _prepare_parts(
    config: PrepareConfig, tokenizer: PreTrainedTokenizerFast, settings: dict[str, Any], resume: bool
) -> None:
    try:
        from rot5.data.scale import prepare_parts
    except ImportError as error:
        raise UserError(f"parts and duplicates need the extra scale: pip install 'rot5[scale]' ({error})") from error
    out = Path(config.out)
    manifest = prepare_parts(config.source, tokenizer, out, config.parts, settings=settings, resume=resume)
    if manifest:
        _tell(out, manifest)
    else:
        print(f"{out}: jobs are on their way; when they have ended, the same command with --resume finishes the corpus")


def _tell(out: Path, manifest: dict[str, Any]) -> None:
    if manifest["kind"] == "pairs":
        print(f"{out}: {manifest['pairs']:,} pairs, vocabulary {manifest['inputs']['vocab_size']:,}")
        return
    print(
        f"{out}: {manifest['documents']:,} documents, {manifest['tokens']:,} tokens, {manifest['bytes']:,} bytes, "
        f"vocabulary {manifest['vocab_size']:,}"
        + (f"; {manifest['duplicates_removed']:,} duplicates removed" if "duplicates_removed" in manifest else "")
    )


def _settings(config: PrepareConfig) -> dict[str, Any]:
    """What a preparation must have been begun with to be taken up: the settings, and the size of the text.

    Text that is not here, or not any more, has none.
    """
    path = Path(config.source.name)
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    size = {"bytes": sum(file.stat().st_size for file in files)} if path.exists() else {}
    cut = {"number": config.parts.number, "duplicates": config.parts.duplicates}
    return {**asdict(config), "out": "", "parts": cut, **size}


def _begun_tokenizer(out: Path, settings: dict[str, Any]) -> PreTrainedTokenizerFast | None:
    """The tokenizer of a preparation that was stopped on the way."""
    return saved_tokenizer(str(unfinished(out))) if noted_progress(out, settings) else None


def _tokenizer(config: PrepareConfig) -> PreTrainedTokenizerFast:
    """A new tokenizer, or that of a folder: a tokenizer, a corpus, pairs, a run or an exported model."""
    return build_tokenizer(config.num_sentinels) if config.tokenizer == MISTRAL else saved_tokenizer(config.tokenizer)


def _all_text(config: PrepareConfig):
    """What the tokenizer must spell: the documents, or both sides of the pairs."""
    if not config.pairs:
        yield from sources.Documents(config.source)
        return
    for pair in sources.pairs(config.source):
        yield pair.input
        yield from pair.references
