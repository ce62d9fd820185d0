"""Writes sources of every format by independent libraries, imports them, and compares what h5py reads.

usage: import_formats.py IAU, in an empty folder
One line a check: `ok ...` or `FAIL ...`.
"""
import csv
import gzip
import io
import subprocess
import sys

import h5py
import numpy as np
import scipy.io

IAU = sys.argv[1]
rng = np.random.default_rng(7)


def check(name, passed, detail=""):
    print("ok" if passed else "FAIL", name, "" if passed else detail)


def run(*args):
    return subprocess.run([IAU, "-q", "import", *map(str, args), "--out", "out.h5", "--force"],
                          capture_output=True, text=True, check=False)


def compare(title, args, train, test, class_names=None, **attributes):
    """train and test: (x, y, id); id None: by row."""
    done = run(*args)
    if done.returncode:
        check(title, False, done.stderr)
        return
    with h5py.File("out.h5") as f:
        wrong = []
        start = 0
        for part, (x, y, ids) in (("train", train), ("test", test)):
            ids = np.arange(start, start + len(y)) if ids is None else ids
            start += len(y)
            for key, want in (("x", x), ("y", y), ("id", ids)):
                got = f[part][key][()]
                if got.shape != np.shape(want) or not np.array_equal(got, want):
                    wrong.append(f"{part}/{key}")
            if f[part]["x"].dtype != np.asarray(x).dtype:
                wrong.append(f"{part}/x is {f[part]['x'].dtype}")
        names = [n.decode() if isinstance(n, bytes) else n for n in f.attrs["class_names"]]
        if class_names is not None and names != list(class_names):
            wrong.append(f"class names {names}")
        if len(names) != f.attrs["classes"]:
            wrong.append("classes")
        unit = 255 if f["train/x"].dtype == np.uint8 and f["train/x"].ndim == 4 else 1
        axes = (0, 2, 3) if f["train/x"].ndim == 4 else 0
        x = np.asarray(train[0], np.float64)
        if not np.allclose(f.attrs["mean"], x.mean(axes) / unit, atol=1e-5 * np.abs(x).max()):
            wrong.append("mean")
        if not np.allclose(f.attrs["std"], x.std(axes) / unit, atol=1e-4 * np.abs(x).max()):
            wrong.append("std")
        for key, want in attributes.items():
            if f.attrs[key].decode() != want:
                wrong.append(f"{key} {f.attrs[key]}")
    check(title, not wrong, wrong)


def refuse(name, code, text, *args):
    done = run(*args)
    check(name, done.returncode == code and text in done.stderr and done.stderr.count("\n") == 1,
          f"{done.returncode} {done.stderr}")


def draw(n, fraction, seed):
    """Rows of the training and the test part, by numpy's legacy shuffle."""
    order = np.arange(n)
    np.random.RandomState(seed).shuffle(order)
    n_test = int(n * fraction)
    return np.sort(order[:n - n_test]), np.sort(order[n - n_test:])


def put(path, data):
    with open(path, "wb") as f:
        f.write(data)


# --- CSV

def write_csv(path, header, rows, opener=open, **options):
    text = io.StringIO(newline="")
    csv.writer(text, **options).writerows([header, *rows])
    with opener(path, "wb") as f:
        f.write(text.getvalue().encode())


