"""Denoising examples for other models: no text is lost, masks and bytes are ours, and known models score as known."""

import math

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast, T5Config
from transformers import T5ForConditionalGeneration as T5

from rot5.build.scoring import EVALUATION_SEED, denoising_rows, score
from rot5.data.batches import PackedRows
from rot5.data.corpus import Corpus
from rot5.data.denoise import DenoiseConfig, DenoiserConfig
from rot5.data.packing import PackConfig
from rot5.data.preparing import prepare
from rot5.data.tokenizer import build_tokenizer, byte_lengths, prune_tokenizer, special_ids
from rot5.errors import UserError
from rot5.evaluation.likelihood import as_table
from rot5.evaluation.spelled import Reader, measure_spelled, spell
from rot5.loading import Loaded
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.report.tables import likelihood_notes

UL2 = DenoiseConfig()


def examples_of(corpus: Corpus, objective: DenoiseConfig = UL2):
    specials = special_ids(corpus.tokenizer())
    return denoising_rows(corpus, specials, objective, PackConfig(), EVALUATION_SEED, shuffle=False).examples


def foreign_tokenizer(texts, sentinels: int, space: str = "always") -> PreTrainedTokenizerFast:
    """A tokenizer in T5's manner, with so many sentinels; or in BART's, which puts no space before a text."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=False))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=space)
    special = ["<pad>", "</s>", "<unk>", "<s>"]
    backend.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False))
    single = "$A </s>" if space == "always" else "<s> $A </s>"
    backend.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("</s>", 1), ("<s>", 3)])
    extras = [f"<extra_id_{n}>" for n in range(sentinels)]
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        extra_special_tokens=extras,
    )


def small_t5(tokenizer, **shape) -> T5:
    torch.manual_seed(0)
    settings = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
    return T5(
        T5Config(
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **settings | {"decoder_start_token_id": tokenizer.pad_token_id} | shape,
        )
    ).eval()


@pytest.fixture(scope="module")
def stories(corpora) -> Corpus:
    return Corpus.open(corpora / "validation")


def documents(corpus: Corpus) -> list[str]:
    count = np.arange(corpus.num_documents)
    rows = corpus.read(count, np.zeros_like(count), corpus.lengths)
    return [corpus.tokenizer().decode(rows.row(n)) for n in count]


STRANGE = [
    "Zoë saw a 🐉 and 🐲🐉! \u201cOh\u201d, said she: 龍が来た。 naïve  two  spaces",
    "é",
    "🐉",
    "line\nline\n\n  indented \u2581 mark",
    "ÄÖÜ" * 40 + "🐉" * 30,
]


def test_parts_together_are_the_text_whatever_the_masks_cut(tmp_path):
    tokenizer = prune_tokenizer(build_tokenizer(200), ["a story of the world"], 200)  # most characters are bytes
    prepare(STRANGE * 30, tokenizer, tmp_path / "strange", source="test")
    corpus = Corpus.open(tmp_path / "strange")
    examples = examples_of(corpus)
    found = spell(examples, tokenizer, np.arange(len(examples)))
    assert {len(each.parts) > 3 for each in found} == {True, False}
    pieces = examples.order.pieces(np.arange(len(examples)))
    texts: dict[int, str] = {}
    for document, each in zip(pieces.document.tolist(), found, strict=True):
        assert len(each.parts) % 2 == 1
        texts[document] = texts.get(document, "") + "".join(each.parts)
    whole = pieces.ends_document & (pieces.start == 0)
    assert whole.sum() > 100
    for document in pieces.document[whole].tolist():
        assert texts[document] == " " + STRANGE[document % len(STRANGE)].replace("\u2581", " ")


def test_bytes_and_masks_are_ours(stories):
    tokenizer, examples = stories.tokenizer(), examples_of(stories)
    everything = np.arange(len(examples))
    plan = examples.plan(everything)
    _, targets = examples.materialise(plan, everything)
    lengths = byte_lengths(tokenizer)
    for n, each in enumerate(spell(examples, tokenizer, everything)):
        assert each.bytes == lengths[targets.row(n)].sum()
        assert "".join(each.parts[1::2]) == " " * ("".join(each.parts[1::2])[:1] == " ") + tokenizer.decode(
            [token for token in targets.row(n) if lengths[token]]
        )
        assert len(each.parts) // 2 == max(1, plan.spans[n] + plan.wraps[n])


def test_our_own_model_as_a_t5_scores_as_packed_rows_do(stories):
    tokenizer, examples = stories.tokenizer(), examples_of(stories)
    specials = special_ids(tokenizer)
    theirs = small_t5(tokenizer, decoder_start_token_id=specials.decoder_start)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "layer_norm" not in name:
                parameter.normal_(std=0.3)
    ours = Rot5ForConditionalGeneration.from_t5(theirs).eval()
    rows = PackedRows(examples, PackConfig(), specials, len(examples))
    expected = as_table(score(ours, rows, tokenizer, "float32"), examples.kind_names)
    found = measure_spelled(Loaded(theirs, tokenizer, "summarize: "), examples, tokenizer, "float32", 8)
    assert found["skipped"] == [] and found["unknown_targets"] == 0 and found["of_examples"] == len(examples)
    assert list(found)[: len(expected)] == list(expected)
    for kind, figures in expected.items():
        for key in ("bytes", "examples", "targets"):
            assert found[kind][key] == figures[key], (kind, key)
        assert found[kind]["loss"]["mean"] == pytest.approx(figures["loss"]["mean"], rel=1e-5)
        assert found[kind]["bits_per_byte"]["mean"] == pytest.approx(figures["bits_per_byte"]["mean"], rel=1e-5)
    assert len({round(figures["loss"]["mean"], 4) for figures in expected.values()}) > 2


def test_a_model_that_knows_nothing_pays_the_same_for_every_token(stories):
    texts = documents(stories)
    tokenizer = foreign_tokenizer(texts, 100)
    model = small_t5(tokenizer)
    with torch.no_grad():
        model.shared.weight.zero_()
    examples = examples_of(stories)
    found = measure_spelled(Loaded(model, tokenizer, ""), examples, stories.tokenizer(), "float32", 8)
    for kind in (*examples.kind_names, "overall"):
        figures = found[kind]
        assert figures["loss"]["mean"] == pytest.approx(math.log(len(tokenizer)), rel=1e-5)
        bits = figures["targets"] * math.log2(len(tokenizer)) / figures["bytes"]
        assert figures["bits_per_byte"]["mean"] == pytest.approx(bits, rel=1e-5)
    lengths = byte_lengths(stories.tokenizer())
    _, targets = examples.materialise(examples.plan(np.arange(len(examples))), np.arange(len(examples)))
    assert found["overall"]["bytes"] == lengths[targets.values].sum()
    assert found["overall"]["examples"] == found["of_examples"] == len(examples)


def test_another_tokenizer_reads_what_was_written(stories):
    tokenizer = foreign_tokenizer(documents(stories), 100)
    reader, examples = Reader(tokenizer), examples_of(stories)
    kinds = [denoiser.kind for denoiser in UL2.denoisers]
    inside = 0
    for each in spell(examples, stories.tokenizer(), np.arange(len(examples))):
        source, answer = reader.example(each, kinds[each.kind])
        assert source[-1] == tokenizer.eos_token_id
        marks = [f"<extra_id_{n}>" if kinds[each.kind] != "S" else "" for n in range(len(each.parts) // 2)]
        shown = each.parts[0] + "".join(mark + part for mark, part in zip(marks, each.parts[2::2], strict=True))
        asked = "".join(mark + part for mark, part in zip(marks, each.parts[1::2], strict=True))
        for ids, expected in ((source, shown), (answer, asked)):
            there = [token for token in ids if token != tokenizer.eos_token_id]
            assert "".join(tokenizer.convert_ids_to_tokens(there)).replace("\u2581", " ") == expected
        inside += sum(part[:1].isalpha() for part in each.parts)
    assert inside > 20, "no part began inside a word"


def test_examples_with_more_masks_than_sentinels_are_left_out_and_counted(stories):
    examples, ours = examples_of(stories), stories.tokenizer()
    plan = examples.plan(np.arange(len(examples)))
    needed = np.where(
        np.array([denoiser.kind for denoiser in UL2.denoisers])[plan.kinds] == "S", 0, plan.spans + plan.wraps
    )
    tokenizer = foreign_tokenizer(documents(stories), 4)
    found = measure_spelled(Loaded(small_t5(tokenizer), tokenizer, ""), examples, ours, "float32", 8)
    left_out = {name: int((needed[plan.kinds == kind] > 4).sum()) for kind, name in enumerate(examples.kind_names)}
    assert left_out["R"] and not left_out["S"]
    told = [f"{name}: {count} examples (more masks than its 4 sentinels)" for name, count in left_out.items() if count]
    assert found["skipped"] == told and "overall" not in found
    counts = {"examples", "targets", "bytes"}
    for name in found.keys() & left_out.keys():
        assert set(found[name]) == counts if left_out[name] else set(found[name]) > counts, "no figure on the rest"
    assert found["lost_bytes"] == 0
    scored = sum(figures["examples"] for figures in found.values() if isinstance(figures, dict))
    assert scored == len(examples) - sum(left_out.values())


def t5_like(pieces: list[str]) -> PreTrainedTokenizerFast:
    """A unigram tokenizer with T5's pre-tokenizer, these pieces, and single letters that cost more."""
    letters = [(letter, -9.0) for letter in "abcdefghijklmnopqrstuvwxyz./|\u2581"]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), *letters, *((piece, -2.0) for piece in pieces)]
    backend = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    backend.decoder = decoders.Metaspace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("pieces", [[".com"], [".com", "|com"], ["com"], [".co", "."]])
