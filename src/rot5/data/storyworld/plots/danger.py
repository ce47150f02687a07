"""A fall into the water: all is saved, only the hero is saved, or the water is shallow."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, places, things
from rot5.data.storyworld.wording import Wordings

DANGER = Plot(
    name="danger and rescue",
    things=things("t"),
    places=places(traits="w"),
    late=False,
    opening=Beat(
        "own HO; at HP; at FP",
        """
        - {Day}, {H} was {at}. {H} had {an_obj} and played close to the water. {Fthe2} was {at} too and [took a
          nap|ate a sandwich].
        - {H} had {an_obj}. {Day}, {H} took it {to}. "Do not go too near," called {Fthe}, who was {at} as well.
        - {Day}, {H} and {Fthe} were {at}. {H} had {an_obj} and [tossed it up|carried it around]. The water was
          [deep|cold].
        """,
    ),
    problem=Beat(
        "lose HO; fall H",
        """
        - A [gust of wind|wave] came, and {H} lost the {obj} in the water. {H} [leaned over|reached out] too far.
          Splash! {H} fell into the water.
        - All at once, {H} lost the {obj}, and it floated away. {H} ran after it and slipped. With a big splash, {H}
          fell into the water.
        - "My {toy}!" yelled {H}. {H} lost the {obj} in the water. {He} stepped on a [wet|slippery] stone, and {H}
          fell into the water.
        """,
    ),
    summary=Wordings("""
        - {H} lost {his} {obj} {at} and fell into the water
        - {at}, {H} fell into the water after {he} lost {his} {obj}
        - {H} was {at} when {he} lost {his} {obj} and fell into the water
        - {H} fell into the water {at} because {he} lost {his} {obj}
    """),
    turns=(
        Turn(
            name="both saved",
            link="but",
            beats=(
                Beat(
                    "save FH",
                    """
                    - {F} heard the [scream|cries] and came running with a {tool}. {H} [grabbed|held on to] the end.
                      With one strong pull, {F} saved {H}.
                    - "Hold on!" shouted {F}, and {fe} threw a {tool}. {F} pulled and pulled. So {F} saved {H}.
                    - {F} did not waste a second. {Fe} took a {tool} and lay down flat. In this way, {F} saved {H}.
                    """,
                ),
                Beat(
                    "find FO; give FHO",
                    """
                    - Later, {F} found the {obj} between some [reeds|rocks]. {F} gave the {obj} back to {H}, who was
                      [still shaking|dripping wet].
                    - And that was not all! {F} found the {obj} near the shore, and {F} gave the {obj} to {H}. "Thank
                      you!" said {H}.
                    - When {H} was dry again, {F} found the {obj}. {F} gave the {obj} back with a smile.
                    """,
                ),
            ),
            summary=Wordings("""
                - {F} saved {him} with a {tool} and gave the {toy} back
                - {F} came with a {tool}, saved {H} and found the {toy}
                - {F} took a {tool}, saved {H} and gave back the {toy}
            """),
            morals=Wordings("""
                - {H} learned to stay away from deep water.
                - The moral is that quick friends are a blessing.
            """),
            hints=Wordings("""
                - {F} was a very strong [swimmer|helper].
            """),
            feelings=("thankful", "glad", "happy"),
        ),
        Turn(
            name="saved, but the thing is gone",
            link="and",
            good=False,
            features=("BadEnding",),
            beats=(
                Beat(
                    "save FH",
                    """
                    - {F} grabbed a {tool} and held it out. {H} was [coughing|shaking], but {F} saved {H} just in
                      time.
                    - "Help!" cried {H}. {F} ran with a {tool}. {H} held tight, and {F} saved {H}.
                    - Luckily, {F} saw it and used a {tool}. Inch by inch, {F} saved {H}.
                    """,
                ),
                Beat(
                    "stay lost O",
                    """
                    - They looked at the water for a long time. The {obj} stayed lost, and {H} sat there dripping wet.
                    - But it had sunk to the bottom. The {obj} stayed lost, and {H} [sobbed|wept].
                    - The water had carried it far, far away. The {obj} stayed lost for ever.
                    """,
                ),
            ),
            summary=Wordings("""
                - {F} saved {him} with a {tool}, but the {toy} stayed lost
                - {F} came with a {tool} and saved {H} while the {toy} stayed lost
                - {F} saved {H} with a {tool}, and still the {toy} stayed lost
            """),
            morals=Wordings("""
                - {H} learned that no toy is worth such a danger.
                - The moral is to play far from the edge.
            """),
            hints=Wordings("""
                - A sign said to keep back, but {H} could not read yet.
            """),
        ),
        Turn(
            name="shallow water",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "",
                    """
                    - {H} [kicked and splashed|screamed and waved]. {F} came near and laughed. "Just stand up!" said
                      {F}. {H} stood up, and the water only came to {his} knees.
                    - {F} came with a {tool}, but then {fe} laughed. {H} stood up all alone. The water only came to
                      {his} knees!
                    - {H} thought {he} would sink. Then {his} feet touched the ground. {H} stood up, and the water
                      only came to {his} knees. {F} put the {tool} away and laughed.
                    """,
                ),
                Beat(
                    "find HO",
                    """
                    - Right next to {his} toes, {H} found the {obj}. What a funny sight they were!
                    - {He} felt around in the mud, and {H} found the {obj} there.
                    - And there, under a lily leaf, {H} found the {obj}. What luck!
                    """,
                ),
            ),
            summary=Wordings("""
                - the water only came to {his} knees, so {F} laughed and {H} found the {toy}
                - {H} stood up in water to {his} knees, found the {toy} and laughed with {F}
                - {F} laughed because the water only came to {his} knees, and {H} found the {toy}
            """),
            morals=Wordings("""
                - {H} learned to stay calm.
                - The moral is that things often look worse than they are.
            """),
            hints=Wordings("""
                - It had not rained for [weeks|a month].
                - Some ducks were standing in the middle of it.
            """),
        ),
    ),
)
