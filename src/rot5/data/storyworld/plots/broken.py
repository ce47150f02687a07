"""A borrowed thing breaks: confession and glue, a lie discovered, or it hardly matters."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, things
from rot5.data.storyworld.wording import Wordings

BROKEN = Plot(
    name="broken thing",
    things=things("b"),
    late=False,
    opening=Beat(
        "own FO; at HP; at FP",
        """
        - {F} had {an_obj}. It was [the nicest thing {fe} owned|{fis} favorite thing in the world]. {Day}, {H} went
          {to} to play with {Fthe}. {F} was already {at}.
        - {Day}, {H} and {Fthe} were {at}. {F} had {an_obj} and kept it [very clean|safe on a cloth].
        - {Fthe2} had {an_obj}. "You may look, but please be careful," {F} said. {Day}, {H} and {F} were {at}
          together.
        - {Day}, {H} met {Fthe} {at}. {F} had {an_obj} and put it down {at} while {fe} went to get some
          [water|juice|milk].
        """,
    ),
    problem=Beat(
        "break HO",
        """
        - {H} [picked up|played with|bumped into] the {toy} when nobody was looking. Crash! {H} broke the {obj} into
          [two|three|many] pieces.
        - {H} only wanted to [touch|feel|hold] the {toy}. But it slipped from {his} {hand}s, and {H} broke the {obj}.
        - "I will just [try|hold] it once," thought {H}. Then there was a loud crack. {H} broke the {obj}, and {his}
          face turned pale.
        - {H} began to [run|dance|skip] around. {He} tripped over {his} own feet and fell. That is how {H} broke the
          {obj}.
        """,
    ),
    summary=Wordings("""
        - {H} broke the {obj} that {F} had {at}
        - {at}, {H} broke {F}'s {obj}
        - {H} was {at} and broke the {obj} of {F}
        - {H} broke the {obj} when {he} was {at} with {F}
    """),
    turns=(
        Turn(
            name="confession and glue",
            link="but",
            features=("Conflict",),
            beats=(
                Beat(
                    "tell the truth H; forgive FH",
                    """
                    - {H} [took a deep breath|swallowed hard]. When {F} came near, {H} told the truth. {F} was
                      [upset|cross] at first, but then {F} forgave {H}.
                    - "It was me. I am so sorry," said {H}. {H} told the truth with [a red face|a tiny voice]. {F}
                      [sighed|was quiet], and then {F} forgave {H}.
                    - {H} wanted to run. But {he} stayed, and {H} told the truth to {F}. {F} [frowned|groaned] at the
                      pieces. Then {F} forgave {H}.
                    """,
                ),
                Beat(
                    "fix HFO",
                    """
                    - They got some {glue}. {H} and {F} fixed the {obj} together, [bit by bit|piece by piece].
                    - {H} and {F} fixed the {obj} with {glue}. It [looked almost as good as new|had a small scar, but
                      it worked].
                    - "Let us try {glue}," said {F}. All afternoon, {H} and {F} fixed the {obj}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} told the truth, {F} forgave {him}, and they fixed {it} with {glue}
                - {H} told the truth and {F} forgave {him}, so they fixed {it} with {glue}
                - {H} told {F} the truth, and together they fixed {it} with {glue}
            """),
            morals=Wordings("""
                - {H} learned that it is best to tell the truth.
                - The moral is that the truth makes friends strong.
            """),
            hints=Wordings("""
                - {F} always kept {glue} [in a little box|close by], just in case.
            """),
        ),
        Turn(
            name="a lie discovered",
            link="and",
            good=False,
            features=("BadEnding", "Conflict"),
            beats=(
                Beat(
                    "lie H",
                    """
                    - When {F} came back, {H} pushed the pieces {spot}. Then {H} told a lie and said that [the wind|a
                      cat|a big bird] did it.
                    - "I did not do it," said {H}. {H} told a lie and [kicked|swept] the pieces {spot}.
                    - {H} was too [scared|afraid] to speak up. So {H} told a lie about it and left the pieces {spot}.
                    """,
                ),
                Beat(
                    "",
                    """
                    - But {F} saw the pieces {spot} and knew. "Why did you lie to me?" {fe} asked, and {fe} went away.
                    - But {F} looked {spot} and saw the pieces. {F} picked them up and went away without a word.
                      Nobody [wanted|came] to play after that.
                    - It did not work, because {F} found the pieces at once. {F} [stamped {fis} foot|turned red] and
                      went away alone.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} told a lie, but {F} saw the pieces {spot}
                - {H} told a lie about it until {F} saw the pieces {spot}
                - {H} told a lie, so {F} went away after seeing the pieces {spot}
            """),
            morals=Wordings("""
                - {H} learned that a lie only makes things worse.
                - The moral is that a lie never stays hidden.
            """),
            hints=Wordings("""
                - {H} did not always say what was true.
                - {F} could always tell when someone [told a fib|had a secret].
            """),
            feelings=("sorry", "lonely", "sad", "unhappy"),
        ),
        Turn(
            name="it was old anyway",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "tell the truth H",
                    """
                    - {H} ran to {F} at once. With [wet eyes|a shaky voice], {H} told the truth.
                    - "Please do not be mad," {H} begged. Then {H} told the truth.
                    - {H} could not [keep it in|sit still]. Soon {H} told the truth to {F}.
                    """,
                ),
                Beat(
                    "own FQ; share HFQ",
                    """
                    - {F} only laughed. {F} had {an_obj2} too, and it was much better. All day, {H} and {F} shared the
                      {obj2}.
                    - To {his} surprise, {F} laughed. "I wanted to throw it out!" {F} said. {F} had {an_obj2} now, so
                      {H} and {F} shared the {obj2}.
                    - But {F} was not angry at all and laughed. {F} had {an_obj2} behind {fis} back, all new. {H} and
                      {F} shared the {obj2} for the rest of the day.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} told the truth, and {F} laughed and shared {an_obj2} with {him}
                - {H} told the truth and {F} laughed about it, so they shared {an_obj2}
                - when {H} told the truth, {F} only laughed, and they shared {an_obj2}
            """),
            morals=Wordings("""
                - {H} learned that telling the truth is not so hard.
                - The moral is to be honest even when you are scared.
            """),
            hints=Wordings("""
                - It had [a small crack|a loose part|a bent corner] already, and {F} knew it.
            """),
        ),
    ),
)
