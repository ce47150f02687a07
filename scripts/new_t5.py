"""An untrained T5 with a tokenizer of its own, as a folder for transformers.

It stands for a model of others where no hub is at hand:

    python scripts/new_t5.py --pairs runs/mine/data/pairs --out runs/mine/t5
    rot5 finetune --init runs/mine/t5 --pairs runs/mine/data/pairs \
        --validation runs/mine/data/test --out runs/mine/tuned

The tokenizer is a unigram model (arXiv:1804.10959) of the pairs' texts; the shape is that of a preset, with T5's parts.
"""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import Metaspace as MetaspaceDecoder
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import UnigramTrainer
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from rot5.data.corpus import PairCorpus
from rot5.model.presets import preset

SHARED = ("d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers", "num_heads")
PIECES = ("<pad>", "</s>", "<unk>")


def tokenizer_of(texts: Iterator[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A unigram tokenizer whose texts end with `</s>`."""
    tokenizer = Tokenizer(Unigram())
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.decoder = MetaspaceDecoder()
    trainer = UnigramTrainer(vocab_size=vocabulary, special_tokens=list(PIECES), unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=4096
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", required=True, help="folder of prepared pairs")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--preset", default="2m", help="shape")
    parser.add_argument("--vocabulary", type=int, default=2000, help="pieces")
    parser.add_argument("--texts", type=int, default=4000, help="pairs that the tokenizer is made from")
    given = parser.parse_args()
    pairs = islice(PairCorpus.open(Path(given.pairs)).references(), given.texts)
    tokenizer = tokenizer_of((text for pair in pairs for text in (pair.input, pair.target)), given.vocabulary)
    shape = preset(given.preset)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer),
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        feed_forward_proj="gated-gelu",
        **{key: shape.get(key, shape["num_layers"]) for key in SHARED},
    )
    model = T5ForConditionalGeneration(config)
    model.save_pretrained(given.out)
    tokenizer.save_pretrained(given.out)
    print(f"{given.out}: {model.num_parameters():,} parameters, vocabulary {len(tokenizer):,}")


if __name__ == "__main__":
    main()
