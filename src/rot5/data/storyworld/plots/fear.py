"""A thing lies where it is scary: hand in hand, only a small animal, or ran away."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, places, things
from rot5.data.storyworld.wording import Wordings

FEAR = Plot(
    name="fear overcome",
    things=things("t"),
    places=places(traits="d"),
    late=False,
    opening=Beat(
        "at HP; at FP; want HO; fear HW",
        """
        - {Day}, {H} and {Fthe} stood {at}. {H} wanted {an_obj} that lay deep inside. But {H} was afraid of {fear}.
        - {H} was afraid of {fear}. {Day}, {H} and {F} were {at}. Far in the back there was {an_obj}, and {H} wanted
          the {obj}.
        - {Day}, {H} saw {an_obj} {at}. {H} wanted the {obj}. "Go and get it," said {Fthe}, who was {at} too. {F} did
          not know that {H} was afraid of {fear}.
        - {H} was brave about most things, but {H} was afraid of {fear}. {Day}, {H} and {Fthe} were {at}. {H} wanted
          {an_obj} that lay at the far end.
        """,
    ),
    problem=Beat(
        "",
        """
        - It was [black|dim] in there. Then came a strange noise: [tap, tap, tap|scratch, scratch|hoo, hoo]. {H}
          [froze|shivered] and held {his} breath.
        - {H} took one step. There was a noise. {His} knees [shook|turned to jelly], and {he} jumped back.
        - "What was that?" whispered {H}. A noise went [creak|thump|squeak]. {His} heart beat like [thunder|mad].
        - {H} [shut {his} eyes|bit {his} nails]. There was a [low|soft] noise, and the air was cold.
        """,
    ),
    summary=Wordings("""
        - {H} wanted {an_obj} {at} and was afraid of {fear}
        - {at}, {H} was afraid of {fear} and did not get the {obj} at first
        - {H} was {at} with {F} and was too afraid of {fear} to get {an_obj}
        - {H} was afraid of {fear} when {he} wanted to get {an_obj} {at}
    """),
    turns=(
        Turn(
            name="hand in hand",
            link="but",
            beats=(
                Beat(
                    "help FH",
                    """
                    - {F} took {his} {hand} and went first. With a [calm|soft] song, {F} helped {H} to go on, one step
                      at a time.
                    - "Take my {hand}," said {F}. {F} helped {H} to breathe in and out. Side by side and {hand} in
                      {hand}, they went in.
                    - {F} did not laugh. {F} helped {H} by holding {his} {hand} all the way in.
                    """,
                ),
                Beat(
                    "get HO",
                    """
                    - There was nothing bad there at all. {H} [reached out|bent down] and got the {obj} at last.
                    - Step by step, the fear got smaller. {H} got the {obj} and held it up high.
                    - "I can do it!" said {H}. {H} got the {obj}, and it was not so scary any more.
                    """,
                ),
            ),
            summary=Wordings("""
                - {F} helped {him} by holding {his} {hand} and {H} got {it}
                - {F} took {his} {hand}, and with this help {H} got {it}
                - {F} helped {H} to go in, and {he} got {it}
            """),
            morals=Wordings("""
                - {H} learned that being brave is easier with a friend.
                - The moral is that even brave hearts beat fast.
            """),
            hints=Wordings("""
                - {F} knew what it was like to be scared.
            """),
            feelings=("proud", "happy", "glad"),
        ),
        Turn(
            name="only a small animal",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "see HA",
                    """
                    - {F} lit a match. What a surprise! {H} saw a tiny {pet}, and the {pet} was making the noise.
                    - {H} [peeked|looked] through {his} fingers. There was no monster. {H} saw a little {pet} with
                      [big|round] eyes. It was making the noise.
                    - "Look who is there," laughed {F}. {H} saw a small {pet} that made the noise. It was more scared
                      than {he} was!
                    """,
                ),
                Beat(
                    "get HO",
                    """
                    - They [patted|fed] the {pet}. Then {H} walked past it and got the {obj}.
                    - The {pet} [licked|tickled] {his} {hand}. {H} laughed, went on and got the {obj}.
                    - {H} [giggled|felt silly], stood up straight, and got the {obj}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} and {F} saw that the noise was only a {pet}, and {H} got {it}
                - the noise came from a little {pet}, and {F} watched as {H} got {it}
                - {F} was there when {H} saw that it was only a {pet} and got {it}
            """),
            morals=Wordings("""
                - {H} learned that scary things are often small.
                - The moral is to look twice before you run.
            """),
            hints=Wordings("""
                - There were tiny footprints on the ground.
            """),
        ),
        Turn(
            name="ran away",
            link="and",
            good=False,
            features=("BadEnding",),
            beats=(
                Beat(
                    "run away H",
                    """
                    - It was too much. {H} ran away as fast as {his} legs could carry {him}.
                    - "I can not do it!" cried {H}. {H} ran away and hid in {his} bed.
                    - {F} wanted to help, but {H} ran away without looking back.
                    """,
                ),
                Beat(
                    "get FO",
                    """
                    - {F} went in alone. {F} got the {obj} and kept it. The noise was only the [wind|rain].
                    - So {F} went in alone. {F} got the {obj}, and all the others [cheered for|praised] {fim}.
                    - {F} took a deep breath and went in alone. After a minute, {F} got the {obj}. It belonged to
                      {fim} now.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} ran away, so {F} went in alone and got {it}
                - {H} ran away while {F} went in and got {it}
                - {F} got {it} alone because {H} ran away
            """),
            morals=Wordings("""
                - {H} learned that running away does not help.
                - The moral is to ask for help when you are afraid.
            """),
            hints=Wordings("""
                - {H} had run home from that place [once before|many times].
            """),
            feelings=("sorry", "sad", "upset", "unhappy"),
        ),
    ),
)