def csv_formats():
    n, d = 57, 4
    x = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-30, 30, (n, d))
    species = np.array(["setosa", "versicolor, the blue", 'virginica "big"\nnew line'])
    kind = rng.integers(0, 3, n)
    kind[:3] = 0, 1, 2
    ids = rng.permutation(10**12 + 3 * np.arange(n))
    ids[0] = -9223372036854775808
    header = ["a", "the species", "b, c", "key", "d", 'e "f"']
    rows = [[repr(v[0]), species[k], repr(v[1]), i, repr(v[2]), repr(v[3])]
            for v, k, i in zip(x, kind, ids)]
    want = x.astype(np.float32)
    train, test = draw(n, 0.3, 5)
    drawn = ((want[train], kind[train], ids[train]), (want[test], kind[test], ids[test]))
    options = ["--y", "the species", "--id", "key", "--test-fraction", 0.3, "--test-seed", 5]
    for name, how in {"as csv writes them (CRLF)": {}, "with LF": {"lineterminator": "\n"},
                      "all in quotes": {"quoting": csv.QUOTE_ALL}}.items():
        write_csv("t.csv", header, rows, **how)
        compare(f"csv: {name}", ["csv", "t.csv", *options], *drawn, class_names=sorted(species), name="t")
    write_csv("t.csv.gz", header, rows, gzip.open)
    compare("csv: gzip", ["csv", "t.csv.gz", *options], *drawn, name="t")
    data = open("t.csv", "rb").read()
    put("t.csv", b"\xef\xbb\xbf" + data.rstrip(b"\r\n"))
    compare("csv: a mark in front, no newline at the end", ["csv", "t.csv", *options], *drawn)
    put("t.csv", data.replace(b"\r\n", b"\r\n\r\n").replace(b",", b" ,\t "))
    compare("csv: blanks around fields, empty lines", ["csv", "t.csv", *options], *drawn)
    order = np.arange(len(train))
    np.random.RandomState(3).shuffle(order)
    rows_at = train[order]
    write_csv("t.csv", header, rows)
    compare("csv: shuffled", ["csv", "t.csv", *options, "--shuffle", 3],
            (want[rows_at], kind[rows_at], ids[rows_at]), drawn[1])
    numbers = rng.choice([-2, 3, 10, 700], n)
    numbers[:4] = 700, -2, 3, 10
    parts = np.split(np.arange(n), [20, 41])
    for k, rows_of in enumerate(parts):
        write_csv(f"part{k}.csv", ["label", "x"], [[numbers[i], repr(x[i, 0])] for i in rows_of])
    classes = np.searchsorted([-2, 3, 10, 700], numbers)
    compare("csv: several files, numbers as labels", ["csv", "part0.csv", "part1.csv", "--test-files", "part2.csv"],
            (want[:41, :1], classes[:41], None), (want[41:, :1], classes[41:], None),
            class_names=["-2", "3", "10", "700"])
    exact = ["0", "-0", "1", "007", "0.1", ".5", "5.", "-1e-3", "1E5", "+2", "123456789012345", "1234567890123456789",
             "3.4028234e38", "1e-45", "0.30000000000000004", "16777217", "1e-400", "9.999999999999999e22"]
    write_csv("t.csv", ["x", "label"], [[v, i % 2] for i, v in enumerate(exact)])
    compare("csv: numbers of all kinds", ["csv", "t.csv", "--test-files", "t.csv"],
            *2 * [(np.array([[np.float32(float(v))] for v in exact]), np.arange(len(exact)) % 2, None)])


# --- Purchase100 and its relatives

def purchase_formats():
    n, d = 83, 37
    x = rng.integers(0, 2, (n, d)).astype(np.uint8)
    y = rng.integers(1, 12, n)
    y[0] = 11
    train, test = draw(n, 0.25, 1)
    drawn = ((x[train], y[train] - 1, train), (x[test], y[test] - 1, test))
    lines = [",".join(map(str, row)) for row in x]
    options = ["--test-fraction", 0.25]
    for name, label in {"Purchase100": "{}", "Location": '"{}"'}.items():
        put("dataset", "".join(f"{label.format(k)},{line}\n" for k, line in zip(y, lines)).encode())
        compare(f"purchase: {name}", ["purchase", "dataset", *options], *drawn, name="dataset")
    put("feats", "\r\n".join(lines).encode())
    put("labels", "\n".join(map(str, y)).encode())
    compare("purchase: Texas100", ["purchase", "feats", "labels", *options, "--name", "texas"], *drawn, name="texas")
    np.savetxt("feats.gz", x, delimiter=",")
    np.savetxt("labels.gz", y, fmt="%d")
    compare("purchase: as savetxt writes, gzip", ["purchase", "feats.gz", "labels.gz", "--test-files", "feats",
                                                  "--test-files", "labels"],
            *2 * [(x, y - 1, None)])


# --- CIFAR and IDX

