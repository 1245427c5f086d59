"""Checks an HTML page, check_page.py FILE: that every element is closed where it must be, that
no number is none, and that it needs nothing from elsewhere. Prints its headings as JSON."""
import html.parser, json, pathlib, sys

VOID = {"meta", "br", "img", "hr", "input", "link"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.headings, self.images = [], [], 0

    def handle_starttag(self, tag, attrs):
        assert tag not in {"script", "iframe", "link", "object"}, tag
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        for name, value in attrs:
            assert name not in {"href", "srcset"} and not name.startswith("on"), (tag, name)
            assert name != "src" or value.startswith("data:image/png;base64,"), value
            assert name == "src" or "NaN" not in (value or ""), (tag, name, value)
        if tag == "figure":
            assert "p" not in self.open, "a figure in a paragraph"
        if tag in {"h1", "h2"}:
            self.headings.append("")
        self.images += tag == "img"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert "svg" in self.open, tag
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open, self.getpos())
        self.open.pop()

    def handle_data(self, data):
        assert "NaN" not in data, data
        if self.open and self.open[-1] in {"h1", "h2"}:
            self.headings[-1] += data


text = pathlib.Path(sys.argv[1]).read_text()
assert text.startswith("<!DOCTYPE html>")
assert "url(" not in text and "@import" not in text
page = Page()
page.feed(text)
page.close()
assert not page.open, page.open
print(json.dumps({"headings": page.headings, "images": page.images}))
