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
//	rotate:FILE1,FILE2=DEGREES[@SITES]    turn the component in the plane of two directions
//	sae:DIR[:LABELS][*SHARE][#EDIT,...][@SITE]   watch the features of a sparse autoencoder, and set those of EDIT; itda: the same with atoms
//	rules:FILE[*FACTOR]                   an ActivationReasoning program
//	experts:FILE, experts:MODE=LAYER/EXPERT,...  a mask over the experts of a mixture
//
// EDIT is FEATURE=V, +=V, *=V, >=V or <=V, where FEATURE is a number or a word that one label alone has, or splice, which puts the reconstruction in the
// activation's place. LABELS is a JSON file of words for features; labels.json of the dictionary's folder is read without being named.
//
// FILE is a control-vector GGUF or a safetensors file. FILE:NAME chooses from a file with several families of directions (diffmean.8, diffmean.9, ...
// and pca.8, pca.9, ... are two), or, where NAME is a tensor's whole name, that one tensor. SITES is what [hooks.Shape.Select] reads;
// without it a direction goes to the output of its own block, as llama.cpp applies control vectors. With it every site gets the direction of its own
// layer, or, where only one direction was chosen, that one. A list of modifiers may end a spec: [prefill], [decode], [special] and [ordinary]
// (tokens), [pos=3], [pos=3-7], [pos=3-], joined by commas as in [decode,pos=20-]; of dictionaries also
// [k=8] (shorter codes), [scale=S] (the constant of expected_average_only_in) and [massive] (positions with massive activations too).
//
// A spec is read from the right: the modifiers, then what follows the last @, the last =, the last * and the last colon of the file. An @, =, * or colon
// that a slash or backslash follows later belongs to the file's path, not to the grammar. A name that this misreads is written in double quotes,
// with \" for a quote and \\ for a backslash: vector:"odd*name@home.gguf"*2.
package steering
