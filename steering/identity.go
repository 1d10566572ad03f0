// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/trimtab/trimtab/hooks"
)

// MismatchError says that a vector was measured on another model than the one it is attached to.
type MismatchError struct {
	Vector string // the vector's name
	Model  string // the model it was attached to
	Reason string // what differs, with both values
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("steering: vector %s does not belong to model %s: %s", e.Vector, e.Model, e.Reason)
}

// keyModelHash is where a GGUF keeps Vector.ModelHash; no other tool writes it.
const keyModelHash = "controlvector.model_sha256"

// CheckFile compares what the steering's files say of the model that they were measured on with the SHA-256 of the model's file, which is asked for only where a
// file says one; "" means that the model is no single file. It returns a *MismatchError, or warnings.
func (s *Steering) CheckFile(sh *hooks.Shape, sum func() (string, error)) (warnings []string, err error) {
	for _, v := range s.vectors {
		if v.BaseModel != "" && !alike(v.BaseModel, sh.Model) {
			warnings = append(warnings, fmt.Sprintf("%s was measured on a model called %s, this one calls itself %s", v.Name, v.BaseModel, sh.Model))
		}
		if v.ModelHash == "" {
			continue
		}
		is, err := sum()
		if err != nil {
			return warnings, err
		}
		if is != "" && !strings.EqualFold(is, v.ModelHash) {
			return warnings, &MismatchError{Vector: v.Name, Model: sh.Model, Reason: fmt.Sprintf("it was measured on a file of SHA-256 %s, the model's has %s", v.ModelHash, is)}
		}
	}
	return warnings, nil
}

// alike compares names of models by their letters and digits: one may be a part of the other, as without the organisation or the quantisation.
func alike(a, b string) bool {
	a, b = letters(a[strings.LastIndexByte(a, '/')+1:]), letters(b[strings.LastIndexByte(b, '/')+1:])
	return strings.Contains(a, b) || strings.Contains(b, a)
}

func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// setHint keeps what a file says of the architecture it was measured on, and warns where that cannot be compared with a model's.
func (v *Vector) setHint(hint string) {
	switch {
	case hint == "" || strings.EqualFold(hint, "unknown"):
		v.warn("the file does not say which architecture it was measured on; only widths are checked")
		return
	case strings.Contains(hint, "/"):
		v.warn("model_hint %q names a model, not an architecture; only widths are checked", hint)
	}
	v.Hint = hint
}

// checkModel compares what the vector says of its origin with the model's shape; widths are for hooks.Edit.Check to compare, site by site.
func (v *Vector) checkModel(sh *hooks.Shape) error {
	if v.Hint == "" || sh.Family == "" || strings.Contains(v.Hint, "/") {
		return nil
	}
	if architecture(v.Hint) == architecture(sh.Family) {
		return nil
	}
	return &MismatchError{Vector: v.Name, Model: sh.Model, Reason: fmt.Sprintf(
		"it was measured on architecture %q, the model's is %q", v.Hint, sh.Family)}
}

// architecture maps the names that Hugging Face (model_type), GGUF (general.architecture) and people have for one architecture to one name.
// GGUF files call Mistral, Mixtral and SmolLM models llama, so those cannot be told apart.
func architecture(name string) string {
	plain := letters(name)
	switch plain {
	case "llama2", "llama3", "llama31", "llama32", "llama33", "codellama", "tinyllama", "smollm", "smollm2", "mistral", "mixtral":
		return "llama"
	case "qwen25":
		return "qwen2"
	case "gemma2text", "gemma3text", "gemma3ntext":
		return strings.TrimSuffix(plain, "text")
	case "pythia":
		return "gptneox"
	case "phi35":
		return "phi3"
	}
	return plain
}
