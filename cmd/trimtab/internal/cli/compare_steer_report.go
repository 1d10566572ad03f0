// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"html/template"
	"io"
	"strings"
)

// row is one line of a report's table.
type row struct {
	Name  string
	Cells []string
}

// table lists what was measured: a row a steering.
func (s *sides) table() (head []string, rows []row) {
	head = []string{"strength", "KL", "edit/activation"}
	if s.Measure != "" {
		head = append(head, s.Measure, "effect")
	}
	head = append(head, "perplexity", "new pairs", "verdict")
	for i := range s.Sides {
		one := &s.Sides[i]
		p := &one.Point
		cells := []string{fmt.Sprintf("%.4g", p.Strength), fmt.Sprintf("%.3f", p.KL), fmt.Sprintf("%.3f", p.Ratio)}
		if s.Measure != "" {
			cells = append(cells, fmt.Sprintf("%.3f", p.Value), fmt.Sprintf("%+.3f", p.Effect))
		}
		cells = append(cells, fmt.Sprintf("%.3g", one.Text.Perplexity), fmt.Sprintf("%.0f %%", 100*one.Text.Distinct), one.Verdict)
		rows = append(rows, row{one.title(), cells})
	}
	return head, rows
}

// title names a side as its column's head does.
func (s *side) title() string {
	if s.Spec == "" {
		return s.Name
	}
	return s.Spec
}

// answers returns the texts behind a prompt, one a side.
func (s *sides) answers(prompt int) (out []string) {
	for i := range s.Sides {
		out = append(out, strings.TrimSpace(s.Sides[i].Text.Texts[prompt].Text))
	}
	return out
}

// figures says what was measured behind one prompt, one a side.
func (s *sides) figures(prompt int) (out []string) {
	for i := range s.Sides {
		one := &s.Sides[i]
		text := fmt.Sprintf("perplexity %.3g", one.Text.Texts[prompt].Perplexity)
		if len(one.Point.KLs) > 0 {
			text = fmt.Sprintf("KL %.3f, ", one.Point.KLs[prompt]) + text
		}
		if len(one.Point.Values) > 0 {
			text += fmt.Sprintf(", %s %.3f", s.Measure, one.Point.Values[prompt])
		}
		out = append(out, text)
	}
	return out
}

func (s *sides) markdown(w io.Writer) error {
	var b strings.Builder
	head, rows := s.table()
	line := func(name string, cells []string) {
		b.WriteString("| " + cell(name))
		for _, c := range cells {
			b.WriteString(" | " + cell(c))
		}
		b.WriteString(" |\n")
	}
	rule := func(n int) { b.WriteString("|" + strings.Repeat("---|", n+1) + "\n") }
	fmt.Fprintf(&b, "# %s, plain and steered\n\n", cell(s.Model))
	line("", head)
	rule(len(head))
	for _, r := range rows {
		line(r.Name, r.Cells)
	}
	b.WriteString("\n")
	var names []string
	for i := range s.Sides {
		names = append(names, s.Sides[i].title())
	}
	line("prompt", names)
	rule(len(names))
	for i, prompt := range s.Prompts {
		line(strings.TrimSpace(prompt), s.answers(i))
		line("", s.figures(i))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell keeps a text within one cell of a table, and from being read as markup.
func cell(text string) string {
	text = strings.NewReplacer("\\", "\\\\", "|", "\\|", "<", "&lt;", ">", "&gt;", "&", "&amp;", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "#", "\\#").Replace(text)
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "<br>")
}

// page is the report as HTML; it needs no other file.
const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Model}}, plain and steered</title><style>
body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 90em; padding: 0 1em }
table { border-collapse: collapse; margin-bottom: 2em; width: 100% }
th, td { border: 1px solid #ccc; padding: .4em .6em; text-align: left; vertical-align: top }
th { background: #f3f3f3; overflow-wrap: anywhere }
td.text { white-space: pre-wrap }
small { color: #666; display: block; margin-top: .5em }
</style></head><body>
<h1>{{.Model}}, plain and steered</h1>
<table><tr><th></th>{{range .Head}}<th>{{.}}</th>{{end}}</tr>
{{range .Rows}}<tr><th>{{.Name}}</th>{{range .Cells}}<td>{{.}}</td>{{end}}</tr>
{{end}}</table>
<table><tr><th>prompt</th>{{range .Rows}}<th>{{.Name}}</th>{{end}}</tr>
{{range .Prompts}}<tr><td class="text">{{.Prompt}}</td>{{range .Answers}}<td class="text">{{.Text}}<small>{{.Figures}}</small></td>{{end}}</tr>
{{end}}</table>
</body></html>
`

// told is one answer with its figures, for a page.
type told struct{ Text, Figures string }

// asked is one prompt with its answers, for a page.
type asked struct {
	Prompt  string
	Answers []told
}

func (s *sides) html(w io.Writer) error {
	t, err := template.New("page").Parse(page)
	if err != nil {
		return err
	}
	head, rows := s.table()
	var prompts []asked
	for i, prompt := range s.Prompts {
		one := asked{Prompt: strings.TrimSpace(prompt)}
		figures := s.figures(i)
		for k, text := range s.answers(i) {
			one.Answers = append(one.Answers, told{text, figures[k]})
		}
		prompts = append(prompts, one)
	}
	return t.Execute(w, map[string]any{"Model": s.Model, "Head": head, "Rows": rows, "Prompts": prompts})
}
