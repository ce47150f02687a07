"""The words of StoryWorld: names, kinds, objects, places, adjectives, and the small phrases stories are filled with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thing:
    """An object a story can turn on. `uses` holds one letter per role it can play (see `OBJECTS`)."""

    noun: str
    material: str
    uses: str
    skill: str
    """What one learns to do with it ("ride"), or an empty string."""


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere a story happens. `setting` is wild, town or indoor; `traits` may hold w (water) and d (dark)."""

    noun: str
    preposition: str
    setting: str
    traits: str


def listed(text: str, separator: str | None = None) -> tuple[str, ...]:
    """The words of a text, or its phrases when a separator is named."""
    return tuple(text.split(separator))


GIRLS = listed(
    "Anna Sara Mia Emma Zoe Lucy Ella Nina Clara Alice Julia Maya Leah Nora Eva Lena Molly Katie Jenny Susan Mary Jane "
    "Kate Amy Lisa Tina Sofia Olivia Hannah Laura Emily Sally Polly Betty Annie Maria Helen Tara Rita Wendy"
)
BOYS = listed(
    "Tom Ben Sam Tim Max Leo Jim Joe Dan Adam Noah Peter Paul David Jacob Henry Oscar Lucas Felix Simon Eric Kevin "
    "Andy Billy Bobby Charlie Danny George Harry Jimmy John Luke Mike Oliver Ted Toby Tommy Willy Alex Fred"
)
NAMES = GIRLS + BOYS
HERS = frozenset(GIRLS)

ANIMALS = listed(
    "rabbit fox bear mouse duck frog squirrel hedgehog cat dog pig lamb goat owl turtle mole deer chicken pony lion "
    "elephant monkey tiger panda donkey beaver otter penguin"
)
TRAITS = listed(
    "little young small cheerful curious clever funny playful quiet busy lively friendly merry dreamy chatty silly "
    "sleepy gentle jolly bouncy thoughtful"
)

# One line per object: noun, material (h hard, s soft, n neither), uses, and the verb of the skill if there is one.
# Uses: t a treasure (lost, hidden, given, won), b it can break, u it helps someone in need, m it can be built,
# k a skill is learned with it, e it is good to eat,
# p it fits into a pocket.
OBJECTS = tuple(
    Thing(noun, material, uses, skill[0] if skill else "")
    for noun, material, uses, *skill in (
        line.split()
        for line in """
ball n tk throw
kite n tbmk fly
doll n tb
teddy s tu
drum h tbmk play
flute h tbk play
whistle h tbkp blow
bell h tbkp ring
marble h tp
button h tp
necklace h tbp
bracelet h tbp
crown h tbm
scarf s tu
mitten s tup
blanket s tu
pillow s tu
coat s tu
sweater s tu
cup h tb
mug h tb
plate h tb
bowl h tbm
vase h tb
teapot h tb
jar h tbu
bottle h tbu
lamp h bu
lantern h tbum
flashlight h tbu
mirror h tb
clock h tb
puzzle n tb
book n t
map n tup
picture n tb
letter n tp
basket h tum
box h tm
bucket h tu
shovel h tu
ladder h um
rope n uk climb
umbrella n tu
wagon h tbum
cart h bum
sled h tbmk ride
bike h tbk ride
scooter h tbk ride
skateboard h tbk ride
boat h tbmk sail
canoe h bmk row
raft h mk steer
train h tb
truck h tb
car h tb
plane h tbmk fly
rocket h tbm
robot h tbm
puppet n tbm
mask n tbm
castle h bm
tower h bm
bridge h bm
birdhouse h tbm
treehouse h m
playhouse h m
tent n um
swing h mk ride
seesaw h mk ride
fort h m
scarecrow n m
dollhouse h tbm
hoop h tbk spin
guitar h tbk play
violin h tbk play
trumpet h tbk play
harp h tbk play
banjo h tbk play
pencil h tp
crayon n tp
notebook n tp
camera h tb
telescope h tbk use
compass h tup
key h tp
coin h tp
medal h tp
trophy h tb
badge h tp
balloon n t
pinwheel n tbm
windmill h tbm
cake n ue
pie n ue
pumpkin n ue
cookie n ue
flowerpot h tb
globe h tb
statue h tbm
stool h bum
jewel h tp
purse s tp
wand h tb
shield h tbm
cape s t
slipper s t
glove s tup
backpack n tu
net n tu
hammer h tu
comb h tbp
spoon h tbp
quilt s tu
towel s tu
magnet h tp
""".strip().splitlines()
    )
)

