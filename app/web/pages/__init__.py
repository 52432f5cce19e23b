"""Collect the data of the HTML pages and build their responses. Their views are in `app/web/routes/pages/`.

answers.py         renders a template to a response with security headers
navigation.py      the links of the top bar
console.py         the data of the console
administration.py  the common parts of the administration pages
board.py           the data of the board at /admin
refusals.py        Refusals: the latest refused requests, for the board
usage_figures.py   the data of the usage page
charts.py          lays out stacked bar charts, which a template draws
conversation.py    a conversation on a page without JavaScript
simulation.py      simulates errors for developers, by the header `X-Simulate`
"""
