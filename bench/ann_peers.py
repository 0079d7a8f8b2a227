# SPDX-License-Identifier: Apache-2.0
"""The libraries that bench/ann measures beside assay, each with one face:

    build(base, threads)     bytes of the index; `walked` of it is what a search goes about in
    save(path), load(path, base)
    search(queries, effort)  processor seconds, ids

As a program, `ann_peers.py NAME WORK INDEX THREADS` is one engine in a process of its own (several
bring an OpenMP each), that answers lines as bench_ann does: "build" builds and saves, "load" loads,
"search EFFORT" searches. All get whole batches of queries where their Python takes them, on one thread."""
import json
import math
import pathlib
import shutil
import sys
import tempfile
import time

import numpy as np

M, EF_CONSTRUCTION, K, DIMENSIONS = 16, 200, 10, 384
EFS = (10, 20, 30, 40, 60, 80, 120, 160, 320, 640)
NPROBES = (2, 4, 8, 12, 16, 24, 32, 64, 128, 256)
CLUSTERS = 16  # of the centres of RaBitQ's codes
LISTS_ROOT = 4  # lists are so many times the root of the vectors, as assay's are


def timed(search):
    begun = time.process_time()
    found = search()
    return time.process_time() - begun, found


class Hnswlib:
    name, package, efforts = "hnswlib, f32", "hnswlib", EFS

    def build(self, base, threads):
        import hnswlib
        self.index = hnswlib.Index("ip", base.shape[1])
        self.index.init_index(len(base), ef_construction=EF_CONSTRUCTION, M=M)
        self.index.set_num_threads(threads)
        self.index.add_items(base)
        self.index.set_num_threads(1)
        return self.index.index_file_size()

    def save(self, path):
        self.index.save_index(str(path))

    def load(self, path, base):
        import hnswlib
        self.index = hnswlib.Index("ip", base.shape[1])
        self.index.load_index(str(path), len(base))
        self.index.set_num_threads(1)

    def search(self, queries, ef):
        self.index.set_ef(ef)
        return timed(lambda: self.index.knn_query(queries, k=K)[0])


class Usearch:
    package, efforts = "usearch", EFS

    def __init__(self, kind):
        self.kind, self.name = kind, f"usearch, {kind}"

    def build(self, base, threads):
        import usearch.index
        self.index = usearch.index.Index(ndim=base.shape[1], metric="ip", dtype=self.kind, connectivity=M,
                                         expansion_add=EF_CONSTRUCTION)
        self.index.add(np.arange(len(base)), base, threads=threads)
        return self.index.serialized_length

    def save(self, path):
        self.index.save(str(path))

    def load(self, path, base):
        import usearch.index
        self.index = usearch.index.Index.restore(str(path))

    def search(self, queries, ef):
        self.index.expansion_search = ef
        return timed(lambda: self.index.search(queries, K, threads=1).keys)


class Faiss:
    package, efforts = "faiss-cpu", EFS

    def __init__(self, kind):
        self.kind, self.name = kind, f"faiss, {kind}"

    def build(self, base, threads):
        import faiss
        faiss.omp_set_num_threads(threads)
        inner, d = faiss.METRIC_INNER_PRODUCT, base.shape[1]
        self.index = (faiss.IndexHNSWFlat(d, M, inner) if self.kind == "f32" else
                      faiss.IndexHNSWSQ(d, faiss.ScalarQuantizer.QT_8bit, M, inner))
        self.index.hnsw.efConstruction = EF_CONSTRUCTION
        self.index.train(base)
        self.index.add(base)
        faiss.omp_set_num_threads(1)
        return faiss.serialize_index(self.index).nbytes

    def save(self, path):
        import faiss
        faiss.write_index(self.index, str(path))

    def load(self, path, base):
        import faiss
        faiss.omp_set_num_threads(1)
        self.index = faiss.read_index(str(path))

    def search(self, queries, ef):
        self.index.hnsw.efSearch = ef
        return timed(lambda: self.index.search(queries, K)[1])


class FaissLists(Faiss):
    """As many lists as assay makes of so many vectors; rabitq with exact rescoring."""
    efforts = NPROBES

    def __init__(self, kind):
        self.kind, self.name = kind, f"faiss ivf, {kind}"

    def build(self, base, threads):
        import faiss
        faiss.omp_set_num_threads(threads)
        inner, d, lists = faiss.METRIC_INNER_PRODUCT, base.shape[1], int(LISTS_ROOT * math.sqrt(len(base)))
        self.centres = faiss.IndexFlatIP(d)
        if self.kind == "f32":
            self.lists = faiss.IndexIVFFlat(self.centres, d, lists, inner)
        elif self.kind == "i8":
            self.lists = faiss.IndexIVFScalarQuantizer(self.centres, d, lists, faiss.ScalarQuantizer.QT_8bit, inner)
        else:
            self.lists = faiss.IndexIVFRaBitQ(self.centres, d, lists, inner)
        self.index = self.lists
        if self.kind == "b1":
            self.index = faiss.IndexRefineFlat(self.lists)
            self.index.k_factor = 10
        self.index.train(base)
        self.index.add(base)
        faiss.omp_set_num_threads(1)
        self.walked = faiss.serialize_index(self.lists).nbytes
        return faiss.serialize_index(self.index).nbytes

    def load(self, path, base):
        import faiss
        super().load(path, base)
        self.lists = faiss.downcast_index(self.index.base_index) if self.kind == "b1" else self.index

    def search(self, queries, nprobe):
        self.lists.nprobe = nprobe
        return timed(lambda: self.index.search(queries, K)[1])


