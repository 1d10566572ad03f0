// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestFunctions(t *testing.T) {
	at := time.Date(2025, 1, 5, 9, 4, 3, 678000, time.UTC)
	o := Options{BOS: "<s>", EOS: "</s>", Now: func() time.Time { return at }}
	for _, c := range []struct{ name, template, want string }{
		{"tokens", "{{ bos_token }}{{ eos_token }}", "<s></s>"},
		{"tojson of a literal", `{{ {"b": [1, 2.5, true, none], "a": "<é'>"} | tojson }}`, `{"b": [1, 2.5, true, null], "a": "<é'>"}`},
		{"tojson indented", `{{ {"b": [1], "a": {}} | tojson(indent=2) }}`, "{\n  \"b\": [\n    1\n  ],\n  \"a\": {}\n}"},
		{"tojson indented, by place", `{{ [1] | tojson(4) }}`, "[\n    1\n]"},
		{"tojson with separators", `{{ {"a": [1, 2]} | tojson(separators=(",", ":")) }}`, `{"a":[1,2]}`},
		{"tojson in ASCII", "{{ 'é\U0001F999' | tojson(ensure_ascii=true) }}", `"\u00e9\ud83e\udd99"`},
		{"tojson escapes", `{{ "a\"\\\n\tb" | tojson }}`, `"a\"\\\n\tb"`},
		{"items in order", `{% for k, v in {"b": 1, "a": 2}.items() %}{{ k }}{{ v }}{% endfor %}`, "b1a2"},
		{"items filter in order", `{% for k, v in {"b": 1, "a": 2} | items %}{{ k }}{{ v }}{% endfor %}`, "b1a2"},
		{"keys and values", `{% for k in {"b": 1, "a": 2}.keys() %}{{ k }}{% endfor %}{% for v in {"b": 1, "a": 2}.values() %}{{ v }}{% endfor %}`, "ba12"},
		{"range", "{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(4, 0, -2) %}{{ i }}{% endfor %}", "01242"},
		{"namespace", "{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "3"},
		{"day", "{{ strftime_now('%d %b %Y') }}", "05 Jan 2025"},
		{"time", "{{ strftime_now('%A, %-d %B, %H:%M:%S, %j, %y%m, 100%%, %q') }}", "Sunday, 5 January, 09:04:03, 005, 2501, 100%, %q"},
		{"blocks trimmed", "  {% if true %}\na\n  {% endif %}\nb", "a\nb"},
		{"undefined is nothing", "a{{ nothing }}b{% if nothing %}c{% endif %}", "ab"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := mustParse(t, c.template, o).Render(nil, false); err != nil || got != c.want {
				t.Errorf("Render = %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestBadTemplates(t *testing.T) {
	for _, c := range []struct{ name, template string }{
		{"unclosed", "{% if %}"},
		{"unknown block", "{% nothing %}"},
		{"unclosed expression", "{{ a "},
		{"unknown filter", "{{ 'a' | nothing }}"},
		{"file", "{% include '/etc/hostname' %}"},
		{"parent", "{% extends 'base' %}"},
		{"import", "{% import 'a' as b %}{{ b.c() }}"},
		{"call of a string", "{{ 'a'() }}"},
		{"endless range", "{% for i in range(1000000000) %}{{ i }}{% endfor %}"},
		{"range without a step", "{% for i in range(0, 1, 0) %}{% endfor %}"},
		{"tojson of a function", "{{ range | tojson }}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl, err := Parse(c.template, Options{})
			if err == nil {
				var out string
				if out, err = tmpl.Render([]Message{{Role: "user", Content: "a"}}, true); err == nil {
					t.Fatalf("Render = %q, want an error", out)
				}
			}
			if !strings.HasPrefix(err.Error(), "chat: ") {
				t.Errorf("error %q does not begin with the package", err)
			}
		})
	}
}

func TestRaised(t *testing.T) {
	tmpl := mustParse(t, "{% if messages[0].role != 'user' %}{{ raise_exception('users first') }}{% endif %}ok", Options{})
	_, err := tmpl.Render([]Message{{Role: "system"}}, true)
	var raised *RaisedError
	if !errors.As(err, &raised) || raised.Message != "users first" {
		t.Errorf("Render = %v, want RaisedError users first", err)
	}
	if got, err := tmpl.Render([]Message{{Role: "user"}}, true); err != nil || got != "ok" {
		t.Errorf("Render after a refusal = %q, %v, want ok", got, err)
	}
}

func TestMessageJSON(t *testing.T) {
	var m Message
	if err := json.Unmarshal([]byte(`{"role":"assistant","content":null,"tool_calls":[{"z":1,"a":1.5,"b":[true,null,"x"]}]}`), &m); err != nil {
		t.Fatal(err)
	}
	tmpl := mustParse(t, "{{ messages[0] | tojson }}{{ messages[0].content is none }}", Options{})
	got, err := tmpl.Render([]Message{m}, false)
	if want := `{"role": "assistant", "content": null, "tool_calls": [{"z": 1, "a": 1.5, "b": [true, null, "x"]}]}True`; err != nil || got != want {
		t.Errorf("Render = %q, %v, want %q", got, err, want)
	}
	for _, bad := range []string{`[]`, `{"role":5}`, `"x"`, strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200)} {
		if err := json.Unmarshal([]byte(bad), &m); err == nil {
			t.Errorf("Unmarshal(%.40q) is no error", bad)
		}
	}
}

// TestRenderLeavesMessages: a template that changes what it is given changes nothing of the caller's.
func TestRenderLeavesMessages(t *testing.T) {
	tmpl := mustParse(t, "{% set x = messages[0].list.append('b') %}{{ messages[0].list | length }}", Options{})
	m := []Message{{Extra: Object{{"list", []any{"a"}}}}}
	for range 2 {
		if got, err := tmpl.Render(m, false); err != nil || got != "2" {
			t.Errorf("Render = %q, %v, want 2", got, err)
		}
	}
}

// TestHammer renders one template on several goroutines at once.
func TestHammer(t *testing.T) {
	tmpl := mustParse(t, "{% for m in messages %}{{ m.role }}:{{ m.content | tojson }}{% if m.content == 'c' %}{{ raise_exception(m.role) }}{% endif %}{% endfor %}", Options{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				role := fmt.Sprint(g, "-", i)
				if got, err := tmpl.Render([]Message{{role, "b", nil}}, false); err != nil || got != role+`:"b"` {
					t.Errorf("Render = %q, %v", got, err)
				}
				var raised *RaisedError
				if _, err := tmpl.Render([]Message{{role, "c", nil}}, false); !errors.As(err, &raised) || raised.Message != role {
					t.Errorf("Render = %v, want the refusal %q", err, role)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkRender(b *testing.B) {
	tmpl := mustParse(b, smolLM2, Options{})
	m := []Message{{Role: "system", Content: "Be kind."}, {Role: "user", Content: "Hello, who are you?"}}
	for b.Loop() {
		if _, err := tmpl.Render(m, true); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTokens(b *testing.B) {
	c, tmpl := smolTokenizer(b), mustParse(b, smolLM2, Options{})
	m := []Message{{Role: "system", Content: "Be kind."}, {Role: "user", Content: "Hello, who are you?"}}
	var ids []int32
	for b.Loop() {
		var err error
		if ids, err = tmpl.Tokens(ids[:0], c, m, true); err != nil {
			b.Fatal(err)
		}
	}
}
