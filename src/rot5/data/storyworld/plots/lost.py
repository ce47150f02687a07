"""A thing is lost: found by a friend, found in a pocket, never found, or made good by a present."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, things
from rot5.data.storyworld.wording import Wordings

LOST = Plot(
    name="lost thing",
    things=things("t"),
    opening=Beat(
        "own HO; at HP; at FP",
        """
        - {H} had {an_obj} and took it [everywhere|along each day|wherever {he} went]. {Day}, {H} went {to} with
          {Fthe}. They [played|talked|laughed] for a long time.
        - {Day}, {H} and {Fthe} were {at}. {H} had {an_obj}, and {he} [showed|proudly showed] it to everyone.
        - {H} had {an_obj}. It was a present from {his} {elder}, and {he} loved it [dearly|very much]. {Day}, {H} met
          {Fthe} {at}. {F} was {at} to [pick flowers|look for bugs|rest a little].
        - "Look what I brought!" said {H}. {H} had {an_obj}. {Day}, {F} and {H} were {at} to play [games|hide and
          seek].
        """,
    ),
    problem=Beat(
        "lose HO",
        """
        - But when {H} [looked down|looked again|wanted to play], the {toy} was gone. {H} had lost the {obj}! Tears
          [filled {his} eyes|ran down {his} face|rolled down {his} cheeks].
        - Then something bad happened. In the middle of a game, {H} lost the {obj}. {He} turned around and around, but
          it was [nowhere to be seen|not there].
        - "Where is my {toy}?" cried {H}. {He} [searched|looked] left and right. {H} had lost the {obj}, and {he} did
          not know where.
        - [After a while|A little later|Before long], {H} felt that something was missing. {H} had lost the {obj}. "Oh
          no, oh no!" {he} [sobbed|moaned|whispered].
        - When it was [nearly time for supper|time to go home], {H} wanted to pack up. But {H} had lost the {obj}.
          {His} heart [sank|beat fast].
        """,
    ),
    summary=Wordings("""
        - {H} lost {his} {obj} when {he} was {at} with {F}
        - {H} was {at} with {F} and lost {his} {obj}
        - {H} went {to} with {F} and lost {his} {obj} there
        - {at}, {H}, who was with {F}, lost {his} {obj}
        - {H} took {his} {obj} along {to} with {F} and lost it
    """),
    turns=(
        Turn(
            name="friend finds it",
            link="but",
            beats=(
                Beat(
                    "find FO",
                    """
                    - {F} did not [give up|go home|lose hope]. {Fe} [crawled|walked] around and looked [high and
                      low|in every corner]. At last, {F} found the {obj} {spot}.
                    - "Do not cry. I will help you look," said {F}. [Step by step|Slowly], they searched the whole
                      place. Then {F} found the {obj} {spot}!
                    - {F} [thought hard|scratched {fis} head|closed {fis} eyes and thought]. Then {fe} ran back the
                      way they had come. Soon {F} found the {obj} {spot}.
                    """,
                ),
                Beat(
                    "give FHO",
                    """
                    - {F} gave the {obj} back to {H}, and they [hugged|jumped up and down|danced in a circle].
                    - With a [big grin|proud smile], {F} gave the {obj} to {H}. "You are the best!" {H}
                      [shouted|said].
                    - {F} [wiped off the dust|brushed off the dirt] and gave the {obj} back to {H}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {F} found {it} {spot} and gave it back
                - {F} searched and found {it} {spot}, and gave it back to {H}
                - {F} found {it} {spot} and gave it to {H}
            """),
            morals=Wordings("""
                - {H} learned that a good friend never gives up.
                - {H} learned to keep a close eye on {his} things.
                - The moral is that two pairs of eyes see more than one.
            """),
            hints=Wordings("""
                - {F} had very sharp eyes and could spot an ant [on a leaf|on a wall].
                - {F} was good at [seek and find games|finding things]. {Fe} never stopped before the end.
            """),
        ),
        Turn(
            name="own pocket",
            use="p",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "",
                    """
                    - {H} and {F} looked {spot}, but nothing was there. They [asked|even asked] a sleepy snail, but it
                      only [blinked|stared].
                    - "Let us look {spot}," said {F}. But there was only [a beetle|a worm|some dust] there.
                    - {F} looked {spot} and {H} looked everywhere else. They found a [rusty nail|lost penny|broken
                      shell], but no {toy}.
                    """,
                ),
                Beat(
                    "find HO",
                    """
                    - Then {F} [pointed|began to laugh] and {H} looked down. {H} found the {obj} in {his} own
                      {pocket}. It had been there all the time!
                    - "What is that in your {pocket}?" asked {F}. {H} [reached in|felt inside] and found the {obj} in
                      {his} {pocket}. What a surprise!
                    - {H} sat down, and something [poked|tickled] {him}. {H} found the {obj} in {his} own {pocket}!
                      They both laughed [until their tummies hurt|and laughed].
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} found {it} in {his} own {pocket} in the end
                - {H} found {it} in {his} own {pocket} after all
                - {H} found {it} in {his} {pocket}, where it had been all the time
            """),
            morals=Wordings("""
                - {H} learned to look close by first.
                - {H} learned that it is good to check before you cry.
            """),
            hints=Wordings("""
                - {His} clothes had [so many|lots of] secret places for small things.
                - {H} often put things away and forgot [about them|where they were].
            """),
        ),
        Turn(
            name="never found",
            link="and",
            good=False,
            features=("BadEnding",),
            beats=(
                Beat(
                    "stay lost O",
                    """
                    - {F} and {H} searched until [the moon came up|it grew dark|the first star came out]. They looked
                      {spot} and all around. But the {obj} stayed lost.
                    - They looked {spot}. They looked [under every stone|in every hole]. It was no use, and the {obj}
                      stayed lost.
                    - "We have to go home now," {F} said [softly|at last]. They had looked {spot} and found nothing.
                      The {obj} stayed lost.
                    """,
                ),
                Beat(
                    "",
                    """
                    - {F} held {his} {hand}, but nothing could make it better.
                    - "I should have been more careful," {H} [sniffed|said].
                    - {F} did not know what to say, so {fe} just [sat close|gave {him} a hug].
                    """,
                ),
            ),
            summary=Wordings("""
                - {it} stayed lost even though they looked for it
                - they looked {spot} and all around and still {it} stayed lost
                - {it} stayed lost although {F} helped to look for it
            """),
            morals=Wordings("""
                - {H} learned to leave special things safe at home.
                - The moral is to take good care of what you love.
            """),
            hints=Wordings("""
                - "Leave it at home today," {his} {elder} had said, but {H} did not listen.
                - {His} {elder} had told {him} to leave it at home that day.
            """),
        ),
        Turn(
            name="a present instead",
            link="and",
            beats=(
                Beat(
                    "stay lost O",
                    """
                    - They looked {spot} and [behind every tree|around every corner], but the {obj} stayed lost.
                    - {F} helped to search, even {spot}. Still, the {obj} stayed lost.
                    """,
                ),
                Beat(
                    "own FQ; give FHQ",
                    """
                    - Then {F} had an idea. {F} had {an_obj2} at home. {F} gave the {obj2} to {H} and said, "Now it is
                      yours."
                    - {F} had {an_obj2} and loved it. But {fe} loved {fis} friend even more. So {F} gave the {obj2} to
                      {H}.
                    - {F} ran off and came back [out of breath|as fast as {fe} could]. Now {F} had {an_obj2}. With a
                      kind smile, {F} gave the {obj2} to {H}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {it} stayed lost, so {F} gave {H} {an_obj2} instead
                - because {it} stayed lost, {F} gave {him} {an_obj2}
                - {it} stayed lost and {F} gave {H} {fis} own {obj2}
            """),
            morals=Wordings("""
                - {H} learned that friends are worth more than toys.
                - The moral is that a kind heart can mend a sad day.
            """),
            hints=Wordings("""
                - {F} loved to give little presents [to everyone|to all {fis} friends].
            """),
            feelings=("thankful", "happy", "glad", "pleased"),
        ),
    ),
)
