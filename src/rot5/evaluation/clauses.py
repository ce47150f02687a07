"""A shallow parser for plain past-tense English: from text to noun phrases, and verbs with who did what to whom.

It goes over the words once, from left to right. It knows function words and the forms of verbs and tells noun phrases
by their place; it needs no model and knows nothing of where the text comes from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rot5.evaluation import reading_words as words
from rot5.evaluation.phrases import Event, Phrase, quoted, tokens_of
from rot5.evaluation.reading_words import sort_of
from rot5.evaluation.word_forms import IRREGULAR, base_form, is_past

_STOPS = frozenset(".!?\n:;")
_ANIMATE = words.PERSONAL | words.KINDS | words.PEOPLE
_ADVERBS = (words.ADVERBS | words.NEGATIONS) - words.PREPOSITIONS | {"up"}


class Parser:
    """One pass over the tokens of a text; `run` fills `phrases` and `events`.

    A noun phrase waits in `pending` until a verb makes it the subject, unless a verb (`event`) or a preposition before
    it takes it. A clause without a subject of its own carries on the one before (`subject`); behind "who ...,"
    the outer one returns (`saved`).
    """

    def __init__(self, text: str, known: Iterable[str]):
        self.tokens = tokens_of(text)
        self.small = [token.lower() for token in self.tokens]
        self.count = len(self.tokens)
        self.spoken = quoted(self.tokens)
        self.names = self._find_names(frozenset(known))
        self.cast: dict[str, str] = {}
        self.events: list[Event] = []
        self.phrases: list[Phrase] = []
        self._new_sentence()

    def _find_names(self, known: frozenset[str]) -> frozenset[str]:
        """Capitalised words: inside a sentence, or known as names, or always so at its start with a verb behind."""
        names = set()
        lower, capitals = set(self.tokens), Counter(self.tokens)
        for i, token in enumerate(self.tokens):
            small = self.small[i]
            if not token[0].isupper() or len(token) < 2 or small in words.CAPITALS or token in names:
                continue
            starts = i == 0 or self.tokens[i - 1] in _STOPS or self.tokens[i - 1] in '",'
            if token in known or token in words.GIRLS or token in words.BOYS or (not starts and i not in self.spoken):
                names.add(token)
            elif starts and i + 1 < self.count and i not in self.spoken and sort_of(small) == "open":
                after = self.small[i + 1]
                if small in lower or (not known and capitals[token] < 2):
                    continue
                if small not in words.NO_NAMES and not small.endswith("ly") and (after in words.BE or is_past(after)):
                    names.add(token)
        return frozenset(names)

    def _new_sentence(self) -> None:
        self.pending: list[Phrase] = []
        self.subject: list[Phrase] = []
        self.event: Event | None = None
        self.preposition = ""
        self.loose: list[tuple[str, Phrase]] = []
        self.last: Phrase | None = None
        self.person: Phrase | None = None
        self.doers: list[Phrase] = []
        self.outer: list[Phrase] = []
        self.antecedent: Phrase | None = None
        self.saved: tuple[list[Phrase], list[Phrase]] | None = None
        self.unreal = self.denied = self.infinitive = self.passive = self.joined = self.after_comma = False
        self.fresh = False

    def _boundary(self) -> None:
        """A clause ends here; its subject may be carried on."""
        self.event = None
        self.preposition = ""
        self.unreal = self.denied = self.infinitive = self.passive = self.joined = False

    def _verb_ahead(self, i: int) -> bool:
        """Whether the next word that is no adverb is a finite verb."""
        if i < self.count and self.small[i] == "of":
            i += 3 if self._next(i) in words.DETERMINERS else 2
        while i < self.count and self.small[i] in _ADVERBS:
            i += 1
        if i >= self.count or self.tokens[i] in self.names:
            return False
        word = self.small[i]
        return word in words.BE or word in words.HAVE or word in words.MODALS or sort_of(word) == "past"

    def run(self) -> None:
        i = 0
        while i < self.count:
            token, word = self.tokens[i], self.small[i]
            if i in self.spoken:
                i = self._skip_speech(i)
            elif token in _STOPS:
                self._new_sentence()
                i += 1
            elif not token[0].isalpha():
                if token == ",":
                    self._comma()
                i += 1
            elif token in self.names:
                i = self._noun_phrase(i)
            else:
                i = self._word(i, word)

    def _skip_speech(self, i: int) -> int:
        while i < self.count and i in self.spoken:
            i += 1
        ended = self.tokens[i - 2] in _STOPS and i < self.count and self.tokens[i][0].isupper()
        if ended and not (self.tokens[i] in self.names and self._verb_ahead(i + 1)):
            self._new_sentence()
        else:
            self._boundary()
            self.pending = []
        return i

    def _comma(self) -> None:
        self.outer = []
        if self.saved:
            self.subject, self.pending = self.saved
            self.saved = None
        self.antecedent = None
        if self.event:
            self.after_comma = True
        self.preposition = ""
        self.joined = False

    def _word(self, i: int, word: str) -> int:
        if word == "which":
            self._boundary()
            self.subject, self.pending, self.after_comma = [], [], False
            return i + 1
        if word in ("who", "that", "whom"):
            return self._relative(i, word)
        if word in words.CONJUNCTIONS:
            return self._conjunction(i, word)
        if word in words.BE:
            return self._be(i)
        if word in words.HAVE:
            ahead = i + 1
            while ahead < self.count and self.small[ahead] in _ADVERBS:
                ahead += 1
            helps = ahead < self.count and sort_of(self.small[ahead]) == "past" and self.tokens[ahead] not in self.names
            if word == "have" and self.unreal:
                return i + 1
            return i + 1 if helps or self._next(i) == "been" else self._verb(i, "have")
        if word == "do" and self.infinitive:
            return self._verb(i, word)
        if word in words.MODALS and self.tokens[i] != "May":
            self._clause_starts(i)
            self.unreal = self.infinitive = True
            self.denied = word in words.NEGATIONS
            if word in ("did", "do", "does") and self._next(i) not in words.NEGATIONS:
                self.unreal = False
            return i + 1
        if word in words.NEGATIONS:
            self.unreal = True
            self.denied = not (i and self.small[i - 1] in words.POSSIBLE)
            return i + 1
        if word == "to":
            return self._to(i)
        sort = sort_of(word)
        if word in words.STATES and self.event and self.event.verb in words.COPULAS and not self.event.things:
            return self._noun_phrase(i)
        if self.infinitive and sort in ("open", "past") and word not in words.DETERMINERS:
            return self._verb(i, IRREGULAR.get(word, word))
        if sort == "past" and not (self.event and self.event.at == i - 1 and self.event.verb == "be"):
            return self._verb(i, base_form(word))
        if sort == "ing" and (self.preposition in ("by", "before", "after", "in", "while", "of") or self._keeps(i)):
            self.preposition = ""
            return self._verb(i, base_form(word), carried=True)
        if word in words.PARTICLES and self.event and not self._starts_phrase(i + 1):
            self.event.particles.append((i, word))
            return i + 1
        if word in words.PREPOSITIONS:
            self.preposition = word
            return i + 1
        if self._starts_phrase(i):
            return self._noun_phrase(i)
        return i + 1

    def _keeps(self, i: int) -> bool:
        return (
            bool(self.event) and self.event.at == i - 1 and self.event.verb in ("keep", "stop", "start", "go", "begin")
        )

    def _next(self, i: int) -> str:
        return self.small[i + 1] if i + 1 < self.count else ""

    def _starts_phrase(self, i: int) -> bool:
        if i >= self.count or not self.tokens[i][0].isalpha() or i in self.spoken:
            return False
        word = self.small[i]
        if self.tokens[i] in self.names or word in words.DETERMINERS or word in words.PRONOUNS:
            return True
        return sort_of(word) in ("open", "quality", "ing")

    def _relative(self, i: int, word: str) -> int:
        if word == "that" and not self._verb_ahead(i + 1) and not self._starts_phrase(i + 1):
            return i + 1
        verb_at = self.event.at if self.event else -1
        behind = self.last if self.last and max(i - 3, verb_at) < self.last.at and self.last.kind != "quality" else None
        if word == "who":
            behind = self.person
        if self._verb_ahead(i + 1) and behind:
            self.saved = (self.subject, self.pending) if self.tokens[i - 1] == "," or self.pending else None
            self.pending = [behind]
            self._boundary()
            self.subject = [behind]
        elif word == "that" and self._next(i) in words.TIMES:
            return self._noun_phrase(i + 1)
        else:
            self._boundary()
            self.antecedent = behind
            self.pending = []
        self.after_comma = False
        return i + 1

    def _conjunction(self, i: int, word: str) -> int:
        if word in ("and", "or") and self.last and self.last.at == i - 1:
            self.joined = True
            return i + 1
        self.joined = False
        if word in words.SUBORDINATING:
            self.outer = self.subject
        if word != "and" or not self.pending:
            self.pending = []
        self._boundary()
        self.after_comma = False
        self.unreal = word == "if"
        if word == "where" and self.last and self.last.is_place:
            self.loose = [("at", self.last)]
        return i + 1

    def _be(self, i: int) -> int:
        ahead = i + 1
        negated = self.denied
        while ahead < self.count and self.small[ahead] in _ADVERBS:
            negated = negated or self.small[ahead] in words.NEGATIONS
            ahead += 1
        word = self.small[ahead] if ahead < self.count else ""
        sort = sort_of(word) if ahead < self.count and self.tokens[ahead] not in self.names else ""
        if sort == "ing":
            self._clause_starts(i)
            self.unreal = self.denied = negated
            return self._verb(ahead, base_form(word))
        if (sort == "past" and word not in words.STATES) or word in ("broken", "hidden"):
            self._clause_starts(i)
            self.unreal, self.denied, self.passive = negated, negated, True
            return self._verb(ahead, base_form(word))
        self.unreal = self.denied = negated
        return self._verb(i, "be")

    def _to(self, i: int) -> int:
        word = self._next(i)
        plain = word and i + 1 < self.count and self.tokens[i + 1] not in self.names
        if (plain and word in ("be", "have", "do")) or (
            plain
            and word not in words.FUNCTION
            and word not in words.PLACES
            and word not in ("bed", "work", "tears")
            and not word.endswith("s")
        ):
            self.infinitive = True
            self.unreal = self.unreal or self.event is None
            return i + 1
        self.preposition = "to"
        return i + 1

    def _clause_starts(self, i: int) -> None:
        """A finite verb begins here: settle its subject."""
        if self.pending:
            self.fresh = True
            self.subject, self.pending = self.pending, []
            self.event = None

    def _verb(self, i: int, lemma: str, carried: bool = False) -> int:
        governor = self.event
        if self.joined or self.after_comma:
            governor = None
        if not self.infinitive and not carried:
            self._clause_starts(i)
        event = Event(lemma, i, self._agents(lemma), unreal=self.unreal, denied=self.denied, passive=self.passive)
        if self.infinitive and governor and governor is self.event:
            event.unreal = event.unreal or governor.unreal or governor.verb not in ("begin", "start", "learn")
            governor.purpose = event
        if self.antecedent:
            event.things.append(("", self.antecedent))
            self.antecedent = None
        if not self.fresh:
            event.outers = self.outer
        event.reports = self._next(i) == "that"
        event.things += self.loose
        self.loose = []
        self.events.append(event)
        self.event = event
        self.preposition = ""
        self.unreal = self.denied = self.infinitive = self.passive = self.joined = self.after_comma = self.fresh = False
        return i + 1

    def _agents(self, lemma: str) -> list[Phrase]:
        """The subject, or whoever acted before where the subject cannot act: "saw that it was a cat and took it"."""
        if any(phrase.kind == "name" or phrase.head in _ANIMATE for phrase in self.subject):
            self.doers = self.subject
        elif self.doers and lemma not in words.HAPPENINGS and not self.fresh:
            self.subject = self.doers
        return list(self.subject)

    def _noun_phrase(self, start: int) -> int:
        phrase, i = self._read_phrase(start)
        if phrase is None:
            return i
        self.phrases.append(phrase)
        if phrase.kind == "name" or phrase.head in words.KINDS or phrase.head in words.PEOPLE:
            self.person = phrase
        self._place_phrase(phrase, i)
        self.last = phrase
        return i

    def _read_phrase(self, start: int) -> tuple[Phrase | None, int]:
        i, word = start, self.small[start]
        if word in words.PRONOUNS and not (word in ("her",) and self._possessive_her(i)):
            return Phrase("pronoun", word, i), i + 1
        owner, bare, firm = None, True, False
        while i < self.count and self.small[i] in words.DETERMINERS and self.tokens[i] not in self.names:
            if self.small[i] in ("his", "her", "their", "its"):
                owner = Phrase("pronoun", self.small[i], i)
            firm = self.small[i] in words.ARTICLES
            i, bare = i + 1, False
        if i < self.count and self.tokens[i] in self.names and self._next(i) == "'s":
            owner, i, bare = Phrase("name", self.tokens[i], i), i + 2, False
            firm = True
            self.phrases.append(owner)
        first = i
        while i < self.count and self.tokens[i][0].isalpha() and i not in self.spoken:
            sort = sort_of(self.small[i])
            inside = sort in ("open", "quality", "ing") or (
                i == first and sort == "past" and (firm or self.small[i] in words.STATES)
            )
            if i > first and self.small[i] in words.BEHIND:
                break
            if self.tokens[i] in self.names or not inside:
                break
            i += 1
        run = range(first, i)
        adjectives = tuple((n, self.small[n]) for n in run)
        if (
            i < self.count
            and self.tokens[i] in self.names
            and all(word in words.QUALITIES or word in words.EPITHETS for _, word in adjectives)
        ):
            phrase = Phrase("name", self.tokens[i], i, adjectives, owner)
            return phrase, self._epithet(phrase, i + 1)
        if not run:
            return None, max(i, start + 1)
        head = i - 1
        kind = "quality" if bare and all(word in words.QUALITIES for _, word in adjectives) else "thing"
        phrase = Phrase(kind, self.small[head], head, adjectives[:-1], owner)
        following = self._next(head)
        if following in ("named", "called") and i + 1 < self.count and self.tokens[i + 1] in self.names:
            name = Phrase("name", self.tokens[i + 1], i + 1, adjectives)
            self.cast.setdefault(name.head, phrase.head if phrase.head in words.KINDS else "")
            return name, i + 2
        return phrase, i

    def _epithet(self, phrase: Phrase, i: int) -> int:
        """Read "the frog" behind a name."""
        if self.small[i : i + 1] == ["the"] and self._next(i) in words.KINDS:
            phrase.adjectives += ((i + 1, self.small[i + 1]),)
            self.cast[phrase.head] = self.small[i + 1]
            return i + 2
        return i

    def _possessive_her(self, i: int) -> bool:
        if i + 1 >= self.count or self.tokens[i + 1] in self.names or not self.tokens[i + 1][0].isalpha():
            return False
        word = self.small[i + 1]
        if word.endswith("ly") and word not in words.FUNCTION and i + 2 < self.count:
            word = self.small[i + 2] if self.tokens[i + 2] not in self.names else word  # "her newly red kite"
        if word in words.FEELINGS or word in ("alone", "better"):
            return False
        return word == "own" or (word[0].isalpha() and sort_of(word) in ("open", "quality", "ing"))

    def _place_phrase(self, phrase: Phrase, i: int) -> None:
        """Attach a phrase: to a preposition, as object of the event, or as the subject to come."""
        followed = self._verb_ahead(i)
        if phrase.kind == "quality" and self.preposition in words.PARTICLES:
            self.preposition = ""
        preposition = self.preposition
        subjective = phrase.kind == "name" or phrase.head in ("he", "she", "they", "we", "it")
        if (
            followed
            and preposition
            and (preposition in words.CLAUSE_PREPOSITIONS or (subjective and self.pending == []))
        ):
            self._boundary()
            self.pending = [phrase]
            return
        if preposition:
            self.preposition = preposition if self._next(i - 1) in ("and", "or") else ""
            if preposition == "of" and self.last and self.last.owner is None:
                self.last.owner = phrase
            if self.event:
                self.event.things.append((preposition, phrase))
            else:
                self.loose.append((preposition, phrase))
            return
        if self.event and not self.event.agents and not self.event.things and not self.joined and not followed:
            self.event.agents = self.subject = [phrase]  # "said Tom": the subject stands behind its verb
            return
        if (
            self.event
            and (not followed or (self.joined and not subjective and not self.fresh))
            and not self._opens_clause(i)
        ):
            self._attach(phrase)
            return
        joined = self.joined
        if self.event:
            self._boundary()
            self.pending = []
        if phrase.kind == "thing" and phrase.head in words.TIMES:
            return
        if self.pending and not joined and not self._listed(phrase, followed):
            if followed or phrase.kind == "name" or subjective:
                self.pending = [phrase]
            elif self.pending[-1].kind == "name" and phrase.head in words.KINDS:
                self.cast[self.pending[-1].head] = phrase.head
            return
        self.pending.append(phrase)
        self.joined = False
        self.after_comma = False

    def _opens_clause(self, i: int) -> bool:
        """Behind a comma or "and": whether a subject with its "and" or its "who" begins a clause of its own."""
        if not (self.after_comma or self.joined) or self._next(i - 1) not in ("and", ","):
            return False
        if self._next(i) == "who":
            return True
        return i + 1 < self.count and self.tokens[i + 1] in self.names and self._verb_ahead(i + 2)

    def _listed(self, phrase: Phrase, followed: bool) -> bool:
        return phrase.kind == "name" and all(other.kind == "name" for other in self.pending) and not followed

    def _attach(self, phrase: Phrase) -> None:
        event = self.event
        assert event is not None
        if event.agents and self.after_comma and phrase.head in words.KINDS and self.last and self.last.kind == "name":
            self.cast[self.last.head] = phrase.head
        preposition = event.things[-1][0] if self.joined and event.things else ""
        event.things.append((preposition, phrase))
        self.joined = False
        self.after_comma = False
