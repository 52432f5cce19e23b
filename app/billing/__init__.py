"""The ledger, and what leaves it for invoices: exports, deliveries, and the comparison with OpenAI's own figures.

ledger/          one row for each request: hold, settle, sweep and report
exports/         totals in the formats of other programs
outbox/          sends settled entries to the site's webhook and to Stripe
reconciliation/  compares the ledger's days with OpenAI's usage and costs
"""
