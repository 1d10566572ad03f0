// SPDX-License-Identifier: Apache-2.0

package runtime_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/trimtab/trimtab/hooks"
	"github.com/trimtab/trimtab/models/chat"
	"github.com/trimtab/trimtab/runtime"
)

// A model is opened once; a session is one conversation.
func Example() {
	model, err := runtime.Open("model.gguf", runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	session, err := model.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	tok, err := model.Tokenizer()
	if err != nil {
		log.Fatal(err)
	}
	prompt := tok.Encode(nil, "The capital of France is", false)
	for token, err := range session.Generate(context.Background(), prompt, runtime.Options{MaxTokens: 20}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprint(os.Stdout, token.Text)
	}
}

// The strength of a vector is turned while the model writes.
func ExampleSession_Attach() {
	model, err := runtime.Open("model.gguf", runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	session, err := model.NewSession()
	if err != nil {
		log.Fatal(err)
	}
	strength := hooks.NewKnob(0)
	direction := make([]float32, model.Shape().Width)
	direction[0] = 1
	_, err = session.Attach(hooks.HookFunc(func(sh *hooks.Shape) (hooks.Plan, error) {
		return hooks.Plan{Edits: []hooks.Edit{{
			Name: "more", Site: hooks.At(hooks.ResidPost, sh.Layers/2), Directions: [][]float32{direction}, Strength: strength,
		}}}, nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	for token, err := range session.Generate(context.Background(), []int32{1, 2, 3}, runtime.Options{MaxTokens: 20}) {
		if err != nil {
			log.Fatal(err)
		}
		strength.Set(strength.Value() + 0.1)
		fmt.Print(token.Text)
	}
}

// A trace runs a text once and keeps what stood at the chosen sites.
func ExampleModel_Trace() {
	model, err := runtime.Open("model.gguf", runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	sites := []hooks.Site{hooks.At(hooks.ResidPost, 0), hooks.At(hooks.ResidPost, -1)} // the first and the last block
	captured, err := model.Trace(context.Background(), []int32{1, 2, 3}, runtime.TraceOptions{Sites: sites})
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range captured {
		last := c.Data[len(c.Data)-c.Width:] // the last token's row
		fmt.Println(c.Site, last[0])
	}
}

// A chat becomes token ids by the model's own template.
func ExampleModel_Template() {
	model, err := runtime.Open("model.gguf", runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	template, err := model.Template()
	if err != nil {
		log.Fatal(err)
	}
	tok, err := model.Tokenizer()
	if err != nil {
		log.Fatal(err)
	}
	prompt, err := template.Tokens(nil, tok, []chat.Message{{Role: "user", Content: "Who are you?"}}, true)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(prompt)
}

func ExampleSampler() {
	sampler, err := runtime.NewSampler(runtime.Sampling{PresencePenalty: 1.5}, 3) // greedy, tokens that came before are less welcome
	if err != nil {
		log.Fatal(err)
	}
	for range 4 {
		id := sampler.Sample([]float32{3, 2, 1})
		sampler.Accept(id)
		fmt.Print(id, " ")
	}
	// Output: 0 1 0 0
}
