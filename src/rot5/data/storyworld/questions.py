"""Questions over the facts of a story, each with one right answer."""

from __future__ import annotations

from collections import Counter
from random import Random

from rot5.data.storyworld.world import Fact

WHO = {
    "had": "Who had the {o}?",
    "wanted": "Who wanted the {o}?",
    "lost": "Who lost the {o}?",
    "found": "Who found the {o}?",
    "gave": "Who gave away the {o}?",
    "took": "Who took the {o}?",
    "hid": "Who hid the {o}?",
    "broke": "Who broke the {o}?",
    "won": "Who won the {o}?",
    "got": "Who got the {o}?",
    "helped": "Who helped {o}?",
    "saved": "Who saved {o}?",
    "warned": "Who warned {o}?",
    "forgave": "Who forgave {o}?",
    "tricked": "Who tricked {o}?",
    "visited": "Who visited {o}?",
    "laughed at": "Who laughed at {o}?",
    "fell into": "Who fell into {o}?",
    "ran": "Who ran {o}?",
    "told": "Who told {o}?",
    "said": "Who said {o}?",
    "learned to": "Who learned to {o}?",
}
WHAT = {
    "had": "What did {s} have?",
    "wanted": "What did {s} want?",
    "lost": "What did {s} lose?",
    "found": "What did {s} find?",
    "gave": "What did {s} give away?",
    "took": "What did {s} take?",
    "hid": "What did {s} hide?",
    "broke": "What did {s} break?",
    "fixed": "What did {s} fix?",
    "built": "What did {s} build?",
    "won": "What did {s} win?",
    "shared": "What did {s} share?",
    "was afraid of": "What was {s} afraid of?",
    "learned to": "What did {s} learn to do?",
    "saw": "What did {s} see?",
    "was at": "Where was {s}?",
    "met": "Who did {s} meet?",
    "helped": "Who did {s} help?",
    "tricked": "Who did {s} trick?",
    "felt": "How did {s} feel at the end?",
}


def ask(facts: tuple[Fact, ...], rng: Random, most: int = 5) -> tuple[tuple[str, str], ...]:
    """Up to `most` questions; one that two facts would answer differently is not asked. How it ended always is."""
    subjects = Counter((fact.relation, fact.object) for fact in facts)
    objects = Counter((fact.subject, fact.relation) for fact in facts)
    pairs = []
    for fact in facts:
        if fact.relation in WHO and subjects[fact.relation, fact.object] == 1:
            pairs.append((WHO[fact.relation].format(o=fact.object), fact.subject))
        if fact.relation in WHAT and objects[fact.subject, fact.relation] == 1:
            pairs.append((WHAT[fact.relation].format(s=fact.subject), fact.object))
    ended = next(fact.object for fact in facts if fact.relation == "ended")
    chosen = rng.sample(pairs, min(len(pairs), most - 1))
    return (*chosen, ("How did the story end?", ended))
