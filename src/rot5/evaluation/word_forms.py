"""Forms of English words by rule and by list: from "found" to "find", and which words can be past verbs."""

from __future__ import annotations

import re
from functools import lru_cache


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# lemma, past, participle where it differs, and other forms that are no nouns
IRREGULAR = {
    form: line.split()[0]
    for line in """
lose lost losing
find found finding
give gave given giving
take took taken taking
hide hid hiding
break broke broken breaking
build built
win won winning
get got gotten getting
have having
go went gone goes going
come came comes coming
run ran running
see saw seen seeing
say said says saying
tell told tells telling
know knew known
think thought
feel felt feels feel
keep kept keeping
leave left leaving
make made makes making
meet met
hold held holding
stand stood
sit sat sitting
fall fell fallen falling
eat ate eaten eating
sing sang sung
swim swam
ride rode ridden
throw threw thrown
catch caught
bring brought
buy bought
teach taught
fight fought
hear heard
sleep slept
lie lay lied
stick stuck
blow blew
fly flew flown
grow grew grown
draw drew drawn
write wrote written
speak spoke
wake woke
shake shook
forget forgot forgotten
forgive forgave forgiven
begin began
become became
send sent
spend spent
lend lent
bend bent
put put
hurt hurt
cut cut
hit hit
let let
set set
shut shut
read read
light lit
shine shone
bite bit
sink sank sunk
spring sprang
tear tore
wear wore
swear swore
dig dug
feed fed
lead led
sweep swept
weep wept
kneel knelt
creep crept
burst burst
choose chose
drive drove
freeze froze
steal stole stolen
spin spun
hang hung
sell sold
show shown
pay paid
cost cost
slide slid
split split
""".strip().splitlines()
    for form in line.split()[1:]
}
PRESENT = {
    form: lemma
    for lemma in _set(
        "lose find give take hide break win get go come see say tell know think feel keep make meet hold stand sit eat "
        "sing bring forgive begin become choose want share learn"
    )
    for form in (lemma, lemma + "s")
} | {"goes": "go", "helps": "help"}
"""Present forms that are no nouns."""
WITH_E = _set("taste decide promise continue surprise apologize believe arrive imagine escape behave excite circle")
"""Regular verbs with a silent e that their past does not show by rule."""
NOT_PAST = _set(
    "red bed fled bled sped need seed weed shed sled feed hundred indeed naked wicked sacred speed greed breed tired "
    "striped spotted painted crooked excited scared worried pleased ashamed disappointed relieved embarrassed"
)
NOT_ING = _set(
    "ring king string thing spring wing sling something nothing anything everything morning evening during pudding "
    "ceiling building clothing lightning feeling sing bring"
)

_SILENT_E = re.compile(r"^[^aeiou]*[aeiouy][bdgklmnprstz]$|[cvu]$|[^s]s$|[dr]g$|[^aeioul]l$|[aeiou]z$")


def base_form(word: str) -> str:
    """The base form of a word: "found" to "find", "shared" to "share", "plums" to "plum".

    >>> base_form("carried"), base_form("stopped"), base_form("berries")
    ('carry', 'stop', 'berry')
    """
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word in PRESENT:
        return PRESENT[word]
    if word.endswith("ed") and len(word) > 3 and word not in NOT_PAST:
        return _stem(word[:-2])
    if word.endswith("ing") and len(word) > 5 and word not in NOT_ING:
        return _stem(word[:-3])
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("shes", "ches", "sses", "xes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 3:
        return word[:-1]
    return word


def _stem(stem: str) -> str:
    if stem + "e" in WITH_E or _SILENT_E.search(stem):
        return stem + "e"
    if stem.endswith("i"):
        return stem[:-1] + "y"
    if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "flsz":
        return stem[:-1]
    return stem


@lru_cache(maxsize=1 << 14)
def is_past(word: str) -> bool:
    """Whether a word can be the verb of a clause by itself."""
    if word in IRREGULAR:
        return not word.endswith("ing")
    return word in PRESENT or (word.endswith("ed") and len(word) > 3 and word not in NOT_PAST)


def is_ing(word: str) -> bool:
    """Whether a word is the -ing form of a verb."""
    return word.endswith("ing") and len(word) > 4 and word not in NOT_ING
