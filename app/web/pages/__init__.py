"""What stands behind the pages that people open, besides their views in `app/web/routes/pages/`.

answers.py      from a template to the response of a page, with the headers that guard it
navigation.py   the links of the top bar
"""
