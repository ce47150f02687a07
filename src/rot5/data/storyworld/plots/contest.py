"""A race for a prize: help on the way, cheating, slow and steady, or a winner who shares."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, places, things
from rot5.data.storyworld.wording import Wordings

CONTEST = Plot(
    name="a race for a prize",
    things=things("te"),
    places=places("wild town"),
    features=("Conflict",),
    late=False,
    opening=Beat(
        "at HP; at FP; want HO",
        """
        - {Day}, there was a big race {at}. {H} and {Fthe} were {at} early. The prize was {an_obj}, and {H} wanted the
          {obj}.
        - {H} heard of a race {at}. The winner would get {an_obj}. {H} wanted the {obj} very much. {Day}, {H} and
          {Fthe} [stood|lined up] {at}.
        - "The fastest one gets the prize!" [a man|the mayor|an old lady] shouted. {Day}, {H} and {Fthe} were {at} for
          a race. {H} wanted the prize, {an_obj}.
        """,
    ),
    problem=Beat(
        "",
        """
        - [Ready, steady, go|One, two, three, go]! They dashed off like [the wind|two arrows]. {F} was a bit faster,
          and {H} began to [pant|worry].
        - A horn blew, and off they went. The path was [steep|bumpy]. Soon {F} was far in front, and {H} was
          [last|falling behind].
        - "Run, run!" the crowd [roared|cheered]. {H} and {F} were side by side. Their legs [burned|ached], and dust
          flew up behind them.
        """,
    ),
    summary=Wordings("""
        - {H} and {F} ran a race {at} for {an_obj}
        - {at}, {H} ran a race with {F} because {he} wanted {an_obj}
        - {H} wanted {an_obj} and ran a race with {F} {at}
        - {H} wanted to win {an_obj} in a race with {F} {at}
    """),
    turns=(
        Turn(
            name="helps and wins",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "help HF",
                    """
                    - Then {F} [stumbled over a root|twisted a foot] and fell. {H} could have won. But {H} stopped and
                      helped {F} up, and they [walked|limped] on side by side.
                    - Suddenly, {F} fell with a [thud|yelp]. {H} forgot the race and helped {F} to stand up. Everyone
                      else [ran past|raced past].
                    - "Ouch, my leg!" cried {F}, who fell down hard. {H} turned around at once. {H} helped {F} walk to
                      the end.
                    """,
                ),
                Beat(
                    "win HO",
                    """
                    - They came in last. But the [judge|crowd] had seen it all, and {H} won the {obj} for being kind.
                    - To {his} surprise, {H} still won the {obj}. It was a prize for being kind.
                    - The judge [cheered|smiled] and said that {H} won the {obj} for being so kind.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} stopped when {F} fell and helped {fim}, and still {he} won {it}
                - {F} fell, {H} helped {fim}, and {H} won {it} for being kind
                - {H} helped {F}, who fell, and won {it} for that
            """),
            morals=Wordings("""
                - {H} learned that being kind is the best way to win.
                - The moral is that a friend matters more than a prize.
            """),
            hints=Wordings("""
                - The judge was watching for more than [speed|fast feet].
            """),
            feelings=("proud", "happy", "glad"),
        ),
        Turn(
            name="cheats and is caught",
            link="but",
            good=False,
            features=("BadEnding",),
            beats=(
                Beat(
                    "cheat H",
                    """
                    - {H} saw a short way through the [fence|corn|hedge]. Nobody was looking, so {H} cheated in the
                      race and took the short way.
                    - "I must win," thought {H}. So {H} cheated in the race. {He} took a short way [behind a
                      wall|around the back].
                    - {H} could not bear to lose. {H} cheated in the race by taking a short way.
                    """,
                ),
                Beat(
                    "win FO",
                    """
                    - But the judge saw {him} and shook his head. {H} was out, and {F} won the {obj}.
                    - It did not help. The judge had seen {him}, so {F} won the {obj}, and nobody cheered for {H}.
                    - "That was not fair!" called the judge. {H} had to leave, and {F} won the {obj}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} cheated by taking a short way, so {F} won {it}
                - {H} cheated and took a short way, and {F} won {it}
                - the judge saw that {H} cheated, and {F} won {it}
            """),
            morals=Wordings("""
                - {H} learned that cheaters never win.
                - The moral is to play fair, even if you lose.
            """),
            hints=Wordings("""
                - {H} could not stand losing [a game|at anything].
            """),
            feelings=("sorry", "sad", "upset", "gloomy"),
        ),
        Turn(
            name="slow and steady",
            link="but",
            beats=(
                Beat(
                    "",
                    """
                    - {F} was so sure of winning that {fe} sat down for a nap. {H} [kept going|did not stop], step
                      after step.
                    - Halfway there, {F} took a nap [in the shade|on a soft spot]. {H} went by on quiet feet.
                    - "I have lots of time," said {F}, and {fe} took a nap. But {H} kept on running.
                    """,
                ),
                Beat(
                    "win HO",
                    """
                    - {F} woke up too late. {H} won the {obj}, and everyone clapped.
                    - In the end, {H} crossed the line first. {H} won the {obj}, and {F} [rubbed {fis} eyes|shook
                      {his} {hand}].
                    - When {F} woke up, it was over. {H} won the {obj} by a [mile|long way].
                    """,
                ),
            ),
            summary=Wordings("""
                - {F} took a nap and {H} won {it}
                - while {F} took a nap, {H} kept going and won {it}
                - {H} won {it} because {F} took a nap on the way
            """),
            morals=Wordings("""
                - {H} learned that slow and steady wins the race.
                - The moral is to keep going until the very end.
            """),
            hints=Wordings("""
                - {F} had stayed up late [the night before|to look at the stars] and kept yawning.
            """),
            feelings=("proud", "happy", "glad", "cheerful"),
        ),
        Turn(
            name="the other wins and shares",
            link="but",
            beats=(
                Beat(
                    "win FO",
                    """
                    - {H} ran as fast as {he} could, but {F} was faster. {F} won the {obj}, and {H} [kicked a
                      stone|bit {his} lip].
                    - At the last [turn|corner], {F} was faster. {F} won the {obj}. {H} was close to tears.
                    - "So close!" the people said. But {F} was faster. {F} won the {obj}, and {H} looked down at {his}
                      feet.
                    """,
                ),
                Beat(
                    "share FHO",
                    """
                    - {F} saw that and put an arm around {him}. From that day on, {F} and {H} shared the {obj}.
                    - "It is for both of us," said {F}. So {F} and {H} shared the {obj}, and {H} smiled again.
                    - Then something nice happened. {F} and {H} shared the {obj} [like brothers and sisters|as if they
                      had both won].
                    """,
                ),
            ),
            summary=Wordings("""
                - {F} won {it} and shared it with {H}
                - {F} was faster and won {it}, and then they shared it
                - {F}, who was faster, won {it} and shared it with {him}
            """),
            morals=Wordings("""
                - {H} learned that losing is not the end of the world.
                - The moral is that a good winner shares.
            """),
            hints=Wordings("""
                - {F} was known for [long legs|fast feet] and a big heart.
            """),
            feelings=("thankful", "happy", "glad"),
        ),
    ),
)
