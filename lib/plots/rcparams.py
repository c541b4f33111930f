"""The theme of all figures, for figures of one's own, too: ``plt.style.use(THEME)``.

It is seaborn's (``set_theme(style="whitegrid", palette="colorblind", font_scale=0.85)``), written
down, as a test checks: to import seaborn is half of what a notebook imports before its first cell,
because it loads SciPy's statistics.
"""

from __future__ import annotations

from matplotlib import cycler

COLOURBLIND = (
    *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
    *("#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"),
)
# Fonts of Linux, macOS and Windows with the characters of Chinese, Japanese and Korean names.
EAST_ASIAN = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Noto Sans JP", "Noto Sans SC"),
    *("Noto Sans KR", "Source Han Sans", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "IPAexGothic"),
    *("IPAGothic", "NanumGothic", "Droid Sans Fallback", "Hiragino Sans", "PingFang SC"),
    *("Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "SimHei"),
    "Arial Unicode MS",
)
THEME = {
    "axes.prop_cycle": cycler(color=COLOURBLIND),
    "axes.axisbelow": True,
    "axes.edgecolor": ".8",
    "axes.facecolor": "white",
    "axes.grid": True,
    "axes.labelcolor": ".15",
    "axes.labelsize": 10.2,
    "axes.linewidth": 1.25,
    "axes.spines.bottom": True,
    "axes.spines.left": True,
    "axes.spines.right": True,
    "axes.spines.top": True,
    "axes.titlesize": 10.2,
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    "font.sans-serif": [
        "Arial",
        "DejaVu Sans",
        "Liberation Sans",
        "Bitstream Vera Sans",
        "sans-serif",
    ],
    "font.size": 10.2,
    "grid.color": ".8",
    "grid.linestyle": "-",
    "grid.linewidth": 1,
    "legend.fontsize": 9.35,
    "legend.title_fontsize": 10.2,
    "lines.linewidth": 1.5,
    "lines.markersize": 6,
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "patch.linewidth": 1,
    "text.color": ".15",
    "xtick.bottom": False,
    "xtick.color": ".15",
    "xtick.direction": "out",
    "xtick.labelsize": 9.35,
    "xtick.major.size": 6,
    "xtick.major.width": 1.25,
    "xtick.minor.size": 4,
    "xtick.minor.width": 1,
    "xtick.top": False,
    "ytick.color": ".15",
    "ytick.direction": "out",
    "ytick.labelsize": 9.35,
    "ytick.left": False,
    "ytick.major.size": 6,
    "ytick.major.width": 1.25,
    "ytick.minor.size": 4,
    "ytick.minor.width": 1,
    "ytick.right": False,
    # ours; the first keeps labels, legends and notes from overlapping
    "figure.constrained_layout.use": True,
    "savefig.dpi": 150,
    "legend.frameon": False,
    "axes.titlelocation": "left",
    "hatch.linewidth": 0.6,
}
