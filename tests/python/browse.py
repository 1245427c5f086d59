"""Uses the coordinator's page in Chromium as a person would.

    browse.py URL MANIFEST AUDIO_ROOT PICTURES

URL is the one that the coordinator logs, with its token. There must be a sealed data set `d`, a champion
of the model `age` trained by epochs, and one dead letter that no worker can read. The manifest becomes the
data set `e`. Pictures of every view go into the folder PICTURES. Fails on anything that the browser
complains of."""
import pathlib, re, sys

from playwright.sync_api import expect, sync_playwright

URL, MANIFEST, AUDIO_ROOT, PICTURES = sys.argv[1:]
PATIENCE_MS = 90_000
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
complaints = []
pictures = pathlib.Path(PICTURES)
expect.set_options(timeout=PATIENCE_MS)


def watched(context):
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


def picture(page, name):
    """A picture of a view, without what was said last."""
    close = page.get_by_role("button", name="Close the message")
    if close.is_visible():
        close.click()
    page.screenshot(path=pictures / f"{name}.png", full_page=True)


def shown(page, view, heading, name):
    """Goes to a view by its link, looks for its heading and takes a picture."""
    page.get_by_role("navigation").get_by_role("link", name=view).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    page.wait_for_timeout(700)
    picture(page, name)


def wide_enough(page):
    """Nothing is cut off: the page is no wider than the window."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    page = watched(context)
    page.goto(URL)
    assert "token" not in page.url, "the token stays in the address"

    # Submit a batch, and watch it finish.
    page.get_by_text("Submit a batch").click()
    page.get_by_label("Manifest").set_input_files(MANIFEST)
    page.get_by_label("Data set", exact=True).fill("e")
    page.get_by_label("Audio root").fill(AUDIO_ROOT)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("status").filter(has_text="e@1")).to_be_visible()
    page.get_by_role("table").first.get_by_role("link", name="e", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Data set e")
    expect(page.get_by_role("main")).to_contain_text("done, sealed")
    page.get_by_text("missing_audio").click()
    expect(page.get_by_role("main")).to_contain_text("nowhere.wav")
    picture(page, "dataset")
    shown(page, "Overview", "Overview", "overview")

    # Hand a dead letter out again: no worker can read it, so it comes back.
    shown(page, "Dead letters", "Dead letters", "dead")
    page.get_by_role("button", name=re.compile("^Requeue")).first.click()
    expect(page.get_by_role("status").filter(has_text="1 task handed out again")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Requeue")).first).to_be_visible()

    # Curves of a training, and the report of its model.
    shown(page, "Trainings", "Trainings", "trainings")
    page.get_by_role("table").first.get_by_role("link").first.click()
    expect(page.locator("svg[role=img]").first).to_be_visible()
    picture(page, "training")
    shown(page, "Models", "Models", "models")
    with context.expect_page() as opened:
        page.get_by_role("link", name=re.compile("[Rr]eport")).first.click(modifiers=["Control"])
    report = opened.value
    expect(report.get_by_role("heading", level=1)).to_contain_text("Model age")
    assert report.evaluate("getComputedStyle(document.body).maxWidth") == "1080px", "the report has no style"
    shown(page, "Schedules", "Schedules", "schedules")
    page.get_by_role("link", name="nightly").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Schedule nightly")
    page.wait_for_timeout(700)
    picture(page, "schedule")
    page.get_by_role("button", name=re.compile("Pause")).first.click()
    expect(page.get_by_role("main")).to_contain_text("paused")

    # By the keyboard alone: to a view, and back to its heading.
    page.goto(URL.split("#")[0])
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    context.close()

    # On a phone, in the dark.
    phone = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark", is_mobile=True)
    page = watched(phone)
    for view in ["", "datasets/e", "dead", "trainings", "models", "schedules"]:
        page.goto(f"{URL.split('#')[0]}#/{view}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.wait_for_timeout(700)
        wide_enough(page)
        picture(page, f"phone-{view.replace('/', '-') or 'overview'}")

    # Who does not know the token is asked for it.
    page.get_by_role("button", name=re.compile("Resume")).first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_label(re.compile("[Tt]oken")).fill(URL.split("token=")[1])
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_contain_text("active")
    browser.close()

# The answer 401 is what the page was waiting for.
complaints = [one for one in complaints if "401" not in one]
assert not complaints, complaints
print("the page works")
