"""The server's Markdown: what it makes of ordinary texts, and that hostile ones stay inert and bounded."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest

from app.media.markdown import MarkdownRendering, make_markdown_processes, rendering
from app.media.markdown.job import render
from app.runtime.side_process import Claim, JobKilled, PoolBusy, ProcessLimits, SideProcessPool
from tests.fakes.tables import each_row

INERT = {"p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "div"}
INERT |= {"h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"}

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<style>*{background:url(https://evil.example)}</style>",
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](file:///etc/passwd)",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "[x]: javascript:alert(1)\n\n[x]",
    '[x](https://a.example "onclick=alert(1)//\\" onmouseover=\\"alert(1)")',
    '[x](https://a.example/" onmouseover="alert(1))',
    "![x](https://evil.example/?secret=1)",
    "![x](javascript:alert(1))",
    "![<img src=x onerror=alert(1)>](https://a.example)",
    "```html\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "`</code><script>alert(1)</script>`",
    "|a|\n|-|\n|<script>alert(1)</script>|",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "# <iframe srcdoc='<script>alert(1)</script>'>",
    "<p style='position:fixed;inset:0'>x</p>",
    "<form action=https://evil.example><button>x</button></form>",
    "\u202e<b onclick=alert(1)>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
]


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.all = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.all.append((tag, dict(attrs)))


def check_inert(text):
    for tag, attributes in Elements(text).all:
        assert tag in INERT, text
        assert attributes.keys() <= {"href", "title", "rel", "start", "tabindex", "class", "role", "aria-label"}
        assert attributes.get("href", "https:").startswith(("https:", "http:", "mailto:")), text
        assert attributes.get("class", "end") in ({"table-scroll"} if tag == "div" else {"end", "center"})


@each_row("text", HOSTILE)
def test_a_hostile_text_stays_inert(text):
    check_inert(render(text))


@pytest.mark.parametrize("text", HOSTILE[::3])
def test_a_hostile_text_cut_anywhere_stays_inert(text):
    for end in range(len(text)):
        check_inert(render(text[:end]))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a **b** _c_ ~~d~~ `e`", "<p>a <strong>b</strong> <em>c</em> <s>d</s> <code>e</code></p>\n"),
        ("# One\n\n###### Six", "<h3>One</h3>\n<h6>Six</h6>\n"),
        ("3. a\n4. b", '<ol start="3">\n<li>a</li>\n<li>b</li>\n</ol>\n'),
        ("```py\n1 < 2\n```", '<pre tabindex="0"><code>1 &lt; 2\n</code></pre>\n'),
        (
            "[a](https://a.example)",
            '<p><a href="https://a.example" rel="noopener noreferrer nofollow">a</a></p>\n',
        ),
        (
            "![a cat](https://a.example/c.png)",
            '<p><a href="https://a.example/c.png" rel="noopener noreferrer nofollow">a cat</a></p>\n',
        ),
        ("", ""),
    ],
)
def test_an_ordinary_text_reads_as_it_is_meant(text, html):
    assert render(text) == html


def test_a_table_can_be_scrolled():
    html = render("|a|b|\n|-|-|\n|1|2|")

    assert html.startswith('<div class="table-scroll" role="group" aria-label="Table" tabindex="0"><table>')
    assert html.rstrip().endswith("</table></div>")


def test_the_columns_of_a_table_are_aligned_by_classes():
    html = render("|a|b|c|\n|:-|:-:|-:|\n|1|2|3|")

    assert '<tr>\n<th>a</th>\n<th class="center">b</th>\n<th class="end">c</th>\n</tr>' in html
    assert '<td>1</td>\n<td class="center">2</td>\n<td class="end">3</td>' in html


def test_several_texts_are_rendered_in_one_job(claim):
    pool = make_markdown_processes()
    try:
        assert MarkdownRendering(pool, claim).render(["*a*", "", "<b>"]) == [
            "<p><em>a</em></p>\n",
            "",
            "<p>&lt;b&gt;</p>\n",
        ]
        assert MarkdownRendering(pool, claim).render([]) == []
    finally:
        pool.close()


@pytest.mark.parametrize("fault", [JobKilled, PoolBusy])
def test_a_text_that_could_not_be_rendered_is_shown_as_it_is(claim, monkeypatch, fault):
    pool = make_markdown_processes()

    def fail(*_):
        raise fault

    monkeypatch.setattr(pool, "run", fail)

    assert MarkdownRendering(pool, claim).render(["*a*", "<b>"]) == [
        '<p class="plain">*a*</p>\n',
        '<p class="plain">&lt;b&gt;</p>\n',
    ]


@pytest.mark.thorough
def test_a_text_that_takes_too_long_is_shown_as_it_is_and_this_worker_does_not_work_on_it(claim, monkeypatch):
    # As much as it takes, in a process with a second of its own, of which it has used a part.
    monkeypatch.setattr(rendering, "_CPU_S", 0)
    pool = make_markdown_processes()
    text = "[[](" * 400_000
    begun = time.process_time()
    try:
        (html,) = MarkdownRendering(pool, claim).render([text])
        worked_s = time.process_time() - begun
    finally:
        pool.close()

    assert html == f'<p class="plain">{text}</p>\n'
    assert worked_s < 0.5


@pytest.mark.thorough
def test_a_text_that_takes_too_much_memory_is_shown_as_it_is(claim):
    pool = SideProcessPool("app.media.markdown.job:run", ProcessLimits(memory_bytes=48 * 1024 * 1024, cpu_s=5))
    try:
        (html,) = MarkdownRendering(pool, claim).render(
            ["|a" * 20_000 + "\n" + "|-" * 20_000 + "\n" + "|b\n" * 20_000]
        )
    finally:
        pool.close()

    assert html.startswith('<p class="plain">|a|a')


@pytest.fixture
def claim():
    return Claim("anna", time.monotonic() + 60, check=lambda: None)
