"""A visit far away: a happy meeting, crossing paths, nobody home, or empty hands."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, things
from rot5.data.storyworld.wording import Wordings

VISIT = Plot(
    name="a visit",
    things=things("te"),
    opening=Beat(
        "own HO",
        """
        - {Fthe2} lived far away, and {H} missed {fim}. {H} had {an_obj} and wanted to bring it to {F}.
        - {H} had {an_obj}. It was for {Fthe}, who had moved away last [spring|winter|fall].
        - {H} got a note from {Fthe}. "Come and see me!" it said. As a present, {H} had {an_obj}.
        - It was the birthday of {Fthe}. {H} had {an_obj} and [wrapped it in paper|put a bow on it] for {fim}.
        """,
    ),
    problem=Beat(
        "at HP",
        """
        - {Day}, {H} set out. It was a long way. At noon, {H} was {at}, and {his} feet hurt.
        - {Day}, {H} packed a [snack|lunch] and left. {He} passed a [mill|church|gate] and a [brook|fence] and then
          {H} came {to}.
        - {Day}, {H} said goodbye and began to walk. [Up and down|Left and right] went the road. Then {H} came {to}.
        """,
    ),
    summary=Wordings("""
        - {H} had {an_obj} for {F} and came {to} to visit {fim}
        - {H} wanted to bring {an_obj} to {F} and was {at} on the way
        - {H} set out to visit {F} and came {to} with {an_obj}
        - on the way to {F}, {H} came {to} with {an_obj}
    """),
    turns=(
        Turn(
            name="a happy meeting",
            link="and",
            beats=(
                Beat(
                    "at FP; visit HF",
                    """
                    - {F} was waiting {at} to [pick {him} up|meet {him}]. They ran into each other's arms. So {H}
                      visited {F}, and they talked [all night|until late].
                    - There, {F} was waiting {at} with a [flag|smile]. How good it was! {H} visited {F} for
                      [three|two] whole days.
                    - "Over here!" called {F}, who was waiting {at}. {H} visited {F} in {fis} new home close by.
                    """,
                ),
                Beat(
                    "give HFO",
                    """
                    - {H} gave the {obj} to {F}, who [loved it|put it next to {fis} bed]. They ate {food} and sang.
                    - Then {H} gave the {obj} to {F}. "I will keep it for ever!" said {F}. They ate {food} by the
                      fire.
                    - At dinner they ate {food}, and {H} gave the {obj} to {F}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {F} was waiting there, got the {obj} and ate {food} with {H}
                - {F} met {him} there, and they ate {food} after {H} gave {fim} the {obj}
                - {H} gave the {obj} to {F}, who was waiting there, and they ate {food}
            """),
            morals=Wordings("""
                - {H} learned that no way is too long for a friend.
                - The moral is that a visit is the best present.
            """),
            hints=Wordings("""
                - {F} had marked the day in red [on the wall|on a list].
            """),
        ),
        Turn(
            name="crossing paths",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "at FP; meet HF",
                    """
                    - Who was coming the other way? {H} met {F}! {F} was {at} because {fe} wanted to visit {him} on
                      the same day.
                    - A small figure came closer. It was a surprise: {H} met {F}. {F} was {at} on the way to visit
                      {him}!
                    - "What are you doing here?" someone asked. {H} met {F}! {F} was {at} with a bag, on the way to
                      visit {him}.
                    """,
                ),
                Beat(
                    "own FQ; give HFO; give FHQ",
                    """
                    - They laughed and sat down. {F} had {an_obj2}. {H} gave the {obj} to {F}, and {F} gave the {obj2}
                      to {H}.
                    - {F} had {an_obj2} as a present. So {H} gave the {obj} to {F}. Then {F} gave the {obj2} to {H}.
                      It was [like a party|funny].
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} met {F} on the way to visit {him} and got {an_obj2} for it
                - there {H} met {F}, who wanted to visit {him} and gave {him} {an_obj2}
                - {H} met {F} there and they gave each other the {toy} and {an_obj2}
            """),
            morals=Wordings("""
                - {H} learned that good friends think alike.
                - The moral is that love goes both ways.
            """),
            hints=Wordings("""
                - Far away, someone else was packing a bag, too.
            """),
        ),
        Turn(
            name="nobody home",
            link="but",
            good=False,
            features=("BadEnding",),
            beats=(
                Beat(
                    "",
                    """
                    - From there it was not far. {H} knocked at the door of {F}, but nobody was home. {He} [waited for
                      hours|sat on the steps].
                    - At last {he} got to the house and rang. Nobody was home. {F} had [gone on a trip|left that
                      morning].
                    - "Hello? {F}?" called {H} at the door. Nobody was home. {H} waited until [the lamps were lit|it
                      was late].
                    """,
                ),
                Beat(
                    "lose HO",
                    """
                    - On the way back, it [poured|stormed], and {H} lost the {obj} in the dark.
                    - {H} turned around and walked home with slow steps. Somewhere on the road, {H} lost the {obj}.
                    - To make it worse, {H} lost the {obj} on the way back.
                    """,
                ),
            ),
            summary=Wordings("""
                - nobody was home, and {H} lost the {obj} on the way back
                - {F} was away and nobody was home, and then {H} lost the {obj}
                - {H} found nobody home and lost the {obj} too
            """),
            morals=Wordings("""
                - {H} learned to ask before a visit.
                - The moral is to make a plan first.
            """),
            hints=Wordings("""
                - {H} had not told {F} that {he} would come.
            """),
            feelings=("lonely", "sad", "unhappy", "gloomy"),
        ),
        Turn(
            name="empty hands are fine",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "lose HO",
                    """
                    - There {H} stopped to drink, and {he} forgot to watch {his} bag. {H} lost the {obj}. "Now I have
                      no present," {he} said.
                    - There, at a [narrow|bumpy] spot, {H} stumbled and lost the {obj}. {He} almost turned back.
                    - But when {he} opened {his} bag, {he} got a shock. {H} lost the {obj} on the way, and now {his}
                      {hand}s were empty.
                    """,
                ),
                Beat(
                    "visit HF",
                    """
                    - Still, {H} visited {F}. {F} only [laughed|hugged {him}] and was glad to have a friend. "You are
                      my present," {fe} said, and they ate {food}.
                    - {H} visited {F} with a red face. But {F} did not mind at all and was glad to have a friend. They
                      ate {food}.
                    - With a heavy heart, {H} visited {F}. But {F} was glad to have a friend and jumped for joy, and
                      they ate {food}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} lost {it} there and still visited {F}, and they ate {food}
                - {H} lost {it}, visited {F} without it and ate {food} with {fim}
                - {H} lost {it}, and {F} was still glad to have a friend, and they ate {food}
            """),
            morals=Wordings("""
                - {H} learned that friends want you, not your presents.
                - The moral is that time together is the best present.
            """),
            hints=Wordings("""
                - The bag had a tiny hole in it.
            """),
        ),
    ),
)
