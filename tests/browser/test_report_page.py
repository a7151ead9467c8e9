"""The report in a real browser: it asks nobody, can be used by mouse, keyboard and phone, and shows the right numbers.

Deselected unless asked for (`pytest -m browser`); needs Playwright and a Chromium that is installed.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_contents import made_up

from mlsbench.scoring.report.contents import Contents
from mlsbench.scoring.report.page import report_page
from mlsbench.scoring.rows import cell

pytestmark = pytest.mark.browser
NAME = "<b>bold</b> &amp; </script><script>document.title='broken'</script> %{x}"

# The least contrast of any text with what is behind it, by the formula of WCAG 2, and the text that has it.
CONTRAST = """() => {
  const parse = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = (c) => { const s = c / 255; return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  let worst = [99, "", 0];
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest("script, style, noscript")) continue;
    if (!element.checkVisibility({ checkOpacity: true })) continue;
    const style = getComputedStyle(element);
    const color = parse(element.closest("svg") ? style.fill : style.color);
    const [a, b] = [luminance(color), luminance(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    seen++;
    if (ratio < worst[0]) worst = [ratio, node.textContent.trim().slice(0, 60), 0];
  }
  worst[2] = seen;
  return worst;
}"""


@pytest.fixture(scope="module")
def plain() -> Contents:
    return made_up()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])  # root may not without
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, plain: Contents) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("report")
    hostile = made_up(("erm", "scaled_loss", "early_stopping", NAME))
    many = made_up([f"entry {i}" for i in range(60)], ["one", "two", "three"])
    pages = {"hostile": hostile, "plain": plain, "many": many}
    for name, contents in pages.items():
        (folder / f"{name}.html").write_text(report_page(contents))
    return {name: folder / f"{name}.html" for name in pages}


@pytest.fixture
def visit(browser: Any, files: dict[str, Path]) -> Iterator[Any]:
    """visit("plain", width=…, theme=…): the page, whose messages, errors and requests are checked at the end."""
    opened = []

    def go(name: str = "plain", width: int = 1280, theme: str = "light", **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, **options)
        page = context.new_page()
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: told.append(request.url))
        url = files[name].as_uri()
        page.goto(url)
        opened.append((context, told, url))
        return page

    yield go
    for context, told, url in opened:
        context.close()
        assert told == [url]


def until(page: Any, expression: str) -> None:
    """Wait until `expression` is true, asked after each frame: the page's policy lets nothing in it evaluate text."""
    deadline = time.monotonic() + 30
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.evaluate("() => new Promise(requestAnimationFrame)")


def drawn(page: Any, selector: str) -> Any:
    """The first such plot, in view and drawn."""
    box = page.locator(selector).first
    box.scroll_into_view_if_needed()
    box.locator("svg.main-svg").first.wait_for()
    return box


def column(page: Any, number: int) -> list[str]:
    texts: list[str] = page.locator(f"#table tbody tr:not([hidden]) > :nth-child({number})").all_inner_texts()
    return texts


def values(texts: list[str]) -> list[float]:
    return [float(text.split()[0]) for text in texts if re.match(r"[0-9.]+( ±|$)", text)]


def hover(page: Any, box: Any, trace: str, point: int) -> list[str]:
    """The lines of the tooltip over a point of the trace of this name, where plotly says it has drawn it."""
    at = box.evaluate(
        """(box, [name, i]) => {
          const trace = box._fullData.find((each) => each.name === name);
          const { xaxis: x, yaxis: y } = box._fullLayout;
          const place = box.getBoundingClientRect();
          return [place.left + x._offset + x.d2p(trace.x[i]), place.top + y._offset + y.d2p(trace.y[i])];
        }""",
        [trace, point],
    )
    page.mouse.move(at[0] - 40, at[1] - 40)
    page.mouse.move(*at)
    label = box.locator(".hoverlayer .hovertext")
    label.first.wait_for()
    lines: list[str] = label.first.locator("tspan.line").all_text_contents()
    return lines or [label.first.text_content()]


def test_it_opens_without_a_message_and_asks_nobody(visit: Any) -> None:
    page = visit()
    for selector in (".leakage", ".seeds"):
        drawn(page, selector)
    page.locator("details.entry").first.locator("summary").click()
    for selector in (".entry[open] .roc", ".entry[open] .histogram", ".entry[open] .curves"):
        drawn(page, selector)


def test_a_hostile_name_is_text_everywhere(visit: Any) -> None:
    page = visit("hostile")
    assert page.title() == "Membership inference defense"
    shown = drawn(page, ".seeds").locator(".ytick").all_text_contents()
    assert NAME[:25] + "…" in shown
    assert NAME in page.locator("#table th .name").all_inner_texts()
    assert page.locator("#results b, .plot b, .plot a").count() == 0


def test_sorting_by_click_reorders_and_says_so(visit: Any) -> None:
    page = visit()
    before = column(page, 5)
    head = page.locator("#table thead th").nth(4)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    falling = values(column(page, 5))
    assert falling == sorted(falling, reverse=True)
    assert column(page, 5)[-1] in ("", "–")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    rising = values(column(page, 5))
    assert rising == falling[::-1] != values(before)
    head.locator("button").click()
    assert (head.get_attribute("aria-sort"), column(page, 5)) == ("none", before)


def test_sorting_by_keyboard_reorders_and_the_focus_can_be_seen(visit: Any) -> None:
    page = visit()
    page.locator("#show-kind").focus()
    for _ in range(4):  # the table's box, rank, entry, type
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "type"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert column(page, 3) == sorted(column(page, 3))
    page.keyboard.press("Space")
    assert column(page, 3) == sorted(column(page, 3), reverse=True)
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("type")


def test_filters_leave_the_lines_that_they_name(visit: Any) -> None:
    page = visit()
    page.locator("#show-benchmark").select_option("mean")
    page.locator("#show-kind").select_option("control")
    assert column(page, 4) == ["mean", "mean"]
    assert set(column(page, 3)) == {"control"}
    assert page.locator("#shown").inner_text().startswith("2 of ")


def test_an_entry_opens_by_its_link_and_by_keyboard(visit: Any) -> None:
    page = visit()
    page.locator("#table a", has_text="mine").first.click()
    entry = page.locator("details.entry[open]")
    assert entry.locator("h3").inner_text() == "mine"
    entry.locator("summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("details.entry[open]").count() == 0


def test_the_tooltip_over_an_entry_has_the_tables_numbers(visit: Any, plain: Contents) -> None:
    page = visit()
    box = drawn(page, ".leakage")
    row = next(row for group in plain.groups for row in group if row.name == "erm" and row.n)
    audits = next(plain.audited(*place) for place in plain.audits if place[0].name == "erm")
    lines = hover(page, box, "baseline", 0)
    advantage = sum(seed.largest_advantage for seed in audits) / 4
    accuracy = row.means["test_acc"]
    assert accuracy is not None
    assert lines == [
        "erm", "baseline", f"test acc {cell(row, plain.plan.columns[0]).removesuffix(' (4/4)')}",
        f"largest folded advantage {advantage:.3f}", f"score {accuracy.mean - advantage:.3f}",
    ]  # fmt: skip


def test_the_other_axis_is_mia_auc_and_has_the_published_rows(visit: Any) -> None:
    page = visit()
    drawn(page, ".leakage")
    page.locator("#leakage-axis").select_option("mia_auc")
    box = drawn(page, ".leakage")
    until(page, "document.querySelector('.leakage')._fullLayout.xaxis.title.text === 'mia_auc'")
    assert hover(page, box, "published", 0) == ["erm", "published", "test acc 0.890", "mia_auc 0.570", "score 0.820"]


def test_a_seeds_tooltip_names_the_seed(visit: Any, plain: Contents) -> None:
    page = visit()
    box = drawn(page, ".seeds")
    scores = [r.metrics["privacy_score"] for r in plain.records]
    entry, line = hover(page, box, "seed", 1)
    seed, value = re.fullmatch(r"seed (\d+): ([0-9.]+)", line).groups()  # type: ignore[union-attr]
    (record,) = (
        r for r in plain.records
        if (r.entry.name, r.setting.seed, r.setting.benchmark) == (entry, int(seed), plain.plan.benchmarks[0])
    )  # fmt: skip
    assert record.metrics["privacy_score"] in scores
    assert value == f"{record.metrics['privacy_score']:.3f}"


def test_check_boxes_choose_the_roc_curves(visit: Any) -> None:
    page = visit()
    page.locator("details.entry summary").first.click()
    box = drawn(page, ".entry[open] .roc")
    count = "(box) => box._fullData.filter((trace) => trace.visible === true).length"
    before = box.evaluate(count)
    listed = page.locator(".entry[open] .attacks").first.locator("input:visible")
    first = listed.nth(0)
    assert first.is_checked()
    first.focus()
    page.keyboard.press("Space")
    assert box.evaluate(count) == before - 1
    visible = listed.count()
    page.locator(".attacks button").first.click()
    assert listed.count() > visible
    assert [box.evaluate(f"(box) => box._fullLayout.{a}axis.type") for a in "xy"] == ["log", "log"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_enough_contrast(visit: Any, theme: str) -> None:
    page = visit("hostile", theme=theme)
    page.locator("details.entry summary").first.click()
    for selector in (".leakage", ".seeds", ".entry[open] .roc", ".entry[open] .histogram", ".entry[open] .curves"):
        drawn(page, selector)
    assert page.locator(".flag.found, td.found, .flag.bad, td.bad, td.best").count() > 5  # coloured text, too
    ratio, text, seen = page.evaluate(CONTRAST)
    assert ratio >= 4.5, text
    assert seen > 200


def test_the_switch_changes_the_theme_of_page_and_plots(visit: Any) -> None:
    page = visit()
    box = drawn(page, ".leakage")
    colors = "(box) => [getComputedStyle(document.body).backgroundColor, box._fullLayout.font.color]"
    light = box.evaluate(colors)
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.locator("#theme").get_attribute("aria-pressed") == "true"
    until(page, f"document.querySelector('.leakage')._fullLayout.font.color !== '{light[1]}'")
    assert box.evaluate(colors)[0] != light[0]
    page.emulate_media(color_scheme="dark")
    page.locator("#theme").click()
    until(page, f"document.querySelector('.leakage')._fullLayout.font.color === '{light[1]}'")
    assert box.evaluate(colors) == light


@pytest.mark.parametrize("width", [375, 1280])
def test_the_page_never_scrolls_sideways(visit: Any, width: int) -> None:
    page = visit("hostile", width=width)
    page.locator("details.entry summary").first.click()
    for selector in (".leakage", ".seeds", ".entry[open] .roc", ".entry[open] .histogram", ".entry[open] .curves"):
        drawn(page, selector)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(
        "[...document.querySelectorAll('.plot')].every((e) => e.getBoundingClientRect().right <= innerWidth)"
    )


def test_reduced_motion_is_honoured(visit: Any) -> None:
    smooth = "getComputedStyle(document.documentElement).scrollBehavior"
    assert visit(reduced_motion="reduce").evaluate(smooth) == "auto"
    assert visit(reduced_motion="no-preference").evaluate(smooth) == "smooth"


def test_sixty_entries_draw_only_what_is_looked_at(visit: Any) -> None:
    page = visit("many")
    assert page.locator("#table tbody tr").count() == 61 * 4
    assert page.locator("[data-drawn]").count() == 0
    page.locator("details.entry summary").last.click()
    drawn(page, ".entry[open] .roc")
    assert page.locator(".roc[data-drawn], .histogram[data-drawn], .curves[data-drawn]").count() <= 9


def test_without_scripts_the_table_verdicts_and_reasons_are_there(visit: Any) -> None:
    page = visit(java_script_enabled=False)
    assert page.locator("#table tbody tr").count() == 5 * 3
    assert "seed 45: raised ValueError" in page.locator("#verdicts").inner_text()
