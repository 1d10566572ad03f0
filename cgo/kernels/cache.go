// SPDX-License-Identifier: Apache-2.0

package kernels

// Cache holds the keys and values of one layer and one sequence: CacheBytes bytes of memory, from Alloc for speed. Zeros are an empty cache, and
// since tokens lie one behind the other in memory 16 by 16, a cache is forked, cut and grown by copying its first bytes.
type Cache struct {
	Type  Type // F32, F16 or I8
	Heads int  // of keys and values
	Head  int  // columns of a head, at most 512
	Data  []byte
}

// Attention is causal attention of some queries to a cache that holds them already.
//
//	y[i][h] = sum over t of softmax(cap(Scale * q[i][h] . k[t][h / (Heads / Cache.Heads)])) * v[t],  cap(s) = Softcap * tanh(s / Softcap)
type Attention struct {
	Cache   Cache
	Heads   int // of queries, a multiple of the cache's
	First   int // the first query's token: it sees tokens 0 to First, the next one more
	Queries int
	Window  int       // tokens each query sees, itself included; 0 is all
	Scale   float32   // usually 1/sqrt(head)
	Softcap float32   // 0 is none
	Sinks   []float32 // by head, one more score each, without a value; nil is none
}
