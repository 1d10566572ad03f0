// SPDX-License-Identifier: Apache-2.0

// Package dictionary reads sparse dictionaries (sparse autoencoders, transcoders, ITDA and matching-pursuit dictionaries) in
// every published format, and encodes, decodes and edits activations with them in plain Go.
//
// [Open] finds out what a file or folder is and returns a [Dictionary]: a [Form], which is the one normal form all formats
// are brought to, and an [Address], which says where in which model it belongs. A [Coder] turns an activation into a code,
// a list of [Feature] values; [Dictionary.Decode] turns a code into an activation; [Dictionary.Edit] changes features of an
// activation and leaves everything else of it, the part that the dictionary cannot explain included, as it is:
//
//	h += outScale * sum over f of (z'[f] - z[f]) * Dec[f]
//
// # Terminology
//
// A feature is one latent of an SAE or one atom of an ITDA dictionary; a code is the list of an activation's features that
// are not zero; the pre-activation of a feature is what stands before selection: (norm(x) - PreSub) · Enc[f] + EncBias[f].
//
// # Formats
//
// SAELens 2 to 6 (cfg.json + sae_weights.safetensors), EleutherAI sparsify (cfg.json + sae.safetensors), dictionary_learning
// (ae.pt + config.json), Gemma Scope (params.npz; Gemma Scope 2 params.safetensors), Llama Scope and later OpenMOSS
// (hyperparams.json or config.json), Qwen Scope (layerN.sae.pt), transcoder sets (layer_N.safetensors; W_enc_N.safetensors with
// W_dec_N.safetensors), BatchTopK-style training folders and top-AFA (sae.pt + config.json), Goodfire, OpenAI, Kissane's
// attention SAEs and plain nn.Linear pairs (one .pt or .pth file, or the same names in safetensors), overcomplete's MpSAE,
// OMPSAE, TopKSAE, JumpSAE, BatchTopKSAE and archetypal dictionaries (state_dict, perhaps with a config.json that has class,
// top_k, k, delta or running_threshold), ITDA (atoms.pt + atom_indices.pt + metadata.yaml), and this project's own
// twin of it (itda.safetensors + itda.json, see [WriteITDA]). A safetensors file may be split, with an index beside the parts.
// Torch files are read by models/pickle, which runs nothing. Crosscoders and temporal SAEs, which read several layers or the
// whole context, are refused.
package dictionary
