"""A thing is hidden as a trick: given back in time, gone for good, or the trick comes back."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, things
from rot5.data.storyworld.wording import Wordings

TRICK = Plot(
    name="a trick and its price",
    things=things("t"),
    late=False,
    features=("Conflict",),
    opening=Beat(
        "own FO; at HP; at FP",
        """
        - {H} loved to play tricks. {Day}, {H} met {Fthe} {at}. {F} was {at} with a new toy. {F} had {an_obj}.
        - {Day}, {H} and {Fthe} were {at}. {F} had {an_obj} and [hummed|whistled] a tune. {H} was bored.
        - {Fthe2} had {an_obj}, and {fe} never let it out of sight. {Day}, {H} and {F} [sat|rested] {at}.
        - "Today I will have some fun," thought {H}. {Day}, {H} saw {Fthe} {at}. {F} was asleep {at}. {F} had {an_obj}
          next to {fim}.
        """,
    ),
    problem=Beat(
        "take HO; hide HO; trick HF",
        """
        - When {F} closed {fis} eyes, {H} took the {obj}. {H} hid the {obj} {spot} and [giggled|held back a laugh]. In
          this way, {H} tricked {F}.
        - {H} wanted to see a funny face. So {H} tricked {F}. First {H} took the {obj} without a sound. Then {H} hid
          the {obj} {spot}.
        - "Look, a flying [cow|pig|fish]!" called {H} and pointed up. That is how {H} tricked {F}. In a flash, {H}
          took the {obj}. {H} hid the {obj} {spot}.
        """,
    ),
    summary=Wordings("""
        - {H} tricked {F} {at} and hid {fis} {obj} {spot}
        - {at}, {H} took {F}'s {obj} and hid it {spot}
        - {H} tricked {F} {at} by hiding {fis} {obj} {spot}
        - {H} took the {obj} of {F} {at} and hid it {spot} as a trick
    """),
    turns=(
        Turn(
            name="sorry in time",
            link="but",
            beats=(
                Beat(
                    "find HO; give HFO; say sorry H",
                    """
                    - {F} looked everywhere and began to cry. It was not funny any more. {H} found the {obj} again and
                      gave the {obj} back. "It was only a joke," {he} said. Then {H} said sorry.
                    - {F} cried, and big tears fell on the ground. {H} felt a [lump|knot] in {his} tummy. {H} found
                      the {obj} in its hiding place, and {H} gave the {obj} to {F}. {H} said sorry.
                    - {F} cried so hard that {H} stopped laughing. {H} found the {obj} in its place, and {H} gave the
                      {obj} back to {F}. Then {H} said sorry [in a low voice|twice].
                    """,
                ),
                Beat(
                    "forgive FH",
                    """
                    - {F} wiped {fis} nose and forgave {H}.
                    - "Do not do it again," said {F}. Then {F} forgave {H}.
                    - {F} was cross for [a minute|a little while], but then {F} forgave {H}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {F} cried, so {H} gave {it} back, said sorry and was forgiven
                - {H} gave {it} back and said sorry when {F} cried, and {F} forgave {him}
                - when {F} cried, {H} said sorry and gave {it} back, and {F} forgave {him}
            """),
            morals=Wordings("""
                - {H} learned that a joke is only good if everyone laughs.
                - The moral is to think of others before you play a trick.
            """),
            hints=Wordings("""
                - Deep inside, {H} had a soft heart.
            """),
            feelings=("thankful", "glad", "happy"),
        ),
        Turn(
            name="gone for good",
            link="but",
            good=False,
            features=("BadEnding", "Twist"),
            beats=(
                Beat(
                    "",
                    """
                    - After a while, {H} went back to get it. But a {thief} had carried it off! {H} could not bring it
                      back.
                    - Then {H} looked at the hiding place, and {his} mouth [fell open|dropped]. A {thief} had carried
                      it off.
                    - "Now I will show you," laughed {H}. But the hiding place was bare. A {thief} had carried it
                      [off|far away].
                    """,
                ),
                Beat(
                    "stay lost O",
                    """
                    - They looked for hours, but the {obj} stayed lost. {F} would not [speak to|look at] {H}.
                    - The {obj} stayed lost, and {F} cried all the way home.
                    - {F} was [furious|very angry]. The {obj} stayed lost, and so was a good friend.
                    """,
                ),
            ),
            summary=Wordings("""
                - a {thief} carried it off, and {it} stayed lost
                - {it} stayed lost because a {thief} carried it off
                - a {thief} came and carried it off, and {it} stayed lost
            """),
            morals=Wordings("""
                - {H} learned that a trick can go very wrong.
                - The moral is that mean jokes cost you friends.
            """),
            hints=Wordings("""
                - A hungry {thief} was [sneaking|walking] around that day.
            """),
            feelings=("sorry", "lonely", "sad"),
        ),
        Turn(
            name="tricked back",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "find FO; own HQ; take FQ; trick FH",
                    """
                    - But {F} had seen it all through [one open eye|{fis} fingers]. Soon {F} found the {obj}. Now {H}
                      had {an_obj2} in {his} bag. Without a sound, {F} took the {obj2}, and so {F} tricked {H} back.
                    - {F} was no fool. {Fe} looked around and {F} found the {obj}. {H} had {an_obj2}, too. To pay
                      {him} back, {F} took the {obj2}. That is how {F} tricked {H}.
                    """,
                ),
                Beat(
                    "give FHQ",
                    """
                    - {H} searched and searched. Then {F} burst out laughing and gave the {obj2} back. They [rolled on
                      the ground|laughed together].
                    - "Now we are even!" said {F}. {F} gave the {obj2} back, and {H} had to laugh.
                    """,
                ),
            ),
            summary=Wordings("""
                - {F} found {it}, tricked {H} back and took {his} {obj2} for a while
                - {F} tricked {H} back and took {his} {obj2} before giving it back
                - {F} found {it} and took {H}'s {obj2} to trick {him} back
            """),
            morals=Wordings("""
                - {H} learned how it feels to be tricked.
                - The moral is that a trickster can be tricked as well.
            """),
            hints=Wordings("""
                - {F} was much smarter than {fe} looked.
            """),
        ),
    ),
)
