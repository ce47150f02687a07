"""ONNX graphs: they give what the model gives at all lengths, and are refused where they do not. Tracing is slow."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import torch

from rot5.data.corpus import Corpus
from rot5.errors import UserError
from rot5.export import onnx_graphs
from rot5.export.onnx_graphs import DECODER, ENCODER, TOLERANCE, check_onnx, write_onnx
from rot5.generate.answers import write_texts
from rot5.generate.settings import GenerateConfig
from rot5.loading import load

SMALL = {"num_layers": 1, "num_decoder_layers": 1}
EXAMPLE = Path(__file__).parents[3] / "examples" / "onnx_summarize.py"
STORIES = ["The dog lost a ball.", "Mia was sad because it rained all day, and then she found her red hat."]


@pytest.fixture(scope="module")
def written(tmp_path_factory, corpora) -> Path:
    """A tuned model of ours with its graphs, as it is exported. The weights are large, so that it has things to say."""
    from rot5.model.configuration_rot5 import Rot5Config
    from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("onnx")
    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    start, end = tokenizer.convert_tokens_to_ids("[S]"), tokenizer.eos_token_id
    shape = {"vocab_size": len(tokenizer), "d_model": 32, "d_kv": 8, "d_ff": 48, "num_heads": 4, **SMALL}
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": end, "decoder_start_token_id": start}
    torch.manual_seed(0)
    params = {"summarization": {"prefix": "[S]"}}
    config = Rot5Config(**shape, **ids, num_key_value_heads=2, initializer_factor=3.0, task_specific_params=params)
    model = Rot5ForConditionalGeneration(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_onnx(model, folder)
    return folder


def difference(model, folder: Path, lengths: tuple[int, int, int]) -> float:
    return onnx_graphs._difference(model, folder, lengths)


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [(1, 1, 1), (3, 7, 1), (1, 120, 96), (5, 64, 33)])
def test_graphs_give_what_the_model_gives(written, lengths):
    assert difference(load(str(written)).model, written, lengths) < TOLERANCE


@pytest.mark.slow
def test_graphs_of_other_weights_are_refused(written, tmp_path, monkeypatch):
    for name in (ENCODER, DECODER):
        shutil.copy(written / name, tmp_path)
    monkeypatch.setattr(onnx_graphs, "_write", lambda *_: None)
    model = load(str(written)).model
    write_onnx(model, tmp_path)
    for weight in (model.decoder.layers[0].mlp.down_proj.weight, model.encoder.norm.weight):
        before = weight.detach().clone()
        with torch.no_grad():
            weight.add_(1e-2)
        with pytest.raises(UserError, match=r"the graphs differ from the model by .* leave --onnx out"):
            write_onnx(model, tmp_path)
        with torch.no_grad():
            weight.copy_(before)


@pytest.mark.slow
def test_the_example_writes_what_rot5_writes(written):
    spec = importlib.util.spec_from_file_location("onnx_summarize", EXAMPLE)
    assert spec and spec.loader
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    settings = GenerateConfig(max_new_tokens=24)
    expected = list(write_texts(load(str(written)), STORIES, settings))
    assert [example.summarize(written, text, max_new_tokens=24) for text in STORIES] == expected
    assert len(set(expected)) == len(STORIES), "the model says something else of each"


def test_without_the_libraries_the_extra_is_named(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"pip install 'rot5\[onnx\]'"):
        check_onnx(tiny_model())


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        {"position_encoding": "relative_bias", "parametrization": "t5"},
        {"cross_position_encoding": "continuous"},
        {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}, "max_position_embeddings": 32},
        {"qk_norm": True, "tie_word_embeddings": False, "attention_backend": "eager"},
    ],
    ids=["t5", "continuous", "dynamic", "qk_norm"],
)
def test_other_shapes_have_graphs(tiny_model, tmp_path, shape):
    model = tiny_model(**SMALL, **shape)
    write_onnx(model, tmp_path)
    assert difference(model, tmp_path, (3, 50, 20)) < TOLERANCE
