// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab/trimtab/cmd/trimtab/internal/dose"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/proof"
	"github.com/trimtab/trimtab/cmd/trimtab/internal/steer"
	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/runtime"
	"github.com/trimtab/trimtab/steering"
)

// rig is a session with the steerings and probes of a chat on it. Probes stand behind all steerings, so that they read what those leave.
type rig struct {
	model     *runtime.Model
	how       rigging
	session   *runtime.Session
	tester    *proof.Tester
	guard     *dose.Guard           // nil without limits
	around    []*runtime.Attachment // of the guard
	steerings []*attached
	probes    []*probe
	probing   *runtime.Attachment // of all probes together; nil without any
}

// rigging is how a rig treats what is attached to it.
type rigging struct {
	limits   dose.Limits
	unproved bool // nothing is tried out
}

// attached is a steering on the session under a name that no other has.
type attached struct {
	*steer.Loaded
	name    string
	at      *runtime.Attachment
	checked []string // what was found on the model itself
}

// newRig opens a session and puts everything on it, or leaves nothing behind.
func newRig(m *runtime.Model, how rigging, steerings, probes []string) (*rig, error) {
	s, err := m.NewSession()
	if err != nil {
		return nil, err
	}
	r := &rig{model: m, how: how, session: s, tester: proof.New(m)}
	if err := r.begin(); err != nil {
		r.close()
		return nil, err
	}
	for _, spec := range steerings {
		if _, err := r.steer(spec); err != nil {
			r.close()
			return nil, fmt.Errorf("steer %s: %w", spec, err)
		}
	}
	for _, spec := range probes {
		if _, err := r.probe(spec); err != nil {
			r.close()
			return nil, fmt.Errorf("probe %s: %w", spec, err)
		}
	}
	return r, nil
}

// begin sets the guard up, where there are limits.
func (r *rig) begin() (err error) {
	if !r.how.limits.On() {
		return nil
	}
	if r.guard, err = dose.NewGuard(r.model, r.how.limits); err != nil {
		return err
	}
	return r.surround()
}

// surround attaches everything that steers once more, with the guard around it, where there is one.
func (r *rig) surround() error {
	if r.guard == nil {
		return nil
	}
	var list []hooks.Hook
	old := r.around
	for _, a := range r.steerings {
		list, old = append(list, a.Hook), append(old, a.at)
	}
	for _, at := range old {
		if err := r.session.Detach(at); err != nil {
			return err
		}
	}
	all, err := r.guard.Attach(r.session, list...)
	if err != nil {
		return err
	}
	for i, a := range r.steerings {
		a.at = all[i+1]
	}
	r.around = []*runtime.Attachment{all[0], all[len(all)-1]}
	return nil
}

func (r *rig) close() {
	r.session.Close()
	r.guard.Close()
}

// notes are what a user should see of a steering that was attached.
func (a *attached) notes() []string { return append(a.Notes(), a.checked...) }

// steer attaches what a spec describes.
func (r *rig) steer(spec string) (*attached, error) {
	l, err := steer.Load(spec, r.model.Shape())
	if err != nil {
		return nil, err
	}
	a := &attached{Loaded: l, name: r.free(l.Name())}
	if a.checked, err = l.Check(context.Background(), r.model); err != nil {
		return nil, err
	}
	if err := r.prove(a); err != nil {
		return nil, err
	}
	return a, r.withoutProbes(func() error {
		if a.at, err = r.session.Attach(l); err != nil {
			return err
		}
		r.steerings = append(r.steerings, a)
		return r.surround()
	})
}

// prove tries a steering out, alone and with what is attached beside the ones that it replaces.
func (r *rig) prove(a *attached, replaces ...*attached) error {
	if r.how.unproved {
		return nil
	}
	var others []steering.Hook
	for _, o := range r.steerings {
		if !slices.Contains(replaces, o) {
			others = append(others, o.Hook)
		}
	}
	notes, err := r.tester.Check(context.Background(), a.Hook, others...)
	a.checked = append(a.checked, notes...)
	return err
}

// unsteer takes steerings off again.
func (r *rig) unsteer(list []*attached) error {
	return r.withoutProbes(func() error {
		for _, a := range list {
			if err := r.session.Detach(a.at); err != nil {
				return err
			}
			r.steerings = without(r.steerings, a)
		}
		return r.surround()
	})
}

// replace puts another hook in a steering's place; the new one acts behind all others.
func (r *rig) replace(a *attached, hook steering.Hook) error {
	places, err := hook.Sites(r.model.Shape())
	if err != nil {
		return err
	}
	if err := r.prove(&attached{Loaded: &steer.Loaded{Hook: hook, Places: places}}, a); err != nil {
		return err
	}
	return r.withoutProbes(func() error {
		at, err := r.session.Attach(hook)
		if err != nil {
			return err
		}
		old := a.at
		a.Loaded, a.at = &steer.Loaded{Hook: hook, Places: places}, at
		r.steerings = append(without(r.steerings, a), a)
		if err := r.session.Detach(old); err != nil {
			return err
		}
		return r.surround()
	})
}

func without[T comparable](list []T, x T) []T {
	out := make([]T, 0, len(list))
	for _, y := range list {
		if y != x {
			out = append(out, y)
		}
	}
	return out
}

// free returns a name that no steering has yet.
func (r *rig) free(name string) string {
	taken := map[string]bool{}
	for _, a := range r.steerings {
		taken[a.name] = true
	}
	out := name
	for n := 2; taken[out]; n++ {
		out = fmt.Sprintf("%s#%d", name, n)
	}
	return out
}

// find returns the steering of a name, or of what only one name begins with; without a name, the only one.
func (r *rig) find(name string) (*attached, error) {
	var names []string
	var found []*attached
	for _, a := range r.steerings {
		if a.name == name {
			return a, nil
		}
		names = append(names, a.name)
		if strings.HasPrefix(a.name, name) {
			found = append(found, a)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("nothing is attached; /steer SPEC attaches")
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("want one of %s, found %q", strings.Join(names, ", "), name)
	}
	return found[0], nil
}

// withoutProbes carries out a change while no probe is attached, and attaches the probes again behind it.
func (r *rig) withoutProbes(change func() error) error {
	if r.probing != nil {
		if err := r.session.Detach(r.probing); err != nil {
			return err
		}
		r.probing = nil
	}
	return errors.Join(change(), r.attachProbes())
}

// attachProbes puts all probes on the session as one hook.
func (r *rig) attachProbes() (err error) {
	if len(r.probes) == 0 {
		return nil
	}
	r.probing, err = r.session.Attach(hooks.HookFunc(func(*hooks.Shape) (hooks.Plan, error) {
		var p hooks.Plan
		for _, one := range r.probes {
			p.Taps = append(p.Taps, one.taps()...)
		}
		return p, nil
	}))
	return err
}

// summary names what is attached, with strengths.
func (r *rig) summary() string {
	var parts []string
	for _, a := range r.steerings {
		parts = append(parts, fmt.Sprintf("%s*%g", a.name, a.Strength().Value()))
	}
	if len(parts) == 0 {
		return "no steering"
	}
	return strings.Join(parts, ", ")
}
