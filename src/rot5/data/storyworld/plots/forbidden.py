"""A thing must not be touched: broken and forgiven, waited for, or taken in secret."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, things
from rot5.data.storyworld.wording import Wordings

FORBIDDEN = Plot(
    name="forbidden wish",
    things=things("b"),
    late=False,
    opening=Beat(
        "own FO; at HP; at FP; want HO",
        """
        - {Day}, {H} was {at}, where {Fthe} was busy. {F} had {an_obj} there. It was so [lovely|special] that {H}
          wanted the {obj} right away.
        - {Day}, {H} went {to} to see {Fthe}. {F} was {at} with a secret. {F} had {an_obj}, and {H} wanted the {obj}
          badly.
        - {Fthe2} had {an_obj}. {Day}, {H} and {F} were {at}. {H} wanted the {obj} so much that {his} {hand}s
          [itched|tingled].
        """,
    ),
    problem=Beat(
        "warn FH",
        """
        - But {F} warned {H} not to touch the {toy}. Then {F} [went away|left] for a [moment|while], and {H} was all
          alone with it.
        - "No, you must never touch my {toy}," said {F}. Twice {F} warned {H}. Then {fe} went outside to [fetch
          water|feed the hens].
        - {F} warned {H} never to touch the {toy}. {H} [nodded|promised]. But as soon as {he} was alone, {he} [crept
          closer|could think of nothing else].
        """,
    ),
    summary=Wordings("""
        - {H} wanted the {obj} of {F} {at} and was warned not to touch it
        - {at}, {F} warned {H} not to touch the {obj} that {he} wanted
        - {H} wanted {F}'s {obj} {at}, though {F} warned {him} not to touch it
        - {F} had {an_obj} {at} and warned {H} not to touch it
    """),
    turns=(
        Turn(
            name="broken and forgiven",
            link="but",
            beats=(
                Beat(
                    "break HO",
                    """
                    - {H} put out one [finger|{hand}] to feel it. It [tipped|rolled], fell down, and {H} broke the
                      {obj}.
                    - {H} [stood on a box|climbed up] and reached out. Oh no! {H} broke the {obj}.
                    - "Just one little touch," whispered {H}. But then {H} broke the {obj}.
                    """,
                ),
                Beat(
                    "say sorry H; forgive FH",
                    """
                    - When {F} came back, {H} [hung {his} head|cried]. {H} said sorry again and again. In the end, {F}
                      forgave {H}.
                    - {H} said sorry to {F} and gave up {his} [dessert|snack] for a week. {F} saw the tears and
                      forgave {H}.
                    - "I did not listen," said {H}, and then {H} said sorry. {F} [hugged {him}|was quiet for a bit].
                      Then {F} forgave {H}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} broke {it}, said sorry and was forgiven by {F}
                - {H} broke {it} and said sorry, and {F} forgave {him}
                - {H} broke {it}, and {F} forgave {him} when {he} said sorry
            """),
            morals=Wordings("""
                - {H} learned to listen the first time.
                - The moral is that a true sorry can heal a lot.
            """),
            hints=Wordings("""
                - It stood on a [thin|shaky] little [shelf|table].
            """),
            feelings=("thankful", "glad", "happy"),
        ),
        Turn(
            name="patience rewarded",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "",
                    """
                    - {H} put {his} {hand}s behind {his} back and waited. {He} [sang to {him}self|counted to one
                      hundred].
                    - It was hard, but {H} waited. "I can do this," {he} told {him}self.
                    - {H} sat on {his} {hand}s and looked the other way. The minutes went by [slowly|like snails], but
                      {H} waited.
                    """,
                ),
                Beat(
                    "give FHO",
                    """
                    - Then {F} came back with a wink. What a surprise, it had been a test! {F} gave the {obj} to {H}
                      as a reward.
                    - When {F} saw that {H} had waited, {fe} [clapped|smiled wide]. To {his} surprise, {F} gave the
                      {obj} to {H}.
                    - "You listened to me," said {F}. And what a surprise! {F} gave the {obj} to {H} to keep.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} waited, and to {his} surprise {F} gave {it} to {him}
                - {H} waited and {F} gave {it} to {him} as a surprise
                - because {H} waited, {F} gave {it} to {him}
            """),
            morals=Wordings("""
                - {H} learned that good things come to those who wait.
                - The moral is that listening can bring a reward.
            """),
            hints=Wordings("""
                - {F} had a [little plan|secret plan] that day.
            """),
        ),
        Turn(
            name="taken and sent home",
            link="but",
            good=False,
            features=("BadEnding", "Conflict"),
            beats=(
                Beat(
                    "take HO",
                    """
                    - {H} looked around. Nobody was there. Quickly, {H} took the {obj} and put it {spot}.
                    - "Nobody will know," {H} said to {him}self. Then {H} took the {obj} and put it {spot}.
                    - The wish was too strong. {H} took the {obj} and put it {spot} for later.
                    """,
                ),
                Beat(
                    "take FO",
                    """
                    - But {F} [noticed|knew] at once and looked {spot}. {F} took the {obj} back and sent {H} home.
                    - It did not take {F} long to look {spot}. With an angry [face|frown], {F} took the {obj} away and
                      sent {H} home.
                    - "What is this?" asked {F} when {fe} looked {spot}. {F} took the {obj} and sent {H} home. There
                      was no party for {H} that day.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} took {it} and put it {spot}, so {F} sent {him} home
                - {H} took {it} anyway, and {F} took it back and sent {him} home
                - {F} sent {H} home because {he} took {it} and put it {spot}
            """),
            morals=Wordings("""
                - {H} learned never to take what is not {his} own.
                - The moral is that taking things brings no joy.
            """),
            hints=Wordings("""
                - {F} knew how many things {fe} owned and counted them [every hour|each day].
            """),
            feelings=("sorry", "sad", "unhappy", "lonely"),
        ),
    ),
)
