// SPDX-License-Identifier: Apache-2.0

// Package rules is the logic between detected concepts and steering: a [Program] is a parsed rules file, a [Machine] is one compiled for a
// [World], [Machine.Infer] answers once with a record of every step, and a [Run] follows a text token by token without allocating.
//
//	p, err := rules.Parse("weapon and not police -> unsafe, suppress weapon *0.5")
//	m, err := p.Compile(p.World)
//	for _, step := range m.Infer(rules.Is("weapon")).Steps { … }
//
// Actions are data here: who runs the model carries them out for the rules that fired.
//
// # Language
//
// A statement stands on a line or ends at a semicolon. A line goes on where a parenthesis or bracket is open, and after an operator, an arrow, a
// colon and a comma. A # begins a comment. Keywords are reserved and lower case.
//
//	file      = { statement }
//	statement = "concepts" FILE           what is detected, as trimtab fit concepts writes it
//	          | "dictionary" FILE         in place of the one that the concepts' file names
//	          | "world" ("closed" | "open")
//	          | [ NAME ":" ] condition "->" effect { "," effect } [ "[" option { "," option } "]" ]
//	condition = or { "xor" or }             loosest first, as in the released code
//	or        = and { "or" and }
//	and       = unary { "and" unary }
//	unary     = "not" unary | NAME | "true" | "false" | "(" condition [ "->" condition ] ")"
//	effect    = NAME | "not" NAME           conclude, or conclude that it is false
//	          | "promote" NAME amount       towards the concept's rows
//	          | "suppress" NAME amount      away from them
//	          | "add" FILE amount           a vector
//	          | "set" "feature" N [ "of" FILE ] ("=" | "+=" | "*=" | ">=" | "<=") NUMBER
//	          | "mask" "experts" LAYER/EXPERT { LAYER/EXPERT }
//	          | "stop"                      end the generation
//	          | "require" TEXT              the phrase must come
//	amount    = [ "*" NUMBER ] [ "@" SITES ]
//	option    = "prompt" | "answer" | "both" | "token" | "any" | "steer" ("last" | "all" | "prompt" | "answer") | "strength" NUMBER | "@" SITES
//
// NAME is a letter or _ followed by letters, digits, _ and -, or any text in double quotes as Go writes it. FILE and TEXT are in quotes. SITES is what
// hooks.Shape.Select reads, in quotes where it is a list. An arrow inside parentheses is the material one: (a -> b) is (not a or b).
//
// # Scope
//
// A rule counts what is detected in the prompt, in the answer, or in both (the default), and either at this token only or at any token so far (the
// default). A token rule is due at the tokens of its phase; an any rule from its phase's first token on, also after the phase. Scope limits detections only:
// what a rule concludes holds for all rules at that token. What a token rule concludes counts from then on as seen at that token.
//
// Where a rule that fires steers is another matter: at the last token of the prompt and at generated ones unless it says steer all, prompt or answer.
//
// # Semantics
//
// Rules chain forward to a fixpoint and nothing is withdrawn. In the closed world not A means that A is neither given nor concluded; rules that conclude A
// run to their end before a rule that negates it, and a program in which that order does not exist is refused with a [CycleError]. In the open world
// a concept is true, false or unknown: not A needs A to be denied, by a fact or by a rule with not A behind its arrow, and a condition holds where strong
// Kleene logic makes it true. A concept both affirmed and denied is reported as a conflict; in the closed world denials do nothing else.
//
// # English
//
// [FromEnglish] compiles statements as PrOntoQA has them. Case of the first letter is free, and each sentence ends with a full stop:
//
//	sentence   = subject ("is" | "are") complement { "and" complement } "."
//	subject    = ("every" | "each" | "all" | "a" | "an") NOUN | NOUNS | INDIVIDUAL
//	complement = [ "not" ] [ "a" | "an" ] WORD { WORD }
//
// Every subject becomes a rule's condition and every complement a conclusion, nouns in the singular; Max is a wumpus becomes Max -> wumpus. A
// question is a sentence after "True or false:" or "Is the following statement true or false?".
//
// # Released code
//
// [Legacy], [Simple], [Complex] and [OpenWorld] do what ml-research/ActivationReasoning (commit 8acec66) does instead of a fixpoint, for reproduction.
// [RankWeights] and [Shift] are its steering arithmetic.
package rules
