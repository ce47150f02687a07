"""Words of the reader of children's stories: lists of who, where and how one feels, and synonyms."""

from __future__ import annotations

from functools import lru_cache

from rot5.evaluation.word_forms import base_form, is_ing, is_past


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pairs(text: str) -> dict[tuple[str, str], str]:
    """Lines of `action: key key ...`, each key `verb+word`, as a dict from (verb, word) to action."""
    table = {}
    for line in text.strip().splitlines():
        action, keys = line.split(":")
        for key in keys.split():
            verb, word = key.split("+")
            table[verb, word] = action.strip()
    return table


def _groups(text: str) -> dict[str, frozenset[str]]:
    """Lines of `action: other actions` as a dict of sets; an action of several words is written with underscores."""
    groups = {}
    for line in text.strip().splitlines():
        action, others = line.split(":")
        groups[action] = frozenset(other.replace("_", " ") for other in others.split())
    return groups


GIRLS = _set(
    "Anna Sara Sarah Mia Emma Zoe Lucy Ella Nina Clara Alice Julia Maya Leah Nora Eva Lena Molly Katie Jenny Susan "
    "Mary  Jane Kate Amy Lisa Tina Sofia Olivia Hannah Laura Emily Sally Polly Betty Annie Maria Helen Tara Rita "
    "Wendy Lily  Sue Ellie Lila Anne Beth Daisy Rosie Mommy Grandma Mama Mom"
)
BOYS = _set(
    "Tom Ben Sam Tim Max Leo Jim Joe Dan Adam Noah Peter Paul David Jacob Henry Oscar Lucas Felix Simon Eric Kevin "
    "Andy  Billy Bobby Charlie Danny George Harry Jimmy John Luke Mike Oliver Ted Toby Tommy Willy Alex Fred Timmy "
    "Jack Spot  Bob James Daddy Grandpa Papa Dad"
)
CAPITALS = _set(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august "
    "september october november december mr mrs ms dr christmas i ok"
)
"""Words with a capital that are no names."""
KINDS = _set(
    "boy girl child kid man woman rabbit fox bear mouse duck frog squirrel hedgehog cat dog pig lamb goat owl turtle "
    "mole deer hen chicken pony lion elephant monkey tiger panda donkey beaver otter penguin bird bunny puppy kitten "
    "wolf fish  horse cow sheep dragon snail bee ant raccoon crow goose magpie"
)
PLACES = _set(
    "forest meadow hill pond lake river stream beach cave valley woods field waterfall orchard creek mountain jungle "
    "tunnel island park playground garden farm zoo market fair circus yard station campsite harbor dock pier pool "
    "mill  lighthouse village barn attic cellar shed basement garage stable library school bakery museum kitchen "
    "workshop  greenhouse cabin cottage theater classroom hut house shop store town city street road sea ocean "
    "backyard bedroom  desert hospital church square"
)
HAPPY = _set("happy glad cheerful pleased joyful thankful proud excited merry content grateful relieved brave calm")
SAD = _set("sad upset unhappy gloomy sorry lonely angry mad cross afraid scared worried jealous ashamed disappointed")
FEELINGS = HAPPY | SAD
QUALITIES = FEELINGS | _set(
    "red blue green yellow pink purple orange white brown gray black shiny silver golden wooden smooth painted tiny "
    "old  new pretty bright lovely striped spotted soft fluffy woolly warm cozy fuzzy thick big special fine colorful "
    "huge  sweet fresh tasty yummy round little young small curious clever funny playful quiet busy lively friendly "
    "dreamy  chatty silly sleepy gentle jolly bouncy thoughtful shy kind nice good bad alone broken lost gone tired "
    "hungry cold  wet heavy sore stuck weak empty mean wise rainy windy foggy muddy sunny snowy forgotten faster slow "
    "fast safe free  strong long wide own famous great best better same real true wrong hurt asleep ready naked "
    "wicked hidden beautiful"
)
STATES = _set("lost gone hurt")
"""Qualities that are verbs as well, except behind a copula."""
COPULAS = _set("be stay remain feel keep get")
BEHIND = _set("alone better faster")
"""Qualities that may follow a noun without being of it."""
PEOPLE = _set("friend friends child stranger family crowd judge people sister brother")
EPITHETS = KINDS | PEOPLE
HAPPENINGS = _set("be stay remain break fall float sink lie come go")
"""What a thing can do, so that it may be the subject."""
SUBORDINATING = _set("when while because until as if although though")

