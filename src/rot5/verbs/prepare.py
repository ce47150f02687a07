"""`rot5 prepare`: text or pairs into a corpus."""

from pathlib import Path

from transformers import PreTrainedTokenizerFast

from rot5.config import PrepareConfig
from rot5.data import sources
from rot5.data.corpus import prepare, prepare_pairs
from rot5.data.tokenizer import build_tokenizer, load_tokenizer, prune_tokenizer
from rot5.errors import UserError


def run(config: PrepareConfig) -> None:
    """Write the corpus and print its counts."""
    out = Path(config.out)
    if out.exists() and not config.overwrite:
        raise UserError(f"{out} already exists: replace it with --overwrite true or choose another --out")
    tokenizer = _tokenizer(config)
    if config.prune:
        tokenizer = prune_tokenizer(tokenizer, _all_text(config), config.num_sentinels)
    source = config.source.name
    if config.pairs:
        manifest = prepare_pairs(sources.pairs(config.source), tokenizer, out, source=source)
        print(f"{out}: {manifest['pairs']:,} pairs, vocabulary {len(tokenizer):,}")
        return
    manifest = prepare(sources.documents(config.source), tokenizer, out, source=source)
    print(
        f"{out}: {manifest['documents']:,} documents, {manifest['tokens']:,} tokens, {manifest['bytes']:,} bytes, "
        f"vocabulary {len(tokenizer):,}"
    )


def _tokenizer(config: PrepareConfig) -> PreTrainedTokenizerFast:
    """A new tokenizer, or that of a folder: a tokenizer, a corpus, pairs, a run or an exported model."""
    if config.tokenizer == "mistral":
        return build_tokenizer(config.num_sentinels)
    folder = Path(config.tokenizer)
    inner = [folder / "tokenizer", folder / "inputs" / "tokenizer"]
    return load_tokenizer(next((path for path in inner if path.is_dir()), folder))


def _all_text(config: PrepareConfig):
    """What the tokenizer must spell: the documents, or both sides of the pairs."""
    if not config.pairs:
        yield from sources.documents(config.source)
        return
    for pair in sources.pairs(config.source):
        yield pair.input
        yield from pair.references
