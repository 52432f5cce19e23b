"""Pseudonyms of users for the upstream, its reports about users, and sealed reasoning.

pseudonyms   Pseudonyms: the keyed hashes that are sent instead of names and addresses
signatures   verifies that the upstream signed a webhook
deliveries   Deliveries: ensures that each webhook is processed once, over all workers
events       SafetyEvents: finds the user of a report, revokes their tokens, and lists the reports
reported_users   ReportedUsers: ends the running calls of reported users, on all workers
tables       the table of reports
sealed_reasoning   ReasoningSeals: encrypts a model's reasoning, so that a page can neither read nor forge it
"""
