"""How a prompt is put together: what it is about, in which style, on which background, and what cannot be had."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from PIL import ImageColor

from dalle2.datasets.caption_words import BACKGROUNDS, CHINESE_BACKGROUNDS, STYLE_PHRASES, style_phrases
from dalle2.understanding.answer import Note

ARTICLES = ("a", "an", "the", "some", "my", "your", "one", "this", "that")
COLOURS = (*BACKGROUNDS, "gray", "violet", "golden", "silver", "turquoise", "beige", "cyan", "magenta", "crimson")
# Vowel signs and tone marks, as of Thai, Hindi and Bengali: a part of their words, although no \w.
_MARKS = "".join(chr(point) for point in range(0x300, 0x2000) if unicodedata.category(chr(point)).startswith("M"))
_PUNCTUATION = re.compile(rf"[^\w\s#*&{_MARKS}]+|_")
_SILENT = str.maketrans("", "", "'’\u00ad\u200b\u200c\u200d")  # apostrophes, and what is not seen inside of a word
_ARTICLE = re.compile(rf"^(?:{'|'.join(ARTICLES)})\s+", re.I)
COLOUR = re.compile(rf"\b(?:light |dark |bright )?(?:{'|'.join(sorted(COLOURS, key=len, reverse=True))})\b", re.I)
# With the character for "colour" or what joins it to a noun, or before a noun of one or two characters.
CHINESE_COLOUR = re.compile(
    r"[深浅淡鲜]?[红黄绿蓝紫黑白橙棕粉灰青金银][红绿蓝]?色的?|^[红黄绿蓝紫黑白粉灰](?:的|(?=[\u4e00-\u9fff]{1,2}$))"
)
_ASKING = re.compile(
    r"^\s*(?:please\s+|can you\s+|could you\s+|i want\s+|i would like\s+|give me\s+|show me\s+)*"
    r"(?:(?:draw|paint|make|create|generate|imagine)\s+(?:me\s+)?)?"
    r"(?:(?:a|an|the)\s+)?(?:(?:simple|nice|cute)\s+)?(?:picture|image|drawing|emoji|icon|illustration|painting)\s+of\s+|"
    r"^\s*(?:please\s+)?(?:draw|paint|generate|imagine)\s+(?:me\s+)?(?=\w)|"
    r"^(?:请)?(?:画|绘制|给我画|帮我画)(?:一张|一个|一幅)?|^一张(?=.+的(?:图|图片)$)",
    re.I,
)
_ENDING = re.compile(r"\s+(?:emoji|icon|sticker)s?$|(?:的图片|的图|的表情|表情符号|表情)$", re.I)
# What says how a thing is, not which: a reading may do without it.
_QUALITY = re.compile(
    r"\b(?:very|really|super|so|happy|sad|angry|cute|adorable|lovely|beautiful|pretty|nice|funny|silly|scary|spooky|big"
    r"|huge|giant|large|small|little|tiny|baby|young|old|ancient|vintage|modern|futuristic|tall|long|fat|fluffy|furry"
    r"|fresh|ripe|tasty|delicious|hot|cold|sleepy|sleeping|running|jumping|flying|dancing|smiling|laughing|shiny|sparkly"
    r"|magic|magical|majestic|elegant|classic|typical|famous|favou?rite|busy|fast|slow|strong|colou?rful|vanilla)\b\s*",
    re.I,
)
_SIGN = re.compile(r"^(?:.*\b)?(?:symbol|sign|emblem|token)s? of\s+", re.I)
_AND = re.compile(r"\s+(?:and|&|und|et|y)\s+|[和与跟及、]")
_PHOTO = re.compile(
    r"\b(?:(?:a|an|the)\s+)?(?:[\w-]+\s+)?(?:photo|photograph|snapshot)s?\s+(?:of|showing)\s+|"
    r",?\s*\b(?:photo-?realistic|hyper-?realistic|realistic|photography|photograph|dslr|4k|8k|hdr?|35mm)\b,?\s*(?!of)|"
    r"(?:的)?(?:照片|摄影|相片)",
    re.I,
)
_MEDIUM = re.compile(
    r",?\s*\b(?:as\s+)?(?:in\s+)?(?:(?:a|an|the)\s+)?(?:style\s+of\s+(?P<artist>[\w' -]+)"
    r"|(?P<medium>oil painting|watercolou?r"
    r"(?: painting)?|pencil sketch|pixel art|anime|manga|cartoon|3d(?: render(?:ing)?)?|digital art|line art|clip ?art"
    r"|low[ -]poly|claymation|ukiyo-e|impressionist|cubist|art deco|vector art|concept art)(?:[ -]style)?)\b"
    r"(?:\s+of\s+(?=\w))?|，?(?P<chinese>油画|水彩画?|素描|像素画?|动漫|卡通|水墨画?)(?:风格)?的?",
    re.I,
)
_GROUND = re.compile(
    r",?\s*\b(?:on|against|with|over|in front of)?\s*(?:an?\s+|the\s+)?"
    r"(?P<colour>[a-z]+(?:[ -][a-z]+)?)\s+background\b",
    re.I,
)
_NUMBER = re.compile(
    r"^(?P<number>two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|several|many|multiple|a few|lots of"
    r"|a couple of|\d{1,6})\s+(?=[a-z])",
    re.I,
)
_CHINESE_NUMBER = re.compile(
    r"^(?P<number>[一二两三四五六七八九十几]|\d+)(?:只|个|条|朵|杯|匹|头|辆|架|本|颗|张|座|棵|位|名|片|块|把|件|双|群|幅)"
)
_PLACE = re.compile(
    r"\b(?:to the )?(?:left|right) of\b|\bnext to\b|\bbeside\b|\babove\b|\bbelow\b|\bunderneath\b|\bbehind\b"
    r"|\bin front of\b|\bon top of\b|左边|右边|上面|下面|旁边",
    re.I,
)
# Where the words about a thing end and those about its surroundings begin.
_SCENE = re.compile(
    r"[,;:.!?，。；：！？\n]|\s+(?=(?:wearing|riding|with|without|on|in|inside|over|at|and|playing|from|to|into|by"
    r"|under|sleeping|holding|eating|drinking|launching|sitting|standing|running|flying|next|beside|above"
    r"|below|behind|left|right|near|against|while|between|through|looking|watching|during|after|before)\b)",
    re.I,
)
# What is said not to be there, up to the end of its clause.
_DENIAL = re.compile(
    r",?\s*(?:\bplease\s+)?(?:\b(?:and|but|with)\s+)?(?:\b(?:that|which|who)\s+)?(?:\b(?:is|are|has|have|does|do)\s+)?"
    r"\b(?:not|no(?!\.?\s*\d)|never|without|except|(?:don|isn|doesn|aren)['’]?t)\b[^,;.!?]*"
    r"|[，,]?(?:但|而)?(?:不是|不要|没有|沒有|不带|不帶|不戴|不穿|不想要|别画|別畫|不画|不畫)(?:[^，。,；]*?的(?=\w)|[^，。,；]*)",
    re.I,
)
_LINK = re.compile(r"^(?:but|and|just|only)\s+", re.I)


@dataclass(frozen=True)
class Wording:
    """A prompt taken apart.

    Attributes:
        whole: the prompt without style, background and articles. subject: what it is about.
        style, background: known ones, "" where none is named. notes: what is asked for and cannot be had.
    """

    whole: str
    subject: str
    style: str
    background: str
    notes: tuple[Note, ...]

    @property
    def colour(self) -> str:
        """The first colour in it, in English or Chinese, "" if there is none."""
        found = COLOUR.search(self.subject) or CHINESE_COLOUR.search(self.subject)
        return found.group().lower().removesuffix("的") if found else ""

    def denied(self) -> tuple[str, str]:
        """Return what is said to be absent, such as "without a hat", and the subject without it; "" for nothing."""
        found = _DENIAL.search(self.subject)
        if not found:
            return "", self.subject
        rest = _tidy(f"{self.subject[: found.start()]} {self.subject[found.end() :]}")
        return _tidy(found.group()), _without_article(_LINK.sub("", rest))

    def plainer(self) -> list[str]:
        """Return the subject without its colour, its qualities, or both, where it has any."""
        return [text for text in _plainer(self.subject) if text and text != self.subject]

    def readings(self) -> list[str]:
        """Return what may be meant, the whole first: then without colour or quality, then without surroundings."""
        head = self.head()
        found = [self.subject, *_plainer(self.subject), head, *_plainer(head)]
        return [text for text in dict.fromkeys(found) if re.search(r"\w", text)]

    def head(self) -> str:
        """Return the thing alone, without what it does and where."""
        parts = (_without_article(_tidy(part)) for part in _SCENE.split(self.subject))
        return next(filter(None, parts), self.subject)

    def signified(self) -> str:
        """Return "love", of which it is "a classic symbol"; "" where it is none."""
        found = _SIGN.match(self.subject)
        return self.subject[found.end() :] if found else ""

    def things(self) -> list[str]:
        """Return the things that an "and" joins; the subject alone where there is none."""
        return [thing for part in _AND.split(self.subject) if (thing := _without_article(_tidy(part)))]


def take_apart(prompt: str, styles: Iterable[str]) -> Wording:
    """Return the prompt in parts; `styles` are those that the checkpoint knows."""
    notes: list[Note] = []
    text, style = _take_style(prompt, tuple(styles))
    text, background = _take_background(text, notes)
    whole = _without_article(_tidy(text))
    text = _take(_PHOTO, text, "photograph", notes)
    text = _take_medium(text, notes)
    text = _ENDING.sub("", _ASKING.sub("", _tidy(text)))
    if found := _PLACE.search(text):
        notes.append(Note("place", found.group()))
    text = _without_article(_tidy(text))
    for pattern in (_NUMBER, _CHINESE_NUMBER):
        if (found := pattern.search(text)) and text[found.end() :].strip():
            text = text[found.end() :]
            if found["number"] not in ("一", "1"):
                notes.append(Note("number", found.group().strip()))
    text = _without_article(_tidy(text))
    return Wording(whole, text or whole, style, background, tuple(notes))


def bare(text: str) -> str:
    """In small letters, without punctuation, articles and doubled blanks: as words are looked up."""
    text = unicodedata.normalize("NFC", text.casefold())
    if text.isalpha():  # most words are: this is looked up some 300,000 times
        return text
    text = _PUNCTUATION.sub(" ", text.translate(_SILENT))
    return _without_article(" ".join(text.split()))


def _take_style(text: str, styles: tuple[str, ...]) -> tuple[str, str]:
    for pattern, style in _style_patterns(styles):
        if found := pattern.search(text):
            return f"{text[: found.start()]} {text[found.end() :]}", style
    return text, ""


@cache
def _style_patterns(styles: tuple[str, ...]) -> list[tuple[re.Pattern, str]]:
    """Return the longest names first; a style's own name needs no "style" beside it."""
    names = {
        name: style
        for style in styles
        if style in STYLE_PHRASES
        for language in ("en", "zh", "zh-hant")
        for name in style_phrases(style, language)
    } | {style: style for style in styles}
    found = []
    for name in sorted(names, key=len, reverse=True):
        word = rf"(?<![A-Za-z]){re.escape(name)}(?![A-Za-z0-9])"
        begins = (
            r"[,，;]?\s*(?:\b(?:in|drawn|painted|made)\s+)?(?:\b(?:the|an?|like)\s+)*(?:style\s+of\s+)?(?:画成|畫成)?"
        )
        ends = r"(?:[\s-]*(?:style|emoji style|风格|風格)(?:\s+emoji)?)"
        optional = "?" if name == names[name] or not name.isascii() else ""
        before = rf"[,，;]?\s*\b(?:in\s+)?(?:the\s+)?style\s+of\s+{word}"
        found.append((re.compile(rf"{before}|{begins}{word}{ends}{optional}(?:\s+emoji\s+of|的)?", re.I), names[name]))
    return found


