"""What stands behind the pages that people open, besides their views in `app/web/routes/pages/`.

answers.py         from a template to the response of a page, with the headers that guard it
navigation.py      the links of the top bar
console.py         what the console shows of this server
administration.py  what all pages of administration have
board.py           what the board of /admin shows
refusals.py        the last requests that were refused, for the board
usage_figures.py   what the page of usage shows
charts.py          stacked bars, which a template draws
conversation.py    a conversation on a page without scripts
simulation.py      what goes wrong, for a developer's page that asks for it by `X-Simulate`
"""
