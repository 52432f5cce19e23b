"""What comes in and goes out beside text: data URLs, images, PDF files, and Markdown made into HTML."""
