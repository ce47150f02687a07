"""Composing story n: choose plot, turn, side event and cast, let the events happen, and tell them."""

from __future__ import annotations

import hashlib
import re
from random import Random

from rot5.data.storyworld import lexicon
from rot5.data.storyworld.lexicon import NAMES, Place, Thing, listed
from rot5.data.storyworld.plot import Plot, Turn
from rot5.data.storyworld.plots import PLOTS
from rot5.data.storyworld.questions import ask
from rot5.data.storyworld.records import Record
from rot5.data.storyworld.reserved import RESERVED_HEROES, RESERVED_SIDE_EVENTS, RESERVED_THINGS
from rot5.data.storyworld.side_events import SIDE_EVENTS, SideEvent
from rot5.data.storyworld.summaries import summarise
from rot5.data.storyworld.wording import Wordings, article
from rot5.data.storyworld.world import Fact, World

MIN_WORDS, MAX_WORDS = 80, 170
QUIET_SHARE, INTRO_SHARE, HINT_SHARE, MORAL_SHARE, LATE_SHARE, BREAK_SHARE = 0.2, 0.75, 0.35, 0.45, 0.4, 0.7

INTROS = Wordings("""
    - [Once upon a time|Once|Long ago], there was {a_hero} [named|called] {H}.
    - {H} was {a_hero} who [liked|loved] to {hobby}.
    - In a [little|small|snug|cute] house lived {a_hero} [named|called] {H}.
    - {H} was {a_hero}. {He} [liked|loved] to {hobby}.
    - There once was {a_hero}. {His} name was {H}, and {he} [liked|loved] to {hobby}.
    - Have you heard of {H}? {H} was {a_hero}.
    - {H}, {a_hero}, [liked|loved] to {hobby}.
    - Far away, there lived {a_hero} [named|called] {H}. Most days, {he} would {hobby}.
""")
HOBBIES = listed(
    "dance in the rain|count the stars|tell jokes|pick flowers|bake bread|climb trees|watch the clouds|"
    "chase butterflies|draw pictures|sing out loud|splash in puddles|collect stones|help in the kitchen|read stories|"
    "jump over logs|hum little tunes|blow bubbles|play with blocks|roll down hills|feed the birds|make funny faces|"
    "ask questions|swim and dive|take long naps|dress up|stand on one leg|run races|plant seeds|look at bugs|eat honey|"
    "skip stones|tell tales",
    "|",
)
DAYS = listed(
    "One day|One sunny morning|One warm afternoon|One cool evening|One fine day|One spring morning|One summer day|"
    "One fall morning|On Monday|On Sunday|On Friday|Last week|After breakfast|After lunch|Early one morning|"
    "On a holiday|One bright day|Late one afternoon|On the first day of May|One quiet day",
    "|",
)
HAPPY_END = Wordings("""
    - {H} was {feel} [all the way home|for the rest of the day|all day].
    - That night, {H} felt {feel} and [slept like a log|had sweet dreams|slept very well].
    - In the end, {H} was {feel}, and so was {F}.
    - {H} felt {feel}. What a day it had been!
    - "What a [good|lovely|wild] day!" said {F}. {H} felt {feel}.
    - {H} told {his} {elder} all about it and felt {feel}.
    - When {H} went to bed, {he} looked at the moon. {H} was {feel}.
    - {H} felt {feel}, and they met again [the very next day|many times].
""")
SAD_END = Wordings("""
    - {H} was {feel} [for a long time|for days|all week].
    - That night, {H} felt {feel} and could not [sleep|fall asleep|close {his} eyes].
    - In the end, {H} was {feel}.
    - {H} felt {feel} and wished that {he} could start the day again.
    - "I wish I had done it another way," {H} said. {H} felt {feel}.
    - With a [long|deep] sigh, {H} walked home. {H} was {feel}.
    - {His} {elder} gave {him} a hug, but {H} still felt {feel}.
""")
GLUE = listed("glue|tape|strong string|clay|wire|wax|thick paste|mud", "|")
STARS = listed("queen|king|princess|prince|wizard|singer|painter|captain|dancer|cook", "|")
PETS = listed("kitten|puppy|chick|beetle|cricket|toad|lizard|bunny|parrot|snail|piglet|sparrow", "|")
BEASTS = listed(
    "deer|fox|moose|goose|swan|snake|horse|cow|turkey|crab|raven|hawk|camel|wolf|sheep|stork|badger|peacock|seal|rooster",
    "|",
)
TRINKETS = listed(
    "gray feather|smooth pebble|round acorn|red leaf|pine cone|yellow daisy|paper star|white shell|glass bead|"
    "blue ribbon|purple sticker|shiny nut|lucky bean|wooden spool|gold thread",
    "|",
)
PRONOUNS = {True: ("she", "her", "her", "herself"), False: ("he", "him", "his", "himself")}

