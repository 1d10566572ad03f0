// SPDX-License-Identifier: Apache-2.0

package pickle

import "strings"

// elem is an element type by torch's name.
type elem struct {
	name  string
	width int // bytes
}

// find returns what a Python name stands for here; ok is false for all but a fixed list.
func find(module, name string) (*global, bool) {
	full := module + "." + name
	switch full {
	case "collections.OrderedDict":
		return &global{name: full, call: orderedDict}, true
	case "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2":
		return &global{name: full, call: rebuildTensor}, true
	case "torch._utils._rebuild_tensor_v3":
		return &global{name: full, call: rebuildTensorV3}, true
	case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
		return &global{name: full, call: rebuildParameter}, true
	case "torch.Size":
		return &global{name: full, call: size}, true
	case "torch.device":
		return &global{name: full, call: device}, true
	case "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct":
		return &global{name: full, call: reconstruct}, true
	case "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar":
		return &global{name: full, call: scalar}, true
	case "numpy.ndarray":
		return &global{name: full}, true
	case "numpy.dtype":
		return &global{name: full, call: newType}, true
	case "_codecs.encode":
		return &global{name: full, call: encode}, true
	case "steering_vectors.steering_vector.SteeringVector",
		"repe.rep_readers.PCARepReader", "repe.rep_readers.ClusterMeanRepReader", "repe.rep_readers.RandomRepReader":
		return &global{name: full, record: true}, true
	case "torch.storage.UntypedStorage":
		return &global{name: full, elem: elem{"uint8", 1}}, true
	}
	if class, ok := strings.CutSuffix(name, "Storage"); ok && module == "torch" {
		e, ok := storageElems(class)
		return &global{name: full, elem: e}, ok
	}
	if e, ok := dtypes(name); ok && module == "torch" {
		return &global{name: full, elem: e}, true
	}
	return nil, false
}

// storageElems maps torch's storage classes, less the word Storage, to their elements.
func storageElems(class string) (elem, bool) {
	names := map[string]string{
		"Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16",
		"Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
	}
	return dtypes(names[class])
}

func dtypes(name string) (elem, bool) {
	widths := map[string]int{
		"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2,
		"int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1,
	}
	w, ok := widths[name]
	return elem{name, w}, ok
}

// orderedDict is OrderedDict() or OrderedDict([(key, value), ...]).
func orderedDict(m *machine, args Tuple) (Value, error) {
	d := &Dict{}
	if len(args) == 0 {
		return d, nil
	}
	list, ok := args[0].(*List)
	if !ok || len(args) > 1 {
		return nil, m.fail("pairs for an OrderedDict", "%d arguments, the first %s", len(args), describe(args[0]))
	}
	if err := m.spend(len(list.Items)); err != nil {
		return nil, err
	}
	for _, item := range list.Items {
		pair, ok := item.(Tuple)
		if !ok || len(pair) != 2 || !d.set(pair[0], pair[1]) {
			return nil, m.fail("pairs for an OrderedDict", "%s", describe(item))
		}
	}
	return d, nil
}

// spend bounds work and memory that opcodes of a few bytes can ask for again and again.
func (m *machine) spend(n int) error {
	m.cost += n
	if m.cost > len(m.text) {
		return m.fail("values that the file holds", "the same ones copied too often")
	}
	return nil
}

func size(m *machine, args Tuple) (Value, error) {
	if len(args) == 1 {
		if t, ok := args[0].(Tuple); ok {
			return t, nil
		}
	}
	return nil, m.fail("a torch.Size of one tuple", "%d arguments", len(args))
}

func device(m *machine, args Tuple) (Value, error) {
	if len(args) > 0 {
		if s, ok := args[0].(string); ok {
			return s, nil
		}
	}
	return nil, m.fail("a torch.device with a name", "%d arguments", len(args))
}

// rebuildParameter is (tensor, requires_grad, backward_hooks[, state]).
func rebuildParameter(m *machine, args Tuple) (Value, error) {
	if len(args) > 0 {
		if t, ok := args[0].(Tensor); ok {
			return t, nil
		}
	}
	return nil, m.fail("a parameter made of a tensor", "%d arguments", len(args))
}
