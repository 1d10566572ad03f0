// SPDX-License-Identifier: Apache-2.0

package hooks

// Hook reads or changes activations of a session; one hook may be attached to many sessions at once, so what Bind returns must not share state
// between sessions unless that state is safe for concurrent use.
type Hook interface {
	// Bind is asked once, when the hook is attached, and sees the model it is attached to. An error refuses the attachment.
	Bind(sh *Shape) (Plan, error)
}

// HookFunc lets an ordinary function be a Hook.
type HookFunc func(sh *Shape) (Plan, error)

// Bind calls f.
func (f HookFunc) Bind(sh *Shape) (Plan, error) { return f(sh) }

// Plan is what a hook wants done, at as many sites as it likes; the zero value does nothing.
type Plan struct {
	Edits []Edit // carried out by the graph, before the taps of this plan at the same site
	Taps  []Tap  // called from the graph
}

// Tap is Go code that sees the activation at one site. A panic or an error in Func ends the run that called it, as that run's error, and nothing else.
type Tap struct {
	Name     string                    // shown in listings and errors
	Site     Site                      // where
	Where    Where                     // Func is not called for a pass without a selected row
	ReadOnly bool                      // Func promises not to write; a cached prefix then stays valid when the tap comes or goes
	Strength *Knob                     // what Func's writing depends on: a cached prefix is run again where it stands elsewhere; nil is nothing
	Encoder  *Encoder                  // what the graph multiplies the activation with before Func is called; nil is nothing
	Func     func(a *Activation) error // runs on the goroutine of the run; must not use the session it is attached to
}

// Activation is the value at a site in one pass. Data, Tokens, Products and the Activation itself are BORROWED until Func returns: copy what is to be kept.
type Activation struct {
	Site     Site
	Phase    Phase
	First    int       // position of row 0 in its sequence
	Rest     int       // tokens of the same prompt that later passes bring
	Tokens   []int32   // the token of each row
	Width    int       // floats a row
	Data     []float32 // rows x width, row-major; may be written unless the tap is ReadOnly
	Rows     []bool    // which rows the tap's Where selects
	Products []float32 // rows x Encoder.Rows, row-major, of Data as it came to this tap; nil without an encoder
	Slack    []float32 // by row of the encoder: a product is within Slack times the length of the activation's row; nil without an encoder
	Run      Run       // the generation that the pass belongs to; never nil
}

// Row returns row i, width floats of Data.
func (a *Activation) Row(i int) []float32 { return a.Data[i*a.Width : (i+1)*a.Width] }

// ProductRow returns the encoder's products with row i.
func (a *Activation) ProductRow(i int) []float32 {
	n := len(a.Products) / len(a.Rows)
	return a.Products[i*n : (i+1)*n]
}
