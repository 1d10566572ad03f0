// SPDX-License-Identifier: Apache-2.0

package rules_test

import (
	"fmt"

	"github.com/trimtab/trimtab/steering/rules"
)

func ExampleMachine_Infer() {
	p, err := rules.Parse(`
danger: weapon and not police -> unsafe
unsafe -> suppress weapon *0.5, stop [answer]`)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := p.Compile(p.World)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range m.Infer(rules.Is("weapon")).Steps {
		fmt.Println(p.Title(s.Rule), s.From, s.Adds, len(p.Rules[s.Rule].Actions))
	}
	// Output:
	// danger [weapon not police] [unsafe] 0
	// #2 [unsafe] [] 2
}

func ExampleParse() {
	_, err := rules.Parse("weapon and not police unsafe")
	fmt.Println(err)
	// Output:
	// rules: line 1, column 23: want "->" or an operator after the condition, found "unsafe"
}

func ExampleMachine_Ask() {
	p, _ := rules.FromEnglish("Max is a wumpus. Each wumpus is a tumpus. Tumpuses are not shy.")
	m, _ := p.Compile(p.World)
	q, _ := rules.ParseQuestion("True or false: Max is shy.")
	fmt.Println(m.Ask(q))
	// Output: false
}

func ExampleMachine_Start() {
	p, _ := rules.Parse("weapon and not police -> stop [answer, token]")
	m, _ := p.Compile(p.World)
	run, held := m.Start(), m.NewSet()
	weapon, _ := m.Concept("weapon")
	held.Add(weapon)
	run.Step(rules.Prompt, held, nil)
	fmt.Println(run.Fired(0))
	run.Step(rules.Answer, held, nil)
	fmt.Println(run.Fired(0))
	// Output:
	// false
	// true
}
