"""Side events: small things that happen in any plot, before the problem or after it, and sometimes enter a summary."""

from __future__ import annotations

from dataclasses import dataclass

from rot5.data.storyworld.wording import Wordings
from rot5.data.storyworld.world import parse_events


@dataclass(frozen=True, slots=True)
class SideEvent:
    """Something that happens to the hero or beside them. It never names the other main character."""

    name: str
    events: tuple[tuple[str, str], ...]
    outdoors: Wordings
    indoors: Wordings
    lead: Wordings
    """Phrases a summary may start with when it mentions the side event."""


def _side(name: str, events: str, outdoors: str, lead: str, indoors: str = "") -> SideEvent:
    return SideEvent(name, parse_events(events), Wordings(outdoors), Wordings(indoors or outdoors), Wordings(lead))


SIDE_EVENTS = (
    _side(
        "rain",
        "",
        """
        - Rain began to fall, [drip, drop, drip|first a little, then a lot]. {H} hid under a [roof|big leaf] until it
          stopped.
        - A dark cloud came, and the rain fell down in [big drops|sheets]. {H} got [a little wet|soaked], but the sun
          soon came out again.
        - "Oh, rain!" said {H}, and {he} stuck out {his} tongue to catch the drops. Then it was dry again.
        """,
        "- On a rainy day,\n- On a day with rain,",
        """
        - Rain began to [tap|patter] on the roof. {H} listened to it [for a moment|until it stopped].
        - Outside, the rain poured down. {H} [drew a face|wrote {his} name] on the foggy window with one finger.
        """,
    ),
    _side(
        "wind",
        "",
        """
        - The wind blew [hard|strong] and sent leaves [flying|whirling] through the air. {H} had to hold on to {his}
          clothes.
        - Whoosh went the wind! It pulled at {H} and [blew dust in {his} face|messed up {his} hair]. Then it was calm
          again.
        - "Hello, wind!" called {H} and spread {his} arms like a bird. The wind [whistled|sang] back.
        """,
        "- On a windy day,\n- On a day with a lot of wind,",
        """
        - Outside, the wind [howled|whistled] around the corner. A window [banged|rattled], and {H} closed it.
        - The wind blew [hard|strong] that day. It pushed the door open, and {H} had to shut it again.
        """,
    ),
    _side(
        "fog",
        "",
        """
        - A thick fog [rolled in|crept up] and made it all look like a dream. {H} could [hardly|barely] see {his} own
          feet. Slowly, it lifted.
        - There was fog all around, as white as milk. {H} pretended to be a [ship|ghost] until the sun came through.
        """,
        "- On a foggy day,\n- On a day with fog,",
        """
        - Outside, the fog was as thick as [soup|wool]. {H} looked out and could not see [the road|a single tree].
        """,
    ),
    _side(
        "rainbow",
        "",
        """
        - A rainbow [stretched|glowed] across the sky. {H} named all its colors, from red to violet.
        - "Look, a rainbow!" cried {H}. It was [wide|high] and bright, and it slowly faded away.
        - Up in the sky there was a rainbow. {H} made a wish, and nobody heard it.
        """,
        "- On a day with a rainbow,\n- On the day of the rainbow,",
        """
        - Through the window, {H} saw a rainbow. It [glowed|shone] over the roofs and slowly faded away.
        """,
    ),
    _side(
        "snack",
        "snack SB",
        """
        - {Sthe} came by with a [bag|tray]. {S} shared some {food2} with {H}, and they [smacked their lips|ate every
          bit].
        - "Are you hungry?" asked {Sthe}. {S} shared some {food2} with {H}. They tasted [sweet|wonderful].
        - {H} heard {his} tummy rumble. Luckily, {Sthe} was there. {S} shared some {food2} with {H}.
        """,
        "- On the day {S} shared some {food2},\n- On a day with a snack of {food2},",
    ),
    _side(
        "song",
        "sing S",
        """
        - {Sthe} sat near by. {S} sang a song about [the moon|a whale|three geese], and {H} [tapped {his} foot|sang
          along].
        - From somewhere came music. {Sthe} was there, and {S} sang a song. {H} [hummed|clapped] along with it.
        - "La la la!" {S} sang a song and [skipped|walked] past. {H} could not get it out of {his} head.
        """,
        "- On the day {S} sang a song,\n- On a day with a song by {S},",
    ),
    _side(
        "fall",
        "hurt H",
        """
        - {H} stepped on a [twig|stick] and fell flat. In this way, {H} hurt a knee, but {he} got up and [rubbed
          it|laughed].
        - Oops! {H} tripped and hurt a knee. {He} put [a leaf|a cool cloth] on it and went on.
        - {H} hopped on one leg, just for fun, and fell over. {H} hurt a knee. "It is only a scratch," {he} said.
        """,
        "- On the day {H} fell and hurt a knee,\n- On the day {H} hurt a knee,",
    ),
    _side(
        "gift",
        "present SB",
        """
        - {Sthe} came up and [winked|bowed]. {S} gave {H} {a_trinket} for good luck.
        - "This is for you," said {Sthe}. {S} gave {H} {a_trinket}, and {H} put it away with care.
        - {H} said hello to {Sthe}. For no reason at all, {S} gave {H} {a_trinket}.
        """,
        "- On the day {S} gave {H} {a_trinket},\n- On the day {H} got {a_trinket} from {S},",
    ),
    _side(
        "forgotten hat",
        "forget H",
        """
        - {H} scratched {his} head. Oh dear, {H} forgot a hat at home! {He} ran back [to get it|for it] and was soon
          there again.
        - {Sthe} came running up. "You left this!" {S} said. {H} forgot a hat, and {S} had brought it.
        - Something was wrong, and then it was clear: {H} forgot a hat. It was too late to get it, and {his} ears
          [froze|got pink].
        """,
        "- On the day {H} forgot a hat,\n- On the day of a forgotten hat,",
    ),
    _side(
        "an animal passes",
        "see HB",
        """
        - Then {H} saw {a_beast}. It came [near|past], looked around, and was gone again.
        - Everything was quiet, and {H} saw {a_beast}. It [sniffed the air|wagged its tail] and went on its way.
        - "Shh!" said {H}. All of a sudden, {H} saw {a_beast}. It [chewed|yawned] and did not mind at all.
        """,
        "- On the day {H} saw {a_beast},\n- On a day when {H} saw {a_beast},",
        """
        - Through the window, {H} saw {a_beast}. It [came|went] past and was gone again.
        - Outside, something moved. {H} saw {a_beast}. It [sniffed the air|yawned] and went on its way.
        """,
    ),
    _side(
        "butterfly",
        "",
        """
        - A butterfly came [dancing|floating] by and sat down on {H}. It opened and closed its wings, and then it was
          off.
        - A butterfly landed on the [nose|shoulder] of {H}. It tickled so much that {he} had to [giggle|sneeze].
        - "Hello, little butterfly," said {H}. It sat on {his} finger for a while and flew away.
        """,
        "- On the day a butterfly came,\n- On a day with a butterfly,",
    ),
    _side(
        "bee",
        "",
        """
        - Buzz, buzz! A bee flew around {H} three times. {He} stood as still as a [tree|post] until it left.
        - A bee came and [circled|buzzed] around {H}. It was only looking for flowers, so {he} waited, and off it
          went.
        - "Go away, bee!" said {H}, but {he} did not hit it. The bee [found a flower|got bored] and flew off.
        """,
        "- On the day a bee came by,\n- On a day with a bee,",
    ),
    _side(
        "parade",
        "",
        """
        - A parade marched by, with [flags|horns] and [dancers|clowns]. {H} waved until the last one was gone.
        - Boom, boom! It was a parade. {H} [marched along|stood on tiptoe] for a bit and saluted.
        - "A parade!" called {H}. Men in [red|blue] coats threw candy, and {H} caught one.
        """,
        "- On the day of the parade,\n- On the day a parade marched by,",
        """
        - Outside, a parade marched by, with [flags|horns] and [dancers|clowns]. {H} waved from the window.
        """,
    ),
    _side(
        "mud",
        "",
        """
        - {H} stepped into some mud, and it went [squish|splat]. Now {his} feet were brown, but {he} only laughed.
        - There was mud on the ground. {H} jumped in with both feet and got [spots|dirt] up to {his} chin.
        - "Yuck, mud!" said {H}. It stuck to {his} feet and made a [funny|rude] noise at each step.
        """,
        "- On a day with mud,\n- On a muddy day,",
        """
        - {H} had mud on {his} feet from outside. {He} [wiped|scrubbed] the floor until it was clean again.
        """,
    ),
    _side(
        "hiccups",
        "",
        """
        - Hic! {H} had the hiccups. {He} drank some water [upside down|very fast], and at last they stopped.
        - All of a sudden, {H} got the hiccups and jumped at each one. {Sthe} said boo, and they were gone.
        - "Hic! Hic!" went {H}. The hiccups lasted [a long time|ten minutes], and everyone giggled.
        """,
        "- On the day of the hiccups,\n- On the day {H} had the hiccups,",
    ),
    _side(
        "a funny joke",
        "",
        """
        - {Sthe} told a joke about [a cow on a bus|two fleas|a fish with a bow tie]. {H} laughed so hard that {he} had
          to sit down.
        - "Do you know the joke about the [bald parrot|lazy ant]?" asked {Sthe}. {H} did not, and it was very funny.
        - {H} heard {Sthe} tell a joke. It was so silly that {he} [snorted|roared] with laughter.
        """,
        "- On the day {S} told a joke,\n- On a day with a joke by {S},",
    ),
    _side(
        "a good smell",
        "",
        """
        - A smell of fresh [bread|toast|soup] was in the air. {H} [sniffed|closed {his} eyes] and thought of
          breakfast.
        - "What smells so good?" asked {H}. Somebody was making [jam|waffles|stew], but it was too far away.
        - There was a smell of [smoke|hay|honey|pine] in the air. {H} took a deep breath and liked it.
        """,
        "- On the day of the good smell,\n- On a day with a good smell in the air,",
    ),
)
