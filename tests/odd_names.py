"""Names that a badge may have."""

ODD = (
    "</script><img onerror=alert(1)>",
    "{{7*7}}",
    '=HYPERLINK("https://x.example","y")',
    "كفاءة القراءة",
    "\u202eRight to left\u202c",
    "🧠 Thinks 👩🏽\u200d🔬 twice",
    "n" * 255,
)
