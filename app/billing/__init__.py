"""What leaves the ledger for an invoice: exports, deliveries, and the comparison with OpenAI's own bill."""