def binary_formats():
    n = 23
    x = rng.integers(0, 256, (n, 3, 32, 32)).astype(np.uint8)
    fine = rng.integers(0, 100, n).astype(np.uint8)
    coarse = rng.integers(0, 20, n).astype(np.uint8)
    record = np.concatenate([coarse[:, None], fine[:, None], x.reshape(n, -1)], axis=1)
    put("train.bin", record[:17].tobytes())
    put("test.bin", record[17:].tobytes())
    for name, y in (("fine", fine), ("coarse", coarse)):
        compare(f"cifar100: {name} labels", ["cifar100", ".", "--labels", name],
                (x[:17], y[:17], None), (x[17:], y[17:], None), name="cifar100")
    with h5py.File("out.h5") as f:
        check("cifar100: class names", f.attrs["class_names"][19] == b"vehicles_2" and f.attrs["classes"] == 20)
    y = (fine % 10).astype(np.uint8)
    record = np.concatenate([y[:, None], x.reshape(n, -1)], axis=1)
    for k, rows in enumerate(np.split(record, [5, 9, 20])):
        put(f"b{k}.bin", rows.tobytes())
    train, test = draw(n, 0.2, 4)
    compare("cifar10: a test part drawn from all batches",
            ["cifar10", "b0.bin", "b1.bin", "b2.bin", "b3.bin", "--test-fraction", 0.2, "--test-seed", 4],
            (x[train], y[train], train), (x[test], y[test], test))
    put("images", b"\0\0\x08\x03" + np.array([n, 32, 32], ">i4").tobytes() + x[:, 0].tobytes())
    put("labels", b"\0\0\x08\x01" + np.array([n], ">i4").tobytes() + (fine % 62).tobytes())
    most = int((fine[train] % 62).max())
    inside = fine % 62 <= most  # a test label that training does not know is refused
    if inside.all():
        compare("idx: 62 classes, a test part drawn",
                ["idx", "images", "labels", "--test-fraction", 0.2, "--test-seed", 4],
                (x[train, :1], fine[train] % 62, train), (x[test, :1], fine[test] % 62, test))


# --- SVHN

def svhn_formats():
    def make(name, n, label_type, **how):
        x = rng.integers(0, 256, (32, 32, 3, n)).astype(np.uint8)
        y = rng.integers(1, 11, (n, 1)).astype(label_type)
        y[0] = 10
        scipy.io.savemat(f"{name}_32x32.mat", {"X": x, "y": y}, **how)
        return x.transpose(3, 2, 0, 1), (y[:, 0] % 10).astype(int)

    (x, y), (tx, ty) = make("train", 31, np.uint8, do_compression=True), make("test", 9, np.float64)
    ex, ey = make("extra", 14, np.int16, do_compression=True)
    compare("svhn: train and test", ["svhn", "."], (x, y, None), (tx, ty, None), name="svhn",
            class_names=map(str, range(10)))
    compare("svhn: with the extra part", ["svhn", ".", "--extra"],
            (np.concatenate([x, ex]), np.concatenate([y, ey]), None), (tx, ty, None))
    train, test = draw(31, 0.5, 2)
    compare("svhn: a test part drawn", ["svhn", "train_32x32.mat", "--test-fraction", 0.5, "--test-seed", 2],
            (x[train], y[train], train), (x[test], y[test], test))
    make("train", 1, np.uint8)
    make("big", 3, np.uint8)
    x = rng.integers(0, 256, (3, 3, 32, 32)).astype(np.uint8)
    with h5py.File("hdf5.mat", "w", userblock_size=512) as f:  # level 7.3, the extents the other way round
        for key, value, kind in (("X", x.transpose(0, 1, 3, 2), b"uint8"), ("y", np.array([[10.0, 3, 1]]), b"double")):
            data = f.create_dataset(key, data=value)
            text = h5py.h5t.C_S1.copy()  # as MATLAB writes it: ended by NUL, and without room for it
            text.set_size(len(kind))
            space = h5py.h5s.create(h5py.h5s.SCALAR)
            h5py.h5a.create(data.id, b"MATLAB_class", text, space).write(np.array(kind), mtype=text)
    with open("hdf5.mat", "r+b") as f:
        f.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + b"\0" * 8 + b"\x00\x02IM")
    compare("svhn: level 7.3", ["svhn", "hdf5.mat", "test_32x32.mat"],
            (x, [0, 3, 1], None), (tx, ty, None))
    scipy.io.savemat("wrong.mat", {"X": np.zeros((32, 32, 3, 4)), "y": np.ones((4, 1))})
    refuse("svhn: samples of another type", 1, "X is not uint8 of 32 x 32 x 3 x N", "svhn", "wrong.mat", "test_32x32.mat")
    scipy.io.savemat("wrong.mat", {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.ones((3, 1))})
    refuse("svhn: fewer labels", 1, "has 4 images in X and 3 labels in y", "svhn", "wrong.mat", "test_32x32.mat")
    scipy.io.savemat("wrong.mat", {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.array([1, 2, 11, 4])})
    refuse("svhn: a label outside", 1, "wrong.mat: label 11 in row 2 is not in 1..10", "svhn", "wrong.mat", "test_32x32.mat")
    scipy.io.savemat("wrong.mat", {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.array([1, 2, 1.5, 4])})
    refuse("svhn: a label between", 1, "label 1.5 in row 2", "svhn", "wrong.mat", "test_32x32.mat")
    scipy.io.savemat("wrong.mat", {"Z": np.zeros((32, 32, 3, 4), np.uint8)})
    refuse("svhn: no X", 1, "wrong.mat has no array 'X'", "svhn", "wrong.mat", "test_32x32.mat")
    scipy.io.savemat("wrong.mat", {"X": "text", "y": 1})
    refuse("svhn: X is text", 1, "'X' is no array of real numbers", "svhn", "wrong.mat", "test_32x32.mat")