class Glass:
    """Its graph has as many links as an HNSW of this m on the ground; built by bytes, as it recommends."""
    package, efforts = "pyglass-portable", EFS

    def __init__(self, kind):
        self.kind, self.name = kind, f"glass, {kind}"

    def build(self, base, threads):
        import glass
        glass.set_num_threads(threads)
        self.graph = glass.Index(index_type="HNSW", metric="IP", quant="SQ8U", R=2 * M, L=EF_CONSTRUCTION).build(base)
        codes = {"f32": 4, "i8": 1, "i4": 0.5}[self.kind] * base.shape[1]
        self.walked = int(len(base) * (codes + 8 * M))
        return self.walked + (0 if self.kind == "f32" else base.nbytes)

    def save(self, path):
        self.graph.save(str(path))

    def load(self, path, base):
        import glass
        quant, refine = {"f32": ("FP32", ""), "i8": ("SQ8U", "FP32"), "i4": ("SQ4U", "FP32")}[self.kind]
        self.index = glass.Searcher(graph=glass.Graph(str(path)), data=base, metric="IP", quantizer=quant,
                                    refine_quant=refine)
        glass.set_num_threads(1)
        self.index.optimize(1)

    def search(self, queries, ef):
        self.index.set_ef(ef)
        return timed(lambda: self.index.batch_search(queries, K, 1)[0])


class Svs:
    """Vamana, with as many links as an HNSW of this m on the ground."""
    package, efforts = "scalable-vs", EFS

    def __init__(self, kind):
        self.kind, self.name = kind, f"svs, {kind}"

    def build(self, base, threads):
        import svs
        parameters = svs.VamanaBuildParameters(graph_max_degree=2 * M, window_size=EF_CONSTRUCTION, alpha=0.95)
        data = base.astype(np.float16) if self.kind == "f16" else base
        self.index = svs.Vamana.build(parameters, data, svs.DistanceType.MIP, num_threads=threads)
        return data.nbytes + len(base) * 8 * M

    def save(self, path):
        path.mkdir()
        self.index.save(*(f"{path}/{part}" for part in ("config", "graph", "data")))

    def load(self, path, base):
        import svs
        data = svs.VectorDataLoader(f"{path}/data", getattr(svs.DataType, self.kind.replace("f", "float")))
        self.index = svs.Vamana(f"{path}/config", svs.GraphLoader(f"{path}/graph"), data, svs.DistanceType.MIP,
                                num_threads=1)

    def search(self, queries, ef):
        self.index.search_window_size = ef
        return timed(lambda: self.index.search(queries, K)[0])


class Zvec:
    """HNSW-RaBitQ; asked for numbers alone, which is its fastest way, a query a call."""
    package, efforts = "zvec", EFS

    def __init__(self, kind):
        self.kind, self.name = kind, f"zvec, {kind}"

    def parameters(self):
        import zvec
        if self.kind == "rabitq":
            return zvec.HnswRabitqIndexParam(metric_type=zvec.MetricType.IP, m=M, ef_construction=EF_CONSTRUCTION)
        quantize = {"f32": zvec.QuantizeType.UNDEFINED, "i8": zvec.QuantizeType.INT8}[self.kind]
        return zvec.HnswIndexParam(metric_type=zvec.MetricType.IP, m=M, ef_construction=EF_CONSTRUCTION,
                                   quantize_type=quantize, use_contiguous_memory=True)

    def build(self, base, threads):
        import zvec
        zvec.init(optimize_threads=threads, query_threads=1)
        self.folder = pathlib.Path(tempfile.mkdtemp()) / "zvec"
        schema = zvec.CollectionSchema("base", vectors=zvec.VectorSchema(
            "v", zvec.DataType.VECTOR_FP32, base.shape[1], index_param=self.parameters()))
        collection = zvec.create_and_open(str(self.folder), schema)
        for i in range(0, len(base), 1000):
            collection.insert([zvec.Doc(str(j), vectors={"v": base[j]}) for j in range(i, min(len(base), i + 1000))])
        collection.optimize(zvec.OptimizeOption(concurrency=threads))
        collection.flush()
        collection.close()
        return folder_bytes(self.folder)

    def save(self, path):
        shutil.move(self.folder, path)

    def load(self, path, base):
        import zvec
        zvec.init(query_threads=1)
        self.index = zvec.open(str(path), zvec.CollectionOption(read_only=True))
        self.numbers = None

    def search(self, queries, ef):
        import zvec
        kind = zvec.HnswRabitqQueryParam if self.kind == "rabitq" else zvec.HnswQueryParam
        asked = kind(ef=ef, is_using_refiner=self.kind != "f32")
        seconds, found = timed(lambda: [self.index.query_internal_ids(zvec.Query("v", vector=query, param=asked), topk=K)
                                        for query in queries])
        names = self.index.resolve_internal_ids(np.concatenate(found))
        return seconds, np.array([int(name or -1) for name in names]).reshape(-1, K)


