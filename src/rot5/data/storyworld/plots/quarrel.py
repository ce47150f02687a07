"""Two want one thing: they take turns, break it, lose it to a third, or find it lonely to win."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, things
from rot5.data.storyworld.wording import Wordings

QUARREL = Plot(
    name="quarrel and sharing",
    things=things("b"),
    features=("Conflict",),
    late=False,
    opening=Beat(
        "at HP; at FP",
        """
        - {Day}, {H} was {at} with {Fthe}. They [wanted to play|looked for something fun to do].
        - {Day}, {H} went {to}. {F} came {to} too, because they [always|often] played there.
        - {H} and {Fthe} liked to [play together|spend time together]. {Day}, {H} and {F} were {at}.
        - "Come on, let us play!" {H} called. {Day}, {H} and {Fthe} [ran|hurried] {to}.
        """,
    ),
    problem=Beat(
        "want HO; want FO",
        """
        - There they saw {an_obj}. {H} wanted the {obj}, and {F} wanted the {obj} as well. A fight began, and they
          pulled at it [with all their might|as hard as they could].
        - [Someone had left|There was] {an_obj} {spot}. {H} wanted the {obj} at once. But {F} wanted the {obj} too. "I
          saw it first!" they both [yelled|screamed]. It came to a fight, and both of them pulled.
        - Then {H} and {F} saw {an_obj}. {H} wanted the {obj}. {F} wanted the {obj}. Soon there was a fight. They
          [pushed and pulled|pulled and shoved], and nobody [smiled|laughed] any more.
        """,
    ),
    summary=Wordings("""
        - {H} and {F} both wanted {an_obj} {at}
        - {at}, {H} and {F} both wanted the same {obj} and pulled at it
        - {H} was {at} and wanted {an_obj} that {F} wanted too
        - {H} and {F} had a fight {at} because both wanted {an_obj}
    """),
    turns=(
        Turn(
            name="taking turns",
            link="but",
            beats=(
                Beat(
                    "share HFO",
                    """
                    - Then {H} stopped and [counted to ten|took a deep breath]. "You can go first," {he} said. From
                      then on, {H} and {F} shared the {obj} and took turns.
                    - {H} let go. {He} saw that {F} was close to tears. So {H} and {F} shared the {obj}, one after the
                      other, and took turns.
                    - "What if we take turns?" asked {F}. {H} [nodded slowly|thought about it]. Then {H} and {F}
                      shared the {obj} and took turns.
                    - A wise [snail|old lady|old man] told them to take turns. It sounded fair. So {H} and {F} shared
                      the {obj}.
                    """,
                ),
                Beat(
                    "",
                    """
                    - It was [twice|much] more fun that way.
                    - They played until [bedtime|the sun went down] and did not fight again.
                    - "This is better than fighting," said {F}.
                    """,
                ),
            ),
            summary=Wordings("""
                - they shared {it} and took turns
                - {H} and {F} shared {it} in the end by taking turns
                - after the fight {H} and {F} took turns and shared {it}
            """),
            morals=Wordings("""
                - {H} learned that sharing is caring.
                - The moral is that toys are more fun with a friend.
            """),
            hints=Wordings("""
                - {His} {elder} often said, "Two can play with one toy."
                - {His} {elder} had taught {him} [a song about sharing|how to take turns].
            """),
        ),
        Turn(
            name="it breaks",
            link="and",
            good=False,
            features=("BadEnding",),
            beats=(
                Beat(
                    "break together HFO",
                    """
                    - They pulled [harder and harder|this way and that way]. Snap! {H} and {F} broke the {obj}.
                    - "Let go!" shouted {H}. "No, you let go!" shouted {F}. There was a [loud|nasty] crack, and {H}
                      and {F} broke the {obj}.
                    - Nobody would let go. In the end, {H} and {F} broke the {obj}, and the pieces fell to the floor.
                    """,
                ),
                Beat(
                    "",
                    """
                    - Now nobody could play with it. {F} [stomped|ran] home without a word.
                    - They [stared|looked] at the pieces. It was too late, and the game was over.
                    - "Look what you did!" {F} [wailed|cried], and {fe} ran home.
                    """,
                ),
            ),
            summary=Wordings("""
                - they pulled until they broke {it} into pieces
                - {H} and {F} pulled at it in a fight and broke {it}
                - in the fight {H} and {F} broke {it}
            """),
            morals=Wordings("""
                - {H} learned that those who will not share may end up with nothing.
                - The moral is that fighting only breaks things.
            """),
            hints=Wordings("""
                - They did not like to share [much|anything] in those days.
            """),
            feelings=("sorry", "sad", "upset", "unhappy"),
        ),
        Turn(
            name="a third takes it",
            link="but",
            good=False,
            features=("BadEnding", "Twist"),
            beats=(
                Beat(
                    "take ZO",
                    """
                    - They were so busy that they did not see {Zthe}. [Quietly|On tiptoe], {Z} took the {obj} and was
                      gone.
                    - They [dropped|put down] the {toy} to shout at each other. Just then, {Zthe} came. {Z} took the
                      {obj} and was gone.
                    - "It is mine!" "No, mine!" they cried. But while they fought, {Zthe} [sneaked|slipped] up. {Z}
                      took the {obj} and was gone.
                    """,
                ),
                Beat(
                    "",
                    """
                    - {H} and {F} looked at their empty {hand}s.
                    - Now neither of them had it. {F} shook {fis} head.
                    - "If only we had shared," said {F}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {Z} took {it} while they had a fight
                - {Z} took {it} during the fight and was gone
                - {Z} came and took {it} in the middle of the fight
            """),
            morals=Wordings("""
                - {H} learned that when two fight, a third one wins.
                - The moral is to share before it is too late.
            """),
            hints=Wordings("""
                - Someone was [peeking|watching] from a hiding place.
            """),
            feelings=("sorry", "sad", "upset", "gloomy"),
        ),
        Turn(
            name="lonely with it",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "take HO",
                    """
                    - {H} was stronger. {H} took the {obj} and ran to a [quiet corner|far corner]. But playing alone
                      was no fun.
                    - At last, {F} let go, and {H} took the {obj}. {He} played and played, but alone it was no fun.
                    - "Fine, keep it!" {F} said and turned away. {H} took the {obj}. Yet it was no fun to play alone.
                    """,
                ),
                Beat(
                    "give HFO; share HFO",
                    """
                    - So {H} went back and gave the {obj} to {F}. {F} [blinked in surprise|could not believe it].
                      After that, {H} and {F} shared the {obj}.
                    - After a while, {H} gave the {obj} to {F}. "Here, let us play together," {he} said. Then {H} and
                      {F} shared the {obj}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} took {it} and played alone until {he} gave it to {F} and they shared it
                - playing alone was no fun after {H} took {it}, so {he} shared it with {F}
                - {H} took {it}, but it was no fun alone, so {he} shared it with {F}
            """),
            morals=Wordings("""
                - {H} learned that a friend is better than any toy.
                - The moral is that fun grows when it is shared.
            """),
            hints=Wordings("""
                - {H} did not like to be alone [for long|at all].
            """),
        ),
    ),
)