SENTENCE_END = re.compile(r'(?<=[.!?])\s+(?=[A-Z"])|\n')
WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")


def stable_random(seed: int, stream: str, n: int) -> Random:
    """The generator of story n: a pure function of its arguments on every machine."""
    return Random(int.from_bytes(hashlib.blake2b(f"{seed}/{stream}/{n}".encode(), digest_size=8).digest(), "big"))


class Choices:
    """What one stream may combine with a plot: its side events, heroes and objects."""

    def __init__(self, plot: Plot, held_out: bool):
        self.sides = [s for s in SIDE_EVENTS if (s.name in RESERVED_SIDE_EVENTS[plot.name]) == held_out]
        self.heroes = [name for name in NAMES if (name in RESERVED_HEROES[plot.name]) == held_out]
        self.things = [t for t in plot.things if (t.noun in RESERVED_THINGS[plot.name]) == held_out]


CHOICES = {held_out: {plot.name: Choices(plot, held_out) for plot in PLOTS} for held_out in (False, True)}


def compose(seed: int, n: int, held_out: bool, split: str) -> Record:
    """Story n of a stream. Tries again, with the same generator, while the story is too short or too long."""
    rng = stable_random(seed, "held out" if held_out else "main", n)
    while True:
        plot = rng.choice(PLOTS)
        choices = CHOICES[held_out][plot.name]
        side = rng.choice(choices.sides)
        hero, thing = rng.choice(choices.heroes), rng.choice(choices.things)
        turn = rng.choice(plot.turns_for(thing))
        place = rng.choice(plot.places_for(thing))
        slots = cast(rng, hero, thing, plot, place, rng.choice(turn.moods))
        world = World(
            {"H": slots["H"], "F": slots["F"], "S": slots["S"], "Z": slots["Z"], "O": slots["obj"], "Q": slots["obj2"]}
            | {"P": place.noun, "W": slots["fear"], "K": f"{slots['skill']} the {slots['obj']}", "M": slots["feel"]}
            | {"A": slots["pet"], "B": slots[SIDE_ITEMS.get(side.name, "food2")]}
        )
        story, features = tell(rng, plot, turn, side, place, slots, world)
        if MIN_WORDS <= len(story.split()) <= MAX_WORDS:
            break
    facts = (*world.facts, Fact("story", "ended", "happy" if turn.good else "sad"))
    return Record(
        index=n,
        split=split,
        plot=plot.name,
        turn=turn.name,
        side_event=side.name,
        hero=slots["H"],
        other=slots["F"],
        thing=slots["obj"],
        place=place.noun,
        story=story,
        summaries=summarise(plot, turn, side, slots, rng),
        words=pick_words(story, rng),
        features=features,
        sentence=pick_sentence(story, rng),
        facts=facts,
        questions=ask(facts, rng),
    )


SIDE_ITEMS = {"snack": "food2", "gift": "trinket", "an animal passes": "beast"}


