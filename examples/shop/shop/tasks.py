"""The shop's work in the background: pictures, pages, invoices, prices and orders."""

import hashlib
import json
import os
from decimal import Decimal
from html.parser import HTMLParser
from io import BytesIO
from random import Random
from string import Template
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from celery import group
from PIL import Image

from shop.celery import app

SITE = os.environ.get("SHOP_SITE", "http://127.0.0.1:8090")
TIMEOUT_S = 10
BUSY = 503

PHOTO_SIZE = (640, 480)
CENT = Decimal("0.01")
VAT = Decimal("0.19")
ARTICLES = ("kettle", "teapot", "cup", "saucer", "spoon", "tray")

LINE = Template("<tr><td>$position</td><td>$article</td><td>$amount</td><td>$price</td><td>$total</td></tr>")
INVOICE = Template(
    "<html><h1>Invoice $number</h1><table>$lines</table>"
    "<p>Net $net</p><p>VAT $vat</p><p><b>To pay $gross</b></p></html>"
)


class SiteBusyError(Exception):
    """The site is busy; a retry helps."""


class LinkCounter(HTMLParser):
    """Counts the links of a page."""

    def __init__(self):
        super().__init__()
        self.links = 0

    def handle_starttag(self, tag, attrs):
        """Count a link's tag."""
        self.links += tag == "a" and "href" in dict(attrs)


@app.task
def thumbnail(seed, width):
    """Make a small JPEG of a photo, and return how many bytes it has."""
    photo = Image.frombytes("RGB", PHOTO_SIZE, Random(seed).randbytes(PHOTO_SIZE[0] * PHOTO_SIZE[1] * 3))  # noqa: S311
    small = photo.resize((width, width * PHOTO_SIZE[1] // PHOTO_SIZE[0]), Image.Resampling.LANCZOS)
    encoded = BytesIO()
    small.save(encoded, "JPEG", quality=85)
    return encoded.tell()


@app.task
def read_page(path):
    """Fetch a page, and return how many links it has."""
    counter = LinkCounter()
    counter.feed(fetch(path).decode())
    return counter.links


@app.task
def invoice(number, lines):
    """Write an invoice with a number of lines, and return the hash that it is filed under."""
    net = Decimal(0)
    rows = []
    for position in range(1, lines + 1):
        article = ARTICLES[(number + position) % len(ARTICLES)]
        amount = 1 + (number * position) % 9
        price = Decimal(199 + (number * 37 + position * 53) % 5000) / 100
        net += amount * price
        rows.append(
            LINE.substitute(position=position, article=article, amount=amount, price=price, total=amount * price)
        )
    vat = (net * VAT).quantize(CENT)
    text = INVOICE.substitute(number=number, lines="".join(rows), net=net, vat=vat, gross=net + vat)
    return hashlib.sha256(text.encode()).hexdigest()


@app.task(bind=True, autoretry_for=(SiteBusyError,), default_retry_delay=0.02, max_retries=5)
def price(self, article):
    """Ask the site for an article's price, again if it is busy, and return the price in cents."""
    answer = json.loads(fetch(f"/prices/{article}", attempt=self.request.retries))
    return answer["cents"]


@app.task
def order(number):
    """Take an order: the invoice and the price check are jobs of their own."""
    article = ARTICLES[number % len(ARTICLES)]
    group(invoice.s(number, 20), price.s(article)).delay()
    thumbnail.delay(number, 120)
    return number


def fetch(path, attempt=0):
    """Return the site's answer; raise `SiteBusyError` if it is busy."""
    request = Request(SITE + path, headers={"X-Attempt": str(attempt)})  # noqa: S310 - the shop's own site
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            return response.read()
    except HTTPError as error:
        if error.code == BUSY:
            raise SiteBusyError(path) from None
        raise
