#!/usr/bin/env bash
# A program written for dall-e-2: draw, edit, vary. Only OPENAI_BASE_URL and OPENAI_API_KEY say where.
#
# OPENAI_BASE_URL=http://localhost:7860/v1 OPENAI_API_KEY=none bash docs/clients/images.sh mask.png
set -euo pipefail
mask=$1

ask() { curl -sS --fail-with-body -H "Authorization: Bearer $OPENAI_API_KEY" "$@"; }
first_url() { grep -o '"url":"[^"]*"' | head -n 1 | cut -d '"' -f 4; }

url=$(ask "$OPENAI_BASE_URL/images/generations" -H "Content-Type: application/json" \
    -d '{"model": "dall-e-2", "prompt": "a photo of a cat in the style of Van Gogh", "n": 2, "size": "256x256"}' | first_url)
curl -sS --fail "$url" -o cat-0.png
echo "generations"

url=$(ask "$OPENAI_BASE_URL/images/edits" -F model=dall-e-2 -F image=@cat-0.png -F mask=@"$mask" \
    -F prompt="a cat face" -F n=1 -F size=256x256 | first_url)
curl -sS --fail "$url" -o edited.png
echo "edits"

url=$(ask "$OPENAI_BASE_URL/images/variations" -F model=dall-e-2 -F image=@cat-0.png -F n=2 -F size=256x256 | first_url)
curl -sS --fail "$url" -o variation-0.png
echo "variations"
