# SPDX-License-Identifier: Apache-2.0
"""libassay for the scripts of this repository: one model, one session, through
the public C interface (include/assay.h) by ctypes. Not a binding for users."""
import ctypes
import pathlib


class Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("where", ctypes.c_char * 256),
                ("message", ctypes.c_char * 512)]


class Score(ctypes.Structure):
    _fields_ = [("logit", ctypes.c_float), ("probability", ctypes.c_float),
                ("tokens", ctypes.c_uint32), ("truncated", ctypes.c_bool),
                ("status", ctypes.c_int)]


class SessionOptions(ctypes.Structure):
    _fields_ = [("threads", ctypes.c_uint32), ("max_tokens", ctypes.c_uint32),
                ("role", ctypes.c_int)]


ROLES = {None: 0, "query": 1, "document": 2}


FP32 = 1  # of assay_precision


class Assay:
    """One model, one session, through the public C interface; at fp32, as that is
    what other implementations are compared with."""

    def __init__(self, build, folder, role=None, precision=FP32):
        self.lib = ctypes.CDLL(str(build / "libassay.so"))
        self.error = Error()
        model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        options = ctypes.c_int(precision)  # all that assay_model_options has
        self.check(self.lib.assay_model_open(str(folder).encode(), ctypes.byref(options),
                                             ctypes.byref(model), ctypes.byref(self.error)))
        options = SessionOptions(role=ROLES[role])
        self.check(self.lib.assay_session_open(model, ctypes.byref(options),
                                               ctypes.byref(self.session),
                                               ctypes.byref(self.error)))

    def check(self, status):
        if status != 0:
            raise RuntimeError(f"{self.error.where.decode()}: {self.error.message.decode()}")

    @staticmethod
    def texts(strings):
        encoded = [s.encode("utf-8", "surrogatepass") for s in strings]
        return (Text * len(encoded))(*[Text(e, len(e)) for e in encoded])

    def rerank(self, query, passages):
        scores = (Score * len(passages))()
        self.check(self.lib.assay_rerank(self.session, self.texts([query])[0],
                                         self.texts(passages), ctypes.c_size_t(len(passages)),
                                         scores, ctypes.byref(self.error)))
        return [s.logit for s in scores]

    def embed(self, strings, dimensions):
        vectors = (ctypes.c_float * (dimensions * len(strings)))()
        self.check(self.lib.assay_embed(self.session, self.texts(strings),
                                        ctypes.c_size_t(len(strings)), vectors, None,
                                        ctypes.byref(self.error)))
        return vectors
