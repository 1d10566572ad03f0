// SPDX-License-Identifier: Apache-2.0

package tokenizer

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of sentencepiece_model.proto (github.com/google/sentencepiece).
const (
	fieldPieces     = 1 // ModelProto
	fieldTrainer    = 2
	fieldNormalizer = 3

	fieldPiece = 1 // SentencePiece
	fieldScore = 2
	fieldType  = 3

	fieldModelType = 3 // TrainerSpec
	fieldUnkID     = 40
	fieldBosID     = 41
	fieldEosID     = 42

	fieldCharsmap    = 2 // NormalizerSpec
	fieldDummyPrefix = 3
	fieldExtraSpaces = 4
	fieldEscape      = 5

	modelUnigram = 1
	modelBPE     = 2
)

// spmFile is what a tokenizer.model holds, with the proto's defaults.
type spmFile struct {
	g                  GGUF
	modelType          uint64
	charsmap           []byte
	dummyPrefix        bool
	removeExtraSpaces  bool
	escapesWhitespaces bool
}

// FromSentencePiece builds the tokenizer of a tokenizer.model: SentencePiece BPE or unigram. As the library does, it puts a
// space before the whole text only.
func FromSentencePiece(data []byte) (*Coder, error) {
	f := spmFile{modelType: modelUnigram, dummyPrefix: true, removeExtraSpaces: true, escapesWhitespaces: true}
	f.g = GGUF{BOS: 1, EOS: 2, UNK: 0, EOT: -1, EOM: -1}
	if err := f.read(data); err != nil {
		return nil, err
	}
	return f.coder()
}

func (f *spmFile) coder() (*Coder, error) {
	if !f.escapesWhitespaces {
		return nil, unsupported("normalizer_spec.escape_whitespaces", "false")
	}
	switch f.modelType {
	case modelUnigram:
		f.g.Model = "t5"
	case modelBPE:
		f.g.Model = "llama"
	default:
		return nil, unsupported("trainer_spec.model_type", fmt.Sprint(f.modelType))
	}
	c, err := FromGGUF(f.g)
	if err != nil {
		return nil, err
	}
	clean, err := charsmapRewrite(f.charsmap)
	if err != nil {
		return nil, err
	}
	c.normalize = nil
	for _, step := range []struct {
		wanted bool
		rewrite
	}{{clean != nil, clean}, {f.removeExtraSpaces, singleSpaces}, {f.dummyPrefix, prepend(" ", true)}, {true, replace(" ", metaSpace)}} {
		if step.wanted {
			c.normalize = append(c.normalize, step.rewrite)
		}
	}
	c.trimFirst = f.dummyPrefix
	return c, nil
}

// eachField calls f for every field of a message; f gets the value's bytes, or the number for those that have none.
func eachField(data []byte, f func(num protowire.Number, bytes []byte, value uint64) error) error {
	for len(data) > 0 {
		num, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("tokenizer: tokenizer.model: %w", protowire.ParseError(n))
		}
		data = data[n:]
		var raw []byte
		var value uint64
		switch kind {
		case protowire.BytesType:
			raw, n = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(data)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(data)
			value = uint64(v)
		default:
			n = protowire.ConsumeFieldValue(num, kind, data)
		}
		if n < 0 {
			return fmt.Errorf("tokenizer: tokenizer.model: field %d: %w", num, protowire.ParseError(n))
		}
		data = data[n:]
		if err := f(num, raw, value); err != nil {
			return err
		}
	}
	return nil
}

func (f *spmFile) read(data []byte) error {
	return eachField(data, func(num protowire.Number, raw []byte, _ uint64) error {
		switch num {
		case fieldPieces:
			return f.readPiece(raw)
		case fieldTrainer:
			return f.readTrainer(raw)
		case fieldNormalizer:
			return f.readNormalizer(raw)
		}
		return nil
	})
}

func (f *spmFile) readPiece(data []byte) error {
	var text string
	var score float32
	kind := int32(typeNormal)
	err := eachField(data, func(num protowire.Number, raw []byte, value uint64) error {
		switch num {
		case fieldPiece:
			text = string(raw)
		case fieldScore:
			score = math.Float32frombits(uint32(value))
		case fieldType:
			kind = int32(value)
		}
		return nil
	})
	f.g.Tokens, f.g.Scores, f.g.Types = append(f.g.Tokens, text), append(f.g.Scores, score), append(f.g.Types, kind)
	return err
}

func (f *spmFile) readTrainer(data []byte) error {
	return eachField(data, func(num protowire.Number, _ []byte, value uint64) error {
		switch num {
		case fieldModelType:
			f.modelType = value
		case fieldUnkID:
			f.g.UNK = int32(value)
		case fieldBosID:
			f.g.BOS = int32(value)
		case fieldEosID:
			f.g.EOS = int32(value)
		}
		return nil
	})
}

func (f *spmFile) readNormalizer(data []byte) error {
	return eachField(data, func(num protowire.Number, raw []byte, value uint64) error {
		switch num {
		case fieldCharsmap:
			f.charsmap = raw
		case fieldDummyPrefix:
			f.dummyPrefix = value != 0
		case fieldExtraSpaces:
			f.removeExtraSpaces = value != 0
		case fieldEscape:
			f.escapesWhitespaces = value != 0
		}
		return nil
	})
}