COLOURS = listed("red blue green yellow pink purple orange white brown gray black")
LOOKS = {
    "h": COLOURS
    + listed("shiny silver golden wooden smooth painted tiny old new pretty bright lovely striped spotted"),
    "s": COLOURS + listed("soft fluffy woolly warm cozy fuzzy thick old new pretty striped lovely"),
    "n": COLOURS + listed("tiny big new pretty bright lovely striped special fine colorful huge"),
}
FOOD_LOOKS = listed("big sweet fresh huge tasty yummy round lovely special golden warm")

AFLOAT = frozenset(("sail", "row", "steer"))
"""Skills that need water."""

PLACES = tuple(
    Place(*line.split(), *([""] if len(line.split()) == 3 else []))
    for line in """
forest in wild d
meadow in wild
hill on wild
pond at wild w
lake at wild w
river at wild w
stream at wild w
beach at wild w
cave in wild d
valley in wild
woods in wild d
field in wild
waterfall at wild w
orchard in wild
creek at wild w
mountain on wild
jungle in wild d
tunnel in wild d
island on wild w
park in town
playground at town
garden in town
farm on town
zoo at town
market at town
fair at town
circus at town
yard in town
station at town
campsite at town
harbor at town w
dock on town w
pier on town w
pool at town w
mill at town
lighthouse at town d
village in town
barn in indoor d
attic in indoor d
cellar in indoor d
shed in indoor d
basement in indoor d
garage in indoor d
stable in indoor d
library in indoor
school at indoor
bakery in indoor
museum in indoor
kitchen in indoor
workshop in indoor
greenhouse in indoor
cabin in indoor
cottage in indoor
theater in indoor
classroom in indoor
hut in indoor d
""".strip().splitlines()
)

# Where something small can lie, by the setting of the place.
SPOTS = {
    "wild": listed(
        "under a bush|behind a big rock|in the tall grass|under a pile of leaves|in a hollow log|between two stones|"
        "next to an ant hill|under a fern|on a tree stump|behind an oak tree|in a patch of clover|beside a mushroom",
        "|",
    ),
    "town": listed(
        "under a bench|behind a wall|in a flower bed|beside the gate|under a hedge|behind a barrel|in a heap of straw|"
        "next to a post|under the steps|beside a puddle|in an empty crate|behind a tall sign",
        "|",
    ),
    "indoor": listed(
        "under a chair|behind the curtain|on the top shelf|under the rug|in a dusty corner|behind the door|"
        "in an old trunk|under a table|beside the stove|in a drawer|on the window sill|behind a stack of boards",
        "|",
    ),
}
POCKETS = listed("pocket|sleeve|hood|boot|sock|shirt", "|")
ELDERS = listed("mom dad grandma grandpa aunt uncle")
FOODS = listed("plums nuts berries cherries grapes pears crackers carrots peaches popcorn pancakes raisins noodles")
FEARS = listed("the dark|spiders|bats|mice|ghosts|monsters|loud noises|strange shadows|creaky floors", "|")
TOOLS = listed("long stick|strong branch|long pole|thick vine|garden hose|big oar|long string|wide plank", "|")
THIEVES = listed("crow goose puppy kitten raccoon magpie")
NEEDS = listed(
    "was cold and wet|was lost and tired|had a sore foot|had a heavy load|was stuck in the mud|was hungry and weak|"
    "was shaking with cold|had nowhere to rest",
    "|",
)
HAPPY = listed("happy|glad|cheerful|pleased|joyful", "|")
SAD = listed("sad|upset|unhappy|gloomy", "|")

# Words a record may name in its Words field, when its story holds them; no word is in two of the lists.
NOUNS = frozenset(
    tuple(thing.noun for thing in OBJECTS)
    + tuple(place.noun for place in PLACES)
    + ANIMALS
    + FOODS
    + listed(
        "bush rock grass leaves log bench wall gate hedge chair curtain shelf rug door table stove drawer puddle rain "
        "wind sun cloud sky rainbow song hat knee feather pebble acorn butterfly bee parade mud tears truth glue "
        "pieces friend smile hug tea story moon star bed home path music hiccups fog snack"
    )
)
VERBS = frozenset(
    listed(
        "lost found gave took hid broke fixed shared built learned helped forgave saved warned visited met tricked won "
        "wanted went ran walked jumped cried laughed smiled hugged looked searched asked said shouted whispered sang "
        "danced fell climbed pulled pushed held carried opened played tried listened waited thanked knocked nodded "
        "shook sat stood threw caught dropped waved clapped giggled hopped ate painted forgot told knew thought"
    )
)
ADJECTIVES = frozenset(
    COLOURS
    + LOOKS["h"]
    + LOOKS["s"]
    + LOOKS["n"]
    + FOOD_LOOKS
    + TRAITS
    + HAPPY
    + SAD
    + listed(
        "brave kind sorry proud lonely thankful tired hungry cold heavy tall high deep strong angry afraid sunny windy "
        "rainy foggy muddy empty quick slow safe scared sour worried ready"
    )
)
