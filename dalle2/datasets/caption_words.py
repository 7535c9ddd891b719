"""What captions of the emoji set are made of: names of styles and of colours, and templates, by language."""

from dataclasses import dataclass

ENGLISH = ("en", "en-gb")
CHINESE = ("zh", "zh-hant")

# What a style is called, its own name first.
STYLE_PHRASES: dict[str, tuple[str, ...]] = {
    "twemoji": ("twemoji", "twitter"),
    "noto": ("noto", "google noto", "new noto"),
    "noto v1": ("noto v1", "old noto", "noto version 1"),
    "openmoji": ("openmoji", "open moji", "outlined openmoji"),
    "fluent flat": ("fluent flat", "flat fluent", "flat microsoft fluent"),
    "fluent color": ("fluent color", "fluent colour", "glossy fluent", "fluent gradient"),
    "emojione": ("emojione", "emoji one"),
    "emojione v1": ("emojione v1", "old emojione", "emojione version 1"),
    "fxemoji": ("fxemoji", "firefox", "firefox os"),
    "streamline": ("streamline", "streamline outline"),
}
CHINESE_STYLE_PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "zh": {
        "twemoji": ("twemoji", "推特"),
        "noto": ("noto", "谷歌noto"),
        "noto v1": ("noto v1", "旧版noto"),
        "openmoji": ("openmoji", "openmoji描边"),
        "fluent flat": ("fluent flat", "微软扁平"),
        "fluent color": ("fluent color", "微软渐变"),
        "emojione": ("emojione",),
        "emojione v1": ("emojione v1", "旧版emojione"),
        "fxemoji": ("fxemoji", "火狐"),
        "streamline": ("streamline", "streamline描边"),
    },
    "zh-hant": {
        "twemoji": ("twemoji", "推特"),
        "noto": ("noto", "谷歌noto"),
        "noto v1": ("noto v1", "舊版noto"),
        "openmoji": ("openmoji", "openmoji描邊"),
        "fluent flat": ("fluent flat", "微軟扁平"),
        "fluent color": ("fluent color", "微軟漸層"),
        "emojione": ("emojione",),
        "emojione v1": ("emojione v1", "舊版emojione"),
        "fxemoji": ("fxemoji", "火狐"),
        "streamline": ("streamline", "streamline描邊"),
    },
}

# Background colours by their English name, RGB.
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "black": (16, 16, 16),
    "grey": (128, 128, 128),
    "red": (216, 44, 44),
    "orange": (245, 140, 40),
    "yellow": (250, 215, 60),
    "green": (64, 168, 76),
    "teal": (20, 150, 150),
    "light blue": (152, 205, 245),
    "blue": (45, 95, 220),
    "purple": (130, 70, 180),
    "pink": (250, 150, 190),
    "brown": (130, 85, 48),
}
CHINESE_BACKGROUNDS: dict[str, dict[str, str]] = {
    "zh": {
        "white": "白色",
        "black": "黑色",
        "grey": "灰色",
        "red": "红色",
        "orange": "橙色",
        "yellow": "黄色",
        "green": "绿色",
        "teal": "青色",
        "light blue": "浅蓝色",
        "blue": "蓝色",
        "purple": "紫色",
        "pink": "粉色",
        "brown": "棕色",
    },
    "zh-hant": {
        "white": "白色",
        "black": "黑色",
        "grey": "灰色",
        "red": "紅色",
        "orange": "橙色",
        "yellow": "黃色",
        "green": "綠色",
        "teal": "青色",
        "light blue": "淺藍色",
        "blue": "藍色",
        "purple": "紫色",
        "pink": "粉色",
        "brown": "棕色",
    },
}


@dataclass(frozen=True)
class Phrasing:
    """How one language puts a caption together.

    {x} is the subject, {s} the style, {c} the colour, {a} the English article of {s} or {c}.
    """

    plain: tuple[str, ...]
    styled: tuple[str, ...]
    background: tuple[str, ...]  # {x} is the caption so far
    comma: str


# The first template of each kind is the likeliest: half of the draws.
ENGLISH_PHRASING = Phrasing(
    plain=("{x}", "a picture of {x}", "an emoji of {x}", "a drawing of {x}", "{x} emoji"),
    styled=(
        "{x}, {s} style",
        "{x} in the style of {s}",
        "{s} {x}",
        "{a} {s} emoji of {x}",
        "{x} drawn like {s}",
        "a picture of {x}, {s} style",
        "{s} style {x}",
        "{x}, {s}",
    ),
    background=("{x} on {a} {c} background", "{x}, {c} background", "{x} against {a} {c} background"),
    comma=", ",
)
PHRASINGS: dict[str, Phrasing] = {
    "zh": Phrasing(
        plain=("{x}", "{x}的图片", "{x}表情", "一张{x}的图"),
        styled=("{x}，{s}风格", "{s}风格的{x}", "{s}{x}表情", "{x}，画成{s}风格", "{s}风格的{x}表情"),
        background=("{c}背景上的{x}", "{x}，{c}背景"),
        comma="，",
    ),
    "zh-hant": Phrasing(
        plain=("{x}", "{x}的圖片", "{x}表情符號", "一張{x}的圖"),
        styled=("{x}，{s}風格", "{s}風格的{x}", "{s}{x}表情符號", "{x}，畫成{s}風格", "{s}風格的{x}表情"),
        background=("{c}背景上的{x}", "{x}，{c}背景"),
        comma="，",
    ),
}
# Other languages get English additions after a comma: no preposition of ours around a foreign noun.
FOREIGN_PHRASING = Phrasing(
    plain=("{x}", "{x} emoji"),
    styled=("{x}, {s} style", "{s} {x}", "{x}, {s}"),
    background=("{x}, {c} background", "{x} on {a} {c} background"),
    comma=", ",
)


def phrasing(language: str) -> Phrasing:
    """Return how captions of this language are put together."""
    return ENGLISH_PHRASING if language in ENGLISH else PHRASINGS.get(language, FOREIGN_PHRASING)


def style_phrases(style: str, language: str = "en") -> tuple[str, ...]:
    """Return what a style is called in a language, else in English; ValueError for an unknown style."""
    if style not in STYLE_PHRASES:
        raise ValueError(f"unknown style {style!r}; the styles are: {', '.join(STYLE_PHRASES)}.")
    return CHINESE_STYLE_PHRASES.get(language, STYLE_PHRASES)[style]


def in_style(style: str) -> str:
    """Return what a style is called in a prompt: "noto style", and "my style" of one that is called so itself."""
    return style if style.casefold().endswith(" style") else f"{style} style"


def background_name(name: str, language: str = "en") -> str:
    """Return the name of a colour of ``BACKGROUNDS`` in a language; English where it has no word of its own."""
    return CHINESE_BACKGROUNDS.get(language, {}).get(name, name)


def article(noun: str) -> str:
    """Return "a" or "an"."""
    return "an" if noun[0] in "aeiou" and not noun.startswith("uni") else "a"
