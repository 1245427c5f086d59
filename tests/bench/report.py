#!/usr/bin/env python3
"""The report of the default model, as docs/models.md shows it: report.html, and report.png by Chromium.

    report.py VOXAGE WORK DOCS

WORK is that of models.py, which must have measured `gp + embedding`. Recordings at the report's end, which are
not this project's, are left out."""
import json, pathlib, re, subprocess, sys, tempfile

from playwright.sync_api import sync_playwright

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def main():
    voxage, root, docs = sys.argv[1], pathlib.Path(sys.argv[2]) / "root", pathlib.Path(sys.argv[3])

    def call(*args):
        done = subprocess.run([voxage, *args, "--root", root, "--json"], check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    study = call("evaluate", "--dataset", "both-e", "--cv", "5", "--architecture", "gp")["findings"]["study"]
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / "report.html"
        call("report", study, "--out", page)
        sounds = re.compile("<h2>The worst recordings</h2>.*?(?=<h2>What may have leaked</h2>)", re.DOTALL)
        text, cuts = sounds.subn("", page.read_text())
    assert cuts == 1
    (docs / "report.html").write_text(text)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        page = browser.new_page(viewport={"width": 1100, "height": 900}, color_scheme="light")
        page.goto((docs / "report.html").resolve().as_uri())
        page.screenshot(path=docs / "report.png", full_page=True)


main()
