"""Summaries by ONNX Runtime alone: what a program needs that uses an export of rot5 without torch and transformers.

    rot5 export runs/mine/tuned --onnx true --out summarizer
    pip install onnxruntime tokenizers
    python examples/onnx_summarize.py summarizer < story.txt

Greedy decoding of one text. The decoder keeps no cache and reads the whole answer again for every token.
"""

import json
import sys
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession
from tokenizers import Tokenizer


def summarize(folder: Path, text: str, max_new_tokens: int = 96) -> str:
    """What the model in `folder` writes of a text."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encoder, decoder = (
        InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
        for name in ("encoder.onnx", "decoder.onnx")
    )
    # The model was tuned on inputs that begin so: with the mode token of ROT5.
    prefix = ((config.get("task_specific_params") or {}).get("summarization") or {}).get("prefix", "")
    input_ids = np.array([tokenizer.encode(prefix + text).ids], dtype=np.int64)
    attention_mask = np.ones_like(input_ids)
    (hidden,) = encoder.run(None, {"input_ids": input_ids, "attention_mask": attention_mask})
    answer = [config["decoder_start_token_id"]]
    while len(answer) <= max_new_tokens:
        (logits,) = decoder.run(
            None,
            {
                "decoder_input_ids": np.array([answer], dtype=np.int64),
                "encoder_hidden_states": hidden,
                "attention_mask": attention_mask,
            },
        )
        answer.append(int(logits[0, -1].argmax()))
        if answer[-1] == config["eos_token_id"]:
            break
    return tokenizer.decode(answer, skip_special_tokens=True).strip()


if __name__ == "__main__":
    print(summarize(Path(sys.argv[1]), sys.stdin.read().strip()))
