// SPDX-License-Identifier: Apache-2.0

// Package models reads what is on disk into one form: a description of the network, its tensors, its tokenizer and its chat template.
//
// [Open] takes a path and returns a [Model]. A model file is one of the formats below; what differs between formats ends here.
//
//	gguf/         GGUF files, as llama.cpp writes them
//	safetensors/  the tensor files of Hugging Face folders
//	quant/        block types of quantised tensors
//	tokenizer/    text to token ids and back
//	chat/         conversations to prompts
//	decoder/      a description to a graph
//	onnx/         a graph to bytes
package models
