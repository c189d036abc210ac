"""The compiled kernels. Everything else about the build is in pyproject.toml.

``optional``: where no compiler is there, the package installs without them and the plain-Python twins do the work.
"""

from setuptools import Extension, setup

FLAGS = ["-O3", "-std=c11"]
PARTS = ("module", "line", "cells")
READS = ("", "_survey", "_places", "_waiting", "_bases", "_ties")

setup(
    ext_modules=[
        Extension(
            "deid.native._variants",
            sources=[f"deid/native/variants_{part}.c" for part in PARTS],
            depends=["deid/native/variants.h"],
            extra_compile_args=FLAGS,
            optional=True,
        ),
        Extension("deid.native._cram", sources=["deid/native/cram.c"], extra_compile_args=FLAGS, optional=True),
        Extension("deid.native._bgzf", sources=["deid/native/bgzf.c"], extra_compile_args=FLAGS, optional=True),
        Extension("deid.native._tables", sources=["deid/native/tables.c"], extra_compile_args=FLAGS, optional=True),
        Extension("deid.native._judging", sources=["deid/native/judging.c"], extra_compile_args=FLAGS, optional=True),
        Extension("deid.native._measure", sources=["deid/native/measure.c"], extra_compile_args=FLAGS, optional=True),
        Extension(
            "deid.native._reads",
            sources=[f"deid/native/reads{part}.c" for part in READS],
            depends=[f"deid/native/{name}.h" for name in ("names", "reads", "reads_places", "spans")],
            extra_compile_args=FLAGS,
            optional=True,
        ),
        Extension(
            "deid.native._fastq",
            sources=["deid/native/fastq.c"],
            depends=["deid/native/names.h"],
            extra_compile_args=FLAGS,
            optional=True,
        ),
    ]
)