def cast(rng: Random, hero: str, thing: Thing, plot: Plot, place: Place, feeling: str) -> dict[str, str]:
    """Everything a wording can name, chosen once for the story."""
    friend, passer, third = rng.sample([name for name in NAMES if name != hero], 3)
    slots = {"H": hero, "F": friend, "S": passer, "Z": third, "feel": feeling, "skill": thing.skill}
    for prefix, name in (("", hero), ("f", friend)):
        subject, objective, possessive, reflexive = PRONOUNS[name in lexicon.HERS]
        words = (("e" if prefix else "he", subject), ("im" if prefix else "him", objective))
        words += (("is" if prefix else "his", possessive), ("imself" if prefix else "himself", reflexive))
        for key, word in words:
            slots[prefix + key] = word
            slots[(prefix + key).capitalize()] = word.capitalize()

    # Mostly children among children or animals among animals, now and then both.
    mix = rng.random()
    hero_kind = "" if mix < 0.55 else rng.choice(lexicon.ANIMALS)
    friend_kind = "" if mix < 0.4 or mix > 0.9 else rng.choice([kind for kind in lexicon.ANIMALS if kind != hero_kind])
    passer_kind = rng.choice(lexicon.ANIMALS) if friend_kind else ""
    third_kind = rng.choice(lexicon.ANIMALS) if friend_kind else ""
    child = "girl" if hero in lexicon.HERS else "boy"
    other_child = "girl" if friend in lexicon.HERS else "boy"
    trait, other_trait = rng.sample(lexicon.TRAITS, 2)
    slots["a_hero"] = article(f"{trait} {hero_kind or child}")
    slots["Fthe"] = (
        f"{friend} the {friend_kind}" if friend_kind else rng.choice((f"{slots['his']} friend {friend}", friend))
    )
    slots["Fthe2"] = f"{friend} the {friend_kind}" if friend_kind else friend
    slots["Fnew"] = article(f"{other_trait} {friend_kind or other_child}")
    slots["Sthe"] = f"{passer} the {passer_kind}" if passer_kind else passer
    slots["Zthe"] = f"{third} the {third_kind}" if third_kind else third

    looks = lexicon.FOOD_LOOKS if "e" in thing.uses else lexicon.LOOKS[thing.material]
    second = rng.choice(plot.things)
    while second is thing:
        second = rng.choice(plot.things)
    looks2 = lexicon.FOOD_LOOKS if "e" in second.uses else lexicon.LOOKS[second.material]
    obj, obj2 = f"{rng.choice(looks)} {thing.noun}", f"{rng.choice(looks2)} {second.noun}"
    slots |= {"toy": thing.noun, "obj": obj, "an_obj": article(obj), "obj2": obj2, "an_obj2": article(obj2)}
    slots |= {"at": f"{place.preposition} the {place.noun}", "to": f"to the {place.noun}", "place": f"the {place.noun}"}

    food, food2 = rng.sample(lexicon.FOODS, 2)
    trinket, beast = rng.choice(TRINKETS), rng.choice(BEASTS)
    slots |= {"food": food, "food2": food2, "trinket": trinket, "a_trinket": article(trinket)}
    slots |= {"beast": beast, "a_beast": article(beast), "pet": rng.choice(PETS), "thief": rng.choice(lexicon.THIEVES)}
    slots |= {"spot": rng.choice(lexicon.SPOTS[place.setting]), "pocket": rng.choice(lexicon.POCKETS)}
    slots |= {"elder": rng.choice(lexicon.ELDERS), "fear": rng.choice(lexicon.FEARS), "tool": rng.choice(lexicon.TOOLS)}
    slots |= {"need": rng.choice(lexicon.NEEDS), "glue": rng.choice(GLUE), "star": rng.choice(STARS)}
    slots |= {"hobby": rng.choice(HOBBIES), "Day": rng.choice(DAYS), "named": rng.choice(("named", "called"))}
    slots["hand"] = "paw" if hero_kind and hero_kind not in ("duck", "owl", "chicken", "penguin", "monkey") else "hand"
    return slots


def tell(
    rng: Random, plot: Plot, turn: Turn, side: SideEvent, place: Place, slots: dict[str, str], world: World
) -> tuple[str, tuple[str, ...]]:
    """Let the events of a story happen, in order, and put each into words. Returns the story and its features."""
    quiet = rng.random() < QUIET_SHARE
    features = set(plot.features) | set(turn.features)
    late = plot.late and rng.random() < LATE_SHARE
    paragraphs: list[list[str]] = [[]]

    def beat(events: tuple[tuple[str, str], ...], wordings: Wordings) -> None:
        for event in events:
            world.happen(event)
        paragraphs[-1].append(wordings.fill(rng, slots, quiet))

    def new_paragraph() -> None:
        if rng.random() < BREAK_SHARE:
            paragraphs.append([])

    def aside() -> None:
        beat(side.events, side.indoors if place.setting == "indoor" else side.outdoors)

    if rng.random() < INTRO_SHARE:
        beat((), INTROS)
    beat(plot.opening.events, plot.opening.wordings)
    if turn.hints and rng.random() < HINT_SHARE:
        features.add("Foreshadowing")
        beat((), turn.hints)
    if not late:
        new_paragraph()
        aside()
    new_paragraph()
    beat(plot.problem.events, plot.problem.wordings)
    if late:
        aside()
    new_paragraph()
    for part in turn.beats:
        beat(part.events, part.wordings)
    new_paragraph()
    beat((("feel", "HM"),), HAPPY_END if turn.good else SAD_END)
    if rng.random() < MORAL_SHARE:
        features.add("MoralValue")
        beat((), turn.morals)
    story = "\n".join(" ".join(texts) for texts in paragraphs if texts)
    if '"' in story:
        features.add("Dialogue")
    return story, tuple(name for name in FEATURES if name in features)


FEATURES = ("Dialogue", "BadEnding", "MoralValue", "Twist", "Foreshadowing", "Conflict")


def pick_words(story: str, rng: Random) -> tuple[str, str, str]:
    """A noun, a verb and an adjective of the story, as they stand in it."""
    words = set(WORD.findall(story))
    return tuple(rng.choice(sorted(words & known)) for known in (lexicon.NOUNS, lexicon.VERBS, lexicon.ADJECTIVES))


def pick_sentence(story: str, rng: Random) -> str:
    """A sentence of narration of at least four words, verbatim."""
    sentences = [s for s in SENTENCE_END.split(story) if '"' not in s and s.count(" ") >= 3]
    return rng.choice(sentences)
