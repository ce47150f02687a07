"""A thing is built: done together, spoiled alone, or knocked down and built again."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, places, things
from rot5.data.storyworld.wording import Wordings

BUILD = Plot(
    name="building together",
    things=things("m"),
    places=places("wild town") + places("indoor"),
    opening=Beat(
        "at HP; at FP; want HO",
        """
        - {Day}, {H} and {Fthe} were {at} with nothing to do. {H} wanted {an_obj} more than anything.
        - {H} wanted {an_obj}, but there was none to buy. {Day}, {H} met {Fthe} {at}. {F} was {at} with a [saw|bag of
          tools].
        - "Let us make something!" {H} said. {H} wanted {an_obj}. {Day}, {H} and {Fthe} [met|got together] {at}.
        - {H} had seen {an_obj} in a [story|dream]. From then on, {H} wanted the {obj}. {Day}, {H} and {Fthe} were
          {at}.
        """,
    ),
    problem=Beat(
        "",
        """
        - They found [sticks|boards|planks], [string|tape|nails], and some [paper|cloth|paint]. But the work was [not
          easy|harder than they thought], and the first try [fell apart|tipped over].
        - They [drew|sketched] a plan in the [sand|dust] and worked on it. {F} held the parts and {H} [tied|nailed]
          them. Soon they were [hot|tired], and it still [wobbled|leaned to one side].
        - "You hold this, and I will push," said {F}. They worked hard and [pushed and pulled|huffed and puffed]. But
          one side was [too short|crooked].
        """,
    ),
    summary=Wordings("""
        - {H} wanted {an_obj} and worked on it {at} with {F}
        - {H} and {F} were {at} and worked to make {an_obj} for {H}
        - {at}, {H} wanted {an_obj} and worked on it with {F}
        - {H} was {at} with {F} and wanted {an_obj}
    """),
    turns=(
        Turn(
            name="done together",
            link="and",
            beats=(
                Beat(
                    "build HFO",
                    """
                    - They [tried again|did not stop]. {F} used {glue} this time. At last, {H} and {F} built the
                      {obj}!
                    - Then {F} had the idea to use {glue}. It held! Before [dinner|sunset], {H} and {F} built the
                      {obj}.
                    - "We need {glue}," said {F}. That was it! Side by side, {H} and {F} built the {obj}.
                    """,
                ),
                Beat(
                    "",
                    """
                    - Everyone came to [look|see it] and clapped.
                    - "We did it!" they [cheered|shouted].
                    - They [danced around it|shook {hand}s] and could not stop smiling.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} and {F} built {it} with {glue}
                - with the help of {glue} they built {it} together
                - {H} built {it} together with {F}, who used {glue}
            """),
            morals=Wordings("""
                - {H} learned that many {hand}s make light work.
                - The moral is that working together is best.
            """),
            hints=Wordings("""
                - {F} had once helped a carpenter and knew [a few|some] tricks.
            """),
            feelings=("proud", "happy", "glad", "cheerful"),
        ),
        Turn(
            name="alone and broken",
            link="but",
            good=False,
            features=("BadEnding", "Conflict"),
            beats=(
                Beat(
                    "",
                    """
                    - "I do not need you," said {H}. {He} sent {F} away and worked on alone.
                    - {H} [grew bossy|became cross] and sent {F} away. {H} wanted to do it all alone.
                    - Then they [argued|fought] about the color. {H} sent {F} away and went on alone.
                    """,
                ),
                Beat(
                    "break HO",
                    """
                    - But one pair of {hand}s was not enough. {H} [slipped|stumbled], and {H} broke the {obj}. There
                      was no one to help.
                    - Without help, it all came down. {H} broke the {obj} with one wrong [step|push], and {F} did not
                      come back.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} sent {F} away and broke {it} alone
                - {H} sent {F} away to work alone and then broke {it}
                - {H} sent {F} away, and without help {he} broke {it}
            """),
            morals=Wordings("""
                - {H} learned that nobody can do everything alone.
                - The moral is to be kind to those who help you.
            """),
            hints=Wordings("""
                - {H} liked to be the boss [in every game|of everything].
            """),
            feelings=("sorry", "lonely", "sad", "upset"),
        ),
        Turn(
            name="knocked down, built again",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "be broken O",
                    """
                    - Just when it was [nearly done|almost ready], a {thief} ran into it. Bang! The {obj} was broken.
                    - Then a {thief} [landed on it|jumped right on top of it]. In a second, the {obj} was broken.
                    """,
                ),
                Beat(
                    "fix HFO",
                    """
                    - They did not [scold|chase] the {thief}. They laughed and began again. This time, {H} and {F}
                      fixed the {obj} and made it much stronger.
                    - "We can do it better," said {F}. So {H} and {F} fixed the {obj}, and the {thief} sat and
                      watched.
                    - {H} and {F} looked at each other and [shrugged|laughed]. Then {H} and {F} fixed the {obj}. It
                      was even better than before.
                    """,
                ),
            ),
            summary=Wordings("""
                - {it} was broken by a {thief} before {H} and {F} fixed it
                - after a {thief} came and {it} was broken, they fixed it together
                - a {thief} came and {it} was broken, so {H} and {F} fixed it
            """),
            morals=Wordings("""
                - {H} learned to try again when things go wrong.
                - The moral is that a bad start can have a good end.
            """),
            hints=Wordings("""
                - Not far away, a {thief} was [watching them|up to no good].
            """),
            feelings=("proud", "happy", "glad", "cheerful"),
        ),
    ),
)
