"""Words that people use for the procedural sounds, wider than those of `synthetic_captions`.

Every family has names, what it does, and words of its own for attributes; the rest is shared. A
name or a verb that says an attribute as well ("drizzle", "puppy") stands with that value alone.
"""

from dataclasses import dataclass, field

Values = dict[str, tuple[str, ...]]  # per attribute value, the words for it


@dataclass(frozen=True, kw_only=True, slots=True)
class Lexicon:
    """The words of one family.

    A name begins with "a " or "an " where it takes one and needs "s" behind its verb; one that
    begins with "+" is a plural; any other is a mass, whose verb takes the "s" too.
    """

    names: tuple[str, ...]
    does: tuple[str, ...]  # third person
    doing: tuple[str, ...]
    events: tuple[tuple[str, str], ...] = ()  # one and several of what is counted
    telling: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)  # names
    adjectives: dict[str, Values] = field(default_factory=dict)  # instead of the shared ones
    adverbs: dict[str, Values] = field(default_factory=dict)
    alone: tuple[str, ...] = ()  # what people type when they type little


ADJECTIVES: dict[str, Values] = {
    "level": {
        "soft": ("soft", "quiet", "faint", "gentle", "distant"),
        "loud": ("loud", "powerful", "booming", "strong", "very loud"),
    },
    "pitch": {
        "low": ("low", "deep", "low-pitched"),
        "high": ("high", "high-pitched", "shrill"),
    },
    "rate": {
        "slow": ("slow", "leisurely", "unhurried"),
        "fast": ("fast", "rapid", "quick"),
    },
}
ADVERBS: dict[str, Values] = {
    "level": {
        "soft": ("softly", "quietly", "faintly", "gently", "in the distance", "far away"),
        "loud": ("loudly", "at full volume", "very loudly", "close by", "noisily"),
    },
    "rate": {
        "slow": ("slowly", "at a slow pace", "without haste"),
        "fast": ("fast", "quickly", "rapidly", "at a fast pace"),
    },
    "count": {
        "one": ("once", "a single time", "one time", "1 time"),
        "two": ("twice", "two times", "2 times"),
        "three": ("three times", "thrice", "3 times"),
    },
}
NUMBERS: Values = {
    "one": ("one", "a single", "1"),
    "two": ("two", "2", "a couple of"),
    "three": ("three", "3"),
}
BIG_OR_SMALL: Values = {
    "low": ("low", "deep", "low-pitched", "big", "large"),
    "high": ("high", "high-pitched", "small", "little", "tiny"),
}

