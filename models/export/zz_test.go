package export

import (
	"fmt"
	"os"
	"sort"
	"testing"
)

func TestZZ(t *testing.T) {
	p := os.Getenv("ZZ")
	if p == "" {
		return
	}
	m, err := Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	fmt.Printf("%+v rows %d notes %q\n", m.Settings, m.Main.Rows, m.Notes)
	for _, i := range m.Main.Inputs {
		fmt.Println("in", i)
	}
	for _, i := range m.Main.States {
		fmt.Println("state", i)
	}
	for _, s := range m.Main.sites {
		fmt.Println(s.place, s.value, s.width, s.scope)
	}
	var out []string
	for p, r := range m.Missing {
		out = append(out, fmt.Sprint(p, r))
	}
	sort.Strings(out)
	for _, o := range out {
		fmt.Println("missing", o)
	}
	b, err := m.Main.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(len(b.Nodes), len(b.Weights), len(b.Stored), len(b.Marshal()))
}
