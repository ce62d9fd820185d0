"""Writes a few small inputs of each format for the fuzzers to begin with: a byte of options (see target.c) and files.

usage: make_seeds.py FOLDER
"""
import gzip
import io
import os
import sys

import h5py
import numpy as np
import scipy.io

MARK = b"\n#next file#\n"
LAST_IS_TEST, WITH_IDS, OTHER_WAY, SHUFFLED = 1, 2, 4, 8
N = 6


def put(name, options, *files):
    folder = os.path.join(sys.argv[1], name.split("-")[0])
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(bytes([options]) + MARK.join(files))


def saved(write, *args, **how):
    data = io.BytesIO()
    write(data, *args, **how)
    return data.getvalue()


def idx(magic, shape, values):
    return b"\0\0\x08" + bytes([magic]) + np.array(shape, ">i4").tobytes() + bytes(values)


images, labels = idx(3, (N, 2, 3), range(6 * N)), idx(1, (N,), [0, 1, 2, 1, 0, 2])
put("idx-two", 0, images, labels)
put("idx-four", LAST_IS_TEST | SHUFFLED, images, labels, gzip.compress(images, mtime=0), labels)
record = bytes([3]) + bytes(range(256)) * 12
put("cifar10-one", 0, record * 3)
put("cifar10-two", LAST_IS_TEST, record, record)
put("cifar100-one", OTHER_WAY | SHUFFLED, (b"\x13" + record) * 3)
x = (np.arange(32 * 32 * 3 * 4) % 7).astype(np.uint8).reshape(32, 32, 3, 4)
for compressed in (False, True):
    mat = saved(scipy.io.savemat, {"X": x, "y": np.array([[1], [2], [10], [4]])}, do_compression=compressed)
    put(f"svhn-{compressed}", 0, mat)
put("purchase-one", 0, b'"1",0,1\n2,1,1\r\n\n3,0,0\n1,1,0')
put("purchase-two", SHUFFLED, b"0,1\n1.0,1\n0,0\n", b"1\n2\n1\n")
put("csv-plain", WITH_IDS, b'id,a,"b ""c""",label\n1,2.5,-3e-2,x\n2,.5,1e30,"y, z"\n-7,1,2,x\n')
put("csv-test", LAST_IS_TEST, b"\xef\xbb\xbfa,label\r\n1,7\r\n 2 ,8\r\n", gzip.compress(b"a,label\n1234567890123456,7\n", mtime=0))
y = np.arange(N) % 3
for kind in ("|b1", "|u1", "<i2", ">i8", "<u8", "<f2", ">f4", "<f8"):
    table = (np.arange(2 * N).reshape(N, 2) % 2).astype(kind)
    put(f"numpy-{kind[1:]}", 0, saved(np.save, table), saved(np.save, y.astype("<i4")))
put("numpy-columns", SHUFFLED, saved(np.save, np.asfortranarray(np.ones((N, 2, 3), ">u2"))), saved(np.save, y))
put("numpy-stored", WITH_IDS, saved(np.savez, x=np.ones((N, 1, 2, 3), np.uint8), y=y, id=y + 10 * np.arange(N)))
put("numpy-deflated", OTHER_WAY, saved(np.savez_compressed, x=np.asfortranarray(np.ones((N, 2, 2, 3))), y=y))


def h5(name, options, libver="earliest", **arrays):
    file = io.BytesIO()
    with h5py.File(file, "w", libver=libver) as f:
        for path, (value, how) in arrays.items():
            f.create_dataset(path, data=value, track_times=False, **how)
    put(f"hdf5-{name}", options, file.getvalue())


ids = np.arange(N)
h5("plain", WITH_IDS, x=(np.ones((N, 3), np.float32), {}), y=(y, {}), id=(ids, {}))
h5("latest", SHUFFLED, "latest", y=(y.astype(">i2"), {}),
   x=(np.ones((N, 2, 2), np.uint8), {"chunks": (4, 2, 2), "compression": "gzip", "fletcher32": True}))
h5("last", OTHER_WAY, x=(np.ones((N, 2, 2, 3), ">f8"), {"chunks": (1, 2, 2, 3)}), y=(y.reshape(N, 1).astype(np.uint8), {}))
h5("bool", WITH_IDS | SHUFFLED, x=(np.ones((N, 3), bool), {"maxshape": (None, 3)}), y=(y.astype(np.float64), {}), id=(ids[::-1], {}))
h5("i1", 0, x=(-np.ones((N, 1), np.int8), {}), y=(y.astype("<u8"), {}))
h5("text", 0, x=(np.full((N, 3), b"one"), {}), y=(y, {}))
h5("pairs", 0, x=(np.zeros(N, "i4,f4"), {}), y=(y, {}))
h5("twice", WITH_IDS, x=(np.ones((N, 3), np.float16), {}), y=(y, {}), id=(ids // 2, {}))
h5("nan", 0, x=(np.full((N, 3), np.nan), {}), y=(y - 1, {}))