def test_a_piece_that_holds_a_guard_swallows_no_text(pieces):
    tokenizer = t5_like(pieces)
    reader = Reader(tokenizer)
    for text in ("com/about", "com", " com/a", "o", "about.com"):
        spelled = "".join(tokenizer.convert_ids_to_tokens(reader.part(text))).replace("\u2581", "")
        assert spelled == text.strip(), pieces


def test_bytes_that_no_piece_spells_are_counted(stories):
    reader = Reader(t5_like([]))
    for text, lost in (
        ("about", 0),
        (" a bee", 0),
        ("a\nb", 1),
        ("a\n", 1),
        ("\u00e9t\u00e9 a", 4),
        ("A\n\n\u9f8d", 6),
    ):
        assert reader.lost_bytes(text) == lost, text
    tokenizer = foreign_tokenizer(["abc"], 100)  # all other characters are unknown to it
    examples = examples_of(stories)
    found = measure_spelled(Loaded(small_t5(tokenizer), tokenizer, ""), examples, stories.tokenizer(), "float32", 8)
    assert found["unknown_targets"] > 100 and 0.3 < found["lost_bytes"] / found["overall"]["bytes"] < 0.9
    (note,) = likelihood_notes(found)
    assert f"{found['unknown_targets']:,} targets" in note and f"{found['lost_bytes']:,} bytes" in note