class RabitqGraph:
    """rabitqlib, the library of RaBitQ's authors: HNSW-RaBitQ."""
    package, efforts = "rabitqlib", EFS

    def __init__(self, bits):
        self.bits, self.name = bits, f"rabitqlib hnsw, {bits} bits"

    def build(self, base, threads):
        import rabitqlib
        means = rabitqlib.RaBitQKMeans(base.shape[1], CLUSTERS, num_threads=threads)
        means.train(base)
        self.index = rabitqlib.HnswIndex(base.shape[1], len(base), M, EF_CONSTRUCTION, self.bits, "ip")
        self.index.build(base, means.centroids, means.assignments, num_threads=threads)
        return 0

    def save(self, path):
        self.index.save(str(path))

    def load(self, path, base):
        import rabitqlib
        self.index = rabitqlib.HnswIndex.load(str(path))

    def search(self, queries, ef):
        return timed(lambda: self.index.search(queries, K, ef)[0])


class Symqg:
    """rabitqlib's quantised graph (SymphonyQG)."""
    package, efforts = "rabitqlib", EFS

    def __init__(self, bits):
        self.bits, self.name = bits, f"rabitqlib symqg, {bits or 32} bits"

    def build(self, base, threads):
        import rabitqlib
        self.index = rabitqlib.SymqgIndex(base.shape[1], 2 * M, "ip", self.bits)
        self.index.build(base, EF_CONSTRUCTION, num_threads=threads)
        return 0

    def save(self, path):
        self.index.save(str(path))

    def load(self, path, base):
        import rabitqlib
        self.index = rabitqlib.SymqgIndex.load(str(path))

    def search(self, queries, ef):
        return timed(lambda: self.index.search_batch(queries, K, ef)[0])


ALL = [Hnswlib(), Usearch("f32"), Usearch("i8"), Faiss("f32"), Faiss("i8"), Glass("f32"), Glass("i8"), Glass("i4"),
       Svs("f32"), Svs("f16"), Zvec("f32"), Zvec("i8"), Zvec("rabitq"), RabitqGraph(4),
       RabitqGraph(7), Symqg(0), Symqg(8), FaissLists("b1"), FaissLists("i8"), FaissLists("f32")]


LEFT_OUT = {"SVS with compressed vectors (LVQ, LeanVec)": "refuses processors that are not Intel's",
            "NGT's quantised graph": "is made by a command that its package does not have"}


def recall_of(found, truth):
    return float(np.mean([len(set(a) & set(b)) / K for a, b in zip(found.tolist(), truth.tolist())]))


def folder_bytes(path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def answer(engine, line, base, queries, truth, index, threads):
    word, _, rest = line.partition(" ")
    if word == "build":
        if index.is_dir():
            shutil.rmtree(index)
        begun, wall = time.process_time(), time.time()
        size = engine.build(base, threads)
        told = {"build_cpu_seconds": time.process_time() - begun, "build_seconds": time.time() - wall,
                "bytes": size, "walked": getattr(engine, "walked", size)}
        engine.save(index)
        if size == 0:  # the library does not tell
            told["bytes"] = told["walked"] = folder_bytes(index) if index.is_dir() else index.stat().st_size
        return told
    if word == "load":
        engine.load(index, base)
        return {"queries": len(queries)}
    seconds, found = engine.search(queries, int(rest))
    return {"queries": len(queries), "cpu_seconds": seconds, "recall": recall_of(found, truth)}


def main():
    name, work, index, threads = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), int(sys.argv[4])
    engine = next(e for e in ALL if e.name == name)
    base = np.memmap(work / "base.f32", np.float32, "r").reshape(-1, DIMENSIONS)
    queries = np.fromfile(work / "queries.f32", np.float32).reshape(-1, DIMENSIONS)
    truth = np.fromfile(work / "truth.u32", np.uint32).reshape(-1, K)
    for line in sys.stdin:
        print(json.dumps(answer(engine, line.strip(), base, queries, truth, index, threads)), flush=True)


if __name__ == "__main__":
    main()
