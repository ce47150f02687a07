"""Someone new: shared toys, an unkind laugh, the same thing, or help for the shy one."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, things
from rot5.data.storyworld.wording import Wordings

FRIEND = Plot(
    name="a new friend",
    things=things("t"),
    opening=Beat(
        "own HO; at HP; at FP",
        """
        - {Day}, {H} was {at}. {H} had {an_obj} with {him}. {F}, {Fnew} who was new there, sat {at} all alone.
        - {H} had {an_obj} but nobody to play with. {Day}, {H} went {to} and saw {Fnew}. It was {F}, who was new {at}.
        - {Day}, a new family came. Their child {F} stood {at} and [kicked at the ground|looked lost]. {H} was {at},
          too. {H} had {an_obj}.
        """,
    ),
    problem=Beat(
        "meet HF",
        """
        - {H} [walked|went] closer and waved. That is how {H} met {F}. But {F} was shy and [looked away|did not say a
          word].
        - "Hi, what is your name?" asked {H}. So {H} met {F}, who [only whispered|was very shy].
        - {H} [smiled|said hello] first, and so {H} met {F}. {F} hid {fis} face and was shy.
        """,
    ),
    summary=Wordings("""
        - {H} met shy {F}, who was new {at}
        - {at}, {H} met {F}, who was new and shy
        - {H} was {at} with {an_obj} and met shy {F}
        - {F} was new {at} and shy when {H} met {fim}
    """),
    turns=(
        Turn(
            name="sharing makes friends",
            link="and",
            beats=(
                Beat(
                    "share HFO",
                    """
                    - {H} had an idea and held out the {toy}. Slowly, {F} came nearer. {H} and {F} shared the {obj},
                      and they [giggled|had fun].
                    - "Do you want to play?" asked {H}. {F} nodded. All day long, {H} and {F} shared the {obj}.
                    - {H} put the {toy} on the ground between them. It did not take long. Soon {H} and {F} shared the
                      {obj}.
                    """,
                ),
                Beat(
                    "befriend HF",
                    """
                    - [Before the sun set|By the evening], {H} became friends with {F}.
                    - They [told jokes|made up a secret handshake]. {H} became friends with {F} that day.
                    - "See you tomorrow!" called {F}. {H} became friends with {F} just like that.
                    """,
                ),
            ),
            summary=Wordings("""
                - they shared the {obj} and became friends
                - {H} became friends with {F} because they shared the {obj}
                - {H} and {F} shared the {obj} until they became friends
            """),
            morals=Wordings("""
                - {H} learned that it is easy to make a friend.
                - The moral is to say hello to the new one.
            """),
            hints=Wordings("""
                - {H} had been new there once, [too|long ago].
            """),
        ),
        Turn(
            name="an unkind laugh",
            link="but",
            good=False,
            features=("BadEnding", "Conflict"),
            beats=(
                Beat(
                    "mock HF",
                    """
                    - Then {H} saw {fis} funny [hat|shoes|ears]. {H} laughed at {F} and [pointed|made a face].
                    - "You talk like a [frog|mouse]!" said {H}. {H} laughed at {F} and would not share the {obj}.
                    - {F} wanted to hold the {toy} and dropped it. {H} laughed at {F} in front of [everybody|all the
                      others].
                    """,
                ),
                Beat(
                    "",
                    """
                    - {F} ran off with tears in {fis} eyes and never came back. {H} was left alone with the {obj}.
                    - {F} ran off. {H} called after {fim}, but it was too late. {H} sat alone with the {obj}.
                    - So {F} ran off and found [other|better] friends. {H} had to play alone with the {obj}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} laughed at {F}, who ran off and left {him} alone with the {obj}
                - {H} laughed at {F} and was left alone with the {obj}
                - because {H} laughed at {F}, {fe} ran off, and {H} was alone with the {obj}
            """),
            morals=Wordings("""
                - {H} learned that unkind words hurt.
                - The moral is never to laugh at someone new.
            """),
            hints=Wordings("""
                - {H} sometimes spoke before {he} thought.
            """),
            feelings=("lonely", "sorry", "sad"),
        ),
        Turn(
            name="the same thing",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "own FQ",
                    """
                    - Then {F} saw the {obj}, and {fis} eyes grew [wide|round]. {Fe} [dug|reached] into a bag. What a
                      surprise! {F} had {an_obj2}, and the two looked lovely side by side.
                    - "Oh, what a nice {toy}!" {F} said all of a sudden. {F} had {an_obj2} in a bag and wanted to show
                      it.
                    - All at once, {F} ran home. Was {fe} scared? No! {F} had {an_obj2} at home and came back with it.
                    """,
                ),
                Beat(
                    "give HFO; give FHQ; befriend HF",
                    """
                    - They traded. {H} gave the {obj} to {F}, and {F} gave the {obj2} to {H}. In no time, {H} became
                      friends with {F}.
                    - "Let us trade!" they said. {H} gave the {obj} to {F}. {F} gave the {obj2} to {H}. And so {H}
                      became friends with {F}.
                    """,
                ),
            ),
            summary=Wordings("""
                - they traded the {obj} for {an_obj2} and became friends
                - {F} had {an_obj2}, so they traded it for the {obj} and became friends
                - {H} became friends with {F} when they traded the {obj} for {an_obj2}
            """),
            morals=Wordings("""
                - {H} learned that shy people have much to give.
                - The moral is to give everyone a little time.
            """),
            hints=Wordings("""
                - There was a big bag on the ground, and something was in it.
            """),
        ),
        Turn(
            name="helped the shy one",
            link="and",
            beats=(
                Beat(
                    "help HF",
                    """
                    - Some [bigger kids|rude crows] began to tease {F}. {H} stood in front and helped {F}. "Leave my
                      friend alone!" {he} said.
                    - Then {F} slipped and scraped {fis} arm. {H} helped {F} with a [bandage|wet cloth].
                    - {F} could not find the way home. {H} helped {F} and walked {fim} to the door.
                    """,
                ),
                Beat(
                    "give HFO; befriend HF",
                    """
                    - To cheer {fim} up, {H} gave the {obj} to {F}. From then on they met every day, and {H} became
                      friends with {F}.
                    - {H} gave the {obj} to {F} as well. "You are nice," said {F}. So {H} became friends with {F}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} helped {F}, gave {fim} the {obj} and they became friends
                - {H} gave {F} the {obj}, helped {fim} and became friends with {fim}
                - {H} became friends with {F} because {he} helped and gave {fim} the {obj}
            """),
            morals=Wordings("""
                - {H} learned that a kind deed can start a friendship.
                - The moral is to stand up for others.
            """),
            hints=Wordings("""
                - {H} could never look away when someone was in trouble.
            """),
        ),
    ),
)
