"""HEIC on standard input, its RGB by the system's libheif on standard output, as NumPy writes it. A process of its own: the libheif of
pillow-heif's wheel and this one can't be in the same."""

import ctypes
import io
import sys

import numpy as np


class Answer(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("subcode", ctypes.c_int), ("message", ctypes.c_char_p)]


def decoded(data: bytes) -> np.ndarray:
    heif = ctypes.CDLL("libheif.so.1")
    for name in ("heif_context_read_from_memory_without_copy", "heif_context_get_primary_image_handle", "heif_decode_image"):
        getattr(heif, name).restype = Answer
    heif.heif_context_alloc.restype = ctypes.c_void_p
    heif.heif_image_get_plane_readonly.restype = ctypes.POINTER(ctypes.c_uint8)
    heif.heif_decoding_options_alloc.restype = ctypes.POINTER(ctypes.c_uint8)
    context, handle, image, stride = ctypes.c_void_p(heif.heif_context_alloc()), ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int()
    options = heif.heif_decoding_options_alloc()
    # convert_hdr_to_8bit, behind two bytes, four pointers and what aligns them.
    options[40] = 1
    colourspace_rgb, chroma_rgb24, interleaved = 1, 10, 10
    for answer in (
        heif.heif_context_read_from_memory_without_copy(context, data, ctypes.c_size_t(len(data)), None),
        heif.heif_context_get_primary_image_handle(context, ctypes.byref(handle)),
        heif.heif_decode_image(handle, ctypes.byref(image), colourspace_rgb, chroma_rgb24, options),
    ):
        assert answer.code == 0, answer.message
    width, height = (f(image, interleaved) for f in (heif.heif_image_get_width, heif.heif_image_get_height))
    plane = heif.heif_image_get_plane_readonly(image, interleaved, ctypes.byref(stride))
    rows = np.ctypeslib.as_array(plane, (height, stride.value))
    return rows[:, : width * 3].reshape(height, width, 3).copy()


if __name__ == "__main__":
    pixels = io.BytesIO()
    np.save(pixels, decoded(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(pixels.getvalue())