# --- NumPy

def numpy_formats():
    n = 21
    y = rng.integers(0, 6, n)
    y[0] = 5
    ids = rng.permutation(10**15 + np.arange(n))

    def parts(x, y=y, k=15):
        return (x[:k], y[:k], None), (x[k:], y[k:], None)

    for kind in ("b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"):
        for order in "<>":
            dtype = np.dtype(kind).newbyteorder(order)
            x = (rng.normal(size=(n, 5)) * 50 if kind[0] == "f" else rng.integers(0 if kind[0] == "u" else -90, 90, (n, 5)))
            x = (x > 0 if kind == "b1" else x).astype(dtype)
            want = x.astype(np.uint8 if kind in ("b1", "u1") else np.float32)
            for fortran in (False, True):
                x = np.asfortranarray(x) if fortran else x
                for part, rows in (("train", slice(0, 15)), ("test", slice(15, n))):
                    np.save(f"x_{part}.npy", x[rows].copy(order="F" if fortran else "C"))
                    np.save(f"y_{part}.npy", y[rows].astype(dtype if kind not in ("b1",) else "u1"))
                compare(f"numpy: {order}{kind} in {'Fortran' if fortran else 'C'} order",
                        ["numpy", "x_train.npy", "y_train.npy", "--test-files", "x_test.npy", "--test-files", "y_test.npy"],
                        *parts(want))
    images = rng.integers(0, 256, (n, 3, 6, 4)).astype(np.uint8)
    for order in "CF":
        for version in ((1, 0), (2, 0), (3, 0)):
            with open("x.npy", "wb") as f:
                np.lib.format.write_array(f, images.copy(order=order), version=version)
            np.save("y.npy", y.reshape(n, 1))
            np.save("id.npy", ids)
            train, test = draw(n, 0.3, 1)
            compare(f"numpy: images, ids, version {version[0]}, {order}",
                    ["numpy", "x.npy", "y.npy", "--id", "id.npy", "--test-fraction", 0.3],
                    (images[train], y[train], ids[train]), (images[test], y[test], ids[test]))
    with gzip.open("x.npy.gz", "wb") as f:
        np.save(f, np.asfortranarray(images[:, 0].astype(float)))
    np.save("y.npy", y.astype(float))
    compare("numpy: gzip, grey images, Fortran order", ["numpy", "x.npy.gz", "y.npy", "--test-files", "x.npy.gz",
                                                        "--test-files", "y.npy"],
            *2 * [(images[:, :1].astype(np.float32), y, None)])
    last = images.transpose(0, 2, 3, 1)
    for name, save in (("stored", np.savez), ("deflated", np.savez_compressed)):
        save("keras.npz", x_train=last[:15], y_train=y[:15, None].astype(np.uint8), x_test=last[15:], y_test=y[15:])
        compare(f"numpy: an archive as Keras makes it, {name}",
                ["numpy", "keras.npz", "--x", "x_train", "--y", "y_train", "--test-x", "x_test", "--test-y", "y_test",
                 "--layout", "hwc"], *parts(images), name="keras")
        save("plain.npz", x=np.asfortranarray(images.astype(np.float64)), y=y, key=ids)
        compare(f"numpy: an archive in Fortran order with ids, {name}",
                ["numpy", "plain.npz", "--id", "key", "--test-fraction", 0.3],
                (images[train].astype(np.float32), y[train], ids[train]),
                (images[test].astype(np.float32), y[test], ids[test]))
    args = ["numpy", "x.npy", "y.npy", "--test-fraction", 0.3]
    for name, bad, text in (("complex numbers", np.ones((n, 2), complex), "its type is <c16"),
                            ("text", np.full((n, 2), "ab"), "its type is <U2"),
                            ("records", np.zeros((n, 2), [("a", int)]), "its type is structured"),
                            ("one extent", np.ones(n), "has 1 extents"),
                            ("five extents", np.ones((n, 1, 1, 1, 1)), "has 5 extents"),
                            ("no rows", np.ones((0, 3)), "x.npy is empty"),
                            ("too few rows", np.ones((n - 1, 3)), "y.npy has 21 rows, x.npy has 20"),
                            ("NaN", np.where(np.arange(3 * n).reshape(n, 3) == 31, np.nan, 1),
                             "value 1 in row 10 of the training part is not a finite number"),
                            ("too large for float32", np.where(np.arange(3 * n).reshape(n, 3) == 31, 1e39, 1),
                             "value 1 in row 10 of the training part is not a finite number")):
        np.save("x.npy", bad)
        refuse(f"numpy: {name}", 1, text, *args)
    np.save("x.npy", np.ones((n, 3)))
    for name, bad, text in (("labels below 0", y - 1, "y.npy: label -1 in row "), ("labels between", y + 0.5, "label 5.5 in row 0"),
                            ("labels in two columns", np.ones((n, 2)), "has 2 values a row"),
                            ("too many classes", y + 10**6, "label 1000005 in row 0 is not in 0..65535")):
        np.save("y.npy", bad)
        refuse(f"numpy: {name}", 1, text, *args)
    np.save("y.npy", y)
    np.save("id.npy", np.where(np.arange(n) == 4, ids[9], ids))
    refuse("numpy: duplicate ids", 1, f"id {ids[9]} is given twice: in row 4 of the training part and row 9", *args,
           "--id", "id.npy")
    np.save("id.npy", ids.astype(float))
    refuse("numpy: ids that are no integers", 1, "id.npy holds no integers", *args, "--id", "id.npy")
    refuse("numpy: archives for files", 1, "plain.npz is no NumPy array: it does not begin like one", "numpy",
           "plain.npz", "keras.npz", "--test-fraction", 0.3)
    refuse("numpy: no such array in an archive", 1, "plain.npz has no array 'w'; it has x.npy, y.npy, key.npy", "numpy",
           "plain.npz", "--x", "w", "--test-fraction", 0.3)
    refuse("numpy: test part given twice", 2, "the test part is given twice", "numpy", "plain.npz", "--test-x", "x",
           "--test-y", "y", "--test-files", "plain.npz")


