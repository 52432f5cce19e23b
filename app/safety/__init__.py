"""Users as the upstream knows them.

pseudonyms   Pseudonyms: the keyed hashes that are sent instead of names and addresses
signatures   checks that a webhook is the upstream's
deliveries   Deliveries: takes each webhook once, over all workers
events       SafetyEvents: finds the user of a report, revokes their tokens, and lists the reports
reported_users   ReportedUsers: ends the running calls of those users, on all workers
tables       the table of reports
sealed_reasoning   ReasoningSeals: what a model reasoned, as a text that a page can neither read nor make
"""
