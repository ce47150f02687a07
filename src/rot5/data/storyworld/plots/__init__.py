"""The plots of StoryWorld, one module each."""

from __future__ import annotations

from rot5.data.storyworld.plots.broken import BROKEN
from rot5.data.storyworld.plots.build import BUILD
from rot5.data.storyworld.plots.contest import CONTEST
from rot5.data.storyworld.plots.danger import DANGER
from rot5.data.storyworld.plots.fear import FEAR
from rot5.data.storyworld.plots.forbidden import FORBIDDEN
from rot5.data.storyworld.plots.friend import FRIEND
from rot5.data.storyworld.plots.lost import LOST
from rot5.data.storyworld.plots.quarrel import QUARREL
from rot5.data.storyworld.plots.skill import SKILL
from rot5.data.storyworld.plots.stranger import STRANGER
from rot5.data.storyworld.plots.trick import TRICK
from rot5.data.storyworld.plots.visit import VISIT

PLOTS = (LOST, BROKEN, BUILD, QUARREL, FORBIDDEN, TRICK, CONTEST, FEAR, SKILL, DANGER, STRANGER, VISIT, FRIEND)
