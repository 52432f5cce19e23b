"""Content other than plain text: data URLs, images, PDF files, and Markdown rendered to HTML."""
