"""A skill is to be learned: practice pays, given up too soon, or the teacher learns too."""

from __future__ import annotations

from rot5.data.storyworld.plot import Beat, Plot, Turn, places, things
from rot5.data.storyworld.wording import Wordings

SKILL = Plot(
    name="learning a skill",
    things=things("k"),
    places=tuple(place for place in places("wild town") if "d" not in place.traits),
    with_skill=True,
    opening=Beat(
        "own HO; at HP; at FP",
        """
        - {H} had {an_obj}, but {he} did not know how to {skill} it. {Day}, {H} [carried|took] it {to}. {Fthe2} was
          {at} already.
        - {Day}, {H} and {Fthe} met {at}. {H} had {an_obj} and wished to {skill} it well.
        - "Can you teach me to {skill} it?" asked {H}. {H} had {an_obj}. {Day}, {H} and {Fthe} were {at} to practice.
        - For {his} birthday, {H} got a present. Now {H} had {an_obj}! {Day}, {H} went {to} to {skill} it. {F} came
          {to} to watch.
        """,
    ),
    problem=Beat(
        "",
        """
        - {H} tried once, and {he} tried twice. Each time it [went wrong|was a mess], and {he} [groaned|grew hot and
          red].
        - It was hard! {H} [made mistakes|did it all wrong], and some [ducks|birds|kids] [laughed|stared].
        - "It is too hard," said {H} after the [third|tenth] try. {His} arms were [tired|weak], and {his} head hurt.
        - The first try was bad. The second try was worse. {H} threw {his} cap on the ground.
        """,
    ),
    summary=Wordings("""
        - {H} tried to {skill} {his} {obj} {at} with {F}
        - {at}, {H} tried to learn how to {skill} the {obj} with {F} there
        - {H} was {at} with {F} and could not {skill} {his} {obj}
        - {H} went {to} to {skill} {his} {obj} while {F} was there
    """),
    turns=(
        Turn(
            name="practice pays",
            link="and",
            beats=(
                Beat(
                    "help FH",
                    """
                    - {F} had a good idea. {F} helped {H} with [one small step|one little part] each day. They
                      [met|worked] every morning, in sun and rain.
                    - "Do it slowly," said {F}. {F} helped {H} each day, again and again. A week went by.
                    - {F} did not let {him} stop. For [three|five|seven] days, {F} helped {H} to practice each day.
                    """,
                ),
                Beat(
                    "learn HK",
                    """
                    - Then, one day, it worked. {H} learned to {skill} the {obj}, and they both [whooped|clapped].
                    - And what do you know! {H} learned to {skill} the {obj} like [a star|an expert].
                    - "Look at me!" {H} called. In the end, {H} learned to {skill} the {obj}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {F} helped {him} each day until {H} learned it
                - {H} learned it because {F} helped {him} each day
                - {F} helped {H} each day, and {he} learned it
            """),
            morals=Wordings("""
                - {H} learned that practice makes you better.
                - The moral is to take one small step at a time.
            """),
            hints=Wordings("""
                - {H} was slow, but {he} did not like to stop.
            """),
            feelings=("proud", "happy", "glad"),
        ),
        Turn(
            name="gave up too soon",
            link="but",
            good=False,
            features=("BadEnding",),
            beats=(
                Beat(
                    "quit HO; give HFO",
                    """
                    - {H} gave up on the {obj}. "You can have it," {he} said, and {H} gave the {obj} to {F}.
                    - Before long, {H} gave up on the {obj}. {H} gave the {obj} to {F} and [walked off|lay down in the
                      shade].
                    - {H} did not want to try any more. {H} gave up on the {obj}. To be rid of it, {H} gave the {obj}
                      to {F}.
                    """,
                ),
                Beat(
                    "learn FK",
                    """
                    - {F} kept at it. After [a month|some weeks], {F} learned to {skill} the {obj}. {H} could only
                      watch.
                    - {F} worked hard every day. {F} learned to {skill} the {obj}, and people came from far away to
                      see it.
                    - Before they met again, {F} learned to {skill} the {obj} better than anyone. {H} looked on from
                      far away.
                    """,
                ),
            ),
            summary=Wordings("""
                - {H} gave up and gave {it} to {F}, who learned it
                - {H} gave up on it, and {F} learned to {skill} it instead
                - {F} got it and learned to {skill} it after {H} gave up
            """),
            morals=Wordings("""
                - {H} learned that those who give up never get there.
                - The moral is to keep trying.
            """),
            hints=Wordings("""
                - {H} often started things and did not finish them.
            """),
            feelings=("sorry", "sad", "gloomy", "upset"),
        ),
        Turn(
            name="the teacher learns too",
            link="but",
            features=("Twist",),
            beats=(
                Beat(
                    "tell the truth F",
                    """
                    - "Just do it like me," said {F}, but {F} [fell flat on {fis} face|made a terrible mess]. Then {F}
                      told the truth: {fe} could not do it, either!
                    - {F} had always [bragged|talked big] about it. Now {F} turned pink. {F} told the truth: {fe} had
                      never done it before.
                    - Then {F} told the truth and sighed. All that big talk was made up, and {fe} could not do it at
                      all.
                    """,
                ),
                Beat(
                    "learn HK; learn FK",
                    """
                    - They laughed and started again from the beginning. In the end, {H} and {F} learned to {skill}
                      the {obj} together.
                    - "Then let us learn it together," said {H}. They tried until the sun was low. That day, {H} and
                      {F} learned to {skill} the {obj}.
                    - {H} was not mad. They tried and tried, and in the end {H} and {F} learned to {skill} the {obj}.
                    """,
                ),
            ),
            summary=Wordings("""
                - {F} told the truth that {fe} could not do it, and they learned it together
                - {F} could not do it, told the truth and learned it together with {H}
                - {F} could not do it and said the truth, so {H} and {F} learned it together
            """),
            morals=Wordings("""
                - {H} learned that nobody knows everything.
                - The moral is that learning is more fun for two.
            """),
            hints=Wordings("""
                - {F} always said that {fe} could do everything.
            """),
            feelings=("proud", "happy", "cheerful", "glad"),
        ),
    ),
)