def _take_background(text: str, notes: list[Note]) -> tuple[str, str]:
    for names in CHINESE_BACKGROUNDS.values():
        for colour, word in sorted(names.items(), key=lambda row: -len(row[1])):
            if found := re.search(rf"[，,]?\s*在?{word}的?背景(?:上的|上|中的|中|下的|下)?", text):
                return f"{text[: found.start()]} {text[found.end() :]}", colour
    if not (found := _GROUND.search(text)):
        return text, ""
    words = found["colour"].lower().replace("-", " ").split()
    for name in (" ".join(words), words[-1]):
        if colour := _nearest_background(name):
            cut = found.start() if name == " ".join(words) else found.start("colour")
            kept = text[found.start() : cut] if name != " ".join(words) else ""
            kept = re.sub(r"\b(?:on|against|with|over)\b.*", "", kept, flags=re.I)
            return f"{text[: found.start()]}{kept} {text[found.end() :]}", colour
    notes.append(Note("background", found.group().strip(" ,")))
    return f"{text[: found.start()]} {text[found.end() :]}", ""


def _nearest_background(name: str) -> str:
    """Return the known colour that is nearest to one that the web knows; "" for what is no colour."""
    if (name := name.replace("gray", "grey")) in BACKGROUNDS:
        return name
    try:
        wanted = ImageColor.getrgb(name.replace(" ", ""))
    except ValueError:
        return ""
    wanted = wanted[:3]  # without transparency

    def distance(known: str) -> int:
        return sum((a - b) ** 2 for a, b in zip(BACKGROUNDS[known], wanted, strict=True))

    return min(BACKGROUNDS, key=distance)


def _take(pattern: re.Pattern, text: str, kind: str, notes: list[Note]) -> str:
    rest = pattern.sub(" ", text)
    if rest != text and re.search(r"\w", rest):
        notes.append(Note(kind))
        return rest
    return text


def _take_medium(text: str, notes: list[Note]) -> str:
    found = _MEDIUM.search(text)
    if not found or not re.search(r"\w", rest := f"{text[: found.start()]} {text[found.end() :]}"):
        return text
    notes.append(Note("style", next(word for word in found.groups() if word).strip()))
    return rest


def _plainer(text: str) -> list[str]:
    """Return the text without its colour, without its qualities, without both."""
    colourless = _tidy(COLOUR.sub("", text))
    unqualified = _without_article(_tidy(_QUALITY.sub("", text)))
    return [colourless, unqualified, _without_article(_tidy(COLOUR.sub("", unqualified)))]


def _without_article(text: str) -> str:
    return _ARTICLE.sub("", text)


def _tidy(text: str) -> str:
    return " ".join(text.split()).strip(" ,;:.!?，。；：！？、…")
