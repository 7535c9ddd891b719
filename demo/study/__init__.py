"""A page that asks people about fixed pairs of pictures: `python app.py --study FOLDER`, without any checkpoint."""
