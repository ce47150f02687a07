"""StoryWorld: a simulated world of children's stories with gold answers.

A story has a hero, a second character, an object and a place. One of the plots sets a problem, a side event happens
before or after it, and one of the plot's turns decides how it ends; every event changes the state of a world that
refuses what cannot be (`world`), and every event that happens is told (`plots`, `side_events`, `compose`).

Plots and their turns (* ends badly):

    lost thing             friend finds it · own pocket · never found * · a present instead
    quarrel and sharing    taking turns · it breaks * · a third takes it * · lonely with it
    forbidden wish         broken and forgiven · patience rewarded · taken and sent home *
    fear overcome          hand in hand · only a small animal · ran away *
    broken thing           confession and glue · a lie discovered * · it was old anyway
    helping a stranger     kindness returned · walked on * · a surprise
    a trick and its price  sorry in time · gone for good * · tricked back
    learning a skill       practice pays · gave up too soon * · the teacher learns too
    building together      done together · alone and broken * · knocked down, built again
    danger and rescue      both saved · saved, but the thing is gone * · shallow water
    a visit                a happy meeting · crossing paths · nobody home * · empty hands are fine
    a new friend           sharing makes friends · an unkind laugh * · the same thing · helped the shy one
    a race for a prize     helps and wins · cheats and is caught * · slow and steady · the other wins and shares

Facts are (subject, relation, object) in words of the text. Each is stated in one sentence of narration, outside
quotation marks, as *subject, then the relation's words, then the object's last word*, in this order and with other
words between them; two subjects of one fact are joined ("Mia and Ben shared the red kite" states two facts). The
exceptions are "was at", whose sentence holds the name and the place with in, on, at or to the place in any order, and
"ended", which is "happy" or "sad" and shows in the last feeling. An object is adjective and noun ("red kite"); its noun
alone may stand for it elsewhere, and no other object of the story has the same noun.

    relation                    object        said as
    had, wanted, lost, found    an object     Mia had a red kite. Mia lost the red kite (Mia had lost the red kite).
    gave, took, hid, broke      an object     Ben gave the red kite to Mia (... gave the red kite back).
    got, won, gave up on        an object     Mia won the red kite.
    shared, fixed, built        an object     Mia and Ben built the red kite.
    shared                      a food        Zoe shared some plums with Mia.
    gave                        a trinket     Zoe gave Mia a gray feather.
    helped, saved, forgave,     a name        Ben helped Mia. Mia laughed at Ben. Mia became friends with Ben.
    warned, visited, met,
    tricked, laughed at,
    became friends with
    was at                      a place       Mia was at the pond. Ben came to the pond. Ben sat at the pond all alone.
    was afraid of               a fear        Mia was afraid of the dark.
    learned to                  verb, object  Mia learned to fly the red kite.
    saw                         an animal     Mia saw a deer.
    told                        the truth,    Mia told the truth. Mia told a lie.
                                a lie
    said sorry · sang a song · hurt a knee · forgot a hat · fell into the water · ran away · cheated in the race
    was broken · stayed lost    (the subject is the object)      The red kite stayed lost.
    felt                        a feeling     Mia felt glad. Mia was glad. (the last such sentence of the hero)
    ended                       happy, sad    (the subject is "story")

Features are listed when true: Dialogue (someone speaks), BadEnding (the hero ends sad), MoralValue (the last sentence
states what was learned), Twist and Conflict (by plot and turn), Foreshadowing (the opening holds a hint at the turn).

Index n is test when n mod 10 is 1, 3 or 7, else train. The held-out stream is made of reserved compositions only
(`reserved`): its (plot, side event), (plot, hero) and (plot, object) pairs never occur in the normal stream.
"""

from __future__ import annotations

from rot5.data.storyworld.compose import compose
from rot5.data.storyworld.records import Record, write_instruct, write_jsonl
from rot5.data.storyworld.world import Fact

__all__ = ["Fact", "Record", "StoryWorld", "is_test", "nth", "write_instruct", "write_jsonl"]


def is_test(n: int) -> bool:
    """Whether index n of the normal stream belongs to the test split."""
    return n % 10 in (1, 3, 7)


def nth(split: str, n: int) -> int:
    """The index of record n of a split: train, test, or held_out, which is a stream of its own.

    >>> [nth("test", n) for n in range(4)], [nth("train", n) for n in range(4)]
    ([1, 3, 7, 11], [0, 2, 4, 5])
    """
    if split == "held_out":
        return n
    own = [rest for rest in range(10) if is_test(rest) == (split != "train")]
    return n // len(own) * 10 + own[n % len(own)]


class StoryWorld:
    """An endless list of records: `StoryWorld(seed)[n]` is a pure function of (seed, n).

    With `held_out` it is the second stream, whose records are made of reserved compositions only.
    """

    def __init__(self, seed: int = 0, held_out: bool = False):
        self.seed = seed
        self.held_out = held_out

    def __getitem__(self, n: int) -> Record:
        if n < 0:
            raise IndexError(f"StoryWorld index {n} is negative")
        split = "held_out" if self.held_out else "test" if is_test(n) else "train"
        return compose(self.seed, n, self.held_out, split)