ARTICLES = _set("the a an his her their its my your our no")
DETERMINERS = ARTICLES | _set(
    "this these those some each every many two three four five six ten any another several few one much"
)
PRONOUNS = _set(
    "he she him her they them it we us i you me himself herself themselves itself everyone everybody nobody both "
    "someone somebody anyone anybody something nothing everything anything"
)
PERSONAL = PRONOUNS - _set("it itself nobody someone somebody anyone anybody something nothing everything anything")
PREPOSITIONS = _set(
    "in on at to from with of for by into under behind between beside over through around after before until along "
    "near  about against without inside outside across during like as above below toward towards onto past up upon "
    "except  than since among down off out"
)
CLAUSE_PREPOSITIONS = _set("after before until since than as like")
CONJUNCTIONS = _set("and but so because when while though although if where or yet how why whether nor")
RELATIVES = _set("who whom which that whose")
NEGATIONS = _set("not never neither cannot couldn't didn't wasn't wouldn't don't can't won't")
MODALS = _set(
    "did do does could would can will should might must may shall let cannot couldn't didn't wouldn't don't can't won't"
)
POSSIBLE = _set("could would can will should might must may")
BE = _set("was were is are be been being am wasn't isn't")
HAVE = _set("had has have having")
PARTICLES = _set("away off back up out down on in along over")
ADVERBS = _set(
    "there here then still too also again together instead later first at last back away just only even ever very "
    "really so quite almost soon now once twice well not already always often sometimes suddenly finally everywhere "
    "somewhere nowhere else more most less least enough ago yes oh next either all both right early late rather far "
    "close till maybe perhaps anyway today tomorrow yesterday tonight ahead apart forever afterwards up never"
)
"""What may stand between a subject and its verb, and adverbs in general."""
FUNCTION = (
    DETERMINERS
    | PRONOUNS
    | PREPOSITIONS
    | CONJUNCTIONS
    | RELATIVES
    | NEGATIONS
    | MODALS
    | BE
    | HAVE
    | ADVERBS
    | _set("what such other others same hers theirs mine yours ours it's that's own till none lot lots bit")
)
LIGHT = _set(
    "end day days way time times thing things morning afternoon evening night week month year while moment rest "
    "minute  hour part side middle kind sort help good feel felt feeling feels made make making makes left leave "
    "leaving ended  became went put let kept keep named called do"
)
"""Words that carry a sentence but say nothing of the story by themselves: "in the end", "made him feel"."""
TIMES = _set(
    "end day days time morning afternoon evening night week weeks month year moment minute hour noon monday tuesday "
    "wednesday thursday friday saturday sunday while"
)

NOT_ADVERBS = _set("butterfly butterflies family belly jelly lily bully reply supply firefly dragonfly curly woolly")
NO_NAMES = _set(
    "whoosh buzz hic boom bang crash splash snap oops hello hi yuck shh hey wow ouch hooray drip drop ready steady "
    "look  please stop help thanks bye goodbye once halfway luckily suddenly quickly twice inch step side luck joy "
    "inside  outside early late deep far what why who how another today everybody long men dear"
)
"""Words that may open a sentence right before a verb and are no names."""

PHRASES = _pairs("""
tell the truth: tell+truth say+truth
tell a lie: tell+lie say+lie tell+fib
say sorry: say+sorry apologize+to~
run away: run+away run+off flee+away go+off
run a race: run+race have+race dash+off
laugh at: laugh+at~
give up: give+up
take a nap: take+nap have+nap sit+nap lie+nap
hold hands: take+hand hold+hand take+paw hold+paw
find nobody: find+nobody
take turns: take+turns take+turn
fall into the water: fall+water
have a fight: have+fight begin+fight come+fight be+fight
become friends: become+friends become+friend make+friends
walk on: walk+on
carry off: carry+off carry+away take+off
call for help: call+help
stand up: stand+up
hurt a knee: hurt+knee
sing a song: sing+song
tell a joke: tell+joke
set out: set+out
send away: send+away send+home
stay lost: stay+lost remain+lost
go home: go+home run+home
bring along: take+along bring+along carry+along
keep going: keep+on keep+on~ go+on
""")
"""What a verb means with one more word: (verb, particle, object, or preposition with a tilde) to the action."""

