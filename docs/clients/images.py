"""A program written for dall-e-2: draw, edit, vary. Only OPENAI_BASE_URL and OPENAI_API_KEY say where.

OPENAI_BASE_URL=http://localhost:7860/v1 OPENAI_API_KEY=none python docs/clients/images.py
"""

import base64
from pathlib import Path
from urllib.request import urlopen

from openai import OpenAI
from PIL import Image

client = OpenAI()

# Generations: an address each, as dall-e-2 answered.
drawn = client.images.generate(
    model="dall-e-2", prompt="a photo of a cat in the style of Van Gogh", n=2, size="256x256", user="user-123"
)
for number, image in enumerate(drawn.data):
    Path(f"cat-{number}.png").write_bytes(urlopen(image.url).read())
print("generations", len(drawn.data), drawn.size)

# Edits: the mask is transparent where the picture is repainted.
mask = Image.new("RGBA", Image.open("cat-0.png").size, (0, 0, 0, 255))
mask.paste((0, 0, 0, 0), (0, 0, mask.width, mask.height // 2))
mask.save("mask.png")
with Path("cat-0.png").open("rb") as picture, Path("mask.png").open("rb") as marked:
    edited = client.images.edit(
        model="dall-e-2",
        image=picture,
        mask=marked,
        prompt="a cat face",
        n=1,
        size="256x256",
        response_format="b64_json",
    )
Path("edited.png").write_bytes(base64.b64decode(edited.data[0].b64_json))
print("edits", len(edited.data), edited.size)

# Variations: the endpoint that no other server answers any more.
with Path("cat-1.png").open("rb") as picture:
    varied = client.images.create_variation(model="dall-e-2", image=picture, n=2, size="256x256")
for number, image in enumerate(varied.data):
    Path(f"variation-{number}.png").write_bytes(urlopen(image.url).read())
print("variations", len(varied.data), varied.size)
