"""A stranger in need: kindness returned, walked on, or a surprise."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, things
from rot5.data.storyworld.wording import Wordings

STRANGER = Plot(
    name="helping a stranger",
    things=things("ue"),
    late=False,
    opening=Beat(
        "own HO; at HP",
        """
        - {H} had {an_obj}. {Day}, {H} was {at} and wanted to bring it to {his} {elder}.
        - {Day}, {H} walked {to} on {his} own. {H} had {an_obj} with {him}.
        - "Take good care of it," said {his} {elder}. {H} had {an_obj} now. {Day}, {H} was {at}.
        - {Day}, {H} was on the way home and came {to}. {H} had {an_obj} from the shop.
        """,
    ),
    problem=Beat(
        "at FP; meet HF",
        """
        - There {H} met {F}, {Fnew} and a stranger to {him}. {F} was sitting {at}, and {fe} {need}.
        - Then {H} met {Fnew} {named} {F}, a stranger. {F} was {at} all alone. {Fe} {need}.
        - "Please help me," said a stranger with a [weak|small] voice. That was how {H} met {F}, {Fnew}. {F} was {at},
          and {fe} {need}.
        - A stranger was sitting on the ground. {H} met {F}, {Fnew}. {F} was {at} for the first time, and {fe} {need}.
        """,
    ),
    summary=Wordings("""
        - {H} met a stranger {named} {F} {at} who {need}
        - {at}, {H} met {F}, a stranger who {need}
        - {H} was {at} and met {F}, who {need}
        - {H} met {F} {at}, a stranger, and {F} {need}
    """),
    turns=(
        Turn(
            name="kindness returned",
            link="and",
            beats=(
                Beat(
                    "give HFO; help HF",
                    """
                    - {H} did not think long. {H} gave the {obj} to {F} and helped {F} until {fe} [could smile|felt
                      better].
                    - "You need it more than I do," said {H}. {H} gave the {obj} to {F}. That helped a lot. So {H}
                      helped {F}.
                    - {H} felt pity. {H} gave the {obj} to {F}, and {H} helped {F} to find a [warm|dry] place.
                    """,
                ),
                Beat(
                    "own FQ; give FHQ",
                    """
                    - [A week|Some days] later, {F} came back. Now {F} had {an_obj2}. {F} gave the {obj2} to {H} to
                      say thanks.
                    - {F} did not forget it. Later, {F} had {an_obj2}, and {F} gave the {obj2} to {H}. "This is for
                      you," {fe} said.
                    - Later, when they met again, {F} had {an_obj2}. {F} gave the {obj2} to {H} with a [bow|big hug].
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} gave {fim} the {obj}, and {F} gave {H} {an_obj2} later
                - {H} helped with the {obj}, and later {F} gave {him} {an_obj2}
                - {H} gave the {obj} to {F}, who gave {him} {an_obj2} later
            """),
            morals=Wordings("""
                - {H} learned that kindness comes back.
                - The moral is to help when you can.
            """),
            hints=Wordings("""
                - "What you give will come back to you," {his} {elder} used to say.
                - {His} {elder} always said that kind deeds come back.
            """),
            feelings=("glad", "happy", "thankful", "proud"),
        ),
        Turn(
            name="walked on",
            link="but",
            good=False,
            features=("BadEnding", "Conflict"),
            beats=(
                Beat(
                    "",
                    """
                    - But {H} walked on and held the {obj} tight. {F} [called after {him}|begged], but {he} did not
                      turn around.
                    - "I have no time," said {H}. {H} walked on with the {obj} under one arm.
                    - {H} did not want to share. {He} put the {obj} behind {his} back and walked on.
                    """,
                ),
                Beat(
                    "lose HO",
                    """
                    - A bit later, {H} tripped in the dark and lost the {obj}. Now {H} called for help, but nobody
                      came.
                    - Soon a storm came up. {H} lost the {obj} in the storm. {He} called for help, but nobody came.
                    - Not far from there, {H} fell into a ditch and lost the {obj}. {He} called for help, but nobody
                      came.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} walked on, lost {his} {obj} and called for help, but nobody came
                - {H} walked on, and then {H} lost the {obj} and nobody came
                - {H} walked on and lost {his} {obj} after that, and nobody came
            """),
            morals=Wordings("""
                - {H} learned that those who do not help may find no help.
                - The moral is to be kind to strangers in need.
            """),
            hints=Wordings("""
                - The sky in the west was getting dark.
            """),
            feelings=("sorry", "lonely", "sad", "unhappy"),
        ),
        Turn(
            name="a surprise",
            link="and",
            features=("Twist",),
            beats=(
                Beat(
                    "give HFO; help HF",
                    """
                    - {H} [knelt|sat] down beside {fim}. {H} gave the {obj} to {F}. In this way, {H} helped {F}.
                    - "Do not worry," said {H}. {H} gave the {obj} to {F}, and {H} helped {F} [to stand up|with a kind
                      word].
                    - {H} could not just walk by. {H} helped {F} right away. {H} gave the {obj} to {F} and asked for
                      nothing.
                    """,
                ),
                Beat(
                    "",
                    """
                    - Then {F} took off {fis} dirty clothes. What a surprise! {F} was the [famous|great] {star} whom
                      everyone [loved|knew].
                    - And then came a surprise. {F} was really a {star} and invited {H} to a [feast|big party].
                    - "I have a secret," said {F}. {F} was a {star}! {Fe} had only wanted to see who was kind.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} gave {fim} the {obj} and learned that {F} was a {star}
                - {H} helped with the {obj}, and it was a surprise that {F} was a {star}
                - {H} gave the {obj} to {F}, who was really a {star}
            """),
            morals=Wordings("""
                - {H} learned not to judge others by their clothes.
                - The moral is that you never know who you meet.
            """),
            hints=Wordings("""
                - There was something strange in the air that day.
            """),
            feelings=("glad", "happy", "proud", "joyful"),
        ),
    ),
)
