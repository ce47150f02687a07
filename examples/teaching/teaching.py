# %% [markdown]
# # A language model, step by step
#
# We make a task, write text with a model, measure it, train it, and see what it takes to a second task. The model is an
# encoder-decoder as ROT5 has them, only very small: everything here runs on a laptop's processor in a few minutes.
#
# `make teaching` runs this as a script, `make notebook` as a notebook; with `ROT5_SIZE=smoke` in the environment either
# takes seconds and learns nothing. Where the text speaks of results, they are those of the full size;
# on another machine the last digits may differ.

# %%
import copy
import math
import os
from collections import Counter
from itertools import product
from random import Random
from types import SimpleNamespace

import matplotlib.pyplot as plt
import simplemma
import torch
from nltk.stem import PorterStemmer
from torch.nn import functional as F

from rot5.data.tokenizer import build_tokenizer, prune_tokenizer, special_ids
from rot5.evaluation.intervals import interval
from rot5.evaluation.text_measures import bleu, bleu_statistics, exact_match
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.presets import preset

SMOKE = {"smoke": True, "full": False}[os.environ.get("ROT5_SIZE", "full")]
ITEMS = 240 if SMOKE else 6000
STEPS = 4 if SMOKE else 400


def words(text):
    return text.split()


def table(header, rows):
    """Print rows under a header, each column as wide as its widest cell."""
    lines = [[str(cell) for cell in line] for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


# %% [markdown]
# ## 1. A task made of numbers
#
# Item n is a question and its answer, and a function of n alone: nobody has to store or download anything. Items whose
# n ends in 1, 3 or 7 are for testing and are never trained on; the others are for training.

# %%
NOUNS = words(
    "cat dog fox owl bear duck frog goat lion wolf boat tree sun moon star lake hill road house door "
    "key book ball kite drum bell cup box bag hat coat shoe ring rope stone leaf rose bird fish horse"
)
NUMBERS = words(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
)


def item(n):
    random = Random(f"item {n}")
    numbers, nouns = random.sample(NUMBERS, 4), random.sample(NOUNS, 4)
    in_order = sorted(numbers, key=NUMBERS.index)
    return [
        (f"Put in order: {' '.join(numbers)}", " ".join(in_order)),
        (f"Say backwards: {' '.join(nouns)}", " ".join(reversed(nouns))),
        (f"Which is biggest: {' '.join(numbers)}", f"The biggest is {in_order[-1]}"),
    ][n // 10 % 3]


def is_test(n):
    return n % 10 in {1, 3, 7}


def split(make, count):
    """(training items, test items) of the first `count`; a test question that came up in training is left out."""
    train = [make(n) for n in range(count) if not is_test(n)]
    seen = {question for question, _ in train}
    return train, [make(n) for n in range(count) if is_test(n) and make(n)[0] not in seen]


train_items, test_items = split(item, 100)
assert (len(train_items), len(test_items)) == (70, 30)
print("100 items:", len(train_items), "for training,", len(test_items), "for testing\n")
table(["n", "question", "answer"], [(n, *item(n)) for n in (0, 1, 10, 11, 20, 21)])

# %% [markdown]
# Seventy items are enough to read, and too few to learn a rule from (chapter 4 shows it), so from here on there are
# more. Choices made while we try things out, such as the learning rate, need items of their own: choosing by the test
# set would make its figures too good. These *validation* items come from numbers beyond all others.

# %%
train_items, test_items = split(item, ITEMS)
seen = {question for question, _ in train_items}
validation_items = [item(n) for n in range(ITEMS, ITEMS + ITEMS // 20) if not is_test(n) and item(n)[0] not in seen]
test_items = test_items[:300]
print(len(train_items), "for training,", len(validation_items), "for validation,", len(test_items), "for testing")

# %% [markdown]
# ## 2. Writing text, one token at a time
#
# A model reads and writes *tokens*. Ours come from Mistral's tokenizer, of which we keep the pieces that our words
# need, and bytes for all else. The special tokens: the decoder starts behind `[START]`, `</s>` ends a text, and `[PAD]`
# fills short rows of a batch.

# %%
VERBS = words("ran sat sang slept jumped danced walked talked waited played laughed cried swam ate drank worked")
ADJECTIVES = words("old young big small happy sad cold warm quiet loud brave kind red green wild tired")
ADVERBS = words("today yesterday again often soon once twice outside alone together")
FRAMES = "the of noun verb adjective number biggest first with: It was when that is and at times"
whole_tokenizer = build_tokenizer()
tokenizer = prune_tokenizer(
    whole_tokenizer,
    [text for pair in train_items for text in pair] + [" ".join([FRAMES, *VERBS, *ADJECTIVES, *ADVERBS])],
    num_sentinels=1,
)
special = special_ids(tokenizer)
print(len(whole_tokenizer), "tokens, of which we keep", len(tokenizer))
print(tokenizer.tokenize(test_items[0][0]), "->", tokenizer(test_items[0][0]).input_ids)


def tensors(items):
    """Questions [B, S], their mask (1 for a token, 0 for padding), and answers [B, T] that end with `</s>`."""
    questions = tokenizer([question for question, _ in items], padding=True, return_tensors="pt")
    answers = tokenizer([answer for _, answer in items], padding=True, return_tensors="pt")
    return questions.input_ids, questions.attention_mask, answers.input_ids


# %% [markdown]
# This is all there is to generation. The encoder reads the questions once. The decoder then says how likely every token
# is to come next; we take the likeliest (*greedy*) or draw one (*sampling*), append it, and ask again. A temperature
# below 1 makes likely tokens likelier, and top-k leaves only the k likeliest. A row that has ended is filled up while
# the others go on. (Real libraries also keep the decoder's keys and values of earlier steps, a *cache*: the same
# tokens, with less work.)


# %%
@torch.inference_mode()
def write(model, questions, mask, max_new_tokens=10, temperature=0.0, top_k=None, seed=0):
    """Answers [B, up to max_new_tokens]; greedy at temperature 0."""
    generator = torch.Generator().manual_seed(seed)
    memory = model.get_encoder()(questions, attention_mask=mask)
    written = torch.full((len(questions), 1), special.decoder_start)
    ended = torch.zeros(len(questions), dtype=torch.bool)
    for _ in range(max_new_tokens):
        logits = model(encoder_outputs=memory, attention_mask=mask, decoder_input_ids=written).logits[:, -1]
        if temperature == 0:
            token = logits.argmax(dim=-1)
        else:
            logits = logits / temperature
            if top_k is not None:
                least = logits.topk(top_k).values[:, -1:]
                logits = logits.masked_fill(logits < least, -math.inf)
            token = torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)[:, 0]
        token = token.masked_fill(ended, special.pad)
        written = torch.cat([written, token[:, None]], dim=1)
        ended |= token == special.eos
        if ended.all():
            break
    return written[:, 1:]


def new_model(seed=0, **shape):
    """A model with random weights: the preset `260k` with one encoder and one decoder layer, or what `shape` says."""
    torch.manual_seed(seed)
    config = Rot5Config(
        vocab_size=len(tokenizer),
        pad_token_id=special.pad,
        eos_token_id=special.eos,
        decoder_start_token_id=special.decoder_start,
        **(preset("260k") | {"num_layers": 1, "num_decoder_layers": 1} | shape),
    )
    return Rot5ForConditionalGeneration(config).eval()


def same_as_generate(model, items):
    """Whether our greedy tokens are those of the library's `generate()`, token by token."""
    questions, mask, _ = tensors(items)
    theirs = model.generate(input_ids=questions, attention_mask=mask, max_new_tokens=10, do_sample=False)
    return torch.equal(write(model, questions, mask), theirs[:, 1:])


untrained = new_model()
assert same_as_generate(untrained, test_items[:30])
print(untrained.num_parameters(), "parameters; what they write before any training:\n")
for question, _ in test_items[:2]:
    questions, mask, _ = tensors([(question, "")])
    print(question, "->", tokenizer.decode(write(untrained, questions, mask)[0]))

# %% [markdown]
# ## 3. Measuring, and measuring the measure
#
# Three figures. *Exact match*: the share of answers that are right to the letter (0 to 100). *Perplexity*: between how
# many tokens the model hesitates, when told the right ones so far (1 is certainty). *BLEU*: how many runs of 1 to 4
# words the texts share (0 to 100). Brackets hold 95 % intervals: other test items would have given other figures.
#
# Before a measure is trusted, it is tried on models whose worth we know. A dummy that knows the answers must get
# 100 / 1 / 100, a silent one 0 for what it writes. One that finds all tokens equally likely has as its perplexity the
# number of tokens.


# %%
class Dummy(torch.nn.Module):
    """Knows the answers of some items by heart and ends the text at once where it knows none."""

    def __init__(self, items, sure=50.0):
        super().__init__()
        self.answers = {question: tokenizer(answer).input_ids for question, answer in items}
        self.sure = sure  # the logit of the token that it wants; all others have 0

    def get_encoder(self):
        return lambda questions, attention_mask: tokenizer.batch_decode(questions, skip_special_tokens=True)

    def forward(self, encoder_outputs, attention_mask, decoder_input_ids):
        logits = torch.zeros(*decoder_input_ids.shape, len(tokenizer))
        for row, question in enumerate(encoder_outputs):
            answer = self.answers.get(question, [])
            for place in range(decoder_input_ids.shape[1]):
                logits[row, place, answer[place] if place < len(answer) else special.eos] = self.sure
        return SimpleNamespace(logits=logits)


@torch.inference_mode()
def loss_on(model, items):
    """Nats per token of the right answers, each token guessed from the right ones before it."""
    questions, mask, answers = tensors(items)
    start = torch.full((len(items), 1), special.decoder_start)
    memory = model.get_encoder()(questions, attention_mask=mask)
    shifted = torch.cat([start, answers[:, :-1]], dim=1)
    logits = model(encoder_outputs=memory, attention_mask=mask, decoder_input_ids=shifted).logits
    return F.cross_entropy(logits.flatten(0, 1), answers.flatten(), ignore_index=special.pad).item()


def evaluate(model, items, max_new_tokens=10):
    """(exact match with its interval, perplexity, BLEU) of greedy answers."""
    model.eval()
    questions, mask, _ = tensors(items)
    texts = tokenizer.batch_decode(write(model, questions, mask, max_new_tokens), skip_special_tokens=True)
    pairs = [(text, [answer]) for text, (_, answer) in zip(texts, items, strict=True)]
    exact = interval([100.0 * exact_match(*pair) for pair in pairs])
    overlap = bleu([sum(column) for column in zip(*(bleu_statistics(*pair) for pair in pairs), strict=True)])
    return exact, math.exp(loss_on(model, items)), overlap


def shown(figures):
    """The figures of `evaluate` as cells of a table."""
    exact, perplexity, overlap = figures
    return f"{exact.mean:.0f} [{exact.low:.0f}, {exact.high:.0f}]", f"{perplexity:.4g}", f"{overlap:.1f}"


MEASURES = ("exact match", "perplexity", "BLEU")
dummies = {"knows": Dummy(test_items), "silent": Dummy([]), "clueless": Dummy([], sure=0.0)}
found = {name: evaluate(dummy, test_items) for name, dummy in dummies.items()}
table(["dummy", *MEASURES], [(name, *shown(figures)) for name, figures in found.items()])
(exact, perplexity, overlap), (silent_exact, _, silent_overlap) = found["knows"], found["silent"]
assert exact.mean == 100 and math.isclose(perplexity, 1) and math.isclose(overlap, 100)
assert silent_exact.mean == silent_overlap == 0
assert math.isclose(found["clueless"][1], len(tokenizer), rel_tol=1e-4)
questions, mask, answers = tensors(test_items)
assert torch.equal(write(dummies["knows"], questions, mask), answers)  # ends and padding too

# %% [markdown]
# ## 4. Training
#
# A step takes some items, asks how surprised the model is by their answers, and moves every weight a little so that it
# would be less surprised. The learning rate says how little; it rises first and then falls to nothing.


# %%
def train(model, items, steps=STEPS, lr=5e-3, cut=None, watch=None):
    """A training loop; returns a learning curve [(step, training loss, loss on `watch`)]."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / 40, 1 - step / steps))
    random, curve = Random(0), []
    for step in range(1, steps + 1):
        model.train()
        questions, mask, answers = tensors(random.sample(items, min(64, len(items))))
        labels = answers[:, :cut].masked_fill(answers[:, :cut] == special.pad, -100)  # -100 counts for nothing
        loss = model(input_ids=questions, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if watch and step % max(1, steps // 8) == 0:
            model.eval()
            curve.append((step, loss.item(), loss_on(model, watch)))
    return curve


model = new_model(dropout_rate=0.05)
curve = train(model, train_items, watch=validation_items)
table(["step", "training loss", "validation loss"], [(step, f"{a:.3f}", f"{b:.3f}") for step, a, b in curve])

figure, axes = plt.subplots(figsize=(5, 2.5))
for name, column in (("training", 1), ("validation", 2)):
    axes.plot([row[0] for row in curve], [row[column] for row in curve], label=name)
axes.set_xlabel("step")
axes.set_ylabel("loss, nats per token")
axes.legend()
figure.tight_layout()

# %% [markdown]
# Has it learned the rule, or the items by heart? The test items tell. Sampling shows how sure it is: at a high
# temperature it begins to make mistakes.

# %%
rows = {"trained on": train_items[:300], "never seen": test_items}
table(["items", *MEASURES], [(name, *shown(evaluate(model, items))) for name, items in rows.items()])
assert same_as_generate(model, test_items)
question, answer = test_items[2]
questions, mask, _ = tensors([(question, "")])
print(f"\n{question} (right: {answer})")
for temperature, top_k in ((0.0, None), (1.0, None), (2.5, None), (2.5, 3)):
    text = tokenizer.decode(write(model, questions, mask, 10, temperature, top_k)[0], skip_special_tokens=True)
    print(f"temperature {temperature}, top-k {top_k}: {text}")

# %% [markdown]
# **Dropout** switches off some of the network at random while it trains, so that no part may rely on another alone.
# While training, the same input therefore gives another loss each time; in evaluation it must be off.

# %%
questions, mask, answers = tensors(test_items[:64])
labels = answers.masked_fill(answers == special.pad, -100)
losses = {}
for mode in (True, False):
    model.train(mode)
    with torch.no_grad():
        losses[mode] = [model(input_ids=questions, attention_mask=mask, labels=labels).loss.item() for _ in range(2)]
    print("training  " if mode else "evaluation", *(f"{loss:.6f}" for loss in losses[mode]))
assert losses[True][0] != losses[True][1] and losses[False][0] == losses[False][1]

# %% [markdown]
# **Hyper-parameters** are what training does not learn. We try some, briefly, and compare them on the validation items.
# What is best in so short a run need not be best in a long one: here the largest rate wins, and dropout only slows.

# %%
rows = []
for lr, dropout in product((1e-3, 5e-3, 2e-2), (0.0, 0.1)):
    candidate = new_model(dropout_rate=dropout)
    train(candidate, train_items, STEPS // 3, lr)
    rows.append((lr, dropout, *shown(evaluate(candidate, validation_items))))
table(["learning rate", "dropout", *MEASURES], rows)

# %% [markdown]
# **Truncated completions.** If answers are cut while writing (`max_new_tokens` too small), a good model looks bad,
# although its perplexity is as good as ever. If they are cut in training, the model never sees how a text goes on or
# ends. Its loss on the cut answers says nothing of that; on whole answers it does.

# %%
limits = [(limit, *shown(evaluate(model, test_items, limit))) for limit in (2, 4, 5, 10)]
table(["max_new_tokens", *MEASURES], limits)
print()
cut_model = new_model()
curve = train(cut_model, train_items, STEPS // 2, cut=2, watch=validation_items)
print(f"cut to 2 tokens in training: loss {curve[-1][1]:.3f} on the cut answers, {curve[-1][2]:.3f} on whole ones")
table(MEASURES, [shown(evaluate(cut_model, test_items))])

# %% [markdown]
# **Several small models**, each trained for the same number of steps, less than above: narrow or wide, shallow or
# deep, and one of a single wide block on each side.

# %%
SHAPES = {
    "narrow": {"d_model": 32, "d_kv": 16, "d_ff": 48},
    "as above": {},
    "deeper": {"num_layers": 2, "num_decoder_layers": 2},
    "one wide block": {"d_model": 128, "d_kv": 64, "d_ff": 256},
}
rows = []
for name, shape in SHAPES.items():
    candidate = new_model(**shape)
    train(candidate, train_items, STEPS // 2)
    rows.append((name, candidate.num_parameters(), *shown(evaluate(candidate, test_items))))
table(["model", "parameters", *MEASURES], rows)

# %% [markdown]
# **Other data**, same model and number of steps: fewer items, seen more often; and items of which three in ten have
# the answer of another item. With 70 items the model knows all of them by heart and hardly anything of the rule; wrong
# answers cost much as well, though the model did not learn them: it does better on test items than on its own.


# %%
def with_wrong_answers(items):
    """The items; the last three of every ten carry the answer of the item ten places before."""
    return [(question, items[k - 10][1] if k % 10 >= 7 else answer) for k, (question, answer) in enumerate(items)]


DATA = {
    "all": train_items,
    "half": train_items[: len(train_items) // 2],
    "70 items": train_items[:70],
    "30 % wrong": with_wrong_answers(train_items),
}
rows = []
for name, items in DATA.items():
    candidate = new_model()
    train(candidate, items, STEPS // 2)
    rows.append((name, shown(evaluate(candidate, items[:300]))[0], *shown(evaluate(candidate, test_items))))
table(["data", "exact match in training", *MEASURES], rows)

# %% [markdown]
# ## 5. A task that asks for all word classes alike
#
# A test in which most answers are nouns says little about verbs. Here the class that is asked for follows from n, so
# that nouns, verbs, adjectives and numbers come equally often, in training and in testing. Each sentence holds one word
# of each class, in changing places.

# %%
CLASSES = {"noun": NOUNS, "verb": VERBS, "adjective": ADJECTIVES, "number": NUMBERS[:20]}
SENTENCES = (
    "{adverb} the {adjective} {noun} {verb} at {number}",
    "the {noun} that is {adjective} {verb} {number} times {adverb}",
    "It was {adjective} when the {noun} {verb} {adverb} at {number}",
    "at {number} the {noun} {verb} {adverb} and it was {adjective}",
)


def class_item(n):
    random = Random(f"word class {n}")
    chosen = {name: random.choice(choice) for name, choice in CLASSES.items()}
    sentence = random.choice(SENTENCES).format(**chosen, adverb=random.choice(ADVERBS))
    asked = list(CLASSES)[n // 10 % len(CLASSES)]
    return f"the {asked} of: {sentence}", chosen[asked]


def class_of(items):
    return [question.split()[1] for question, _ in items]


class_train, class_test = split(class_item, ITEMS)
for name, items in (("training", class_train), ("testing", class_test)):
    counts = Counter(class_of(items))
    print(name, dict(counts))
    assert set(counts) == set(CLASSES) and len(set(counts.values())) == 1

class_model = new_model()
train(class_model, class_train)
rows = []
for name in CLASSES:
    chosen = [item for item, asked in zip(class_test, class_of(class_test), strict=True) if asked == name]
    rows.append((name, len(chosen), *shown(evaluate(class_model, chosen))[:2]))
print()
table(["class", "test items", *MEASURES[:2]], rows)

# %% [markdown]
# All words are known from training, though not the sentences: a high score says that the model finds the word that
# belongs to a class it knows, not that it would recognise a new verb.
#
# ## 6. Stems, lemmas and tokens
#
# Three ways to take words apart. A *stemmer* cuts endings by rule and may leave no word; a *lemmatiser* looks up the
# word's dictionary form; a *subword tokenizer* knows no grammar, only which runs of letters are frequent, and loses
# nothing: its pieces can be put together again. Our pruned tokenizer kept few pieces, so it spells strange words out.

# %%
stem = PorterStemmer().stem
rows = []
for word in words("running ran stories geese children happily better was relational thirteen"):
    whole, ours = (" ".join(each.tokenize(word)) for each in (whole_tokenizer, tokenizer))
    rows.append((word, stem(word), simplemma.lemmatize(word, lang="en"), whole, ours))
    assert tokenizer.decode(tokenizer(word).input_ids, skip_special_tokens=True) == word
table(["word", "Porter stem", "lemma", "Mistral's tokens", "our tokens"], rows)

# %% [markdown]
# ## 7. From one task to another
#
# Does what was learned help with a new task? One new task is close to the old (numbers in falling order), one is far
# (word classes). With few items of it we train the model of chapter 4 further, and beside it a new one, for equally
# many steps; "old task" is what the model of chapter 4 then still knows of its own.


# %%
def falling_item(n):
    random = Random(f"falling {n}")
    numbers = random.sample(NUMBERS, 4)
    return f"Put biggest first: {' '.join(numbers)}", " ".join(sorted(numbers, key=NUMBERS.index, reverse=True))


falling_train, falling_test = split(falling_item, ITEMS // 10)
rows = []
for name, (items, tests) in {
    "falling order": (falling_train, falling_test),
    "word classes": (class_train, class_test[:300]),
}.items():
    for count in (20, 200):
        tuned, alone = copy.deepcopy(model), new_model(dropout_rate=0.05)
        for candidate in (tuned, alone):
            train(candidate, items[:count], STEPS // 4)
        scores = [shown(evaluate(*pair))[0] for pair in ((tuned, tests), (alone, tests), (tuned, test_items))]
        rows.append((name, count, *scores))
table(["new task", "items", "after the old task", "alone", "old task"], rows)

# %% [markdown]
# The old task helped, clearly with 200 items of word classes; with 20 items hardly anything was learned either way, and
# for falling order the two intervals touch. The price is the same everywhere: tuned on the new task alone, the model
# forgot most of the old one. Another seed or number of steps moves these figures: try it.
