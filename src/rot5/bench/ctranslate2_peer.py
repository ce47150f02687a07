"""transformers' T5 under CTranslate2, where that is installed."""

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast, T5ForConditionalGeneration


def is_installed() -> bool:
    """Whether CTranslate2 can be asked."""
    return importlib.util.find_spec("ctranslate2") is not None


class CTranslate2Peer:
    """A T5 as CTranslate2 runs it, converted by its own converter, on as many threads as PyTorch has."""

    def __init__(self, model: T5ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, compute_type: str):
        import ctranslate2
        from ctranslate2.converters import TransformersConverter

        self.tokenizer = tokenizer
        with tempfile.TemporaryDirectory(prefix="rot5-bench-") as folder:
            model.save_pretrained(Path(folder) / "t5")
            tokenizer.save_pretrained(Path(folder) / "t5")
            TransformersConverter(str(Path(folder) / "t5")).convert(str(Path(folder) / "converted"))
            self.translator: Any = ctranslate2.Translator(
                str(Path(folder) / "converted"),
                device=model.device.type,
                compute_type=compute_type,
                inter_threads=1,
                intra_threads=torch.get_num_threads(),
            )

    def write(self, inputs: Sequence[Sequence[int]], batch_size: int, new_tokens: int) -> int:
        """Answer greedily with just so many tokens each; returns how many tokens were written."""
        results = self.translator.translate_batch(
            [self.tokenizer.convert_ids_to_tokens(list(each)) for each in inputs],
            max_batch_size=batch_size,
            beam_size=1,
            min_decoding_length=new_tokens,
            max_decoding_length=new_tokens,
            max_input_length=0,
        )
        return sum(len(result.hypotheses[0]) for result in results)
