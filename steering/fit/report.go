// SPDX-License-Identifier: Apache-2.0

package fit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/trimtab/trimtab/internal/dot"

	"github.com/trimtab/trimtab/steering/concepts"
)

// Options says what Layers measures. The zero value fits every method that the texts allow and measures it by five folds.
type Options struct {
	Methods  []Method                // nil is all that the texts allow
	Held     *Samples                // other texts at the same sites, which AUROC is measured on; nil measures by folds
	Folds    int                     // parts that are held out in turn; 0 is 5, below 0 none
	Progress func(done, total int64) // called after every site, from any goroutine but one at a time; nil is nobody
}

// Layer is what was found at one site.
type Layer struct {
	Site     int     // index of the site
	Residual float64 // mean length of the activations that were read
	Found    []Found // by method
}

// Found is a direction with what is known of it.
type Found struct {
	Method Method
	Direction
	Norm  float64 // length of the vector
	AUROC float64 // chance that a held-out positive text lies further along it than a negative one; NaN where nothing was held out
	Mean  float64 // cosine with the difference of means
	Next  float64 // cosine with the same method's direction at the next site; NaN at the last
}

// Of returns what a method found, nil where it was not asked for.
func (l *Layer) Of(m Method) *Found {
	for i := range l.Found {
		if l.Found[i].Method == m {
			return &l.Found[i]
		}
	}
	return nil
}

// Layers fits all sites, as many at once as there are processors.
func Layers(ctx context.Context, s *Samples, o Options) ([]Layer, error) {
	o, err := o.complete(s)
	if err != nil {
		return nil, err
	}
	out := make([]Layer, s.sites)
	errs := make([]error, s.sites)
	var group sync.WaitGroup
	var lock sync.Mutex
	next, done := 0, int64(0)
	for range min(s.sites, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for {
				lock.Lock()
				site := next
				next++
				lock.Unlock()
				if site >= s.sites || ctx.Err() != nil {
					return
				}
				out[site], errs[site] = o.layer(s, site)
				lock.Lock()
				done++
				o.Progress(done, int64(s.sites))
				lock.Unlock()
			}
		})
	}
	group.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return nil, err
	}
	neighbours(out)
	return out, nil
}

// complete fills in defaults and refuses what cannot be.
func (o Options) complete(s *Samples) (Options, error) {
	if o.Methods == nil {
		for _, m := range Methods() {
			if check(s, m) == nil {
				o.Methods = append(o.Methods, m)
			}
		}
	}
	if o.Folds == 0 {
		o.Folds = 5
	}
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	if len(o.Methods) == 0 {
		return o, check(s, DiffMean)
	}
	for _, m := range o.Methods {
		if err := check(s, m); err != nil {
			return o, err
		}
	}
	if h := o.Held; h != nil && (h.sites != s.sites || h.width != s.width || h.Len(Positive) == 0 || h.Len(Negative) == 0) {
		return o, fmt.Errorf("fit: held-out texts: want some of both kinds at the same sites, found %d positive and %d negative at %d sites",
			h.Len(Positive), h.Len(Negative), h.sites)
	}
	return o, nil
}

func (o *Options) layer(s *Samples, site int) (Layer, error) {
	v := &view{Samples: s, site: site}
	l := Layer{Site: site}
	var err error
	if l.Residual, err = v.meanLength(); err != nil {
		return l, err
	}
	mean, err := v.diffMean()
	if err != nil {
		return l, err
	}
	for _, m := range o.Methods {
		d, err := v.fit(m)
		if err != nil {
			return l, err
		}
		f := Found{Method: m, Direction: *d, Norm: dot.Length(d.Vector), Mean: Cosine(d.Vector, mean.Vector), Next: math.NaN()}
		if f.AUROC, err = o.auroc(v, d, m); err != nil {
			return l, err
		}
		l.Found = append(l.Found, f)
	}
	return l, nil
}

// meanLength is that of all rows.
func (v *view) meanLength() (float64, error) {
	sum := 0.0
	for _, side := range []Side{Positive, Negative} {
		if err := v.each(side, func(row []float32) { sum += dot.Length(row) }); err != nil {
			return 0, err
		}
	}
	return sum / float64(v.count(Positive)+v.count(Negative)), nil
}

// auroc measures a direction on held-out texts, or its method by folds.
func (o *Options) auroc(v *view, d *Direction, m Method) (float64, error) {
	if o.Held != nil {
		return (&view{Samples: o.Held, site: v.site}).auroc(d)
	}
	sum, weight := 0.0, 0.0
	for fold := range o.Folds {
		rest := &view{Samples: v.Samples, site: v.site, left: func(i int) bool { return i%o.Folds == fold }}
		held := &view{Samples: v.Samples, site: v.site, left: func(i int) bool { return i%o.Folds != fold }}
		n := float64(held.count(Positive) * held.count(Negative))
		if n == 0 || min(rest.count(Positive), rest.count(Negative)) < 2 {
			continue
		}
		d, err := rest.fit(m)
		if err != nil {
			return 0, err
		}
		a, err := held.auroc(d)
		if err != nil {
			return 0, err
		}
		sum, weight = sum+n*a, weight+n
	}
	return sum / weight, nil // NaN without a fold
}

func (v *view) auroc(d *Direction) (float64, error) {
	var cases []concepts.Case
	for _, side := range []Side{Positive, Negative} {
		err := v.each(side, func(row []float32) {
			cases = append(cases, concepts.Case{Score: dot.Sum64(row, d.Vector), Is: side == Positive})
		})
		if err != nil {
			return 0, err
		}
	}
	return concepts.AUROC(cases), nil
}

// neighbours fills in the cosines with the next site.
func neighbours(list []Layer) {
	for i := range list[:len(list)-1] {
		for j := range list[i].Found {
			f := &list[i].Found[j]
			f.Next = Cosine(f.Vector, list[i+1].Of(f.Method).Vector)
		}
	}
}

// Cosine returns that of two directions, NaN where one has no length.
func Cosine(a, b []float32) float64 { return dot.Sum64(a, b) / (dot.Length(a) * dot.Length(b)) }