# --- HDF5

def hdf5_formats():
    n = 40
    x = rng.integers(0, 256, (n, 3, 5, 4)).astype(np.uint8)
    y = rng.integers(0, 4, n)
    y[:4] = 3, 2, 1, 0
    ids = rng.permutation(-1 - np.arange(n))
    with h5py.File("in.h5", "w") as f:
        f["a/images"] = x.transpose(0, 2, 3, 1)
        f.create_dataset("a/labels", data=y.astype(">i8"), chunks=(7,), compression="gzip")
        f["a/key"] = ids
        f["table"] = (x.reshape(n, -1) / 7).astype(">f8")
        f["short"] = x[:, 0].astype(np.int16) - 300
        f["y"] = y.astype(float)[:, None]
        f["y2"] = y[:9]
        f["wrong"] = np.array([b"a"] * n)
        f["big"] = np.full((n, 2), 2**40 + 1)
        f["flags"] = x[:, 0, 0] > 127
        f["labels8"] = y.astype(np.uint64)
        f["beyond"] = np.arange(n, dtype=np.uint64) + 2**63
        f["column"] = f["beyond"][()][:, None]
        f.create_dataset("colour", data=y.astype(np.int8), dtype=h5py.enum_dtype({"red": 0, "blue": 3}, "i1"))
    table = (x.reshape(n, -1) / 7).astype(np.float32)
    train, test = draw(n, 0.2, 1)
    compare("hdf5: images, channels last, ids",
            ["hdf5", "in.h5", "--x", "/a/images", "--y", "a/labels", "--id", "/a/key", "--layout", "hwc",
             "--test-fraction", 0.2], (x[train], y[train], ids[train]), (x[test], y[test], ids[test]), name="in")
    compare("hdf5: a table of doubles, test part in the same file",
            ["hdf5", "in.h5", "--x", "table", "--test-x", "table", "--test-y", "/a/labels"],
            (table, y, None), (table, y, None))
    compare("hdf5: grey images of integers, test file", ["hdf5", "in.h5", "--x", "short", "--test-files", "in.h5"],
            *2 * [(x[:, :1].astype(np.float32) - 300, y, None)])
    compare("hdf5: large integers", ["hdf5", "in.h5", "--x", "big", "--test-files", "in.h5"],
            *2 * [(np.full((n, 2), np.float32(2**40 + 1)), y, None)])
    compare("hdf5: bools and unsigned labels", ["hdf5", "in.h5", "--x", "flags", "--y", "labels8", "--test-files", "in.h5"],
            *2 * [((x[:, 0, 0] > 127).astype(np.uint8), y, None)])
    compare("hdf5: unsigned beyond int64", ["hdf5", "in.h5", "--x", "column", "--test-files", "in.h5"],
            *2 * [((np.arange(n, dtype=np.uint64) + 2**63).astype(np.float32)[:, None], y, None)])
    compare("hdf5: compressed on the way", ["hdf5", "in.h5", "--x", "table", "--test-files", "in.h5", "--compress"],
            *2 * [(table, y, None)])
    pair = np.stack([np.full((n, 5, 4), np.float32(0.1)), x[:, 0].astype(np.float32)], 1)
    with h5py.File("constant.h5", "w") as f:
        f["x"], f["y"] = pair, y
    compare("hdf5: a channel of one value", ["hdf5", "constant.h5", "--test-files", "constant.h5"], *2 * [(pair, y, None)])
    with h5py.File("out.h5") as f:
        check("hdf5: it has no spread", f.attrs["std"][0] == 0, f.attrs["std"])
    n = 150_000
    wide = rng.integers(0, 256, (n, 30)).astype(np.uint8)
    label = np.arange(n) % 5
    with h5py.File("many.h5", "w") as f:
        f["bytes"], f["floats"], f["y"] = wide, wide[:, :9] / 3, label
    train, test = draw(n, 0.3, 1)
    for key, rows in (("bytes", wide), ("floats", (wide[:, :9] / 3).astype(np.float32))):
        compare(f"hdf5: a test part of scattered rows, {key}", ["hdf5", "many.h5", "--x", key, "--test-fraction", 0.3],
                (rows[train], label[train], train), (rows[test], label[test], test))
    refuse("hdf5: no such array", 1, "in.h5 has no /nowhere", "hdf5", "in.h5", "--x", "nowhere", "--test-fraction", 0.2)
    refuse("hdf5: text", 1, "/wrong holds no numbers", "hdf5", "in.h5", "--x", "wrong", "--test-fraction", 0.2)
    refuse("hdf5: colours", 1, "/colour holds no numbers", "hdf5", "in.h5", "--x", "colour", "--test-fraction", 0.2)
    refuse("hdf5: ids beyond int64", 1, ": a number does not fit into an integer of 64 bits", "hdf5",
           "in.h5", "--x", "table", "--id", "beyond", "--test-fraction", 0.2)
    refuse("hdf5: a group", 1, "/a", "hdf5", "in.h5", "--x", "a", "--test-fraction", 0.2)
    refuse("hdf5: rows differ", 1, "/y2 has 9 rows", "hdf5", "in.h5", "--x", "table", "--y", "y2", "--test-fraction", 0.2)
    refuse("hdf5: two files", 2, "hdf5 takes one file for a part, not 2", "hdf5", "in.h5", "in.h5", "--test-fraction", 0.2)
    refuse("hdf5: layout of a table", 1, "samples have 4 in the layout hwc", "hdf5", "in.h5", "--x", "table", "--layout",
           "hwc", "--test-fraction", 0.2)
    refuse("hdf5: parts differ", 1, "has samples of another shape or type", "hdf5", "in.h5", "--x", "table", "--test-x",
           "short", "--test-y", "y")


csv_formats()
purchase_formats()
binary_formats()
svhn_formats()
numpy_formats()
hdf5_formats()
