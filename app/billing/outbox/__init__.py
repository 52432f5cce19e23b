"""A transactional outbox: sends each settled entry to the site's webhook and to Stripe's meters, at least once.

The settlement writes a row for each target in the same statement; see app/billing/ledger/sql_texts.py. The row is
deleted when the target has accepted the entry, so no entry is lost. Entries that a killed process had sent are sent
again with the same id, by which the target recognizes duplicates.

targets.py   Target: a system that entries are sent to
webhook.py   the site's webhook, by Standard Webhooks
stripe.py    Stripe's meter events
posting.py   sends a request within a time limit
queue.py     OutboxQueue: the entries to send, and those that were given up
delivery.py  sends the entries that are due
"""
