"""Tells other systems of each settled entry: the site's webhook, and Stripe's meters.

The settlement itself writes a row for each system, in its own statement; see app/billing/ledger/sql_texts.py. The row is
deleted when the system has taken the entry, so that nothing is lost. What a killed process had sent is sent again, with
the same id, by which the system takes each entry once.

targets.py   Target: a system that is told
webhook.py   the site's own, by Standard Webhooks
stripe.py    Stripe's meter events
posting.py   sends a request within a time limit
queue.py     OutboxQueue: what is to be sent, and what was given up
delivery.py  sends what is due
"""
