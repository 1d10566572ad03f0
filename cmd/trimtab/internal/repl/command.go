// SPDX-License-Identifier: Apache-2.0

package repl

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
)

// command is one line of /help.
type command struct {
	name, alias string
	args        string
	help        string
	run         func(c *Chat, ctx context.Context, arg string) error
	words       func(c *Chat, arg string) (stem string, candidates []string) // completes arg; nil completes nothing
}

// commands lists every command in the order of /help.
func commands() []command {
	return []command{
		{"help", "?", "", "list the commands", (*Chat).help, nil},
		{"steer", "", "SPEC", "attach steering, such as vector:FILE*4@resid_post.10-20", (*Chat).steer, specWords},
		{"extract", "", "A vs B [to FILE]", "make a vector of two personas, such as happy vs sad, in seconds, and attach it", (*Chat).extract, nil},
		{"alpha", "", "[NAME] VALUE", "turn a strength; takes effect on the next token", (*Chat).alpha, steeringWords},
		{"dose", "", "[NAME] [KL] [MEASURE.json]", "say how far a steering moves the model, and find the strength that moves it by a KL of 0.5", (*Chat).dose, steeringWords},
		{"unsteer", "", "[NAME]", "take one steering off, or all", (*Chat).unsteer, steeringWords},
		{"steering", "", "", "list what is attached, where and how strong", (*Chat).steering, nil},
		{"compare", "", "", "answer the last message again without steering", (*Chat).compare, nil},
		{"probe", "", "[SPEC | off]", "show how far answers reach along a vector, or a dictionary's features: vector:FILE[@SITES], sae:DIR", (*Chat).probe, specWords},
		{"features", "", "[TEXT]", "show the features of the last answer's tokens, or those whose label has TEXT", (*Chat).features, nil},
		{"experts", "", "[off LIST | on [LIST] | mark | fit]", "watch experts, switch them off and on, find those of marked or refused answers", (*Chat).experts, expertWords},
		{"rules", "", "[FILE]", "attach a program of rules, or list what is attached", (*Chat).rules, fileWords},
		{"rule", "", "RULE", "add a rule, such as weapon and not police -> suppress weapon", (*Chat).rule, nil},
		{"concepts", "", "[FILE]", "list what rules can detect, or attach it alone", (*Chat).concepts, fileWords},
		{"why", "", "[TOKEN]", "say which features, concepts and rules led to a token of the last answer", (*Chat).why, nil},
		{"sites", "", "", "list the sites of the model", (*Chat).sites, nil},
		{"sys", "", "[TEXT]", `set the system prompt ("" is none), or show it`, (*Chat).sys, nil},
		{"temp", "", "[VALUE]", "set the temperature", (*Chat).temp, nil},
		{"seed", "", "[VALUE | random]", "set the seed", (*Chat).seed, nil},
		{"set", "", "[NAME VALUE]", "change a setting, or list them", (*Chat).set, settingWords},
		{"show", "", "[info | parameters | system | messages]", "show what there is", (*Chat).show, showWords},
		{"tokens", "", "", "show the last prompt exactly as the model sees it", (*Chat).tokens, nil},
		{"save", "", "FILE", "write the chat to a file", (*Chat).save, fileWords},
		{"load", "", "FILE", "take a chat over from a file", (*Chat).load, fileWords},
		{"regen", "", "", "answer the last message again", (*Chat).regen, nil},
		{"undo", "", "", "forget the last message and its answer", (*Chat).undo, nil},
		{"clear", "", "", "forget all messages", (*Chat).clear, nil},
		{"bye", "exit", "", "leave", (*Chat).bye, nil},
	}
}

func (c *Chat) help(context.Context, string) error {
	w := tabwriter.NewWriter(c.screen.out, 0, 0, 2, ' ', 0)
	for _, cmd := range commands() {
		fmt.Fprintf(w, "%s\t%s\n", strings.TrimSpace("/"+cmd.name+" "+cmd.args), cmd.help)
	}
	fmt.Fprintf(w, "%s ... %s\ta message of several lines\n", block, block)
	fmt.Fprintln(w, "Ctrl-C\tstop the answer")
	return w.Flush()
}

func (c *Chat) bye(context.Context, string) error { return errBye }
