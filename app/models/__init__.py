"""What is known of OpenAI's models.

families/      what each family accepts on which endpoint, and until when it is served
token_counts/  count, bound and estimate tokens
pricing/       from usage to micro-dollars
"""