LEXICON = {
    "rain": Lexicon(
        names=("rain", "+raindrops", "+drops of rain", "the rain", "rainfall", "rain water"),
        does=("falls", "comes down", "patters", "drips", "beats on a roof", "hits a tin roof"),
        doing=("falling", "pattering", "coming down", "dripping on leaves", "on a tin roof",
               "on the window", "on an umbrella", "on the ground"),
        telling={("rate", "slow"): ("drizzle", "a drizzle", "single drops of water"),
                 ("rate", "fast"): ("a downpour", "pouring rain", "a rain shower", "a rainstorm")},
        adjectives={"rate": {"slow": ("sparse", "light", "slow"),
                             "fast": ("dense", "heavy", "hard", "fast")}},
        adverbs={"rate": {"slow": ("in single drops", "lightly", "slowly", "drop by drop"),
                          "fast": ("densely", "heavily", "hard", "in torrents")}},
        alone=("rain", "raining", "rainy weather", "it is raining", "raindrops"),
    ),
    "wind": Lexicon(
        names=("wind", "the wind", "a breeze", "+gusts of wind", "a gust", "air"),
        does=("blows", "howls", "gusts", "moans", "sweeps over a field", "rushes by"),
        doing=("blowing", "howling", "gusting", "rushing", "blowing through trees"),
        adjectives={"pitch": {"low": ("low", "deep", "low-pitched", "hollow"),
                              "high": ("high", "whistling", "high-pitched")}},
        alone=("wind", "windy", "wind blowing", "howling wind", "a windy day", "breeze"),
    ),
    "siren": Lexicon(
        names=("a siren", "an ambulance siren", "a police siren", "an ambulance", "a fire truck",
               "a police car", "an emergency siren"),
        does=("wails", "sounds", "rises and falls", "goes by", "howls"),
        doing=("wailing", "sounding", "rising and falling", "going by"),
        alone=("siren", "police siren", "ambulance", "fire engine siren", "emergency vehicle"),
    ),
    "bell": Lexicon(
        names=("a bell", "a church bell", "a metal bell", "a bell", "a school bell"),
        does=("rings", "chimes", "tolls", "sounds", "dings", "is struck", "strikes"),
        doing=("ringing", "chiming", "tolling", "dinging", "being struck"),
        events=(("bell ring", "bell rings"), ("ring of a bell", "rings of a bell"),
                ("stroke of a bell", "strokes of a bell"), ("bell chime", "bell chimes"),
                ("ding", "dings")),
        adjectives={"pitch": BIG_OR_SMALL},
        alone=("bell", "bells", "bell ringing", "ding dong", "a bell rings", "chime"),
    ),
    "engine": Lexicon(
        names=("an engine", "a motor", "a car engine", "a motorcycle", "a truck", "a car",
               "a machine", "a tractor", "a diesel engine"),
        does=("runs", "hums", "rumbles", "turns over", "rattles", "works"),
        doing=("running", "humming", "rumbling", "turning over", "rattling"),
        telling={("rate", "slow"): ("an idling engine", "an idling car", "an idling motor"),
                 ("rate", "fast"): ("a revving engine", "a racing car", "a revving motor")},
        adjectives={"rate": {"slow": ("slow", "puttering", "idle"),
                             "fast": ("fast", "racing", "rapid")}},
        alone=("engine", "motor", "car", "car engine", "engine running", "vehicle", "truck"),
    ),
    "footsteps": Lexicon(
        names=("+footsteps", "a person", "someone", "+steps", "a man", "a woman", "+shoes"),
        does=("walks", "steps on gravel", "goes by", "walks down a hall", "passes", "walks by"),
        doing=("walking", "stepping", "on gravel", "going by", "on a wooden floor", "on snow"),
        telling={("rate", "fast"): ("+running footsteps", "a running person", "a runner"),
                 ("rate", "slow"): ("+strolling footsteps", "a strolling person")},
        adjectives={"rate": {"slow": ("slow", "leisurely", "unhurried", "heavy"),
                             "fast": ("fast", "rapid", "quick", "hurried")}},
        alone=("footsteps", "steps", "walking", "someone walking", "a person walks"),
    ),
    "dog": Lexicon(
        names=("a dog", "a dog", "a hound", "the dog", "an animal"),
        does=("barks", "woofs", "yaps", "gives a bark", "bays"),
        doing=("barking", "woofing", "yapping", "baying"),
        events=(("bark", "barks"), ("dog bark", "dog barks"), ("woof", "woofs"),
                ("bark of a dog", "barks of a dog")),
        telling={("pitch", "high"): ("a puppy", "a terrier"),
                 ("pitch", "low"): ("a mastiff", "a guard dog")},
        adjectives={"pitch": {"low": ("big", "deep-voiced", "large", "low", "deep"),
                              "high": ("small", "high-voiced", "little", "tiny", "high-pitched")}},
        alone=("dog", "dogs", "dog barking", "woof", "bark", "barking", "a dog barks"),
    ),
    "bird": Lexicon(
        names=("a bird", "a songbird", "+birds", "a sparrow", "the bird"),
        does=("chirps", "sings", "tweets", "twitters", "calls", "peeps"),
        doing=("chirping", "singing", "tweeting", "twittering", "calling"),
        adjectives={"pitch": BIG_OR_SMALL},
        alone=("bird", "birds", "bird song", "birdsong", "birds chirping", "tweet", "chirp"),
    ),
    "clock": Lexicon(
        names=("a clock", "a watch", "a wall clock", "the clock", "a timer", "a metronome"),
        does=("ticks", "ticks away", "goes tick tock", "clicks"),
        doing=("ticking", "ticking away", "clicking"),
        alone=("clock", "clock ticking", "tick tock", "ticking", "a ticking watch"),
    ),
    "thunder": Lexicon(
        names=("thunder", "a thunderstorm", "the thunder", "a storm", "lightning"),
        does=("claps", "rolls", "rumbles", "thunders", "cracks", "booms", "strikes"),
        doing=("clapping", "rolling", "rumbling", "thundering", "cracking"),
        events=(("clap of thunder", "claps of thunder"), ("thunderclap", "thunderclaps"),
                ("thunder roll", "thunder rolls"), ("crack of thunder", "cracks of thunder")),
        alone=("thunder", "thunderstorm", "storm", "lightning", "thunder rolling", "thunder clap"),
    ),
    "waves": Lexicon(
        names=("+waves", "+sea waves", "+ocean waves", "the sea", "the surf", "the ocean",
               "+waves of the sea"),
        does=("breaks", "rolls in", "washes ashore", "crashes on the beach", "hits the shore"),
        doing=("breaking", "rolling in", "washing ashore", "crashing on rocks", "on a beach"),
        alone=("waves", "sea", "ocean", "surf", "beach", "ocean waves", "the seaside"),
    ),
    "alarm": Lexicon(
        names=("an alarm", "an alarm clock", "a smoke alarm", "a buzzer", "a beeper",
               "an electronic alarm"),
        does=("beeps", "goes off", "sounds", "bleeps"),
        doing=("beeping", "going off", "sounding", "bleeping"),
        alone=("alarm", "beeping", "beep", "alarm clock", "smoke detector", "beep beep beep"),
    ),
}  # fmt: skip