ALTERNATIVES = _groups("""
get: take win receive buy
receive: get
find: discover spot
search: look seek
look: search
notice: see find
see: notice watch find learn
stumble: fall trip slip
fall: stumble trip slip twist
help: save
save: help rescue pull
rescue: save
return: give
carry off: take
take: carry_off
say: ask shout call whisper tell answer cry
shout: say call yell
fix: repair mend
repair: fix
mend: fix
build: make
make: build
begin: start
weep: cry sob
cry: weep sob
go: come walk run keep_going not-stop
come: go walk run
wait: stay
stay: wait
pull: push
own: have
have: own
bring along: have bring carry take
keep going: run walk go not-stop
set out: leave begin pack go
meet: visit wait
stop: forget turn wait
""")
"""For an action that a summary claims, those of the story that say the same."""

SAME = {
    word: group.split()[0]
    for group in (
        "little tiny small",
        "noise noises",
        "lonely lonesome",
        "hand paw",
        "rain rainy",
        "wind windy",
        "fog foggy",
        "mud muddy",
        "smell smells",
        "present gift",
        "fight quarrel fighting",
        "friend friends friendship",
        "mom mommy mother mama",
        "dad daddy father papa",
    )
    for word in group.split()
}
"""Nouns and adjectives that say the same, by the first of their group."""

KEY_ACTIONS = _set(
    "want lose find give take hide break get win share fix build help save forgive warn visit meet trick cheat"
) | {
    "laugh at",
    "give up",
    "learn",
    "become friends",
    "fall into the water",
    "say sorry",
    "tell the truth",
    "tell a lie",
    "run away",
}
"""What a summary ought to say of the two main characters."""
WISHED = _set("get have win bring do go make be learn try visit")
"""Verbs that say little where they are only wished for: "wanted to get"."""

SHARED = _set("laugh play eat learn share fix build work talk sing dance")
"""What is true of both where one does it "with" the other."""
TOGETHER = {
    "run a race": "race",
    "have a fight": "fight",
    "hold hands": "hand",
    "tell a joke": "joke",
    "find nobody": "nobody",
    "work": "work",
    "pull": "pull",
    "play": "play",
    "trade": "trade",
}
"""What the two main characters do together, and the word that tells so even where it does not say who."""
HANDLING = _set("come take bring run use grab throw hold carry have get fetch")
"""Ways to have something at hand: "came with a rope", "took a rope", "threw a rope"."""
IMPLIED = {"piece": "break", "snack": "share"}
"""Nouns that are true with an action."""
PURPOSES = {"bring": "have", "win": "want", "get": "want"}
"""Verbs that are only wished for or tried, and what else of the same person says so; any other needs "have"."""


@lru_cache(maxsize=1 << 14)
def meaning(word: str) -> str:
    """The base form, and one word for all that say the same."""
    word = word.lower()
    return SAME.get(word) or SAME.get(base_form(word)) or base_form(word)


@lru_cache(maxsize=1 << 14)
def is_function(word: str) -> bool:
    """Whether a word in small letters says nothing by itself: "the", "and", "slowly"."""
    return word in FUNCTION or (
        word.endswith("ly") and len(word) > 4 and word not in QUALITIES and word not in NOT_ADVERBS
    )


@lru_cache(maxsize=1 << 14)
def sort_of(word: str) -> str:
    """What a word in small letters may be: function, quality, past, ing or open."""
    if is_function(word):
        return "function"
    if word in QUALITIES and word not in STATES:
        return "quality"
    if is_past(word):
        return "past"
    return "ing" if is_ing(word) else "open"
