// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/trimtab/trimtab/internal/fixture"
)

// conversation is one case of fixtures/chat: a rendered prompt, or the error of the reference renderer.
type conversation struct {
	Template            string    `json:"template"`
	Case                string    `json:"case"`
	Messages            []Message `json:"messages"`
	AddGenerationPrompt bool      `json:"add_generation_prompt"`
	Tools               []Object  `json:"tools"`
	Output              *string   `json:"output"`
	Error               string    `json:"error"`
	ErrorType           string    `json:"error_type"`
}

func (c *conversation) vars() []Field {
	if c.Tools == nil {
		return nil
	}
	return []Field{{"tools", c.Tools}}
}

func readJSON(tb testing.TB, path string, into any) {
	tb.Helper()
	data, err := os.ReadFile(fixture.Path(tb, path))
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		tb.Fatal(err)
	}
}

func TestSmolLM2(t *testing.T) {
	var file struct {
		Template string         `json:"template"`
		BOS      string         `json:"bos_token"`
		EOS      string         `json:"eos_token"`
		Cases    []conversation `json:"cases"`
	}
	readJSON(t, "fixtures/chat/smollm2.json", &file)
	tmpl, err := Parse(file.Template, Options{BOS: file.BOS, EOS: file.EOS})
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) != 8 {
		t.Fatalf("%d cases, want 8", len(file.Cases))
	}
	for i, c := range file.Cases {
		got, err := tmpl.Render(c.Messages, c.AddGenerationPrompt)
		if err != nil || got != *c.Output {
			t.Errorf("case %d: Render = %q, %v, want %q", i, got, err, *c.Output)
		}
	}
}

// lenient lists the templates that the reference refuses to render without tools: it may not iterate None or name what is undefined.
// The library here takes both as nothing, so the result must be the one with the empty list, where the reference has one.
var lenient = map[string]string{
	"CohereForAI-c4ai-command-r-plus-tool_use.jinja":      "iterates tools, which is None",
	"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use.jinja": "iterates tools, which is None",
	"NousResearch-Hermes-3-Llama-3.1-8B-tool_use.jinja":   "iterates tools, which is None",
	"fireworks-ai-llama-3-firefunction-v2.jinja":          "names functions, which is undefined",
}

func TestTemplates(t *testing.T) {
	var file struct {
		BOS   string         `json:"bos_token"`
		EOS   string         `json:"eos_token"`
		Now   string         `json:"now"`
		Cases []conversation `json:"cases"`
	}
	readJSON(t, "fixtures/chat/templates.json", &file)
	if len(file.Cases) != 80 {
		t.Fatalf("%d cases, want 80", len(file.Cases))
	}
	now, err := time.Parse("2006-01-02T15:04:05", file.Now)
	if err != nil {
		t.Fatal(err)
	}
	outputs := map[string]*string{}
	for _, c := range file.Cases {
		outputs[c.Template+c.Case] = c.Output
	}
	options := Options{BOS: file.BOS, EOS: file.EOS, Now: func() time.Time { return now }}
	for _, c := range file.Cases {
		t.Run(c.Template+"/"+c.Case, func(t *testing.T) {
			want := c.Output
			if _, ok := lenient[c.Template]; ok && want == nil && c.ErrorType != "TemplateError" {
				want = outputs[c.Template+c.Case+"_tools_empty"]
				c.Error = ""
			}
			c.check(t, readTemplate(t, c.Template, options), want)
		})
	}
}

func (c *conversation) check(t *testing.T, tmpl *Template, want *string) {
	t.Helper()
	got, err := tmpl.Render(c.Messages, c.AddGenerationPrompt, c.vars()...)
	var raised *RaisedError
	switch {
	case c.Error != "" && (!errors.As(err, &raised) || raised.Message != c.Error):
		t.Errorf("Render = %q, %v, want the template's refusal %q", got, err, c.Error)
	case c.Error == "" && err != nil:
		t.Errorf("Render: %v", err)
	case want != nil && got != *want:
		t.Errorf("Render = %q, want %q", got, *want)
	}
}

func readTemplate(t *testing.T, name string, o Options) *Template {
	t.Helper()
	source, err := os.ReadFile(fixture.Path(t, "data/ggerganov+llama.cpp/models/templates/"+name))
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := Parse(string(source), o)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}
