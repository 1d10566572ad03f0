// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package kernels

// #include "kernels.h"
//
// static struct tt_attention make(int type, int kv_heads, int head, void *data, int heads, int first, int n, int window, float scale,
//                                 float softcap, const float *sinks, const float *q, float *y) {
//     size_t ld = (size_t)heads * head;
//     return (struct tt_attention){{type, kv_heads, head, data}, heads, first, n, window, scale, softcap, q, ld, y, ld, sinks};
// }
//
// // The arguments one by one: a struct that holds Go pointers must not cross.
// static int64_t attend(int what, int part0, int part1, int type, int kv_heads, int head, void *data, int heads, int first, int n, int window,
//                   float scale, float softcap, const float *sinks, const float *q, float *y, void *scratch) {
//     struct tt_attention a = make(type, kv_heads, head, data, heads, first, n, window, scale, softcap, sinks, q, y);
//     switch (what) {
//     case 0: return tt_attention_parts(&a);
//     case 1: return (int64_t)tt_attention_scratch(&a);
//     case 2: return tt_attention_rows(&a, part0, part1, scratch);
//     default: return tt_attention_finish(&a, scratch);
//     }
// }
//
// static int append(int type, int kv_heads, int head, void *data, int first, int n, const float *k, const float *v) {
//     struct tt_cache c = {type, kv_heads, head, data};
//     size_t ld = (size_t)kv_heads * head;
//     return tt_cache_append(&c, first, n, k, ld, v, ld);
// }
//
// static int read(int type, int kv_heads, int head, void *data, int first, int n, float *k, float *v) {
//     struct tt_cache c = {type, kv_heads, head, data};
//     size_t ld = (size_t)kv_heads * head;
//     return tt_cache_read(&c, first, n, k, ld, v, ld);
// }
import "C"

import (
	"fmt"
	"sync"
	"unsafe"
)

// CacheBytes is the size of a cache of so many tokens, or 0 when it cannot be.
func CacheBytes(t Type, heads, head, tokens int) int {
	if !fits(heads) || !fits(head) || !fits(tokens) {
		return 0
	}
	return int(C.tt_cache_bytes(C.int(t), C.int(heads), C.int(head), C.int(tokens)))
}

// Append writes the keys and values, [n][Heads][Head] each, of tokens first, first+1, ...
func (c Cache) Append(first int, k, v []float32) error {
	n, err := c.tokens(first, len(k), len(v))
	if err != nil || n == 0 {
		return err
	}
	return result("append", C.append(C.int(c.Type), C.int(c.Heads), C.int(c.Head), unsafe.Pointer(&c.Data[0]), C.int(first), C.int(n),
		(*C.float)(&k[0]), (*C.float)(&v[0])))
}

// Read writes the keys and values of tokens first, first+1, ... to k and v, [n][Heads][Head] each.
func (c Cache) Read(first int, k, v []float32) error {
	n, err := c.tokens(first, len(k), len(v))
	if err != nil || n == 0 {
		return err
	}
	return result("read", C.read(C.int(c.Type), C.int(c.Heads), C.int(c.Head), unsafe.Pointer(&c.Data[0]), C.int(first), C.int(n),
		(*C.float)(&k[0]), (*C.float)(&v[0])))
}

// tokens is how many tokens lie in k and v, all of which the cache must have room for.
func (c Cache) tokens(first, k, v int) (int, error) {
	if CacheBytes(c.Type, c.Heads, c.Head, 1) == 0 || first < 0 {
		return 0, fmt.Errorf("kernels: no cache of type %d with %d heads of %d columns, token %d", c.Type, c.Heads, c.Head, first)
	}
	n := k / (c.Heads * c.Head)
	if k != v || k != n*c.Heads*c.Head {
		return 0, fmt.Errorf("kernels: cache: want as many keys as values for whole tokens, found %d and %d", k, v)
	}
	if n > 0 && (!fits(first+n) || len(c.Data) < CacheBytes(c.Type, c.Heads, c.Head, first+n)) {
		return 0, fmt.Errorf("kernels: cache of %d bytes: no room for tokens %d to %d", len(c.Data), first, first+n-1)
	}
	return n, nil
}

// AttentionScratch is the size of the scratch that Attend needs.
func AttentionScratch(a Attention) int {
	if a.check() != nil {
		return 0
	}
	return int(a.call(1, 0, 0, nil, nil, nil))
}

// Attend computes y[Queries][Heads][Head] from q, as large, on the given number of threads. It is for tests and benchmarks: inference calls the table.
func Attend(y, q []float32, a Attention, scratch []byte, threads int) error {
	if err := a.check(); err != nil {
		return err
	}
	n := a.Queries * a.Heads * a.Cache.Head
	if len(y) < n || len(q) < n || len(scratch) < AttentionScratch(a) {
		return fmt.Errorf("kernels: attend: want %d values and %d bytes of scratch, found %d, %d and %d", n, AttentionScratch(a), len(q), len(y), len(scratch))
	}
	parts := int(a.call(0, 0, 0, nil, nil, nil))
	if threads <= 1 {
		a.call(2, 0, parts, q, y, scratch)
	} else {
		a.callThreads(parts, q, y, scratch, threads)
	}
	a.call(3, 0, 0, q, y, scratch)
	return nil
}

func (a Attention) callThreads(parts int, q, y []float32, scratch []byte, threads int) {
	var wg sync.WaitGroup
	for i := range threads {
		wg.Go(func() { a.call(2, parts*i/threads, parts*(i+1)/threads, q, y, scratch) })
	}
	wg.Wait()
}

func (a Attention) call(what, part0, part1 int, q, y []float32, scratch []byte) int64 {
	return int64(C.attend(C.int(what), C.int(part0), C.int(part1), C.int(a.Cache.Type), C.int(a.Cache.Heads), C.int(a.Cache.Head),
		unsafe.Pointer(unsafe.SliceData(a.Cache.Data)), C.int(a.Heads), C.int(a.First), C.int(a.Queries), C.int(a.Window), C.float(a.Scale),
		C.float(a.Softcap), (*C.float)(unsafe.SliceData(a.Sinks)), (*C.float)(unsafe.SliceData(q)), (*C.float)(unsafe.SliceData(y)), unsafe.Pointer(unsafe.SliceData(scratch))))
}

func (a Attention) check() error {
	if !fits(a.Heads) || !fits(a.First) || !fits(a.Queries) || !fits(a.Window) || !fits(a.First+a.Queries) {
		return fmt.Errorf("kernels: attend: %d queries of %d heads from token %d, window %d", a.Queries, a.Heads, a.First, a.Window)
	}
	if a.Sinks != nil && len(a.Sinks) != a.Heads {
		return fmt.Errorf("kernels: attend: want a sink for each of %d heads, found %d", a.Heads, len(a.Sinks))
	}
	size := CacheBytes(a.Cache.Type, a.Cache.Heads, a.Cache.Head, a.First+a.Queries)
	if size == 0 || len(a.Cache.Data) < size {
		return fmt.Errorf("kernels: attend: want a cache of %d bytes for %d tokens, found %d", size, a.First+a.Queries, len(a.Cache.Data))
	}
	if rc := C.int(a.call(0, 0, 0, nil, nil, nil)); rc < 0 {
		return result("attend", rc)
	}
	return nil
}