def test_a_model_without_sentinels_gets_s_alone(stories):
    tokenizer = foreign_tokenizer(documents(stories), 0, space="never")
    torch.manual_seed(0)
    shape = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 150}
    ids = {"pad_token_id": 0, "bos_token_id": 3, "eos_token_id": 1, "decoder_start_token_id": 1}
    model = BartForConditionalGeneration(BartConfig(vocab_size=len(tokenizer), **shape, **heads, **ids)).eval()
    examples = examples_of(stories)
    found = measure_spelled(Loaded(model, tokenizer, ""), examples, stories.tokenizer(), "float32", 8)
    assert [key for key, value in found.items() if isinstance(value, dict)] == ["S"]
    assert set(found["S"]) == {"examples", "targets", "bytes"}, "no figure on the shorter ones alone"
    reasons = {text.split(":")[0]: text.split("(")[1] for text in found["skipped"]}
    assert reasons["R"] == reasons["X32"] == "it has no sentinels)" and reasons["S"] == "longer than its 150 positions)"
    spans = DenoiseConfig(denoisers=(DenoiserConfig(name="R", kind="R", probability=1.0),))
    with pytest.raises(UserError, match="no example can be asked"):
        measure_spelled(Loaded(model, tokenizer, ""), examples_of(stories, spans), stories.tokenizer(), "float32", 8)
