"""The pictures of a form, as bytes."""

from starlette.datastructures import UploadFile

from dalle2.serving.api.problems import Problem
from dalle2.serving.api.schemas import Files
from dalle2.serving.limits import MAX_UPLOAD_BYTES


async def pictures(body: Files) -> list[bytes]:
    """Return the bytes of all pictures, in the order in which they were sent."""
    return [await read(upload, "image") for upload in body.uploads]


async def read(upload: UploadFile, param: str) -> bytes:
    """Return the upload's bytes; Problem for one that is too large, before it is read."""
    if (upload.size or 0) > MAX_UPLOAD_BYTES:
        sentence = f"The picture's file is larger than {MAX_UPLOAD_BYTES // 1_000_000} MB: make it smaller."
        raise Problem(413, sentence, param=param)
    return await upload.read()
