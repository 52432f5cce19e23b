"""What is known of OpenAI's models.

families/      what each family accepts on which endpoint, and until when it is served
token_counts/  counts, bounds and estimates tokens
pricing/       turns a usage into micro-dollars
"""
