// SPDX-License-Identifier: Apache-2.0

// Package steering has the hooks that trimtab ships: a [Spec] says in one line what is wanted, a [Vector] is what a file holds,
// and a [Hook] puts both together: a [Steering] acts with directions, [Features] with a dictionary.
//
//	s, err := steering.Load("norm:happy.gguf*2.5@resid_post.10-20[decode]")
//	s.Strength().Set(4) // at any time, also while a session that s is attached to runs
//
// # Grammar
//
//	vector:FILE[*STRENGTH][@SITES]    h + STRENGTH v
//	norm:FILE[*STRENGTH][@SITES]      the same, keeping the length of h
//	project:FILE[*STRENGTH][@SITES]   remove STRENGTH (1) times the component along v
//	project+:FILE[*STRENGTH][@SITES]  the same, only where the component is positive
//	clamp:FILE[*STRENGTH]=LO..HI[@SITES]  keep the component along v/|v| between LO and HI
//	rotate:FILE1,FILE2=DEGREES[@SITES]    turn the component in the plane of two directions (angular steering); of a .npy file that has planes it alone is named
//	rotate+:FILE1,FILE2=DEGREES[@SITES]   the same, only where the component along the first is positive (its adaptive mode)
//	ablate:FILE[*STRENGTH][@SITES]    remove one direction at the input of every block and from what attention and the MLP put out (refusal direction)
//	actadd:FILE[*STRENGTH][@SITES]    add a prompt's activations, position by position, to the front of each prompt: [mid], [back] (activation addition)
//	sae:DIR[:LABELS][*SHARE][#EDIT,...][@SITE]   watch the features of a sparse autoencoder, and set those of EDIT; itda: the same with atoms
//	rules:FILE[*FACTOR]                   an ActivationReasoning program
//	experts:FILE[*STRENGTH], experts:MODE=LAYER/EXPERT,...[*STRENGTH]  a mask over the experts of a mixture
//	experts:watch                         read which experts tokens choose
//
// EDIT is FEATURE=V, +=V, *=V, >=V or <=V, where FEATURE is a number or a word that one label alone has, or splice, which puts the reconstruction in the
// activation's place. LABELS is a JSON file of words for features; labels.json of the dictionary's folder is read without being named.
//
// MODE is off-drop (no weight, the slot stays empty), off-replace (as if the router had no row for it), force-on, force-max or soft+ (logit above all others),
// soft- (below all others), or scale*FACTOR; a mask may have several, with semicolons between them. Its file is what trimtab fit experts writes, or JSON objects
// with layer, expert, mode and value.
//
// FILE is a control-vector GGUF, a safetensors file, a .svec of activation-steering, or a .npy or .pt of RepE, angular steering, steering-vectors, CAA or
// refusal_direction, of which nothing is executed. FILE:NAME chooses from a file with several families of directions (diffmean.8, diffmean.9, ...
// and pca.8, pca.9, ... are two), or, where NAME is a tensor's whole name, that one tensor. SITES is what [hooks.Shape.Select] reads;
// without it a direction goes to the output of its own block, as llama.cpp applies control vectors. With it every site gets the direction of its own
// layer, or, where only one direction was chosen, that one. A list of modifiers may end a spec: [prefill], [decode], [special] and [ordinary]
// (tokens), [pos=3], [pos=3-7], [pos=3-], joined by commas as in [decode,pos=20-]; of dictionaries also
// [k=8] (shorter codes), [scale=S] (the constant of expected_average_only_in) and [massive] (positions with massive activations too).
//
// Of directions, [answer] is positions behind the last end of an instruction in what the model's template makes of a conversation, so that the last token of a
// prompt is left as it is and generated ones are steered (CAA); a prompt without such an end is steered as a whole. And
//
//	[when FILE[:NAME][@SITES] above NUMBER]    or below NUMBER; [when last FILE ...]; several joined by and, or by or
//
// is conditional steering (CAST): the spec acts where the prompt's mean activation h, or that of its last token, is like the condition vector c of the file:
// where cos(h, tanh(P h)), P the projection onto c, is above the number at any of the sites. Position 0 and activations more than four times as long as the
// median do not count, unless the spec is [massive]. What is decided is state of the session: each prompt decides anew, by the tokens that it brings; tokens of
// earlier turns that are in the cache are not asked again and keep what was decided for them. Of a prompt that takes several passes each decides by all that
// has passed so far. Edits at sites before the condition's come too late for the pass that decides, and act from the next one on; [decode] leaves the prompt
// out altogether.
//
// A spec is read from the right: the modifiers, then what follows the last @, the last =, the last * and the last colon of the file. An @, =, * or colon
// that a slash or backslash follows later belongs to the file's path, not to the grammar. A name that this misreads is written in double quotes,
// with \" for a quote and \\ for a backslash: vector:"odd*name@home.gguf"*2.
package steering
